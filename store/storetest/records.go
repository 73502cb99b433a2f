package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/google/go-cmp/cmp"
)

func testVerdicts(t *testing.T, p Place) {
	b := open(t, p)
	cluster := bailey.Scope{Kind: bailey.ScopeCluster}
	shop := bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}}
	web := bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload("shop", "web")}
	v := func(s bailey.Scope, r bailey.Rung) bailey.Verdict {
		return bailey.Verdict{Control: "compute/pod-security", Scope: s, Rung: r, Findings: 2, WaivedUntil: at(999),
			Coverage: bailey.Coverage{Seen: 3, Needed: 4, Missing: []bailey.Missing{{Kind: bailey.KindPod, Namespace: "shop", Reason: bailey.ReasonForbidden}}},
			Proof:    &bailey.Proof{Held: 15, Tried: 16, At: at(0), Broken: []string{"x: create: admitted"}}, Next: "bailey prove"}
	}
	first := v(web, bailey.RungGap)
	b.apply(1, store.Delta{Verdicts: []bailey.Verdict{v(cluster, bailey.RungGap), v(shop, bailey.RungGap), first}})
	before := b.seq()
	b.apply(2, store.Delta{Verdicts: []bailey.Verdict{v(cluster, bailey.RungGap), first}})
	if b.seq() != before {
		t.Error("the same verdicts made changes")
	}
	page, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: store.Everything(), Object: &web.Object})
	b.ok(err)
	if diff := cmp.Diff([]store.Verdict{{Verdict: first, Since: at(1), Seq: 3}}, page.Items); diff != "" {
		t.Error(diff)
	}
	// More is known, the rung stays.
	changed := v(web, bailey.RungGap)
	changed.Findings = 3
	b.apply(3, store.Delta{Verdicts: []bailey.Verdict{changed}})
	sound := bailey.Verdict{Control: "compute/pod-security", Scope: web, Rung: bailey.RungSound}
	b.apply(4, store.Delta{Verdicts: []bailey.Verdict{sound}})
	b.apply(5, store.Delta{Gone: []bailey.Ref{web.Object}})
	b.apply(6, store.Delta{Verdicts: []bailey.Verdict{sound}})

	gap, up := bailey.RungGap, bailey.RungSound
	rungs, err := b.s.RungChanges(b.ctx, store.RungQuery{Cluster: uid, Access: store.Everything(), Scope: &web})
	b.ok(err)
	var got []store.RungChange
	for _, c := range rungs.Items {
		c.Seq = 0
		got = append(got, c)
	}
	broken := "broken: x: create: admitted"
	if diff := cmp.Diff([]store.RungChange{
		{At: at(6), Control: "compute/pod-security", Scope: web, To: &up},
		{At: at(5), Control: "compute/pod-security", Scope: web, From: &up},
		{At: at(4), Control: "compute/pod-security", Scope: web, From: &gap, To: &up},
		{At: at(1), Control: "compute/pod-security", Scope: web, To: &gap, Why: broken},
	}, got); diff != "" {
		t.Error(diff)
	}
	matrix, err := b.s.Matrix(b.ctx, store.Everything(), uid)
	b.ok(err)
	if diff := cmp.Diff([]store.RungCount{
		{Control: "compute/pod-security", Scope: bailey.ScopeCluster, Rung: gap, Verdicts: 1},
		{Control: "compute/pod-security", Scope: bailey.ScopeNamespace, Rung: gap, Verdicts: 1},
		{Control: "compute/pod-security", Scope: bailey.ScopeWorkload, Rung: up, Verdicts: 1},
	}, matrix); diff != "" {
		t.Error(diff)
	}
	// Pages hold each verdict once.
	var many []bailey.Verdict
	for i := range 30 {
		many = append(many, bailey.Verdict{Control: "network/policy", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload("bank", fmt.Sprint("w", i))}, Rung: bailey.Rung(i % 5)})
	}
	b.apply(7, store.Delta{Verdicts: many})
	seen := map[string]bool{}
	q := store.VerdictQuery{Cluster: uid, Access: store.Everything(), Control: "network/policy", Rungs: []bailey.Rung{bailey.RungGap, bailey.RungProven}, Limit: 5}
	for {
		page, err := b.s.Verdicts(b.ctx, q)
		b.ok(err)
		for _, v := range page.Items {
			if v.Rung != bailey.RungGap && v.Rung != bailey.RungProven || seen[v.Scope.String()] {
				t.Errorf("%+v", v)
			}
			seen[v.Scope.String()] = true
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d verdicts, want 12", len(seen))
	}
	changes, err := b.s.Changes(b.ctx, store.Everything(), uid, 0, 1)
	b.ok(err)
	control, scope, _, err := store.ParseVerdictID(changes.Changes[0].ID)
	if err != nil || control != "compute/pod-security" || scope != cluster {
		t.Errorf("%q %v %v", control, scope, err)
	}
	b.check()
}

