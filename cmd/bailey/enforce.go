package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/enforce"
)

type enforceFlags struct {
	target targetFlags
	format string
	all    bool
	// auditLog is replayed, to see which of its requests would have been refused.
	auditLog string

	apply, revert                    bool
	quiet                            time.Duration
	acceptRefusals, acceptUnobserved bool
	force                            bool
	// defaults plans the policies that set what pods leave open.
	defaults bool
	// makeKey makes an encryption key into the settings' file.
	makeKey bool
}

func (a *app) enforceCommand() *cobra.Command {
	f := &enforceFlags{}
	c := &cobra.Command{
		Use:   "enforce [CONTROL...] [TARGET...]",
		Short: "Plan what keeps controls from being violated again",
		Long: `Enforce says which native objects (admission policies, labels, network policies,
quotas) would keep what the controls ask for, what is in place already, and which
of the objects that are there now each policy would refuse. Nothing is changed
without --apply, which goes in stages: policies audit and warn first, and deny when
they were applied again after the quiet period and would refuse nothing that runs.
What was there before is noted, and --revert puts it back.` + targetHelp,
		Example: `  bailey enforce                             the plan for the current cluster
  bailey enforce deploy/image-identity       for one control
  bailey enforce 'compute/*' ./deploy        for a folder of manifests
  bailey enforce -o yaml > guards.yaml       the objects, to be applied by other means
  bailey enforce -o helm=./guards            a chart of them; -o kustomize=DIR a kustomization
  bailey enforce -o settings=./settings      flags and files of the control plane and nodes
  bailey enforce -o patches=./patches        patches of workloads, for the source that they come from
  bailey enforce --apply --context prod      put them in place, stage by stage
  bailey enforce --revert --context prod     put back what was there`,
		RunE: func(c *cobra.Command, args []string) error {
			format, folder, inFolder := strings.Cut(f.format, "=")
			switch {
			case format == string(enforce.LayoutKustomize) || format == string(enforce.LayoutHelm) || format == string(enforce.LayoutSettings) || format == layoutPatches:
				if folder == "" {
					return usageError("-o %s wants a folder: -o %s=DIR", format, format)
				}
			case inFolder || format != "text" && format != "json" && format != "yaml":
				return usageError("enforce has no output format %q: use text, json, yaml, kustomize=DIR, helm=DIR, settings=DIR or patches=DIR", f.format)
			case f.makeKey && format != string(enforce.LayoutSettings):
				return usageError("--make-key makes a key into a file of -o settings=DIR\nhint: give both")
			}
			chosen, targets, err := controlsAndTargets(args)
			if err != nil {
				return err
			}
			if f.apply || f.revert {
				if err := f.mayWrite(args, targets); err != nil {
					return err
				}
			}
			if f.revert {
				return a.revertEnforced(c.Context(), f)
			}
			return a.enforce(c.Context(), f, chosen, targets)
		},
	}
	f.target.register(c)
	c.Flags().StringVarP(&f.format, "output", "o", "text", "text, json, yaml: the objects for kubectl apply --server-side, kustomize=DIR, helm=DIR: a chart of them, settings=DIR: what components are started with, as files, or patches=DIR: what rules would change in workloads and ServiceAccounts, for their source")
	c.Flags().BoolVar(&f.defaults, "defaults", false, "plan policies too that set what pods leave open, in namespaces with the label bailey.dev/defaults")
	c.Flags().BoolVar(&f.makeKey, "make-key", false, "with -o settings=DIR: make the key by which Secrets are encrypted, into a file of mode 0600")
	c.Flags().StringVar(&f.auditLog, "audit-log", "", "an API server's audit log: say which of its requests the policies would have refused")
	c.Flags().BoolVar(&f.apply, "apply", false, "put in place what the plan says, as far as it goes now (wants --context)")
	c.Flags().BoolVar(&f.revert, "revert", false, "put back what was there before --apply (wants --context)")
	c.Flags().DurationVar(&f.quiet, "quiet-period", enforce.DefaultQuiet, "with --apply: how long policies audit and warn before they may deny")
	c.Flags().BoolVar(&f.acceptRefusals, "accept-refusals", false, "with --apply: let a policy deny though it would refuse what runs now")
	c.Flags().BoolVar(&f.acceptUnobserved, "accept-unobserved", false, "with --apply: also what was not observed whole: network policies, quotas, limit ranges, and policies about what was not read")
	c.Flags().BoolVar(&f.force, "force-conflicts", false, "with --apply: take over fields that somebody else owns with another value")
	c.Flags().BoolVarP(&f.all, "all", "a", false, "name every object that would be refused")
	return c
}

