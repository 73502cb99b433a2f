package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/sqlite"
)

// serveFlags say what is watched, where history is kept, and who is answered.
type serveFlags struct {
	target   targetFlags
	data     string
	listen   string
	path     string // of files or a snapshot in the place of a cluster
	database string
	tlsCert  string
	tlsKey   string
	tlsOwn   []string // names for a certificate of one's own
	proxies  []net.IPNet
	every    time.Duration
	prover   string // kubeconfig of the identity that runs experiments
	proveAs  string // or whom it is impersonated as
	// scheduled are the controls that the schedule tries; none stands for all.
	scheduled []string
	rate      int
	image     string
	isolated  bool
	noLink    bool
	auditLog  string
	oidc      oidcFlags
	tend      tendFlags
	book      bookFlags

	// own tells that the cluster is one of up's own, whose kubeconfig is known once it runs.
	own bool
	// gate is the mode of a gate that runs in this process; empty where none does.
	gate string
	// gateAt is where it listens.
	gateAt net.Listener
	// hallmark is there where requests are known as Bailey's own.
	hallmark *server.Hallmark
	// notes are said before where the server answers, and calm leaves out of the log what went well.
	notes []string
	calm  bool

	replicate      bool
	leaseNamespace string

	hub                       bool
	pushTo, pushToken, pushCA string
}

func (a *app) serveCommand() *cobra.Command {
	f := &serveFlags{}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Watch a cluster: judge what changes, prove on schedule, remember, answer",
		Long: `Serve watches the cluster, judges each change, runs experiments (questions and
dry-runs) on a schedule, keeps history in the data folder, and answers over HTTP:
pages, the API under /api/v1, /healthz, /readyz and /metrics.

Without TLS it listens on loopback only. There, the link that it prints logs the
administrator of this machine in, once; the file "token" in the data folder does
the same for programs. Everybody else is known by a Kubernetes token, and sees
what RBAC rules for the API group bailey.dev allow.`,
		Example: `  bailey serve --data ./bailey-data
  bailey serve --data ./bailey-data --target ./manifests
  bailey serve --data /var/lib/bailey --listen :8443 --tls-cert tls.crt --tls-key tls.key`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), f) },
	}
	f.target.register(c)
	f.registerServing(c)
	flags := c.Flags()
	flags.StringVar(&f.path, "target", "", "watch a folder of manifests, or a saved snapshot, in the place of a cluster")
	flags.BoolVar(&f.replicate, "replicate", false, "be one of several replicas, of which one at a time writes (wants --database)")
	flags.StringVar(&f.leaseNamespace, "lease-namespace", "", "namespace of the Lease by which replicas agree on that one (default: the pod's own)")
	return c
}

