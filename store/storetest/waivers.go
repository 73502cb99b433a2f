package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

func testWaivers(t *testing.T, p Place) {
	b := open(t, p)
	w := bailey.Waiver{Rule: "a/b/*", Kind: "Deployment", Namespace: "shop", Name: "web-*", Reason: "legacy", Owner: "team", Expires: at(1000)}
	b.ok(b.s.AddWaiver(b.ctx, uid, at(1), "w1", "ada", w))
	before := b.seq()
	b.ok(b.s.AddWaiver(b.ctx, uid, at(2), "w1", "ada", w))
	if b.seq() != before {
		t.Error("the same waiver made changes")
	}
	changed := w
	changed.Reason = "another"
	if err := b.s.AddWaiver(b.ctx, uid, at(2), "w1", "ada", changed); !errors.Is(err, store.ErrConflict) {
		t.Errorf("another waiver of the same ID: %v", err)
	}
	changed.Reason = ""
	if err := b.s.AddWaiver(b.ctx, uid, at(2), "w2", "ada", changed); err == nil {
		t.Error("a waiver without a reason was taken")
	}
	b.ok(b.s.RemoveWaiver(b.ctx, uid, at(3), "w1", "bob"))
	b.ok(b.s.RemoveWaiver(b.ctx, uid, at(4), "w1", "eve"))
	if err := b.s.RemoveWaiver(b.ctx, uid, at(4), "w9", "bob"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such waiver: %v", err)
	}
	for state, want := range map[store.State][]store.Waiver{
		store.Open: nil,
		store.Gone: {{ID: "w1", Waiver: w, Added: at(1), AddedBy: "ada", Removed: at(3), RemovedBy: "bob", Seq: 1}},
		store.All:  {{ID: "w1", Waiver: w, Added: at(1), AddedBy: "ada", Removed: at(3), RemovedBy: "bob", Seq: 1}},
	} {
		page, err := b.s.Waivers(b.ctx, store.WaiverQuery{Cluster: uid, Access: store.Everything(), State: state})
		b.ok(err)
		if diff := cmp.Diff(want, page.Items); diff != "" {
			t.Errorf("%q: %s", state, diff)
		}
	}
	testExtended(b)
	// More findings than a page holds.
	var d store.Delta
	other := bailey.Waiver{Rule: "a/b/c", Reason: "another", Owner: "team", Expires: at(500)}
	for i := range 1300 {
		f := finding("a/b/c", bailey.SeverityHigh, workload([]string{"shop", "bank"}[i%2], fmt.Sprint("w", i)), "m")
		switch {
		case i < 1200:
			f.Waiver = &w
		case i < 1250:
			f.Waiver = &other
		}
		d.Findings = append(d.Findings, f)
	}
	b.apply(5, d)
	b.apply(6, store.Delta{Judged: []bailey.Ref{d.Findings[0].Object}})
	for _, c := range []struct {
		access store.Access
		want   map[string]int
	}{{store.Everything(), map[string]int{"legacy": 1199, "another": 50}}, {store.Only("bank"), map[string]int{"legacy": 600, "another": 25}}, {store.Only("else"), map[string]int{}}} {
		counts, more, err := b.s.Accepted(b.ctx, c.access, uid)
		b.ok(err)
		got := map[string]int{}
		for _, n := range counts {
			got[n.Waiver.Reason] = n.Findings
		}
		if diff := cmp.Diff(c.want, got); diff != "" || more {
			t.Errorf("accepted: %s, more: %v", diff, more)
		}
	}
}

