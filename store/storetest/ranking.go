package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// testRanking: workloads come in the order of what is found on them and accepted by nobody, page by page, however they are
// narrowed and whatever has changed.
func testRanking(t *testing.T, p Place) {
	b := open(t, p)
	gather, parts := limits.Gather, limits.Parts
	t.Cleanup(func() { limits.Gather, limits.Parts = gather, parts })
	r := rand.New(rand.NewPCG(7, 7))
	found := map[bailey.Ref][]bailey.Finding{}
	stands := map[bailey.Ref]bool{}
	for step := range 12 {
		var d store.Delta
		for i := range 60 {
			o := workload([]string{"bank", "shop", "till"}[i%3], fmt.Sprintf("%s%d", []string{"api", "web"}[i/3%2], i))
			if i%4 == 0 {
				o.Kind = bailey.KindStatefulSet
			}
			if step > 0 && r.IntN(3) > 0 {
				continue
			}
			delete(found, o)
			if step > 0 && r.IntN(6) == 0 {
				delete(stands, o)
				d.Gone = append(d.Gone, o)
				continue
			}
			d.Judged = append(d.Judged, o)
			for n := range r.IntN(5) {
				f := finding(fmt.Sprint("a/b/r", n), bailey.Severity(1+r.IntN(5)), o, "x")
				switch r.IntN(6) {
				case 0:
					f.Waiver = &bailey.Waiver{Rule: f.Rule, Reason: "x", Owner: "y", Expires: at(1000)}
				case 1:
					f.Baseline = true
				}
				found[o] = append(found[o], f)
			}
			if d.Findings = append(d.Findings, found[o]...); i%7 > 0 { // of the others there are findings alone
				stands[o] = true
				for _, c := range []string{"a/b", "a/c"} {
					d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: c, Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.RungGap})
				}
			}
		}
		switch step {
		case 0, 5, 8:
			whole := store.Delta{}
			for _, fs := range found {
				whole.Findings = append(whole.Findings, fs...)
			}
			for o := range stands {
				whole.Verdicts = append(whole.Verdicts, bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.RungSound})
			}
			b.ok(b.s.Replace(b.ctx, uid, at(step+1), whole))
		default:
			b.apply(step+1, d)
		}
		b.check()
		limits.Gather, limits.Parts = []int{gather, 3}[step%2], []int{parts, 1}[step/2%2]
		for name, q := range map[string]store.WorkloadQuery{
			"all":         {},
			"kind":        {Kind: bailey.KindStatefulSet},
			"name":        {Name: "api"},
			"namespaces":  {Namespaces: []string{"shop", "bank", "none"}},
			"namespace":   {Namespaces: []string{"till"}, Kind: bailey.KindDeployment},
			"all of them": {Namespaces: []string{"shop", "till"}, Name: "web", Kind: bailey.KindDeployment},
			"tenant":      {Access: store.Only("shop", "till")},
			"nobody":      {Access: store.Only("none")},
		} {
			if name != "tenant" && name != "nobody" {
				q.Access = store.Everything()
			}
			var want []bailey.Ref
			for o := range stands {
				hidden := name == "nobody" || name == "tenant" && o.Namespace == "bank"
				if !hidden && (len(q.Namespaces) == 0 || slices.Contains(q.Namespaces, o.Namespace)) && (q.Kind == "" || o.Kind == q.Kind) && strings.HasPrefix(o.Name, q.Name) {
					want = append(want, o)
				}
			}
			count := func(o bailey.Ref) (worst, high, all int) {
				for _, f := range found[o] {
					if f.Waiver != nil || f.Baseline {
						continue
					}
					all++
					worst += map[bailey.Severity]int{bailey.SeverityCritical: 1}[f.Severity]
					high += map[bailey.Severity]int{bailey.SeverityHigh: 1}[f.Severity]
				}
				return worst, high, all
			}
			slices.SortFunc(want, func(x, y bailey.Ref) int {
				c, h, n := count(x)
				cy, hy, ny := count(y)
				return cmp.Or(cy-c, hy-h, ny-n, strings.Compare(x.Namespace, y.Namespace), strings.Compare(string(x.Kind), string(y.Kind)), strings.Compare(x.Name, y.Name))
			})
			names := []string{}
			for _, o := range want {
				names = append(names, o.String())
			}
			q.Cluster, q.ByFindings, q.Limit = uid, true, 4
			got := walkPages(b, func(after string) (store.Page[store.Workload], error) {
				q.After = after
				return b.s.Workloads(b.ctx, q)
			}, func(w store.Workload) string {
				open := 0
				for _, n := range w.Open {
					open += n
				}
				if _, _, all := count(w.Object); open != all || w.Rungs[bailey.RungGap]+w.Rungs[bailey.RungSound] == 0 {
					t.Errorf("step %d: %s has %d, want %d; %v", step, w.Object, open, all, w.Rungs)
				}
				return w.Object.String()
			})
			if !slices.Equal(got, names) {
				t.Errorf("step %d, by %s:\n%q, want\n%q", step, name, got, names)
			}
		}
	}
	page, err := b.s.Workloads(b.ctx, store.WorkloadQuery{Cluster: uid, Access: store.Everything(), ByFindings: true, Limit: 2})
	b.ok(err)
	if _, err := b.s.Workloads(b.ctx, store.WorkloadQuery{Cluster: uid, Access: store.Everything(), Limit: 2, After: page.Next}); err == nil {
		t.Error("a cursor of another order was taken")
	}
}