func testEvidence(t *testing.T, p Place) {
	b := open(t, p)
	scope := bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}}
	e := store.Evidence{Evidence: bailey.Evidence{ID: "abc", Run: "run-1", Control: "compute/pod-security", Experiment: "privileged", Danger: bailey.DangerDryRun, Scope: scope, At: at(1),
		Paths: []bailey.Tally{{Path: "create", Tried: 16, Held: 15, Broken: 1, Why: []string{"admitted"}}}, Signer: "key", Interrupted: true}}
	b.apply(1, store.Delta{Evidence: []store.Evidence{e, e}})
	before := b.seq()
	b.apply(2, store.Delta{Evidence: []store.Evidence{e}})
	if b.seq() != before {
		t.Error("the same evidence made changes")
	}
	index := uint64(42)
	e.Ledger = &index
	b.apply(3, store.Delta{Evidence: []store.Evidence{e}})
	page, err := b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: store.Everything(), Control: e.Control, Experiment: e.Experiment, Run: e.Run, Object: &scope.Object})
	b.ok(err)
	want := e
	want.Seq = 1
	if diff := cmp.Diff([]store.Evidence{want}, page.Items); diff != "" {
		t.Error(diff)
	}
	index2 := uint64(43)
	e.Ledger = &index2
	b.apply(4, store.Delta{Evidence: []store.Evidence{e}}) // another ledger is kept now
	page, err = b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(page.Items) != 1 || *page.Items[0].Ledger != index2 {
		t.Errorf("the index in another ledger: %+v", page.Items)
	}
	e.Ledger = nil // not known is no other
	before = b.seq()
	b.apply(5, store.Delta{Evidence: []store.Evidence{e}})
	if b.seq() != before {
		t.Error("evidence whose index is not known made changes")
	}
}

// testNewestEvidence: what is newest of each experiment is what a page of one is, for everybody.
func testNewestEvidence(t *testing.T, p Place) {
	b := open(t, p)
	var of []store.ExperimentName
	for i := range 900 { // more than one query is about
		of = append(of, store.ExperimentName{Control: fmt.Sprint("a/", i%40), Experiment: fmt.Sprint("x", i/40)})
	}
	var d store.Delta
	for i := range 1500 {
		x := of[(i*i+i/3)%700]
		d.Evidence = append(d.Evidence, store.Evidence{Evidence: bailey.Evidence{ID: fmt.Sprint("e", i), Control: x.Control, Experiment: x.Experiment, At: at(-i),
			Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload([]string{"shop", "bank", "else"}[i%3], "web")}}})
	}
	b.apply(1, d)
	for _, access := range []store.Access{store.Everything(), store.Only("bank"), store.Only("bank", "shop"), store.Only("none"), {}} {
		want := map[string]store.Evidence{}
		for _, x := range of {
			page, err := b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: access, Control: x.Control, Experiment: x.Experiment, Limit: 1})
			b.ok(err)
			for _, e := range page.Items {
				want[e.ID] = e
			}
		}
		all, err := b.s.NewestEvidence(b.ctx, access, uid, of)
		b.ok(err)
		got := map[string]store.Evidence{}
		for _, e := range all {
			got[e.ID] = e
		}
		if diff := cmp.Diff(want, got); diff != "" || len(all) != len(got) {
			t.Errorf("%+v: %d: %s", access, len(all), diff)
		}
	}
	if all, err := b.s.NewestEvidence(b.ctx, store.Everything(), "none", of); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a cluster that is not known: %d, %v", len(all), err)
	}
}

