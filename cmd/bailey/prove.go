package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/prove"
)

func (a *app) proveCommand() *cobra.Command {
	var t targetFlags
	var repeat int
	var format string
	c := &cobra.Command{
		Use:   "prove [CONTROL...]",
		Short: "Try, by server-side dry-run, whether controls hold",
		Long: `Prove makes requests that a control must refuse, each beside a twin that differs
only in the forbidden thing and must be accepted. All are server-side dry-runs:
nothing is stored, only audit records stay. This version keeps no evidence, so
no control reaches the rung "proven" by it.`,
		RunE: func(c *cobra.Command, names []string) error {
			if format != "text" && format != "json" {
				return usageError("prove has no output format %q: use text or json", format)
			}
			if repeat < 1 || repeat > 1000 {
				return usageError("--repeat wants a number from 1 to 1000")
			}
			chosen, err := chooseControls(names)
			if err != nil {
				return err
			}
			return a.prove(c.Context(), &t, chosen, repeat, format)
		},
	}
	t.register(c)
	c.Flags().IntVar(&repeat, "repeat", prove.DefaultRepeat, "tries per probe")
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

// proved is one probe's tally, as -o json shows it.
type proved struct {
	Control      string        `json:"control"`
	Experiment   string        `json:"experiment"`
	Scope        string        `json:"scope"`
	Probe        string        `json:"probe"`
	Outcome      prove.Outcome `json:"outcome"`
	Held         int           `json:"held"`
	Broken       int           `json:"broken"`
	Inconclusive int           `json:"inconclusive"`
	Tried        int           `json:"tried"`
	Why          string        `json:"why,omitempty"`
}

func (a *app) prove(ctx context.Context, t *targetFlags, chosen []*bailey.Control, repeat int, format string) error {
	s, err := a.snapshot(ctx, t, nil)
	if err != nil {
		return err
	}
	config, err := kube.RESTConfig(t.kubeconfig, t.context)
	if err != nil {
		return err
	}
	prober, err := prove.NewProber(config)
	if err != nil {
		return err
	}
	prober.Repeat = repeat
	p := a.newProgress()
	defer p.end()
	prober.Progress = func(done, total int) { p.step(done, total, "probes") }
	fmt.Fprintf(a.stderr, "Server-side dry-runs against %s (cluster %s), %d tries a probe.\n", printable(s.Meta.Context), printable(s.Meta.ClusterUID), repeat)
	all := []proved{}
	for _, control := range chosen {
		for _, x := range control.Experiments {
			results, err := prober.Run(ctx, s, x, scopesOf(s, x.Scope))
			if err != nil {
				return err
			}
			for _, r := range results {
				all = append(all, proved{control.ID, x.Name, r.Probe.Scope.String(), r.Probe.Name, r.Outcome(), r.Held, r.Broken, r.Inconclusive, r.Tried, r.Why})
			}
		}
	}
	p.end()
	if len(all) == 0 {
		return &exitError{exitNothing, fmt.Errorf("nothing was tried: no chosen control has an experiment that applies here\nhint: `bailey controls` shows which have experiments; pod security is tried in namespaces with an enforce label")}
	}
	return a.printProved(all, format)
}

// scopesOf lists the things of a scope kind that an experiment may be planned for.
func scopesOf(s *bailey.Snapshot, kind bailey.ScopeKind) []bailey.Ref {
	if kind != bailey.ScopeNamespace {
		return []bailey.Ref{{}}
	}
	var refs []bailey.Ref
	for _, f := range s.List(bailey.KindNamespace, "") {
		refs = append(refs, f.Ref)
	}
	return refs
}

func (a *app) printProved(all []proved, format string) error {
	held, broken := 0, 0
	for _, p := range all {
		switch p.Outcome {
		case prove.Held:
			held++
		case prove.Broken:
			broken++
		}
	}
	if format == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(map[string]any{"schemaVersion": "bailey.prove/v1", "results": all}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
		for _, p := range all {
			fmt.Fprintf(w, "%s\t%d/%d\t%s\t%s\n", p.Outcome, p.Held, p.Tried, printable(p.Scope), printable(p.Probe))
			if p.Why != "" {
				fmt.Fprintf(w, "\t\t\t  %s\n", printable(p.Why))
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "\n%d probes: %d held, %d broken, %d inconclusive.\n", len(all), held, broken, len(all)-held-broken)
	}
	switch {
	case broken > 0:
		return &exitError{code: exitFindings}
	case held == 0:
		return &exitError{exitFailed, fmt.Errorf("nothing was learned: every probe was inconclusive\nhint: the reasons above say who refused the allowed twins")}
	}
	return nil
}
