package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// testEvidenceRuns: runs add up to what their evidence does that may be seen, the newest runs alone, and none of which
// a part is beyond what is looked at.
func testEvidenceRuns(t *testing.T, p Place) {
	b := open(t, p)
	r := rand.New(rand.NewPCG(7, 7))
	of := store.ExperimentName{Control: "a/b", Experiment: "x"}
	var kept []bailey.Evidence // of the experiment, in the order in which it is kept
	for step := range 12 {
		var d store.Delta
		add := func(run string, when, scopes int, x store.ExperimentName) {
			for i := range scopes {
				e := bailey.Evidence{ID: fmt.Sprint(step, run, when, x, i), Run: run, Control: x.Control, Experiment: x.Experiment, At: at(when).Add(-time.Duration(i) * time.Second), Interrupted: r.IntN(5) == 0,
					Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload([]string{"shop", "bank", "else"}[i%3], fmt.Sprint("w", i))}}
				for path := range 1 + r.IntN(2) {
					held, broken, open := r.IntN(9), r.IntN(2), r.IntN(3)
					e.Paths = append(e.Paths, bailey.Tally{Path: fmt.Sprint(path), Tried: held + broken + open, Held: held, Broken: broken, Inconclusive: open})
				}
				if run == "" { // what names no run is of one by its moment
					e.At = at(when)
				}
				d.Evidence = append(d.Evidence, store.Evidence{Evidence: e})
				if x == of {
					kept = append(kept, e)
				}
			}
		}
		add(fmt.Sprint("run", step), step*10, 2+step%4, of)
		add(fmt.Sprint("run", step), step*10, 3, store.ExperimentName{Control: "a/b", Experiment: "y"})
		add(fmt.Sprint("run", step), step*10, 3, store.ExperimentName{Control: "a/c", Experiment: "x"})
		if step%5 == 3 {
			add("", step*10+1, 2, of)
			add("", step*10+2, 1, of)
			add("late", 5, 2, of) // taken in by and by, long after it was made
		}
		b.apply(step, d)
	}
	want := func(sees func(string) bool, pieces, most int) (runs []store.EvidenceRun, older bool) {
		type key struct {
			run string
			at  int64
		}
		from := max(len(kept)-pieces, 0)
		all := map[key]*store.EvidenceRun{}
		for _, e := range kept[from:] {
			k := key{run: e.Run}
			if e.Run == "" {
				k.at = e.At.UnixNano()
			}
			if !sees(e.Scope.Object.Namespace) || from > 0 && e.Run == kept[from-1].Run && (e.Run != "" || e.At.Equal(kept[from-1].At)) {
				continue
			}
			if all[k] == nil {
				all[k] = &store.EvidenceRun{Run: e.Run}
			}
			n, total := all[k], e.Total()
			n.Scopes, n.Held, n.Tried, n.Broken, n.Inconclusive = n.Scopes+1, n.Held+total.Held, n.Tried+total.Tried, n.Broken+total.Broken, n.Inconclusive+total.Inconclusive
			if e.At.After(n.At) {
				n.At = e.At
			}
			if e.Interrupted || total.Tried > 0 && total.Held == 0 {
				n.Unheld++
			}
		}
		for _, n := range all {
			runs = append(runs, *n)
		}
		slices.SortFunc(runs, func(a, b store.EvidenceRun) int { return b.At.Compare(a.At) })
		return runs[:min(len(runs), most)], from > 0 || len(runs) > most
	}
	usual := limits.Pieces
	t.Cleanup(func() { limits.Pieces = usual })
	for _, limits.Pieces = range []int{usual, len(kept), len(kept) - 1, 20, 9, 2, 1} {
		for _, most := range []int{40, 17, 5, 1} {
			for _, names := range [][]string{nil, {"bank"}, {"bank", "shop"}, {"none"}, {}} {
				access, sees := store.Only(names...), func(n string) bool { return slices.Contains(names, n) }
				if names == nil {
					access, sees = store.Everything(), func(string) bool { return true }
				}
				wantRuns, wantOlder := want(sees, limits.Pieces, most)
				runs, older, err := b.s.EvidenceRuns(b.ctx, access, uid, of, most)
				b.ok(err)
				if diff := cmp.Diff(wantRuns, runs); diff != "" || older != wantOlder {
					t.Errorf("%d runs of %d pieces in %q, others %t, want %t: %s", most, limits.Pieces, names, older, wantOlder, diff)
				}
			}
		}
	}
	if runs, _, err := b.s.EvidenceRuns(b.ctx, store.Everything(), "none", of, 40); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a cluster that is not known: %d, %v", len(runs), err)
	}
	if runs, older, err := b.s.EvidenceRuns(b.ctx, store.Everything(), uid, store.ExperimentName{Control: "a/b", Experiment: "none"}, 40); err != nil || older || len(runs) > 0 {
		t.Errorf("of what was never tried: %d, %t, %v", len(runs), older, err)
	}
}