func testRuns(t *testing.T, p Place) {
	b := open(t, p)
	run := store.Run{ID: "r1", Planned: at(1), Trigger: store.TriggerSchedule, State: store.RunPlanned, Danger: bailey.DangerDryRun, Controls: []string{"a/b"}, Doc: json.RawMessage(`{"x":1}`)}
	b.ok(b.s.PutRun(b.ctx, uid, at(1), run))
	before := b.seq()
	b.ok(b.s.PutRun(b.ctx, uid, at(2), run))
	if b.seq() != before {
		t.Error("the same run made changes")
	}
	b.ok(b.s.PutRun(b.ctx, uid, at(3), store.Run{ID: "r2", State: store.RunRunning, Trigger: store.TriggerPerson, By: "ada"}))
	run.State, run.Started, run.Ended, run.Tried, run.Held, run.Error = store.RunFailed, at(4), at(5), 16, 15, "API server is gone"
	b.ok(b.s.PutRun(b.ctx, uid, at(5), run))
	run.State = store.RunRunning
	if err := b.s.PutRun(b.ctx, uid, at(6), run); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a run that ended goes on: %v", err)
	}
	run.State, run.Seq = store.RunFailed, 1
	got, err := b.s.Run(b.ctx, store.Everything(), uid, "r1")
	b.ok(err)
	if diff := cmp.Diff(run, got); diff != "" {
		t.Error(diff)
	}
	page, err := b.s.Runs(b.ctx, store.RunQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(page.Items) != 2 || page.Items[0].ID != "r2" {
		t.Errorf("%+v", page.Items)
	}
	if page, err := b.s.Runs(b.ctx, store.RunQuery{Cluster: uid, Access: store.Everything(), State: store.RunFailed}); err != nil || len(page.Items) != 1 {
		t.Errorf("%+v %v", page, err)
	}
	if err := b.s.PutRun(b.ctx, uid, at(7), store.Run{ID: "r3", State: "odd"}); err == nil {
		t.Error("an unknown state was taken")
	}
	// One at a time is planned, and none while another goes on, however many ask at once.
	plan := func(id string) error {
		return b.s.PlanRun(b.ctx, uid, at(8), store.Run{ID: id, State: store.RunPlanned, Trigger: store.TriggerAPI})
	}
	if err := plan("r4"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a run is planned while another goes on: %v", err)
	}
	b.ok(b.s.PutRun(b.ctx, uid, at(8), store.Run{ID: "r2", State: store.RunDone, Trigger: store.TriggerPerson, By: "ada"}))
	var group sync.WaitGroup
	var taken atomic.Int32
	for i := range 8 {
		group.Go(func() {
			switch err := plan(fmt.Sprint("p", i)); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d of eight orders at once were taken", n)
	}
	for i := range store.RunsMost {
		b.ok(b.s.PutRun(b.ctx, uid, at(9), store.Run{ID: fmt.Sprint("many", i), State: store.RunDone}))
	}
	page, err = b.s.Runs(b.ctx, store.RunQuery{Cluster: uid, Access: store.Everything(), Limit: 1000})
	if b.ok(err); len(page.Items) != store.RunsMost || page.Next == "" {
		t.Errorf("a page of %d runs, and then %q", len(page.Items), page.Next)
	}
}

func testAlerts(t *testing.T, p Place) {
	b := open(t, p)
	a := store.Alert{Key: "detect/exec", Kind: store.AlertDetection, Severity: bailey.SeverityHigh, Title: "Shell in a pod", Text: "by ada", Object: workload("shop", "web")}
	waiting := func(want ...string) []store.Alert {
		t.Helper()
		list, err := b.s.Waiting(b.ctx, uid, 10)
		b.ok(err)
		var got []string
		for _, a := range list {
			got = append(got, a.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("waiting: %s", diff)
		}
		return list
	}
	raise := func(minute int) {
		t.Helper()
		b.ok(b.s.Raise(b.ctx, uid, at(minute), a))
	}
	raise(1)
	raise(1) // the same try once more
	list := waiting(a.Key)
	b.ok(b.s.Delivered(b.ctx, uid, at(2), a.Key, list[0].Changed))
	waiting()
	raise(3) // nothing new: counted, and silent
	waiting()
	a.Text = "by ada, twice"
	b.ok(b.s.Revise(b.ctx, uid, at(3), a))
	waiting()
	if got, err := b.s.Alert(b.ctx, store.Everything(), uid, a.Key); err != nil || got.Text != a.Text || got.Times != 2 || !got.Last.Equal(at(3)) {
		t.Errorf("revised: %+v %v", got, err)
	}
	a.Severity = bailey.SeverityCritical
	raise(4)
	list = waiting(a.Key)
	raise(5)
	// It changed while it was delivered: it waits still.
	a.Text = "by ada and bob"
	raise(6)
	b.ok(b.s.Delivered(b.ctx, uid, at(7), a.Key, list[0].Changed))
	list = waiting(a.Key)
	b.ok(b.s.Delivered(b.ctx, uid, at(7), a.Key, list[0].Changed))
	b.ok(b.s.Resolve(b.ctx, uid, at(8), a.Key))
	b.ok(b.s.Resolve(b.ctx, uid, at(9), a.Key))
	b.ok(b.s.Resolve(b.ctx, uid, at(9), "nothing"))
	before := b.seq()
	b.ok(b.s.Revise(b.ctx, uid, at(9), store.Alert{Key: a.Key, Kind: a.Kind, Text: "of one that is over"}))
	if b.seq() != before {
		t.Error("an alert that is over was revised")
	}
	list = waiting(a.Key)
	b.ok(b.s.Delivered(b.ctx, uid, at(10), a.Key, list[0].Changed))
	raise(6) // a late repetition of the last one does not open it again
	waiting()
	raise(11)
	list = waiting(a.Key)
	want := a
	want.First, want.Last, want.Times, want.Delivered, want.Changed, want.Seq = at(1), at(11), 6, at(10), list[0].Changed, 1
	if diff := cmp.Diff(want, list[0]); diff != "" {
		t.Error(diff)
	}
	page, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), Kind: store.AlertDetection, Object: &a.Object, State: store.Open})
	b.ok(err)
	if len(page.Items) != 1 {
		t.Errorf("%+v", page)
	}
	if page, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), State: store.Gone}); err != nil || len(page.Items) != 0 {
		t.Errorf("%+v %v", page, err)
	}
}

