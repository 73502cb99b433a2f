package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/baileyhq/bailey/enforce"
)

// admitted is what the policies in force make of what is there.
type admitted struct {
	SchemaVersion string `json:"schemaVersion"`
	Cluster       string `json:"cluster,omitempty"`
	Policies      int    `json:"policies"`
	Unbound       int    `json:"unbound"`
	// Problems are of policies that do not compile at the cluster's version.
	Problems []string `json:"problems"`
	// Effects are by policy; absent where the target holds no whole objects.
	Effects enforce.Impact  `json:"effects,omitempty"`
	Covers  []enforce.Cover `json:"covers"`
}

// scanAdmitted evaluates the policies that are really there on what is there, and on the
// objects that violate each rule.
func (a *app) scanAdmitted(ctx context.Context, t *targetFlags, j *judgeFlags, targets []string) error {
	format := "text"
	if len(j.outputs) > 0 {
		format = j.outputs[0]
	}
	if len(j.outputs) > 1 || format != "text" && format != "json" {
		return usageError("--as-admitted is printed as text or json\nhint: leave out -o, or -o json")
	}
	chosen, err := chooseControls(j.controls)
	if err != nil {
		return err
	}
	s, err := a.snapshot(ctx, t, targets)
	if err != nil {
		return err
	}
	inForce := enforce.NewInForce(s)
	out := &admitted{SchemaVersion: "bailey.admitted/v1", Cluster: s.Meta.ClusterUID, Policies: inForce.Bound, Unbound: inForce.Unbound, Problems: []string{}, Covers: []enforce.Cover{}}
	// A snapshot holds no whole objects, and standard input can be read once.
	again := len(targets) != 1 || !isSnapshot(targets[0]) && targets[0] != "-"
	if again && inForce.Params() {
		if err := a.readWhole(ctx, t, targets, inForce.Param); err != nil {
			return err
		}
	}
	judge, problems := inForce.Judge()
	for _, p := range problems {
		out.Problems = append(out.Problems, p.Error())
	}
	if again && inForce.Bound > 0 {
		look := func(apiVersion, kind string, object any) error { return judge.Look(ctx, apiVersion, kind, object) }
		if err := a.readWhole(ctx, t, targets, look); err != nil {
			return err
		}
		out.Effects = judge.Impact()
	}
	for _, c := range chosen {
		for _, r := range c.Rules {
			pairs, err := violations(s.Meta.Version, r)
			if err != nil {
				return err
			}
			cover, err := judge.Covered(ctx, s, c.ID, r.Name, pairs)
			if err != nil {
				return err
			}
			if cover.Refused > 0 || cover.Undecided > 0 {
				out.Covers = append(out.Covers, cover)
			}
		}
	}
	if format == "json" {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(out)
	} else {
		err = a.printAdmitted(out, j.all)
	}
	if err != nil {
		return err
	}
	for _, e := range out.Effects {
		if len(e.Refused) > 0 {
			return &exitError{code: exitFindings}
		}
	}
	return nil
}

// readWhole reads the target again and shows each object whole.
func (a *app) readWhole(ctx context.Context, t *targetFlags, targets []string, show func(apiVersion, kind string, object any) error) error {
	var mu sync.Mutex
	var failed error
	again := *t
	again.whole = func(apiVersion, kind string, object any) {
		if err := show(apiVersion, kind, object); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, fmt.Errorf("%s: %w", kind, err))
		}
	}
	if _, err := a.snapshot(ctx, &again, targets); err != nil {
		return err
	}
	return failed
}

func (a *app) printAdmitted(out *admitted, everything bool) error {
	w := &wrapper{out: a.stdout, width: a.columns(a.stdout)}
	w.text("", fmt.Sprintf("%d ValidatingAdmissionPolicies are bound, %d are not.", out.Policies, out.Unbound))
	for _, p := range out.Problems {
		w.text("  ", "does not compile: "+p)
	}
	for _, name := range slices.Sorted(maps.Keys(out.Effects)) {
		e := out.Effects[name]
		w.line("")
		w.text("  ", fmt.Sprintf("%s: would refuse %d of %s that it looks at, and warn of %d", name, len(e.Refused), plural(e.Judged, "object"), len(e.Warned)))
		if unknown := e.Unknown(); unknown != "" {
			w.text("    ", "  not known whole: "+unknown)
		}
		for i, r := range append(slices.Clone(e.Refused), e.Warned...) {
			if i == refusedShown && !everything {
				w.text("    ", fmt.Sprintf("  and %d more (--all names them)", len(e.Refused)+len(e.Warned)-i))
				break
			}
			w.text("      ", "  "+r.Object.String()+": "+r.Message)
		}
	}
	w.line("")
	if len(out.Covers) == 0 {
		w.text("", "They refuse none of the objects by which rules are tested.")
		return w.err
	}
	w.text("", "Of the objects that violate a rule, each in each of up to 20 namespaces, they refuse for it:")
	for _, c := range out.Covers {
		text := fmt.Sprintf("  %s/%s: %d of %d", c.Control, c.Rule, c.Refused, c.Tried)
		if len(c.By) > 0 {
			text += ", by " + strings.Join(c.By, ", ")
		}
		if c.Undecided > 0 {
			text += fmt.Sprintf("; %d not decided", c.Undecided)
		}
		w.text("    ", text)
	}
	w.text("", "Webhooks, Pod Security and quotas are not among them. What violates a rule that is not named they refuse nowhere, or for something else.")
	return w.err
}
