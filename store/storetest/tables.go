package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
	"github.com/google/go-cmp/cmp"
)

// testTables narrows and sorts what tables list: page by page, the same as of the whole list.
func testTables(t *testing.T, p Place) {
	b := open(t, p)
	looked := limits.Looked
	limits.Looked = 7
	t.Cleanup(func() { limits.Looked = looked })
	kinds := []store.AlertKind{store.AlertFinding, store.AlertRung, store.AlertDetection}
	var alerts []store.Alert
	for i := range 60 {
		a := store.Alert{Kind: kinds[i%3], Severity: bailey.Severity(2 + i*7%4), Title: fmt.Sprint("Title ", i), Text: []string{"by Ada", "by bob"}[i/2%2], Object: workload([]string{"shop", "bank"}[i%2], "web")}
		a.Key = fmt.Sprintf("%s/%s/%d", a.Kind, []string{"a/b", "a/bc"}[i/3%2], i)
		b.ok(b.s.Raise(b.ctx, uid, at(i), a))
		alerts = append(alerts, a)
		b.ok(b.s.PutRun(b.ctx, uid, at(i), store.Run{ID: fmt.Sprint("r", i), State: store.RunDone, Trigger: []store.RunTrigger{store.TriggerSchedule, store.TriggerPerson}[i%2], Broken: i / 2 % 3, Controls: [][]string{nil, {"a/b"}, {"c/d", "a/b"}, {"c/d"}}[i%4]}))
		space := bailey.Ref{Kind: bailey.KindNamespace, Name: []string{"shop", "bank", "toys"}[i%3]}
		b.apply(i, store.Delta{Evidence: []store.Evidence{{Evidence: bailey.Evidence{ID: fmt.Sprint("e", i), Run: fmt.Sprint("r", i/20), Control: []string{"a/b", "c/d"}[i%2], Experiment: []string{"x", "y"}[i/2%2],
			At: at(i), Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: space}}}}})
		b.ok(b.s.Audit(b.ctx, uid, at(i), store.Action{Who: []string{"ada", "bob"}[i%2], Action: []string{"waive", "run"}[i/2%2], Target: fmt.Sprint("t", i), Outcome: []string{"done", "refused: no right", "refused: none"}[i%3]}))
	}
	for i := range 20 {
		b.ok(b.s.Resolve(b.ctx, uid, at(100), alerts[i*3].Key))
	}
	gone := func(i int) bool { return i%3 == 0 && i < 60 }
	for name, c := range map[string]struct {
		q     store.AlertQuery
		takes func(i int, a *store.Alert) bool
	}{
		"open":      {store.AlertQuery{}, func(i int, _ *store.Alert) bool { return !gone(i) }},
		"kind":      {store.AlertQuery{State: store.All, Kind: store.AlertRung}, func(_ int, a *store.Alert) bool { return a.Kind == store.AlertRung }},
		"severity":  {store.AlertQuery{State: store.All, Severity: bailey.SeverityHigh}, func(_ int, a *store.Alert) bool { return a.Severity >= bailey.SeverityHigh }},
		"control":   {store.AlertQuery{State: store.All, Keys: []string{"finding/a/b/", "rung/a/b/"}}, func(i int, a *store.Alert) bool { return i/3%2 == 0 && a.Kind != store.AlertDetection }},
		"namespace": {store.AlertQuery{State: store.Gone, Namespaces: []string{"bank"}}, func(i int, _ *store.Alert) bool { return gone(i) && i%2 == 1 }},
		"text":      {store.AlertQuery{State: store.All, Text: "ADA title"}, func(i int, _ *store.Alert) bool { return i/2%2 == 0 }},
		"nothing":   {store.AlertQuery{State: store.All, Text: "eve"}, func(int, *store.Alert) bool { return false }},
		"tenant":    {store.AlertQuery{State: store.All, Access: store.Only("shop"), Text: "title"}, func(i int, _ *store.Alert) bool { return i%2 == 0 }},
	} {
		for _, order := range []store.AlertSort{store.AlertsNewest, store.AlertsOldest, store.AlertsWorst} {
			var want []int
			for i := range alerts {
				if c.takes(i, &alerts[i]) {
					want = append(want, i)
				}
			}
			if order != store.AlertsOldest {
				slices.Reverse(want)
			}
			if order == store.AlertsWorst {
				slices.SortStableFunc(want, func(x, y int) int { return int(alerts[y].Severity) - int(alerts[x].Severity) })
			}
			q := c.q
			if name != "tenant" {
				q.Access = store.Everything()
			}
			q.Cluster, q.Sort, q.Limit = uid, order, 4
			got := walkPages(b, func(after string) (store.Page[store.Alert], error) { q.After = after; return b.s.Alerts(b.ctx, q) },
				func(a store.Alert) string { return a.Key[strings.LastIndex(a.Key, "/")+1:] })
			same(b, fmt.Sprint("alerts by ", name, " ", order), got, want)
		}
	}
	// A cursor is one of its own order's.
	page, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), Limit: 2})
	b.ok(err)
	if _, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), Limit: 2, Sort: store.AlertsWorst, After: page.Next}); err == nil {
		t.Error("a cursor of another order was taken")
	}
	if page, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), State: store.All, Text: "title", Look: 3}); err != nil || len(page.Items) != 3 || page.Next == "" {
		t.Errorf("of three that are looked at: %d, %v", len(page.Items), err)
	}
	for name, c := range map[string]struct {
		q     store.RunQuery
		takes func(i int) bool
	}{
		"trigger": {store.RunQuery{Trigger: store.TriggerPerson}, func(i int) bool { return i%2 == 1 }},
		"control": {store.RunQuery{Control: "c/d"}, func(i int) bool { return i%4 != 1 }},
		"broken":  {store.RunQuery{Broken: true, Oldest: true}, func(i int) bool { return i/2%3 > 0 }},
		"text":    {store.RunQuery{Text: "a/b r5"}, func(i int) bool { return (i == 5 || i/10 == 5) && (i%4 == 1 || i%4 == 2) }},
	} {
		q := c.q
		q.Cluster, q.Access, q.Limit = uid, store.Everything(), 4
		got := walkPages(b, func(after string) (store.Page[store.Run], error) { q.After = after; return b.s.Runs(b.ctx, q) }, func(r store.Run) string { return r.ID[1:] })
		same(b, "runs by "+name, got, numbers(c.takes, q.Oldest))
	}
	for name, c := range map[string]struct {
		q     store.EvidenceQuery
		takes func(i int) bool
	}{
		"experiment": {store.EvidenceQuery{Access: store.Everything(), Control: "a/b", Experiment: "x"}, func(i int) bool { return i%4 == 0 }},
		"control":    {store.EvidenceQuery{Access: store.Everything(), Control: "a/b"}, func(i int) bool { return i%2 == 0 }},
		"run":        {store.EvidenceQuery{Access: store.Everything(), Run: "r1"}, func(i int) bool { return i/20 == 1 }},
		"namespace":  {store.EvidenceQuery{Access: store.Everything(), Control: "a/b", Namespaces: []string{"bank"}}, func(i int) bool { return i%6 == 4 }},
		"tenant":     {store.EvidenceQuery{Access: store.Only("bank")}, func(i int) bool { return i%3 == 1 }},
		"all":        {store.EvidenceQuery{Access: store.Everything()}, func(int) bool { return true }},
	} {
		for _, c.q.Oldest = range []bool{false, true} {
			q := c.q
			q.Cluster, q.Limit = uid, 4
			got := walkPages(b, func(after string) (store.Page[store.Evidence], error) { q.After = after; return b.s.Evidence(b.ctx, q) }, func(e store.Evidence) string { return e.ID[1:] })
			same(b, fmt.Sprintf("evidence by %s, oldest first %t", name, q.Oldest), got, numbers(c.takes, q.Oldest))
		}
	}
	pieces, err := b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: store.Everything(), Limit: 2})
	b.ok(err)
	if _, err := b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: store.Everything(), Limit: 2, Oldest: true, After: pieces.Next}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor of another order of evidence: %v", err)
	}
	for name, c := range map[string]struct {
		q     store.AuditQuery
		takes func(i int) bool
	}{
		"outcome": {store.AuditQuery{Outcome: "refused"}, func(i int) bool { return i%3 > 0 }},
		"time":    {store.AuditQuery{Since: at(10), Until: at(20), Oldest: true}, func(i int) bool { return i >= 10 && i < 20 }},
		"text":    {store.AuditQuery{Who: "bob", Action: "run", Text: "NO right"}, func(i int) bool { return i%2 == 1 && i/2%2 == 1 && i%3 == 1 }},
	} {
		q := c.q
		q.Cluster, q.Access, q.Limit = uid, store.Everything(), 4
		got := walkPages(b, func(after string) (store.Page[store.Action], error) { q.After = after; return b.s.Actions(b.ctx, q) }, func(a store.Action) string { return a.Target[1:] })
		same(b, "actions by "+name, got, numbers(c.takes, q.Oldest))
	}
	tablesOfLadder(b)
}

// numbers gives those below 60 that are taken, the largest first or last.
func numbers(takes func(int) bool, up bool) []int {
	var list []int
	for i := range 60 {
		if takes(i) {
			list = append(list, i)
		}
	}
	if !up {
		slices.Reverse(list)
	}
	return list
}

// walkPages gives the names of all that pages list.
func walkPages[T, N any](b *bench, page func(after string) (store.Page[T], error), name func(T) N) []N {
	b.Helper()
	var all []N
	after := ""
	for range 100 {
		p, err := page(after)
		b.ok(err)
		for _, item := range p.Items {
			all = append(all, name(item))
		}
		if after = p.Next; after == "" {
			return all
		}
	}
	b.Fatal("the pages do not end")
	return nil
}

func same(b *bench, what string, got []string, want []int) {
	b.Helper()
	var names []string
	for _, n := range want {
		names = append(names, fmt.Sprint(n))
	}
	if diff := cmp.Diff(names, got); diff != "" {
		b.Errorf("%s: %s", what, diff)
	}
}
