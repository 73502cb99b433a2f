package prove

import (
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestSchedule: on a schedule what acts is left out, with the reason, outside of its window
// and upon namespaces that have not opted in; what only asks is not.
func TestSchedule(t *testing.T) {
	own := bailey.ProbePrefix + "${run}"
	request := func(verb, resource, namespace string) bailey.Step {
		return bailey.Step{Request: &bailey.Request{Verb: verb, APIVersion: "v1", Resource: resource, Namespace: namespace, Name: "n", Real: true}}
	}
	one := func(p bailey.Probe) func(*bailey.View, bailey.Ref) []bailey.Probe {
		return func(*bailey.View, bailey.Ref) []bailey.Probe { p.Name = "n"; return []bailey.Probe{p} }
	}
	experiments := []*bailey.Experiment{
		{Name: "asks", Danger: bailey.DangerDryRun, Scope: bailey.ScopeNamespace, Plan: one(bailey.Probe{})},
		{Name: "in-its-own", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Setup: []bailey.Step{request("create", "pods", own)},
			Twin: bailey.Step{Task: &bailey.Task{Syscall: "getpid", In: &bailey.ProbePod{Namespace: own}}}})},
		{Name: "upon-namespaces", Danger: bailey.DangerIsolated, Scope: bailey.ScopeNamespace, Plan: one(bailey.Probe{})},
		{Name: "upon-workloads", Danger: bailey.DangerDisruptive, Scope: bailey.ScopeWorkload, Plan: one(bailey.Probe{})},
		{Name: "scope-of-a-probe", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{
			Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "closed"}}})},
		{Name: "writes-into", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Try: request("create", "pods", "closed")})},
		{Name: "undoes-in", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Undo: []bailey.Step{request("delete", "pods", "closed")}})},
		{Name: "reads-from", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Try: request("get", "pods", "closed")})},
		{Name: "writes-somewhere", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Try: request("create", "pods", "${found}")})},
		{Name: "writes-into-unseen", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: one(bailey.Probe{Try: request("create", "pods", "unseen")})},
	}
	b := bailey.NewBuilder(bailey.Meta{At: time.Now()})
	for name, label := range map[string]string{"open": OptedIn, "closed": "", "no": "disabled"} {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: name}, Labels: map[string]string{bailey.OptInLabel: label}})
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindDeployment, Namespace: name, Name: "web"}})
	}
	seen := b.Snapshot()
	window, err := ParseWindow("22:00-06:00", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	night := time.Date(2026, 3, 4, 23, 0, 0, 0, time.UTC)
	plan := func(s *Schedule) map[string]string {
		skipped := map[string]string{}
		for _, u := range Plan(seen, []*bailey.Control{{ID: "test/a", Experiments: experiments}}, Choice{Worst: bailey.DangerDisruptive, Schedule: s}).Units {
			key := u.Experiment.Name
			if ns := u.Scope.Object.Namespace + u.Scope.Object.Name; ns != "" {
				key += " " + strings.TrimSuffix(ns, "web")
			}
			skipped[key] = u.Skipped
		}
		return skipped
	}
	for name, why := range plan(&Schedule{Window: window, At: night}) {
		want := map[string]string{
			"upon-namespaces closed": "namespace closed, which has not opted in", "upon-namespaces no": "has not opted in",
			"upon-workloads closed": "namespace closed, which has not opted in", "upon-workloads no": "has not opted in",
			"scope-of-a-probe": "namespace closed", "writes-into": "namespace closed", "undoes-in": "namespace closed",
			"writes-somewhere": "not known beforehand", "writes-into-unseen": "was not seen",
		}[name]
		if !strings.Contains(why, want) || want == "" && why != "" {
			t.Errorf("%s at night: %q, want %q", name, why, want)
		}
	}
	for _, s := range []*Schedule{{Window: window, At: night.Add(12 * time.Hour)}, {At: night}} {
		for name, why := range plan(s) {
			if asks := strings.HasPrefix(name, "asks"); asks != (why == "") {
				t.Errorf("%s with %v at %s: %q", name, s.Window, s.At, why)
			}
		}
	}
	for name, why := range plan(nil) {
		if why != "" {
			t.Errorf("%s by hand: %q", name, why)
		}
	}
}

// TestWindowCloses: what acts when the window closes is cut off, and what only asks is not.
func TestWindowCloses(t *testing.T) {
	config, _ := standIn(t, func(name string, _ int) reply {
		if name == "twin" {
			return reply{201, "{}"}
		}
		return reply{403, podSecurityRefusal}
	})
	plan := func(*bailey.View, bailey.Ref) []bailey.Probe {
		return []bailey.Probe{{Name: "n", Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")}}
	}
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{
		{Name: "asks", Danger: bailey.DangerDryRun, Scope: bailey.ScopeCluster, Plan: plan},
		{Name: "acts", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: plan},
		{Name: "comes-too-late", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Plan: plan},
	}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerIsolated})
	planned.Until = time.Now().Add(2 * time.Second)
	ran, err := Run(t.Context(), "run1", planned, Options{Config: config, Folder: t.TempDir(), Repeat: 40, Rate: 40})
	if err != nil || len(ran.Records) != 3 {
		t.Fatalf("%d records, %v", len(ran.Records), err)
	}
	for i, closed := range []bool{false, true, true} {
		r := ran.Records[i]
		if (r.Interrupted == ErrClosed.Error()) != closed || r.Evidence().Interrupted != closed {
			t.Errorf("%s: interrupted %q", r.Unit.Experiment.Name, r.Interrupted)
		}
		if outcome, _ := r.Verdict(); (outcome == Held) == closed {
			t.Errorf("%s: %s", r.Unit.Experiment.Name, outcome)
		}
	}
	if ran.Records[2].Results[0].Tried != 0 {
		t.Errorf("what had not begun was tried %d times", ran.Records[2].Results[0].Tried)
	}
}
