package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// testCounts: counts, rungs by namespace, workloads and days of evidence add up what there
// is, of what may be seen alone.
func testCounts(t *testing.T, p Place) {
	b := open(t, p)
	scope := func(o bailey.Ref) bailey.Scope { return bailey.Scope{Kind: bailey.ScopeWorkload, Object: o} }
	var d store.Delta
	for i := range 5 {
		for _, ns := range []string{"shop", "bank"} {
			o := workload(ns, fmt.Sprintf("w%d", i))
			d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: "a/b", Scope: scope(o), Rung: bailey.RungGap}, bailey.Verdict{Control: "a/c", Scope: scope(o), Rung: bailey.RungSound})
			d.Findings = append(d.Findings, finding("a/b/r", bailey.SeverityHigh, o, "high"), finding("a/b/s", bailey.SeverityLow, o, "low"))
		}
	}
	waived := finding("a/b/r", bailey.SeverityHigh, workload("shop", "w9"), "waived")
	waived.Waiver = &bailey.Waiver{Rule: "a/b/r", Reason: "x", Owner: "y", Expires: at(1000)}
	d.Findings = append(d.Findings, waived)
	day := at(0).Truncate(24 * time.Hour)
	for i, held := range []int{3, 4, 5} {
		d.Evidence = append(d.Evidence, store.Evidence{Evidence: bailey.Evidence{ID: fmt.Sprint("e", i), Control: "a/b", Experiment: "x", At: day.Add(time.Duration(i)*12*time.Hour + time.Hour),
			Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}},
			Paths: []bailey.Tally{{Path: "p", Tried: held + 1, Held: held, Broken: 1}}}})
	}
	b.apply(1, d)

	shop := store.Only("shop")
	for _, c := range []struct {
		access store.Access
		open   int
	}{{store.Everything(), 21}, {shop, 11}, {store.Only("none"), 0}, {store.Access{}, 0}} {
		counts, err := b.s.Counts(b.ctx, c.access, uid)
		b.ok(err)
		byNamespace, err := b.s.NamespaceCounts(b.ctx, c.access, uid)
		b.ok(err)
		for name, list := range map[string][]store.Count{"rule": counts, "namespace": byNamespace} {
			open := 0
			for _, n := range list {
				open += n.Open
			}
			if open != c.open {
				t.Errorf("%d open by %s, want %d: %+v", open, name, c.open, list)
			}
		}
	}
	counts, err := b.s.Counts(b.ctx, shop, uid)
	b.ok(err)
	if want := (store.Count{Control: "a/b", Rule: "a/b/r", Severity: bailey.SeverityHigh, Open: 6, Waived: 1}); !slices.Contains(counts, want) {
		t.Errorf("%+v lacks %+v", counts, want)
	}
	rungs, err := b.s.NamespaceRungs(b.ctx, shop, uid, "")
	b.ok(err)
	if want := (store.NamespaceRung{Namespace: "shop", Control: "a/b", Rung: bailey.RungGap}); !slices.Contains(rungs, want) || len(rungs) != 2 {
		t.Errorf("%+v, want also %+v", rungs, want)
	}
	all, err := b.s.NamespaceRungs(b.ctx, store.Everything(), uid, "")
	b.ok(err)
	var spaces []string
	for _, r := range all {
		spaces = append(spaces, r.Namespace)
	}
	if want := []string{"bank", "bank", "shop", "shop"}; !slices.Equal(spaces, want) {
		t.Errorf("rungs of %q, want %q", spaces, want)
	}
	asked, err := b.s.NamespaceRungs(b.ctx, store.Everything(), uid, "", "bank", "none")
	b.ok(err)
	if !slices.Equal(asked, all[:2]) {
		t.Errorf("rungs of one namespace: %+v, want %+v", asked, all[:2])
	}
	asked, err = b.s.NamespaceRungs(b.ctx, store.Everything(), uid, "a/c")
	b.ok(err)
	if want := []store.NamespaceRung{all[1], all[3]}; !slices.Equal(asked, want) {
		t.Errorf("rungs of one control: %+v, want %+v", asked, want)
	}
	var names []string
	for after := ""; ; {
		page, err := b.s.Workloads(b.ctx, store.WorkloadQuery{Cluster: uid, Access: store.Everything(), Limit: 3, After: after})
		b.ok(err)
		for _, w := range page.Items {
			names = append(names, w.Object.Namespace+"/"+w.Object.Name)
			if w.Rungs[bailey.RungGap] != 1 || w.Rungs[bailey.RungSound] != 1 || w.Open[bailey.SeverityHigh] != 1 || w.Open[bailey.SeverityLow] != 1 {
				t.Errorf("%+v", w)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(names) != 10 || !slices.IsSorted(names) || names[0] != "bank/w0" || names[9] != "shop/w4" {
		t.Errorf("workloads %q", names)
	}
	page, err := b.s.Workloads(b.ctx, store.WorkloadQuery{Cluster: uid, Access: shop, Namespaces: []string{"shop", "bank"}, Name: "w3"})
	b.ok(err)
	if len(page.Items) != 1 || page.Items[0].Object != workload("shop", "w3") {
		t.Errorf("%+v", page.Items)
	}
	days, err := b.s.EvidenceDays(b.ctx, shop, uid, day)
	b.ok(err)
	if want := []store.EvidenceDay{{Day: day, Held: 7, Broken: 2}, {Day: day.Add(24 * time.Hour), Held: 5, Broken: 1}}; !slices.Equal(days, want) {
		t.Errorf("%+v, want %+v", days, want)
	}
	b.apply(2, store.Delta{Verdicts: []bailey.Verdict{{Control: "a/c", Scope: scope(workload("calm", "w0")), Rung: bailey.RungSound}, {Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungGap}}})
	for _, c := range []struct {
		access store.Access
		judged []string
		gaps   map[string]int
	}{{store.Everything(), []string{"", "bank", "calm", "shop"}, map[string]int{"": 1, "bank": 1, "shop": 1}}, {store.Only("calm", "shop", "none"), []string{"calm", "shop"}, map[string]int{"shop": 1}},
		{store.Access{}, nil, map[string]int{}}} {
		judged, err := b.s.JudgedNamespaces(b.ctx, c.access, uid)
		b.ok(err)
		gaps, err := b.s.NamespaceGaps(b.ctx, c.access, uid)
		b.ok(err)
		if !slices.Equal(judged, c.judged) || !maps.Equal(gaps, c.gaps) {
			t.Errorf("%q are judged, with gaps in %v, want %q and %v", judged, gaps, c.judged, c.gaps)
		}
	}
}

// testAccepted: what a waiver or the baseline accepts is open, and is not among what is to be done.
func testAccepted(t *testing.T, p Place) {
	b := open(t, p)
	o := workload("shop", "web")
	todo, waived, based := finding("a/b/r", bailey.SeverityHigh, o, "to do"), finding("a/b/s", bailey.SeverityHigh, o, "waived"), finding("a/b/t", bailey.SeverityHigh, o, "in the baseline")
	waived.Waiver = &bailey.Waiver{Rule: "a/b/s", Reason: "x", Owner: "y", Expires: at(1000)}
	based.Baseline = true
	b.apply(1, store.Delta{Findings: []bailey.Finding{todo, waived, based},
		Verdicts: []bailey.Verdict{{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.RungGap}}})
	for accepted, want := range map[bool][]string{false: {"to do"}, true: {"in the baseline", "waived"}} {
		var got []string
		for _, f := range b.findings(store.FindingQuery{Access: store.Everything(), Waived: &accepted, Limit: 10}).Items {
			got = append(got, f.Message)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("accepted %v: %q", accepted, got)
		}
	}
	counts, err := b.s.NamespaceCounts(b.ctx, store.Everything(), uid)
	b.ok(err)
	if len(counts) != 1 || counts[0].Open != 3 || counts[0].Waived != 2 {
		t.Errorf("%+v", counts)
	}
	page, err := b.s.Workloads(b.ctx, store.WorkloadQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(page.Items) != 1 || page.Items[0].Open[bailey.SeverityHigh] != 1 {
		t.Errorf("%+v", page.Items)
	}
	byWaiver, more, err := b.s.Accepted(b.ctx, store.Everything(), uid)
	b.ok(err)
	if len(byWaiver) != 1 || byWaiver[0].Findings != 1 || more {
		t.Errorf("%+v", byWaiver)
	}
	based.Baseline = false
	b.apply(2, store.Delta{Findings: []bailey.Finding{todo, waived, based}})
	accepted := false
	if got := b.findings(store.FindingQuery{Access: store.Everything(), Waived: &accepted, Limit: 10}); got.Total != 2 {
		t.Errorf("%d to do once the baseline has it no more", got.Total)
	}
	// However much the baseline accepts, what a waiver does is counted.
	var many store.Delta
	for i := range 3100 {
		f := finding("a/b/t", bailey.SeverityCritical, workload("shop", fmt.Sprint("w", i)), "in the baseline")
		f.Baseline = true
		many.Findings = append(many.Findings, f)
	}
	b.apply(3, many)
	byWaiver, more, err = b.s.Accepted(b.ctx, store.Everything(), uid)
	b.ok(err)
	if len(byWaiver) != 1 || byWaiver[0].Findings != 1 || more {
		t.Errorf("beside a large baseline: %+v, more %v", byWaiver, more)
	}
	b.check()
}
