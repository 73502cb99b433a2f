package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// testPushes: of pushes that two processes write at once, each is kept whole or not at all, and one
// at most of those that follow the same.
func testPushes(t *testing.T, p Place) {
	b := open(t, p)
	second, err := p.Open(t.Context())
	b.ok(err)
	t.Cleanup(func() { second.Close() })
	stores := []*store.Store{b.s, second}
	state := func(of string, objects int) store.Delta {
		var d store.Delta
		for i := range objects {
			f := finding("c/one/"+of, bailey.SeverityHigh, workload("shop", fmt.Sprint(of, "-", i)), "m")
			d.Findings, d.Judged = append(d.Findings, f), append(d.Judged, f.Object)
		}
		return d
	}
	// rules gives the rules of the open findings, with how many each has.
	rules := func() map[string]int {
		counts := map[string]int{}
		q := store.FindingQuery{Access: store.Everything(), Limit: 1000}
		for {
			page := b.findings(q)
			for _, f := range page.Items {
				counts[f.Rule]++
			}
			if q.After = page.Next; q.After == "" {
				return counts
			}
		}
	}
	atBoth := func(write func(i int, s *store.Store) error) (errs [2]error) {
		var all sync.WaitGroup
		for i, s := range stores {
			all.Go(func() { errs[i] = write(i, s) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, store.ErrOvertaken) {
				t.Fatal(err)
			}
		}
		return errs
	}
	const objects = 1200 // in several transactions
	for round := range 5 {
		first := fmt.Sprint("s", round, "/0")
		b.ok(b.s.PushWhole(b.ctx, uid, "production", at(round), first, store.Delta{}))
		errs := atBoth(func(i int, s *store.Store) error {
			d := state(fmt.Sprint("r", i), []int{20, objects}[round%2])
			return s.PushNext(b.ctx, uid, at(round), first, fmt.Sprint("s", round, "/1"), &d)
		})
		if kept := rules(); (errs[0] == nil) == (errs[1] == nil) || len(kept) != 1 {
			t.Fatalf("two that follow the same: %v, kept %v", errs, kept)
		}
		if err := b.s.PushNext(b.ctx, uid, at(round), first, "again/1", nil); !errors.Is(err, store.ErrOvertaken) {
			t.Fatalf("one that follows what is no longer the last: %v", err)
		}
		errs = atBoth(func(i int, s *store.Store) error {
			return s.PushWhole(b.ctx, uid, "production", at(round), fmt.Sprint("w", round, i, "/0"), state(fmt.Sprint("r", i), objects))
		})
		kept := rules()
		rule := slices.Collect(maps.Keys(kept))
		if errs[0] != nil && errs[1] != nil || len(rule) != 1 || kept[rule[0]] != objects {
			t.Fatalf("two whole states: %v, kept %v", errs, kept)
		}
		errs = atBoth(func(i int, s *store.Store) error {
			return s.PushNext(b.ctx, uid, at(round), fmt.Sprint("w", round, i, "/0"), fmt.Sprint("w", round, i, "/1"), nil)
		})
		for i, err := range errs {
			if (err == nil) != (rule[0] == fmt.Sprint("c/one/r", i)) {
				t.Fatalf("what follows state %d: %v; kept is %v", i, err, kept)
			}
		}
	}
	for _, mark := range []string{"", "~"} {
		if err := b.s.PushNext(b.ctx, uid, at(9), mark, "x", nil); !errors.Is(err, store.ErrOvertaken) {
			t.Errorf("after %q: %v", mark, err)
		}
	}
	b.check()
}
