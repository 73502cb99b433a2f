package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/prove/etcd"
	"github.com/baileyhq/bailey/server"
)

// proveFlags say what is tried, how often and from where.
type proveFlags struct {
	target targetFlags

	list, explain, reap bool
	stop, resume        bool

	repeat          int
	thorough, quick bool
	isolated        bool
	disruptive      bool
	rate            int
	limit           time.Duration
	every           time.Duration
	times           int
	schedule        configSchedule
	inPod           bool // for a server that watches the cluster of its pod

	image, podAPIServer                  string
	ledger                               string
	auditLog, alertmanager, alertWebhook string
	key                                  string
	format                               string

	etcd etcd.Options

	// as is whom the prober is impersonated as; empty: nobody.
	as string
	// only are the names of the experiments to run; all if empty.
	only []string
	// record is told of each piece of evidence in the place of a ledger, where it is set; progress
	// how far the run is.
	record   func(ctx context.Context, id string, envelope []byte)
	progress server.Progress
	// around puts something around each request of the run; nil for nothing.
	around func(*rest.Config)
}

func (a *app) proveCommand() *cobra.Command {
	f := &proveFlags{}
	var from remoteFlags
	c := &cobra.Command{
		Use:   "prove [CONTROL...]",
		Short: "Try whether controls hold, and keep signed evidence",
		Long: `Prove does, safely, what a control must refuse, each beside a twin that differs
only in the forbidden thing and must be accepted, and keeps what it saw as signed
evidence. By default it asks and makes server-side dry-runs: nothing is stored in
the cluster, only audit records stay. It says beforehand what it will do.`,
		Example: `  bailey prove --list                    what there is to try
  bailey prove --explain access/tls      what it does, and the rights that it needs
  bailey prove                           questions and dry-runs, on the current cluster
  bailey prove --isolated --context dev --probe-image IMAGE
                                         also in namespaces of its own
  bailey prove access/tls --server URL   let the server run it`,
		RunE: func(c *cobra.Command, names []string) error {
			if remote, err := from.on(f.here(c)); err != nil {
				return err
			} else if remote {
				return a.proveRemote(c.Context(), &from, names, f.isolated, f.format)
			}
			if err := f.check(); err != nil {
				return err
			}
			chosen, err := chooseControls(names)
			if err != nil {
				return err
			}
			if f.stop || f.resume {
				return a.throwSwitches(f.stop)
			}
			if f.list {
				return a.listExperiments(chosen, f.format)
			}
			return a.proveAgain(c.Context(), f, chosen)
		},
	}
	f.target.register(c)
	f.target.images.register(c)
	from.register(c)
	flags := c.Flags()
	flags.BoolVar(&f.list, "list", false, "list the experiments, and do nothing")
	flags.BoolVar(&f.explain, "explain", false, "print what would be done and the exact rights that it needs, and do nothing")
	flags.IntVar(&f.repeat, "repeat", 0, "tries per probe (default: 16, or 5 where objects are made)")
	flags.BoolVar(&f.thorough, "thorough", false, fmt.Sprintf("%d tries per probe: a failure rate of 5 %% would be seen", prove.ThoroughTries))
	flags.BoolVar(&f.quick, "quick", false, "one try per probe; tries add up over runs")
	flags.BoolVar(&f.isolated, "isolated", false, "also experiments that make namespaces and objects of their own (wants --context)")
	flags.BoolVar(&f.disruptive, "allow-disruptive", false, "also experiments that may disturb what runs (wants --context)")
	flags.StringVar(&f.image, "probe-image", "", "the image of probe pods: Bailey's own, of this version")
	flags.StringVar(&f.podAPIServer, "pod-apiserver", "", "host:port of the API server as pods reach it (default: the kubernetes Service)")
	flags.StringSliceVar(&f.etcd.Endpoints, "etcd", nil, "URLs of etcd, like https://10.0.0.1:2379: read how the API server's objects are stored (names and keys' ids, no content); with --allow-disruptive, write one of its own there")
	flags.StringVar(&f.etcd.CA, "etcd-ca", "", "with --etcd: PEM file of the authority of etcd's certificate")
	flags.StringVar(&f.etcd.Cert, "etcd-cert", "", "with --etcd: PEM file of the client certificate that etcd demands")
	flags.StringVar(&f.etcd.Key, "etcd-key", "", "with --etcd: PEM file of its key")
	flags.StringVar(&f.etcd.Snapshot, "etcd-snapshot", "", "in place of --etcd: a snapshot of it (etcdctl snapshot save)")
	flags.StringVar(&f.etcd.Prefix, "etcd-prefix", etcd.DefaultPrefix, "the API server's --etcd-prefix")
	flags.StringVar(&f.key, "key", "", "the key that signs evidence: PEM, PKCS #8, Ed25519 (default: one in the state folder, made at first use)")
	flags.StringVar(&f.ledger, "ledger", "", "a ledger (see bailey ledger) that takes every piece of evidence")
	flags.StringVar(&f.auditLog, "audit-log", "", "the API server's audit log: say whether Bailey's detections notice the tries, and where objects came from")
	flags.StringVar(&f.alertmanager, "alertmanager", "", "URL of the team's Alertmanager: say whether an alert that names the run arrives")
	flags.StringVar(&f.alertWebhook, "alert-webhook", "", "address to listen at for the team's alerts, like 127.0.0.1:9095")
	flags.IntVar(&f.rate, "rate", prove.DefaultRate, "requests a second, at most")
	flags.DurationVar(&f.limit, "limit", prove.DefaultLimit, "how long a run may last")
	flags.DurationVar(&f.every, "every", 0, "run again at this interval, until interrupted")
	flags.IntVar(&f.times, "times", 0, "with --every: this many runs")
	flags.StringVar(&f.schedule.Window, "window", "", "with --every: when what goes beyond dry-runs may be done, like 22:00-06:00; it also wants the label "+bailey.OptInLabel+"="+prove.OptedIn+" on each namespace that it acts upon")
	flags.StringSliceVar(&f.schedule.Days, "window-days", nil, "with --window: the days on which it begins, like mon,tue (default: every day)")
	flags.StringVar(&f.schedule.TimeZone, "time-zone", "", "with --window: its time zone, like Europe/Zurich (default: UTC)")
	flags.BoolVar(&f.reap, "reap", false, "only remove what killed runs left")
	flags.BoolVar(&f.stop, "stop", false, "throw the stop switch: running experiments end within seconds, and none begins")
	flags.BoolVar(&f.resume, "resume", false, "take the stop switch back")
	flags.StringVarP(&f.format, "output", "o", "text", "text or json")
	return c
}