// controlsAndTargets parts the arguments that name controls from the others.
func controlsAndTargets(args []string) (chosen []*bailey.Control, targets []string, err error) {
	var names []string
	for _, arg := range args {
		if _, err := chooseControls([]string{arg}); err == nil {
			names = append(names, arg)
			continue
		}
		if _, err := os.Stat(arg); err != nil && arg != "-" {
			return nil, nil, usageError("%q is neither a control nor a path\nhint: `bailey controls` lists the controls; an area is written like compute/*", arg)
		}
		targets = append(targets, arg)
	}
	chosen, err = chooseControls(names)
	return chosen, targets, err
}

func (a *app) enforce(ctx context.Context, f *enforceFlags, chosen []*bailey.Control, targets []string) error {
	s, err := a.snapshot(ctx, &f.target, targets)
	if err != nil {
		return err
	}
	if folder, asked := strings.CutPrefix(f.format, layoutPatches+"="); asked {
		return a.writePatches(ctx, f, s, chosen, folder)
	}
	var asked []string
	if f.defaults {
		asked = append(asked, "defaults")
	}
	plan, err := enforce.Make(s, chosen, asked...)
	if err != nil {
		return err
	}
	if layout, folder, inFolder := strings.Cut(f.format, "="); inFolder {
		if enforce.Layout(layout) == enforce.LayoutSettings {
			return a.writeSettings(plan, folder, f.makeKey)
		}
		return a.writeFiles(plan, enforce.Layout(layout), folder)
	}
	if f.format == "yaml" {
		return writeObjects(a.stdout, plan)
	}
	e := &enforcement{app: a, flags: f, snapshot: s, plan: plan}
	if err := e.judge(ctx, targets); err != nil {
		return err
	}
	switch {
	case f.apply:
		return e.apply(ctx)
	case f.format == "json":
		return e.writeJSON()
	}
	if err := e.print(); err != nil || s.Meta.Medium != "cluster" {
		return err
	}
	return e.printDrift(ctx)
}

// enforcement is a plan with what it would refuse.
type enforcement struct {
	*app
	flags    *enforceFlags
	snapshot *bailey.Snapshot
	plan     *enforce.Plan
	// impact is nil where the target holds no whole objects, replayed where no audit
	// log was given.
	impact   enforce.Impact
	replayed *enforce.Replayed
}

// judge evaluates the planned policies: on each object of the target, which is read
// again for that, whole; and on the requests of the audit log.
func (e *enforcement) judge(ctx context.Context, targets []string) error {
	judge, err := enforce.NewJudge(e.snapshot, e.plan)
	if judge == nil || err != nil {
		return err
	}
	// A snapshot holds no whole objects, and standard input can be read once.
	if len(targets) != 1 || !isSnapshot(targets[0]) && targets[0] != "-" {
		look := func(apiVersion, kind string, object any) error { return judge.Look(ctx, apiVersion, kind, object) }
		if err := e.app.readWhole(ctx, &e.flags.target, targets, look); err != nil {
			return err
		}
		e.impact = judge.Impact()
	}
	if e.flags.auditLog == "" {
		return nil
	}
	if err := replay(ctx, e.flags.auditLog, judge); err != nil {
		return err
	}
	replayed := judge.Replayed()
	e.replayed = &replayed
	return nil
}

// replay hands each request of an audit log that was admitted to the judge. A line that
// is no audit event is passed over, unless none is.
func replay(ctx context.Context, path string, judge *enforce.Judge) error {
	file, err := os.Open(path)
	if err != nil {
		return usageError("--audit-log: %w\nhint: it is the file of the API server's --audit-log-path", err)
	}
	defer file.Close()
	read, events := 0, 0
	err = audit.Lines(ctx, file, func(line []byte, _ *audit.LongLineError) error {
		read++
		event, err := detect.DecodeWhole(line, detect.DefaultLimits)
		if err != nil {
			return nil
		}
		events++
		if event.Stage != detect.StageResponseComplete || event.Status.Code/100 != 2 {
			return nil
		}
		o, who := &event.Object, &event.User
		if event.Impersonated != nil { // admission is told of nobody else
			who = event.Impersonated
		}
		return judge.Replay(ctx, &enforce.Recorded{Verb: event.Verb, Group: o.APIGroup, Resource: o.Resource, Subresource: o.Subresource,
			Namespace: o.Namespace, Name: o.Name, User: who.Username, Groups: who.Groups, AuditID: event.AuditID, Code: event.Status.Code,
			DryRun: event.DryRun(), Body: event.RequestObject, Answer: event.ResponseObject})
	})
	if err == nil && events == 0 {
		err = usageError("--audit-log: %s holds no audit event in %s\nhint: it is the file of the API server's --audit-log-path, one JSON object a line", path, plural(read, "line"))
	}
	return err
}