// testNewestRuns: the newest run of each experiment is the first of those of one, for everybody, as far as it is looked.
func testNewestRuns(t *testing.T, p Place) {
	b := open(t, p)
	r := rand.New(rand.NewPCG(3, 3))
	var of []store.ExperimentName
	for i := range 50 {
		of = append(of, store.ExperimentName{Control: fmt.Sprint("a/", i%7), Experiment: fmt.Sprint("x", i/7)})
	}
	for step := range 30 {
		var d store.Delta
		for range 20 {
			x, run, when := of[r.IntN(len(of)-5)], fmt.Sprint("run", step), step*10 // the last five are never tried
			switch r.IntN(9) {
			case 0:
				run = ""
			case 1:
				run, when = "late", 5
			}
			for i := range 1 + r.IntN(4) {
				held, broken := r.IntN(9), r.IntN(2)
				d.Evidence = append(d.Evidence, store.Evidence{Evidence: bailey.Evidence{ID: fmt.Sprint(step, x, run, i, len(d.Evidence)), Run: run, Control: x.Control, Experiment: x.Experiment, At: at(when),
					Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload([]string{"shop", "bank", "else"}[r.IntN(3)], "web")}, Paths: []bailey.Tally{{Tried: held + broken, Held: held, Broken: broken}}}})
			}
		}
		b.apply(step, d)
	}
	for _, access := range []store.Access{store.Everything(), store.Only("bank"), store.Only("bank", "shop"), store.Only("none"), {}} {
		want := map[store.ExperimentName]store.EvidenceRun{}
		for _, x := range of {
			runs, _, err := b.s.EvidenceRuns(b.ctx, access, uid, x, 1)
			b.ok(err)
			if len(runs) > 0 {
				want[x] = runs[0]
			}
		}
		got, err := b.s.NewestRuns(b.ctx, access, uid, of)
		b.ok(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", access, diff)
		}
	}
	// A run of more scopes than most is whole too, and what is cut says so.
	many := store.ExperimentName{Control: "a/many", Experiment: "x"}
	var d store.Delta
	whole := store.EvidenceRun{Run: "large", At: at(1000)}
	for i := range 3 * limits.Scopes {
		tally := bailey.Tally{Tried: 2, Held: 2}
		if i == 0 {
			tally = bailey.Tally{Tried: 2, Held: 1, Broken: 1}
		}
		whole.Scopes, whole.Held, whole.Tried, whole.Broken = whole.Scopes+1, whole.Held+tally.Held, whole.Tried+tally.Tried, whole.Broken+tally.Broken
		d.Evidence = append(d.Evidence, store.Evidence{Evidence: bailey.Evidence{ID: fmt.Sprint("large", i), Run: "large", Control: many.Control, Experiment: many.Experiment, At: at(1000),
			Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload("shop", fmt.Sprint("w", i))}, Paths: []bailey.Tally{tally}}})
	}
	b.apply(1000, d)
	usual := limits.Pieces
	t.Cleanup(func() { limits.Pieces = usual })
	for _, limits.Pieces = range []int{usual, len(d.Evidence), len(d.Evidence) - 1} {
		got, err := b.s.NewestRuns(b.ctx, store.Only("shop"), uid, append(slices.Clone(of), many))
		b.ok(err)
		want := whole
		if limits.Pieces < len(d.Evidence) {
			want.Scopes, want.Held, want.Tried, want.Broken, want.Cut = want.Scopes-1, want.Held-1, want.Tried-2, 0, true
		}
		if diff := cmp.Diff(want, got[many]); diff != "" {
			t.Errorf("of %d pieces: %s", limits.Pieces, diff)
		}
	}
	if got, err := b.s.NewestRuns(b.ctx, store.Everything(), "none", of); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a cluster that is not known: %d, %v", len(got), err)
	}
}