func (f *proveFlags) check() error {
	if f.format != "text" && f.format != "json" {
		return usageError("prove has no output format %q: use text or json", f.format)
	}
	chosen := 0
	for _, is := range []bool{f.repeat != 0, f.thorough, f.quick} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return usageError("--repeat, --thorough and --quick each say how often\nhint: give one")
	case f.repeat < 0 || f.repeat > 1000:
		return usageError("--repeat wants a number from 1 to 1000")
	case f.rate < 1 || f.rate > 10000:
		return usageError("--rate wants a number from 1 to 10000")
	case f.limit < time.Second:
		return usageError("--limit wants a second or more")
	case f.every < 0 || f.every > 0 && f.every < time.Second:
		return usageError("--every wants a second or more")
	case len(f.etcd.Endpoints) > 0 && f.etcd.Snapshot != "":
		return usageError("--etcd and --etcd-snapshot each name the storage\nhint: give one")
	case len(f.etcd.Endpoints) == 0 && (f.etcd.CA != "" || f.etcd.Cert != "" || f.etcd.Key != ""):
		return usageError("--etcd-ca, --etcd-cert and --etcd-key go with --etcd")
	case f.schedule.Window == "" && (len(f.schedule.Days) > 0 || f.schedule.TimeZone != ""):
		return usageError("--window-days and --time-zone go with --window")
	case f.schedule.Window != "" && f.every == 0:
		return usageError("--window goes with --every\nhint: --every 1h --times 1 is a single run that heeds it, as for a CronJob")
	case f.times < 0 || f.times > 0 && f.every == 0:
		return usageError("--times goes with --every")
	case (f.isolated || f.disruptive || f.reap) && f.target.context == "" && f.target.kubeconfig == "":
		return usageError("what goes beyond dry-runs wants the cluster's name: --context NAME\nhint: `kubectl config get-contexts` lists them; this keeps an experiment off the cluster that merely is current")
	}
	switch {
	case f.thorough:
		f.repeat = prove.ThoroughTries
	case f.quick:
		f.repeat = 1
	}
	return nil
}

// oneCluster wants what goes beyond dry-runs to name its cluster: a context, or a
// kubeconfig that holds one only. A server in a pod has one.
func (f *proveFlags) oneCluster() error {
	if f.worst() == bailey.DangerDryRun && !f.reap || f.target.context != "" || f.inPod {
		return nil
	}
	known, err := clientcmd.LoadFromFile(f.target.kubeconfig)
	if err != nil {
		return usageError("the kubeconfig could not be read: %w", err)
	}
	if len(known.Contexts) > 1 {
		return usageError("%s holds %d contexts, and what goes beyond dry-runs wants its cluster's name\nhint: --context NAME", f.target.kubeconfig, len(known.Contexts))
	}
	return nil
}

func (f *proveFlags) worst() bailey.Danger {
	switch {
	case f.disruptive:
		return bailey.DangerDisruptive
	case f.isolated:
		return bailey.DangerIsolated
	}
	return bailey.DangerDryRun
}

