package server

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
)

// TestExperimentRuns: of an experiment that is tried in more namespaces than a page lists evidence, the runs are those
// of its runs, and its evidence is had whole, both within what may be seen.
func TestExperimentRuns(t *testing.T) {
	const runs, scopes = experimentRuns + 2, controlEvidence + 10
	kept, now := openStore(t), time.Now().UTC()
	if err := kept.PutCluster(t.Context(), "c", "c", now); err != nil {
		t.Fatal(err)
	}
	var d store.Delta
	moment := func(run int) time.Time { return now.Add(time.Duration(run-runs) * time.Hour) }
	for run := range runs {
		for i := range scopes {
			e := bailey.Evidence{ID: fmt.Sprintf("e-%d-%d", run, i), Run: fmt.Sprint("run-", run), Control: "compute/pod-security", At: moment(run).Add(-time.Duration(i) * time.Second),
				Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprint("team-", i)}}, Paths: []bailey.Tally{{Path: "p", Tried: 4, Held: 4}}}
			if i == 7 && run == runs-1 {
				e.Paths[0] = bailey.Tally{Path: "p", Tried: 4, Held: 1, Broken: 2, Inconclusive: 1}
			}
			d.Evidence = append(d.Evidence, store.Evidence{Evidence: e})
		}
	}
	desk := NewDesk(DeskOptions{Store: kept, Controls: controls.All(), Own: func() string { return "c" }, Now: func() time.Time { return now }, Namespaces: func() []string { return nil },
		Sight: func() Sight { return Sight{Ready: true} }, Log: slog.New(slog.DiscardHandler)})
	name := desk.controls["compute/pod-security"].Experiments[0].Name
	for i := range d.Evidence {
		d.Evidence[i].Experiment = name
	}
	if err := kept.Replace(t.Context(), "c", now, d); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		ask    Ask
		newest ExperimentRun
		second ExperimentRun
		pieces int
	}{
		"all": {Ask{Sees: Namespaces{All: true}}, ExperimentRun{Run: fmt.Sprint("run-", runs-1), At: moment(runs - 1), Scopes: scopes, Held: 4*scopes - 3, Tried: 4 * scopes, Broken: 2, Inconclusive: 1},
			ExperimentRun{Run: fmt.Sprint("run-", runs-2), At: moment(runs - 2), Scopes: scopes, Held: 4 * scopes, Tried: 4 * scopes}, runs * scopes},
		"a tenant": {Ask{Sees: Namespaces{Names: []string{"team-7", "team-9"}}}, ExperimentRun{At: moment(runs - 1).Add(-7 * time.Second), Scopes: 2, Held: 5, Tried: 8, Broken: 2, Inconclusive: 1},
			ExperimentRun{At: moment(runs - 2).Add(-7 * time.Second), Scopes: 2, Held: 8, Tried: 8}, 2 * runs},
	} {
		x, err := desk.Experiment(t.Context(), c.ask, "compute/pod-security", name)
		if err != nil || len(x.Runs) != experimentRuns || !x.OlderRuns || len(x.Evidence) != controlEvidence {
			t.Fatalf("%s: %d runs, others %t, %d pieces of evidence, %v", what, len(x.Runs), x.OlderRuns, len(x.Evidence), err)
		}
		if diff := cmp.Diff([]ExperimentRun{c.newest, c.second}, x.Runs[:2]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		listed, err := desk.Experiments(t.Context(), c.ask, ExperimentFilter{Control: "compute/pod-security"})
		if err != nil || len(listed) == 0 {
			t.Fatal(what, err)
		}
		if diff := cmp.Diff([]ExperimentRun{c.newest}, listed[0].Runs); diff != "" || listed[0].State != "broken" || x.State != "broken" {
			t.Errorf("%s, which is broken in one namespace: %s, in the list %s: %s", what, x.State, listed[0].State, diff)
		}
		page, err := desk.Control(t.Context(), c.ask, "compute/pod-security")
		if err != nil || len(page.Experiments) == 0 {
			t.Fatal(what, err)
		}
		if diff := cmp.Diff(x, page.Experiments[0]); diff != "" {
			t.Errorf("%s, at the control: %s", what, diff)
		}
		var seen []string
		for f := (EvidenceFilter{Control: "compute/pod-security", Experiment: name}); ; {
			list, next, err := desk.Evidence(t.Context(), c.ask, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				seen = append(seen, e.ID)
			}
			if f.Cursor = next; next == "" {
				break
			}
		}
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != c.pieces {
			t.Errorf("%s: %d pieces of evidence, want %d", what, n, c.pieces)
		}
	}
}

// TestExperimentState: what nothing held of, in one scope or by being cut off, is not held.
func TestExperimentState(t *testing.T) {
	now := time.Now()
	run := ExperimentRun{At: now.Add(-time.Hour), Scopes: 3, Held: 9, Tried: 12, Inconclusive: 3}
	for want, change := range map[string][]func(x *ExperimentInfo){
		"held":         {func(*ExperimentInfo) {}, func(x *ExperimentInfo) { x.Window = 2 * time.Hour }},
		"broken":       {func(x *ExperimentInfo) { x.Runs[0].Broken = 1 }, func(x *ExperimentInfo) { x.Runs[0].Broken, x.Window = 1, time.Minute }},
		"stale":        {func(x *ExperimentInfo) { x.Window = time.Minute }},
		"inconclusive": {func(x *ExperimentInfo) { x.Runs[0].Held = 0 }, func(x *ExperimentInfo) { x.Runs[0].Unheld = 1 }, func(x *ExperimentInfo) { x.Runs[0].Cut = true }},
		"never":        {func(x *ExperimentInfo) { x.Runs = nil }},
	} {
		for i, change := range change {
			x := ExperimentInfo{Runs: []ExperimentRun{run}}
			change(&x)
			if got := x.StateAt(now); got != want {
				t.Errorf("%s %d reads %s", want, i, got)
			}
		}
	}
}
