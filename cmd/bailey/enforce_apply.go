package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/enforce/apply"
)

// mayWrite wants a change to a cluster to name it.
func (f *enforceFlags) mayWrite(args, targets []string) error {
	switch {
	case f.apply && f.revert:
		return usageError("--apply and --revert are opposites\nhint: give one")
	case len(targets) > 0:
		return usageError("%s is a file, and only a cluster can be changed\nhint: leave it out, or leave out --apply and --revert", targets[0])
	case f.revert && len(args) > 0:
		return usageError("--revert puts back everything that was applied\nhint: leave out %s", args[0])
	case f.target.context == "" && f.target.kubeconfig == "":
		return usageError("a change wants the cluster's name: --context NAME\nhint: `kubectl config get-contexts` lists them; this keeps a change off the cluster that merely is current")
	case f.quiet < 0:
		return usageError("--quiet-period cannot be negative")
	}
	return nil
}

// applier opens the records of the cluster.
func (a *app) applier(f *enforceFlags, uid string) (*apply.Applier, error) {
	state, err := clusterState(uid)
	if err != nil {
		return nil, err
	}
	config, err := kube.RESTConfig(f.target.kubeconfig, f.target.context)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "bailey-enforcer/" + version
	return apply.New(config, filepath.Join(state, "enforce"), a.now)
}

func (e *enforcement) apply(ctx context.Context) error {
	s, f := e.snapshot, e.flags
	applier, err := e.applier(f, s.Meta.ClusterUID)
	if err != nil {
		return err
	}
	stages := e.plan.Stages(enforce.Choice{Now: e.now(), Quiet: f.quiet, AcceptRefusals: f.acceptRefusals, AcceptUnobserved: f.acceptUnobserved,
		Impact: e.impact, AuditedSince: applier.AuditedSince})
	w := &wrapper{out: e.stdout, width: e.columns(e.stdout)}
	w.text("", fmt.Sprintf("Applying to the cluster of context %s (%s), as field manager %s:", s.Meta.Context, s.Meta.ClusterUID, apply.FieldManager))
	applier.Force = f.force
	groups := outcomes{}
	for _, stage := range stages {
		if err := applier.Apply(ctx, stage); err != nil {
			if ctx.Err() != nil {
				return err
			}
			groups.add("failed", err.Error(), "")
			continue
		}
		switch {
		case stage.Fields == nil:
			groups.add("left", stage.Wait, stage.Object.String())
		case stage.Stage == enforce.StageAudit:
			groups.add("in audit", stage.Wait, stage.Object.String())
		default:
			groups.add("applied", "", stage.Object.String())
		}
	}
	groups.print(w)
	if len(stages) == 0 {
		w.text("", fmt.Sprintf("Nothing to apply: %s in place already.", plural(e.plan.InPlace, "guard")))
	}
	if w.err != nil {
		return w.err
	}
	if failed := groups.count("failed"); failed > 0 {
		return fmt.Errorf("%s could not be applied\nhint: the others were; --force-conflicts takes over what somebody else owns", plural(failed, "object"))
	}
	return e.reportDrift(ctx, w, applier)
}

// outcomes are what came of the objects of an apply, by what and why, in the order in
// which they came.
type outcomes []outcome

type outcome struct {
	what, why string
	objects   []string
}

func (o *outcomes) add(what, why, object string) {
	for i := range *o {
		if g := &(*o)[i]; g.what == what && g.why == why && object != "" {
			g.objects = append(g.objects, object)
			return
		}
	}
	g := outcome{what: what, why: why}
	if object != "" {
		g.objects = append(g.objects, object)
	}
	*o = append(*o, g)
}

func (o outcomes) count(what string) int {
	n := 0
	for _, g := range o {
		if g.what == what {
			n += max(1, len(g.objects))
		}
	}
	return n
}

func (o outcomes) print(w *wrapper) {
	for _, what := range []string{"applied", "in audit", "left", "failed"} {
		for _, g := range o {
			if g.what != what {
				continue
			}
			text := what
			if g.why != "" {
				text += ": " + g.why
			}
			w.text("  ", text)
			if len(g.objects) > 0 {
				w.text("    ", "    "+strings.Join(g.objects, ", "))
			}
		}
	}
}

func (e *enforcement) printDrift(ctx context.Context) error {
	applier, err := e.applier(e.flags, e.snapshot.Meta.ClusterUID)
	if err != nil {
		return err
	}
	return e.reportDrift(ctx, &wrapper{out: e.stdout, width: e.columns(e.stdout)}, applier)
}

// reportDrift names what is no longer as it was applied.
func (a *app) reportDrift(ctx context.Context, w *wrapper, applier *apply.Applier) error {
	drifts, err := applier.Drifts(ctx)
	if err != nil {
		return err
	}
	if len(drifts) > 0 {
		w.line("")
		w.line("Changed since it was applied:")
	}
	for _, d := range drifts {
		text := "  " + d.Object.String() + ": " + d.What
		if len(d.By) > 0 {
			text += ", by " + strings.Join(d.By, " and ")
		}
		w.text("    ", text)
	}
	return w.err
}

func (a *app) revertEnforced(ctx context.Context, f *enforceFlags) error {
	config, err := kube.RESTConfig(f.target.kubeconfig, f.target.context)
	if err != nil {
		return err
	}
	uid, err := apply.ClusterUID(ctx, config)
	if err != nil {
		return err
	}
	applier, err := a.applier(f, uid)
	if err != nil {
		return err
	}
	done, err := applier.Revert(ctx)
	w := &wrapper{out: a.stdout, width: a.columns(a.stdout)}
	for _, r := range done {
		text := "reverted  " + r.Object.String()
		if r.Left != "" {
			text += ": left as it is: " + r.Left
		}
		w.text("          ", text)
	}
	if err != nil {
		return fmt.Errorf("%w\nhint: what was reverted stays so; `bailey enforce --revert` goes on", err)
	}
	if len(done) == 0 {
		w.line("Nothing to revert: nothing was applied from here.")
	}
	return w.err
}