// proveAgain runs once, or on a schedule. On a schedule a run that found something
// broken, or that failed (the API server is down, say), is no reason to stop; the worst
// exit code is kept.
func (a *app) proveAgain(ctx context.Context, f *proveFlags, chosen []*bailey.Control) error {
	var worst error
	for i := 1; ; i++ {
		err := a.prove(ctx, f, chosen)
		if f.every == 0 {
			return err
		}
		var coded *exitError
		if errors.As(err, &coded) && coded.code == exitUsage {
			return err
		}
		if worse(err, worst) {
			worst = err
		}
		if ctx.Err() != nil || i == f.times {
			return worst
		}
		if err != nil && (coded == nil || coded.err != nil) {
			fmt.Fprintf(a.stderr, "This run failed, and the next is in %s: %s\n", f.every, printable(err.Error()))
		}
		select {
		case <-ctx.Done():
			return worst
		case <-time.After(f.every):
		}
	}
}

// worse reports whether an error of a run weighs more than that of an earlier one:
// something broken more than a failure, a failure more than nothing to try.
func worse(err, before error) bool {
	weight := func(err error) int {
		var coded *exitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &coded) && coded.code == exitNothing:
			return 1
		case errors.As(err, &coded) && coded.code == exitFindings:
			return 3
		}
		return 2
	}
	return weight(err) > weight(before)
}

func (a *app) prove(ctx context.Context, f *proveFlags, chosen []*bailey.Control) error {
	conf, err := f.target.load()
	if err != nil {
		return err
	}
	if _, err := f.scheduled(conf, a.now()); err != nil {
		return err
	}
	if err := f.oneCluster(); err != nil {
		return err
	}
	s, err := a.snapshot(ctx, &f.target, nil)
	if err != nil {
		return err
	}
	a.notTried(s)
	state, err := clusterState(s.Meta.ClusterUID)
	if err != nil {
		return err
	}
	config, err := kube.RESTConfig(f.target.kubeconfig, f.target.context)
	if err != nil {
		return err
	}
	if f.as != "" {
		config.Impersonate.UserName = f.as
	}
	schedule, err := f.scheduled(conf, a.now())
	if err != nil {
		return err
	}
	evidence, err := a.evidence(ctx, conf, s)
	if err != nil {
		return err
	}
	if f.image != "" {
		a.unpinnedProbes(s, f.image)
	}
	choice := prove.Choice{Worst: f.worst(), Only: f.only, Places: f.places(conf), Schedule: schedule, Evidence: evidence}
	planned := prove.Plan(s, chosen, choice)
	if f.explain {
		choice.Every = true // the next run takes other scopes, by the same rights
		return a.explainPlan(s, planned, prove.Grants(prove.Plan(s, chosen, choice).Units), f)
	}
	key, err := f.signingKey(state)
	if err != nil {
		return err
	}
	r := &proving{app: a, flags: f, conf: conf, snapshot: s, state: state, key: key, config: config, earlier: evidence}
	if err := r.openLedger(ctx); err != nil {
		return err
	}
	defer r.closeLedger(ctx)
	if f.etcd.Given() {
		storage, err := etcd.Open(ctx, f.etcd)
		if err != nil {
			return err
		}
		defer storage.Close()
		r.storage = storage
	}
	if err := r.reap(ctx); err != nil || f.reap {
		return err
	}
	if !slices.ContainsFunc(planned.Units, func(u prove.Unit) bool { return u.Skipped == "" }) {
		return nothingToTry(planned)
	}
	return r.run(ctx, planned)
}

// scheduled gives the schedule of a run under --every, with the window of the flags or
// else of the configuration; nil for a run that somebody began by hand.
func (f *proveFlags) scheduled(conf *config, now time.Time) (*prove.Schedule, error) {
	if f.every == 0 {
		return nil, nil
	}
	from, source := f.schedule, ""
	if from.Window == "" {
		from, source = conf.Schedule, conf.path+": schedule: "
	}
	s := &prove.Schedule{At: now}
	if from.Window == "" {
		if f.worst() == bailey.DangerDryRun {
			return s, nil
		}
		return nil, usageError("on a schedule, what goes beyond dry-runs wants a window\nhint: --window 22:00-06:00, or schedule: in bailey.yaml")
	}
	var err error
	if s.Window, err = prove.ParseWindow(from.Window, from.Days, from.TimeZone); err != nil {
		return nil, usageError("%s%w", source, err)
	}
	return s, nil
}

func (f *proveFlags) places(conf *config) []bailey.Place {
	var places []bailey.Place
	if f.image != "" {
		places = append(places, bailey.PlaceNode)
	}
	if f.etcd.Given() {
		places = append(places, bailey.PlaceEtcd)
	}
	if f.auditLogPath(conf) != "" {
		places = append(places, bailey.PlaceAuditLog)
	}
	return places
}