// registerServing registers what serve and up share.
func (f *serveFlags) registerServing(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.data, "data", "", "the folder that holds history (default: server/ in the state folder)")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8470", "address to answer at; other than loopback it wants TLS")
	flags.StringVar(&f.database, "database", "", "PostgreSQL in the place of SQLite: a file that holds its URL")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "PEM file of the certificate to serve with; it is read again when it changes")
	flags.StringVar(&f.tlsKey, "tls-key", "", "PEM file of its key")
	flags.StringSliceVar(&f.tlsOwn, "tls-self-signed", nil, "serve with a certificate of one's own for these names, kept in the data folder")
	flags.StringVar(&f.prover, "prove-kubeconfig", "", "run experiments as whom this kubeconfig names (default: as who watches)")
	flags.StringVar(&f.proveAs, "prove-as", "", "run experiments as this user, whom they are impersonated as, like system:serviceaccount:bailey:bailey-prober")
	flags.DurationVar(&f.every, "prove-every", time.Hour, "run experiments this often; 0: never")
	flags.StringSliceVar(&f.scheduled, "prove-control", nil, "the schedule tries these controls only, or areas like compute/* (default: all)")
	flags.IntVar(&f.rate, "prove-rate", prove.DefaultRate, "requests a second to the API server at most, while experiments run")
	flags.StringVar(&f.image, "probe-image", "", "the image of probe pods, for experiments that want a node")
	flags.BoolVar(&f.isolated, "isolated", false, "let ordered runs make namespaces and objects of their own (wants --context, but of up in its own cluster)")
	f.book.register(c)
	flags.StringVar(&f.auditLog, "audit-log", "", "raise alerts of attacks that the API server's audit log tells of: its file (default: the configuration's; of up, that of its own cluster)")
	flags.BoolVar(&f.hub, "hub", false, "take what servers of other clusters push (see bailey hub)")
	flags.StringVar(&f.pushTo, "push-to", "", "push what is found to the hub at this address too")
	flags.StringVar(&f.pushToken, "push-token", "", "file of the token that the hub gave for this cluster; it is read again for each push")
	flags.StringVar(&f.pushCA, "push-ca", "", "PEM file of whom the hub's certificate may be of (default: those of the system)")
	flags.IPNetSliceVar(&f.proxies, "trusted-proxies", nil, "networks (10.0.0.0/8) of proxies whose X-Forwarded-For says for whom they ask, so that limits are each client's own")
	flags.BoolVar(&f.noLink, "no-link", false, "print no one-time link")
	f.oidc.register(c)
	f.tend.register(c)
}

func (f *serveFlags) check() error {
	switch {
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return usageError("--tls-cert and --tls-key go together")
	case f.tlsCert != "" && len(f.tlsOwn) > 0:
		return usageError("--tls-self-signed makes a certificate, and --tls-cert names one\nhint: leave out one of the two")
	case f.every != 0 && f.every < time.Minute:
		return usageError("--prove-every wants a minute or more, or 0")
	case f.prover != "" && f.proveAs != "":
		return usageError("--prove-kubeconfig and --prove-as both say as whom experiments run\nhint: leave out one of the two")
	case f.rate < 1 || f.rate > 10000:
		return usageError("--prove-rate wants 1 to 10000 requests a second")
	case f.path != "" && (f.target.kubeconfig != "" || f.target.context != ""):
		return usageError("--target watches files, and --kubeconfig and --context choose a cluster\nhint: leave out one of the two")
	case f.path != "" && f.oidc.claims.Issuer != "":
		return usageError("--oidc-issuer logs in whom the cluster's rules give rights, and --target watches no cluster\nhint: leave out one of the two")
	case f.isolated && f.path != "":
		return usageError("--isolated lets runs make objects in a cluster, and --target watches files\nhint: leave out one of the two")
	case f.isolated && f.target.context == "" && f.target.kubeconfig == "" && !f.own && !kube.InCluster():
		return usageError("what goes beyond dry-runs wants the cluster's name: --context NAME")
	case f.replicate && f.path != "":
		return usageError("--replicate shares the work of watching a cluster, and --target watches files\nhint: leave out one of the two")
	case f.replicate && f.database == "":
		return usageError("replicas share one history, which SQLite in a folder cannot be\nhint: --database FILE names a PostgreSQL")
	case (f.pushTo == "") != (f.pushToken == "") || f.pushTo == "" && f.pushCA != "":
		return usageError("--push-to names a hub, and --push-token the file of its token\nhint: at the hub: bailey hub token UID")
	case f.leaseNamespace != "" && !f.replicate:
		return usageError("--lease-namespace is for --replicate")
	}
	if _, err := chooseControls(f.scheduled); err != nil {
		return err
	}
	if _, err := f.oidc.pages(); err != nil {
		return err
	}
	return f.tend.check()
}