// testExtended puts off the end of a waiver, and keeps who did and why.
func testExtended(b *bench) {
	b.Helper()
	w := bailey.Waiver{Rule: "a/b/*", Namespace: "shop", Reason: "legacy", Owner: "team", Expires: at(1000)}
	b.ok(b.s.AddWaiver(b.ctx, uid, at(4), "long", "ada", w))
	b.ok(b.s.ExtendWaiver(b.ctx, uid, at(5), "long", "bob", "not delivered yet", at(2000)))
	before := b.seq()
	b.ok(b.s.ExtendWaiver(b.ctx, uid, at(6), "long", "bob", "not delivered yet", at(2000)))
	if b.seq() != before {
		b.Error("the same extension made changes")
	}
	b.ok(b.s.ExtendWaiver(b.ctx, uid, at(7), "long", "eve", "still not", at(3000)))
	for id, expires := range map[string]time.Time{"long": at(3000), "w1": at(9000)} { // no later end; one that was ended
		if err := b.s.ExtendWaiver(b.ctx, uid, at(8), id, "bob", "r", expires); !errors.Is(err, store.ErrConflict) {
			b.Errorf("extended %s: %v", id, err)
		}
	}
	if err := b.s.ExtendWaiver(b.ctx, uid, at(8), "w9", "bob", "r", at(9000)); !errors.Is(err, store.ErrNotFound) {
		b.Errorf("no such waiver: %v", err)
	}
	if err := b.s.ExtendWaiver(b.ctx, uid, at(8), "long", "bob", "", at(9000)); err == nil {
		b.Error("a waiver was extended without a reason")
	}
	page, err := b.s.Waivers(b.ctx, store.WaiverQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	want := store.Waiver{ID: "long", Waiver: w, Added: at(4), AddedBy: "ada", Extended: []store.Extension{
		{At: at(5), By: "bob", From: at(1000), Expires: at(2000), Reason: "not delivered yet"},
		{At: at(7), By: "eve", From: at(2000), Expires: at(3000), Reason: "still not"}}}
	want.Expires = at(3000)
	if len(page.Items) == 1 {
		want.Seq = page.Items[0].Seq
	}
	if diff := cmp.Diff([]store.Waiver{want}, page.Items); diff != "" {
		b.Error(diff)
	}
	b.ok(b.s.RemoveWaiver(b.ctx, uid, at(9), "long", "bob"))
}

// testWaiverPages reads waivers those first that end last, by when they end and page after page, and prunes
// those alone that ended before a moment.
func testWaiverPages(t *testing.T, p Place) {
	b := open(t, p)
	put := func(id, namespace string, expires int) {
		b.ok(b.s.AddWaiver(b.ctx, uid, at(0), id, "ada", bailey.Waiver{Rule: "a/b/c", Namespace: namespace, Reason: "of " + id, Owner: "o", Expires: at(expires)}))
	}
	for _, id := range []string{"far", "farther"} { // beyond what fits into nanoseconds
		b.ok(b.s.AddWaiver(b.ctx, uid, at(0), id, "ada", bailey.Waiver{Rule: "a/b/c", Reason: "r", Owner: "o", Expires: time.Date(9998, 1, len(id), 0, 0, 0, 0, time.UTC)}))
	}
	put("lasts", "shop", 200)
	put("over", "shop", 100)
	put("long over", "bank", 10)
	put("as long", "shop", 10) // at one moment, that which came last first
	put("longer", "shop", 20)
	b.ok(b.s.ExtendWaiver(b.ctx, uid, at(1), "longer", "bob", "r", at(150)))
	put("ended", "shop", 1000)
	b.ok(b.s.RemoveWaiver(b.ctx, uid, at(50), "ended", "bob"))
	read := func(q store.WaiverQuery) string {
		t.Helper()
		var ids []string
		for q.Cluster = uid; ; {
			page, err := b.s.Waivers(b.ctx, q)
			b.ok(err)
			for _, w := range page.Items {
				ids = append(ids, w.ID)
			}
			if q.After = page.Next; q.After == "" {
				return strings.Join(ids, ", ")
			}
		}
	}
	everything := store.Everything()
	for _, c := range []struct {
		q    store.WaiverQuery
		want string
	}{
		{store.WaiverQuery{Access: everything}, "farther, far, lasts, longer, over, as long, long over"},
		{store.WaiverQuery{Access: everything, State: store.All}, "farther, far, lasts, longer, over, ended, as long, long over"},
		{store.WaiverQuery{Access: everything, State: store.Gone}, "ended"},
		{store.WaiverQuery{Access: everything, EndsAfter: at(100)}, "farther, far, lasts, longer"},
		{store.WaiverQuery{Access: everything, EndsBy: at(100)}, "over, as long, long over"},
		{store.WaiverQuery{Access: everything, State: store.All, EndsBy: at(100)}, "over, ended, as long, long over"},
		{store.WaiverQuery{Access: everything, EndsAfter: at(99), EndsBy: at(150)}, "longer, over"},
		{store.WaiverQuery{Access: store.Only("shop"), State: store.All}, "lasts, longer, over, ended, as long"},
		{store.WaiverQuery{Access: store.Only("shop", "else")}, "lasts, longer, over, as long"},
		{store.WaiverQuery{Access: everything, Keep: func(w *store.Waiver) bool { return w.ID == "lasts" || w.Namespace == "bank" }}, "lasts, long over"},
	} {
		for _, by := range []struct{ limit, look int }{{1, 0}, {2, 1}, {2, 3}, {100, 0}} {
			c.q.Limit, c.q.Look = by.limit, by.look
			if got := read(c.q); got != c.want {
				t.Errorf("%d at once, looking at %d: %s, want %s", by.limit, by.look, got, c.want)
			}
		}
	}
	// A cursor leads on where another looks for something else.
	page, err := b.s.Waivers(b.ctx, store.WaiverQuery{Cluster: uid, Access: everything, Limit: 4})
	b.ok(err)
	if got := read(store.WaiverQuery{Access: everything, After: page.Next, Limit: 1, Keep: func(w *store.Waiver) bool { return w.Namespace == "shop" }}); got != "over, as long" {
		t.Errorf("after four: %s", got)
	}
	for _, c := range []struct {
		before  int
		removed int64
		left    string
	}{
		{10, 0, "farther, far, lasts, longer, over, ended, as long, long over"},
		{11, 2, "farther, far, lasts, longer, over, ended"},
		{51, 1, "farther, far, lasts, longer, over"},
		{150, 1, "farther, far, lasts, longer"},
	} {
		pruned, err := b.s.Prune(b.ctx, uid, at(c.before))
		b.ok(err)
		if left := read(store.WaiverQuery{Access: everything, State: store.All}); left != c.left || pruned.Waivers != c.removed {
			t.Errorf("pruned until %d: %d were removed, and left are %s", c.before, pruned.Waivers, left)
		}
	}
	// More than a transaction removes.
	for i := range 1001 {
		put(fmt.Sprint(i), "shop", 20)
	}
	if pruned, err := b.s.Prune(b.ctx, uid, at(30)); err != nil || pruned.Waivers != 1001 {
		t.Errorf("of 1001 %d were removed: %v", pruned.Waivers, err)
	}
}
