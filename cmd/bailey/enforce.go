package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

type enforceFlags struct {
	target targetFlags
	format string
	all    bool

	apply, revert                    bool
	quiet                            time.Duration
	acceptRefusals, acceptUnobserved bool
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
  bailey enforce --apply --context prod      put them in place, stage by stage
  bailey enforce --revert --context prod     put back what was there`,
		RunE: func(c *cobra.Command, args []string) error {
			if f.format != "text" && f.format != "json" && f.format != "yaml" {
				return usageError("enforce has no output format %q: use text, json or yaml", f.format)
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
	c.Flags().StringVarP(&f.format, "output", "o", "text", "text, json, or yaml: the objects for kubectl apply --server-side")
	c.Flags().BoolVar(&f.apply, "apply", false, "put in place what the plan says, as far as it goes now (wants --context)")
	c.Flags().BoolVar(&f.revert, "revert", false, "put back what was there before --apply (wants --context)")
	c.Flags().DurationVar(&f.quiet, "quiet-period", enforce.DefaultQuiet, "with --apply: how long policies audit and warn before they may deny")
	c.Flags().BoolVar(&f.acceptRefusals, "accept-refusals", false, "with --apply: let a policy deny though it would refuse what runs now")
	c.Flags().BoolVar(&f.acceptUnobserved, "accept-unobserved", false, "with --apply: also network policies, quotas and limit ranges, whose effect was not observed")
	c.Flags().BoolVarP(&f.all, "all", "a", false, "name every object that would be refused")
	return c
}

// controlsAndTargets parts the arguments that name controls from the others.
func controlsAndTargets(args []string) (chosen []*bailey.Control, targets []string, err error) {
	var names []string
	for _, arg := range args {
		if _, err := chooseControls([]string{arg}); err == nil {
			names = append(names, arg)
		} else {
			targets = append(targets, arg)
		}
	}
	chosen, err = chooseControls(names)
	return chosen, targets, err
}

func (a *app) enforce(ctx context.Context, f *enforceFlags, chosen []*bailey.Control, targets []string) error {
	s, err := a.snapshot(ctx, &f.target, targets)
	if err != nil {
		return err
	}
	plan, err := enforce.Make(s, chosen)
	if err != nil {
		return err
	}
	if f.format == "yaml" {
		return writeObjects(a.stdout, plan)
	}
	impact, err := a.impact(ctx, f, s, plan, targets)
	if err != nil {
		return err
	}
	if f.apply {
		return a.applyPlan(ctx, f, s, plan, impact)
	}
	if f.format == "json" {
		return writePlanJSON(a.stdout, s, plan, impact)
	}
	if err := a.printPlan(f, s, plan, impact); err != nil || s.Meta.Medium != "cluster" {
		return err
	}
	return a.printDrift(ctx, f, s)
}

// impact reads the target again, whole, and judges each object by the planned
// policies while it is there. It is nil where there is nothing to judge by, or where
// the target holds no whole objects.
func (a *app) impact(ctx context.Context, f *enforceFlags, s *bailey.Snapshot, plan *enforce.Plan, targets []string) (*enforce.Impact, error) {
	if len(targets) == 1 && isSnapshot(targets[0]) {
		return nil, nil
	}
	judge, err := enforce.NewJudge(s, plan)
	if judge == nil || err != nil {
		return nil, err
	}
	if len(targets) == 1 && targets[0] == "-" {
		return nil, nil // standard input can be read once
	}
	var mu sync.Mutex
	var failed error
	again := f.target
	again.whole = func(apiVersion, kind string, object any) {
		if err := judge.Look(ctx, apiVersion, kind, object); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, fmt.Errorf("%s: %w", kind, err))
		}
	}
	if _, err := a.snapshot(ctx, &again, targets); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	impact := judge.Impact()
	return &impact, nil
}