// serving is a server that is being put together.
type serving struct {
	app   *app
	flags *serveFlags
	conf  *config
	log   *slog.Logger

	store *store.Store
	loop  *server.Loop
	news  *server.News
	desk  *server.Desk
	book  *server.Book // nil where no ledger is kept
	// detector follows the audit log; nil where none is named.
	detector *server.Detector
	rights   server.Rights
	tokens   server.Tokens
	// apiServer is the identity of the one that is asked about tokens; empty where none is.
	apiServer string
	sight     func() server.Sight
	// metrics is there once the parts run.
	metrics *server.Metrics
	pusher  *server.Pusher // nil where nothing is pushed
	gate    atomic.Pointer[gate.Gate]
	// acts tells whether the schedule may make objects of its own now; nil where it never may.
	acts func() bool
	// failOn is the severity from which a gate here objects, and inForce what the newest report took in.
	failOn  bailey.Severity
	inForce atomic.Pointer[server.Accepted]

	// What follows is of a server with replicas; nil or zero otherwise.
	lease     *resourcelock.LeaseLock
	relay     *server.Relay
	candidate *server.Candidate
	elsewhere fellowEvidence
}

func (a *app) serve(ctx context.Context, f *serveFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if a.offline && tracing() {
		return usageError("--offline opens no connection but to the cluster, and the environment says where to send traces\nhint: unset " + otlpEndpoint + ", or leave out --offline")
	}
	if a.offline && f.tend.tells() {
		return usageError("--offline opens no connection but to the cluster, and --alert-webhook, --alertmanager and --dead-man do\nhint: leave out one of the two")
	}
	conf, err := f.target.load()
	if err != nil {
		return err
	}
	if err := f.openData(); err != nil {
		return err
	}
	if len(f.tlsOwn) > 0 {
		var fingerprint string
		if f.tlsCert, f.tlsKey, fingerprint, err = selfSigned(f.data, f.tlsOwn, a.now()); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "The certificate is Bailey's own, SHA-256 %s\n", fingerprint)
	}
	failOn, err := (&judgeFlags{}).threshold(conf)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if f.calm {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	listener, secure, err := server.Listen(f.listen, f.tlsCert, f.tlsKey, log)
	if err != nil {
		return usageError("%w", err)
	}
	defer listener.Close()
	s := &serving{app: a, flags: f, conf: conf, news: server.NewNews(), log: log, failOn: failOn}
	if s.acts, err = s.mayAct(); err != nil {
		return err
	}
	upgrade := store.WithUpgrade(ctx, func(from, to int) {
		log.Warn("the history is brought to a new version; a million findings take minutes", "from", from, "to", to)
	})
	if s.store, err = openStore(upgrade, f.data, f.database); err != nil {
		return ofDamage(err)
	}
	defer s.store.Close()
	if err := s.openBook(ctx); err != nil {
		return err
	}
	defer s.closeBook()
	return s.run(ctx, listener, secure)
}

// openStore opens the history in the database whose URL is in a file, or in a folder.
func openStore(ctx context.Context, dir, database string) (*store.Store, error) {
	if database == "" {
		return sqlite.Open(ctx, dir)
	}
	url, err := readBounded(database, 64<<10)
	if err != nil {
		return nil, usageError("--database wants a file that holds the URL: %w", err)
	}
	return postgres.Open(ctx, strings.TrimSpace(string(url)))
}