func (f *proveFlags) signingKey(state string) (*prove.Key, error) {
	if f.key == "" {
		return prove.StateKey(state)
	}
	key, err := prove.LoadKey(f.key)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return key, nil
}

func nothingToTry(p prove.Planned) error {
	if len(p.Units) == 0 {
		return &exitError{exitNothing, errors.New("nothing was tried: no chosen control has an experiment that applies here\nhint: `bailey prove --list` shows which have experiments; pod security is tried in namespaces with an enforce label")}
	}
	text := "nothing was tried:"
	for _, u := range p.Units[:min(len(p.Units), 5)] {
		text += fmt.Sprintf("\n  %s %s: %s", u.Control.ID, u.Experiment.Name, u.Skipped)
	}
	return &exitError{exitNothing, errors.New(text)}
}

// proving is one run with what it needs.
type proving struct {
	*app
	flags    *proveFlags
	conf     *config
	snapshot *bailey.Snapshot
	state    string
	key      *prove.Key
	config   *rest.Config
	ledger   *ledger.Log // nil without one
	storage  prove.Store // nil without one
	earlier  []bailey.Evidence
}

func (r *proving) runs() string     { return filepath.Join(r.state, runsFolder) }
func (r *proving) evidence() string { return filepath.Join(r.state, "evidence") }

func (r *proving) cluster() prove.Cluster {
	return prove.Cluster{UID: r.snapshot.Meta.ClusterUID, Version: r.snapshot.Meta.Version.String()}
}

// keep signs a statement and puts it on disk.
func (r *proving) keep(ctx context.Context, s prove.Statement) (path, id string, err error) {
	path, id, envelope, err := prove.Keep(ctx, r.evidence(), s, r.key)
	if err == nil && r.flags.record != nil {
		r.flags.record(ctx, id, envelope)
	}
	if err != nil || r.ledger == nil {
		return path, id, err
	}
	if _, err = r.ledger.Append(ctx, ledger.Record{ID: "evidence/" + id, Data: envelope}); err != nil {
		err = fmt.Errorf("the evidence is kept in %s, and the ledger did not take it: %w", path, err)
	}
	return path, id, err
}

// openLedger opens the ledger that the flag or the configuration names.
func (r *proving) openLedger(ctx context.Context) (err error) {
	if r.flags.record != nil {
		return nil
	}
	dir := r.flags.ledger
	if dir == "" && r.conf.Ledger != "" {
		dir = r.conf.relative(r.conf.Ledger)
	}
	if dir != "" {
		r.ledger, err = ledger.Open(ctx, dir, ledger.Options{})
	}
	return err
}

func (r *proving) closeLedger(ctx context.Context) {
	if r.ledger == nil {
		return
	}
	if err := r.ledger.Close(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintf(r.stderr, "The ledger was not closed in order: %s\n", printable(err.Error()))
	}
}

func (r *proving) run(ctx context.Context, planned prove.Planned) error {
	id := prove.NewRunID()
	r.announce(id, planned)
	watchers, origins, stopWatching, err := r.watchers(ctx, r.flags, r.conf)
	if err != nil {
		return err
	}
	defer stopWatching()
	progress := r.newProgress()
	defer progress.end()
	results := []proved{}
	_, err = prove.Run(ctx, id, planned, prove.Options{
		Config: r.config, Folder: r.runs(), Cluster: r.snapshot.Meta.ClusterUID, Version: version,
		Repeat: r.flags.repeat, Rate: r.flags.rate, Limit: r.flags.limit, Image: r.flags.image, PodAPIServer: r.flags.podAPIServer, Etcd: r.storage,
		Stop: stopFile(r.state), Now: r.now, Watchers: watchers, Origins: origins, Around: r.flags.around,
		Keep: func(record *prove.Record, clock prove.Clock, identity string) error {
			statement := record.Statement(r.cluster(), prove.ProberID{Version: version, Identity: identity}, clock, r.key.Custody)
			path, evidence, err := r.keep(context.WithoutCancel(ctx), statement)
			if err == nil {
				results = append(results, newProved(record, r.earlier, evidence, path))
				if r.flags.progress != nil {
					r.flags.progress.Showed(statement.Predicate.Evidence)
				}
			}
			return err
		},
		Progress: func(p prove.Progress) {
			if r.flags.progress != nil {
				r.flags.progress.Step(p.Done, p.Total)
			}
			progress.step(p.Done, p.Total, "tries  "+p.Unit.Control.ID+" "+p.Unit.Scope.String())
		},
	})
	progress.end()
	r.archive(ctx)
	if err != nil {
		_ = r.print(id, planned, results)
		return err
	}
	return r.print(id, planned, results)
}
