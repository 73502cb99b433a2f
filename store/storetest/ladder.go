package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// tablesOfLadder narrows and sorts verdicts and what moved on the ladder, as testTables does others.
func tablesOfLadder(b *bench) {
	var verdicts []bailey.Verdict
	for i := range 60 {
		v := bailey.Verdict{Control: []string{"l/a", "l/b"}[i%2], Rung: bailey.Rung(i * 7 % 5), Next: []string{"Fix this", "prove that"}[i/2%2],
			Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: workload([]string{"shop", "bank", "shop"}[i%3], fmt.Sprintf("w%02d", i))}}
		if i%10 == 9 {
			v.Scope = bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("n%02d", i)}}
		}
		b.apply(200+i, store.Delta{Verdicts: []bailey.Verdict{v}})
		verdicts = append(verdicts, v)
	}
	number := func(s bailey.Scope) string { return strings.TrimPrefix(s.Object.Name[1:], "0") }
	in := func(i int, namespace string) bool { return verdicts[i].Scope.Object.Namespace == namespace }
	for name, c := range map[string]struct {
		q     store.VerdictQuery
		takes func(i int) bool
	}{
		"control":   {store.VerdictQuery{Control: "l/a"}, func(i int) bool { return i%2 == 0 }},
		"rungs":     {store.VerdictQuery{Control: "l/b", Rungs: []bailey.Rung{bailey.RungGap, bailey.RungSound}}, func(i int) bool { return i%2 == 1 && (verdicts[i].Rung == 0 || verdicts[i].Rung == 2) }},
		"namespace": {store.VerdictQuery{Control: "l/b", Namespaces: []string{"bank"}}, func(i int) bool { return i%2 == 1 && in(i, "bank") }},
		"its own":   {store.VerdictQuery{Control: "l/b", Namespaces: []string{"n19"}}, func(i int) bool { return i == 19 }},
		"text":      {store.VerdictQuery{Control: "l/a", Text: "FIX w1"}, func(i int) bool { return i%2 == 0 && i/10 == 1 && i/2%2 == 0 }},
		"nothing":   {store.VerdictQuery{Control: "l/a", Text: "eve"}, func(int) bool { return false }},
		"tenant":    {store.VerdictQuery{Control: "l/a", Access: store.Only("shop"), Text: "shop"}, func(i int) bool { return i%2 == 0 && in(i, "shop") }},
	} {
		for _, lowest := range []bool{false, true} {
			var want []int
			for i := range verdicts {
				if c.takes(i) {
					want = append(want, i)
				}
			}
			slices.SortFunc(want, func(x, y int) int {
				v, w := &verdicts[x], &verdicts[y]
				if lowest && v.Rung != w.Rung {
					return int(v.Rung) - int(w.Rung)
				}
				if v.Scope.Kind != w.Scope.Kind {
					return strings.Compare(string(v.Scope.Kind), string(w.Scope.Kind))
				}
				return v.Scope.Object.Compare(w.Scope.Object)
			})
			q := c.q
			if name != "tenant" {
				q.Access = store.Everything()
			}
			q.Cluster, q.Lowest, q.Limit = uid, lowest, 4
			got := walkPages(b, func(after string) (store.Page[store.Verdict], error) { q.After = after; return b.s.Verdicts(b.ctx, q) }, func(v store.Verdict) string { return number(v.Scope) })
			same(b, fmt.Sprint("verdicts by ", name, ", the lowest first: ", lowest), got, want)
		}
	}
	page, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: store.Everything(), Control: "l/a", Limit: 2})
	b.ok(err)
	if _, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: store.Everything(), Control: "l/a", Limit: 2, Lowest: true, After: page.Next}); err == nil {
		b.Error("a cursor of another order was taken")
	}
	for name, c := range map[string]struct {
		q     store.RungQuery
		takes func(i int) bool
	}{
		"control":               {store.RungQuery{Control: "l/b"}, func(i int) bool { return i%2 == 1 }},
		"namespace":             {store.RungQuery{Namespaces: []string{"bank"}, Since: at(200)}, func(i int) bool { return in(i, "bank") }},
		"control and namespace": {store.RungQuery{Control: "l/a", Namespaces: []string{"shop"}}, func(i int) bool { return i%2 == 0 && in(i, "shop") }},
		"time":                  {store.RungQuery{Since: at(230)}, func(i int) bool { return i >= 30 }},
		"text":                  {store.RungQuery{Text: "L/B w2"}, func(i int) bool { return i%2 == 1 && i/10 == 2 && i != 29 }},
		"why":                   {store.RungQuery{Control: "l/a", Text: "findings"}, func(i int) bool { return i%2 == 0 && verdicts[i].Rung == bailey.RungGap }},
		"tenant":                {store.RungQuery{Access: store.Only("shop"), Text: "shop", Since: at(200)}, func(i int) bool { return in(i, "shop") }},
	} {
		for _, oldest := range []bool{false, true} {
			q := c.q
			if name != "tenant" {
				q.Access = store.Everything()
			}
			q.Cluster, q.Oldest, q.Limit = uid, oldest, 4
			got := walkPages(b, func(after string) (store.Page[store.RungChange], error) {
				q.After = after
				return b.s.RungChanges(b.ctx, q)
			}, func(c store.RungChange) string { return number(c.Scope) })
			same(b, fmt.Sprint("changes by ", name, ", the oldest first: ", oldest), got, numbers(c.takes, oldest))
		}
	}
}