func (s *serving) run(ctx context.Context, listener net.Listener, secure bool) error {
	tuneServing()
	waivers, err := s.conf.waivers()
	if err != nil {
		return err
	}
	endTraces, err := startTraces(ctx, s.log)
	if err != nil {
		return err
	}
	defer endTraces()
	token, err := localToken(s.flags.data)
	if err != nil {
		return err
	}
	o := server.LoopOptions{Controls: controls.All(), Weigher: stakes.Weigher, Log: s.log, Accepted: s.accepted}
	if err := s.watch(&o); err != nil {
		return err
	}
	provider, err := s.flags.oidc.provider(s.app.now)
	if err != nil {
		return err
	}
	s.logInBy(ctx, provider)
	s.tokens = server.NewLocalToken(token, s.tokens)
	if s.lease != nil {
		s.candidate = &server.Candidate{Lease: s.lease, Log: s.log, Fit: s.answers, Lead: s.leadInTurn}
	}
	var metrics *server.Metrics
	o.Took = func(d time.Duration) { metrics.Judging.Observe(d.Seconds()) }
	s.loop = server.NewLoop(o, s.news)
	metrics = server.NewMetrics(version, s.loop)
	s.metrics = metrics
	if s.flags.pushTo != "" {
		if s.pusher, err = s.newPusher(); err != nil {
			return err
		}
	}
	heard := &server.Heard{Store: s.store, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now}
	s.sight = heard.Sight
	ready := s.store.Ping
	if s.flags.replicate {
		s.relay = &server.Relay{Store: s.store, Loop: s.loop, News: s.news, Log: s.log, Leads: s.leads}
		ready = s.relay.Kept
	}
	metrics.ShowLeads(s.leads)
	metrics.ShowKept(heard.At)
	if s.book != nil {
		s.showBook()
	}
	if err := s.openDetector(); err != nil {
		return err
	}
	if s.flags.gate != "" {
		s.showGate()
	}
	s.desk = server.NewDesk(server.DeskOptions{Store: s.store, Controls: o.Controls, Own: s.loop.Cluster, Sight: s.sight, Namespaces: s.loop.Namespaces,
		Files: s.flags.path != "", Configured: func() []bailey.Waiver { return waivers }, Valid: func(w bailey.Waiver) error { return check.ValidateWaiver(w, o.Controls) },
		Changed: s.loop.Refresh, Log: s.log, Now: s.app.now})
	stopping := make(chan struct{})
	api := &server.API{Version: version, Desk: s.desk, Rights: s.rights, News: s.news, Report: s.report, Log: s.log, Book: s.book, Stopping: stopping}
	if s.flags.path == "" {
		orders := &server.Orders{Store: s.store, Own: s.loop.Cluster, News: s.news, Deeds: s.desk.Deeds, Controls: o.Controls, Isolated: s.flags.isolated, Now: s.app.now}
		api.Run, api.Stop, api.Proposer = orders.Order, orders.Stop, s.proposer(o.Controls)
	}
	sessions := &server.Sessions{Store: s.store, Alone: !s.flags.replicate, Log: s.log, Now: s.app.now}
	front := &server.Front{Sessions: sessions, Tokens: s.tokens, APIServer: s.apiServer, OIDC: provider, Secure: secure, Log: s.log, Now: s.app.now}
	h := &server.HTTP{Front: front, API: api.Handler(), Pages: s.pages(front, api), Metrics: metrics, Rights: s.rights, Loop: s.loop, Proxies: s.flags.proxies, Ready: ready, Log: s.log,
		Stop: sync.OnceFunc(func() { close(stopping) })}
	if s.flags.hub {
		h.Push = &server.Hub{Store: s.store, Front: front, Own: s.loop.Cluster, News: s.news, Log: s.log, Now: s.app.now, Keep: s.flags.tend.keep}
	}
	s.greet(listener, secure, sessions)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.Serve(ctx, listener) })
	group.Go(func() error { return ended(ctx, s.loop.Run(ctx)) })
	group.Go(func() error { return ended(ctx, heard.Run(ctx)) })
	if s.flags.replicate {
		group.Go(func() error { return ended(ctx, s.relay.Run(ctx)) })
		group.Go(func() error { return ended(ctx, s.stand(ctx)) })
		group.Go(func() error { return ended(ctx, s.lookOut(ctx)) })
	} else {
		group.Go(func() error { return ended(ctx, s.lead(ctx)) })
	}
	if s.flags.gate != "" {
		group.Go(func() error { return ended(ctx, s.runGate(ctx)) })
	}
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		s.log.Info("ended")
		return nil
	}
	return err
}