func testGuards(t *testing.T, p Place) {
	b := open(t, p)
	g := store.Guard{Control: "a/b", Name: "policy", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Stage: "audit", Why: "warns", Doc: json.RawMessage(`{"version":2}`)}
	b.apply(1, store.Delta{Guards: []store.Guard{g}})
	before := b.seq()
	b.apply(2, store.Delta{Guards: []store.Guard{g}})
	if b.seq() != before {
		t.Error("the same guard made changes")
	}
	g.Why = "warns and audits"
	b.apply(3, store.Delta{Guards: []store.Guard{g}})
	list, err := b.s.Guards(b.ctx, store.GuardQuery{Cluster: uid, Access: store.Everything(), Control: "a/b"})
	b.ok(err)
	g.Since = at(1)
	if diff := cmp.Diff([]store.Guard{g}, list); diff != "" {
		t.Error(diff)
	}
	g.Drifted = true
	b.apply(4, store.Delta{Guards: []store.Guard{g}})
	list, err = b.s.Guards(b.ctx, store.GuardQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	g.Since = at(4)
	if diff := cmp.Diff([]store.Guard{g}, list); diff != "" {
		t.Error(diff)
	}
	changes, err := b.s.Changes(b.ctx, store.Everything(), uid, 0, 1)
	b.ok(err)
	control, scope, name, err := store.ParseVerdictID(changes.Changes[0].ID)
	if err != nil || control != "a/b" || scope != g.Scope || name != "policy" {
		t.Errorf("%q %v %q %v", control, scope, name, err)
	}
}

func testAudit(t *testing.T, p Place) {
	b := open(t, p)
	b.ok(b.s.Audit(b.ctx, uid, at(1), store.Action{Who: "ada", Action: "enforce", Target: "a/b", Outcome: "applied"}))
	b.ok(b.s.Audit(b.ctx, uid, at(2), store.Action{Who: "bob", Action: "waive", Target: "w1", Outcome: "denied"}))
	b.ok(b.s.Audit(b.ctx, "", at(3), store.Action{Who: "ada", Action: "login", Outcome: "ok"}))
	page, err := b.s.Actions(b.ctx, store.AuditQuery{Cluster: uid, Access: store.Everything(), Who: "ada"})
	b.ok(err)
	if diff := cmp.Diff([]store.Action{{At: at(1), Who: "ada", Action: "enforce", Target: "a/b", Outcome: "applied", Seq: 1}}, page.Items); diff != "" {
		t.Error(diff)
	}
	page, err = b.s.Actions(b.ctx, store.AuditQuery{Access: store.Everything()})
	b.ok(err)
	if len(page.Items) != 1 || page.Items[0].Action != "login" {
		t.Errorf("%+v", page.Items)
	}
}

// testChanges follows the feed in small steps, as another replica does.
func testChanges(t *testing.T, p Place) {
	b := open(t, p)
	var after int64
	var got []string
	follow := func() {
		for {
			page, err := b.s.Changes(b.ctx, store.Everything(), uid, after, 2)
			b.ok(err)
			for _, c := range page.Changes {
				if c.Seq <= after || c.At.Before(begin) {
					t.Fatalf("%+v after %d", c, after)
				}
				after = c.Seq
				got = append(got, c.Op+" "+c.ID)
			}
			after = page.Next
			if len(page.Changes) == 0 {
				return
			}
		}
	}
	follow()
	var want []string
	for i := range 5 {
		f := finding("a/b/c", bailey.SeverityLow, workload("shop", fmt.Sprint("w", i)), "m")
		b.apply(i, store.Delta{Findings: []bailey.Finding{f}})
		if i%2 == 0 {
			follow()
		}
		want = append(want, "opened "+f.ID)
	}
	follow()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if page, err := b.s.Changes(b.ctx, store.Everything(), uid, after, 0); err != nil || len(page.Changes) != 0 || page.Next != b.seq() {
		t.Errorf("at the end: %+v %v", page, err)
	}
	// Who sees nothing still gets on.
	if page, err := b.s.Changes(b.ctx, store.Only("else"), uid, 0, 2); err != nil || len(page.Changes) != 0 || page.Next != b.seq() {
		t.Errorf("of another namespace: %+v %v", page, err)
	}
}