// greet says where the server answers.
func (s *serving) greet(listener net.Listener, secure bool, sessions *server.Sessions) {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	where := scheme + "://" + listener.Addr().String()
	for _, note := range s.flags.notes {
		fmt.Fprintln(s.app.stderr, note)
	}
	fmt.Fprintf(s.app.stderr, "Bailey answers at %s\n", where)
	if err := writeFile(filepath.Join(s.flags.data, addressFile), 0o600, func(w io.Writer) error { _, err := fmt.Fprintln(w, where); return err }); err != nil {
		s.log.Warn("where the server answers could not be written down: --server wants --token-file", "error", err)
	}
	if !secure && !s.flags.noLink {
		fmt.Fprintf(s.app.stderr, "Open this link, once, within 15 minutes:\n  %s/login?link=%s\n", where, sessions.NewLink())
	}
}

// watch says what the loop follows, and who may see it.
func (s *serving) watch(o *server.LoopOptions) error {
	if s.flags.path != "" {
		s.rights = server.LocalRights{}
		o.Source = s.files
		o.Identity = fileIdentity(s.flags.path)
		if _, err := os.Stat(s.flags.path); err != nil {
			return usageError("--target: %w", err)
		}
		return nil
	}
	t := &s.flags.target
	config, err := kube.RESTConfig(t.kubeconfig, t.context)
	if err != nil {
		return err
	}
	if s.rights, s.tokens, err = server.AskCluster(config, s.app.now); err != nil {
		return err
	}
	if s.apiServer, err = server.APIServerIdentity(config); err != nil {
		return err
	}
	if s.flags.replicate {
		if s.lease, err = newLease(config, s.flags.leaseNamespace); err != nil {
			return err
		}
	}
	o.Source = func(ctx context.Context, f kube.Follower) error {
		whole := f.Whole
		f.Whole = func(snapshot *bailey.Snapshot) {
			with, err := withHosts(snapshot, t.hosts)
			if err != nil {
				s.log.Error("what machines showed could not be read", "error", err)
				with = snapshot
			}
			whole(with)
		}
		if t.ownGate != nil {
			f = blindToGate(f, t.ownGate)
		}
		return kube.Follow(ctx, kube.FollowOptions{Options: kube.Options{Kubeconfig: t.kubeconfig, Context: t.context, Around: s.ours, Namespaces: t.namespaces,
			KubeletConfigz: t.configz, UserAgent: "bailey/" + version, Offline: s.app.offline, Held: s.loop.Held}}, f)
	}
	return nil
}

// accepted gives what a report takes in beside the snapshot.
func (s *serving) accepted(ctx context.Context, uid string, at time.Time) (all server.Accepted, err error) {
	defer func() {
		if err == nil {
			s.inForce.Store(&all)
		}
	}()
	_, options, err := (&judgeFlags{}).options(s.conf)
	if err != nil {
		return all, err
	}
	all.Waivers, all.Baseline = options.Waivers, options.Baseline
	if own := s.loop.Cluster(); own != "" {
		added, err := s.desk.InForce(ctx, own)
		if err != nil {
			return all, err
		}
		all.Waivers = append(all.Waivers, added...)
	}
	if uid != "" {
		kept, err := s.app.kept(ctx, s.conf, uid, at)
		if err != nil {
			return all, err
		}
		for _, k := range kept {
			all.Evidence = append(all.Evidence, k.Summary.Evidence)
		}
		if s.flags.replicate {
			if all.Evidence, err = s.elsewhere.join(ctx, s.store, uid, all.Evidence, at); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// report writes the newest report as `bailey scan -o json` does.
func (s *serving) report(w http.ResponseWriter, request *http.Request) {
	r := s.loop.Join(request.Context())
	if r == nil {
		http.Error(w, "the first report is not made yet\nhint: try again in a moment", http.StatusServiceUnavailable)
		return
	}
	format, err := report.Lookup("json")
	if err != nil {
		panic(err) // it is compiled in
	}
	w.Header().Set("Content-Type", "application/json")
	if err := format.Render(w, r, report.Options{Version: version}); err != nil {
		s.log.Error("the report could not be written", "error", err)
	}
}
