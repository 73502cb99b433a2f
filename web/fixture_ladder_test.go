package web_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

func (f *fixture) moves(n int) []server.RungChange {
	var list []server.RungChange
	rungs := []bailey.Rung{bailey.RungGap, bailey.RungUnknown, bailey.RungSound, bailey.RungGuarded, bailey.RungProven}
	for i := range n {
		c := f.controls[(i*11+3)%len(f.controls)]
		m := server.RungChange{At: f.now.Add(-time.Duration(i*95+12) * time.Minute), Control: c.ID, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, From: &rungs[(i+2)%5], To: &rungs[(i*3+4)%5], Why: "16 of 16 tries held on the last path"}
		if i%3 == 1 {
			m.Scope = bailey.Scope{Kind: bailey.ScopeWorkload, Object: f.workload(i * 9).Ref()}
			m.Why = "container app became privileged"
		}
		if i == 5 {
			m.From = nil
		}
		if i == 7 {
			m.To, m.Why = nil, hostile
		}
		list = append(list, m)
	}
	return list
}

func (f *fixture) Changes(_ context.Context, _ server.Ask, filter server.ChangeFilter) ([]server.RungChange, string, error) {
	all := slices.DeleteFunc(f.moves(140), func(m server.RungChange) bool {
		return filter.Control != "" && m.Control != filter.Control || filter.Namespace != "" && m.Scope.Object.Namespace != filter.Namespace ||
			m.At.Before(filter.Since) || !strings.Contains(m.Control+m.Scope.String()+m.Why, filter.Text)
	})
	if filter.Order == "oldest" {
		slices.Reverse(all)
	}
	return piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
}

// Scopes are workloads on all rungs, whatever the control stands for.
func (f *fixture) Scopes(_ context.Context, ask server.Ask, control string, filter server.ScopeFilter) ([]server.ScopeStanding, string, error) {
	c := f.control(control)
	if c == nil {
		return nil, "", server.ErrNotFound
	}
	var all []server.ScopeStanding
	for i := range 140 {
		s := server.ScopeStanding{Control: control, Scope: bailey.Scope{Kind: c.Scope, Object: f.workload(i * 31).Ref()}, Rung: bailey.Rung(i % 5), Next: f.standing(c).Next}
		if s.Rung == bailey.RungGap {
			s.Findings = 150 - i
		}
		low := filter.Rung == "low" && s.Rung <= bailey.RungUnknown
		if !ask.Sees.Has(s.Scope.Object.Namespace) || filter.Rung != "" && filter.Rung != s.Rung.String() && !low ||
			filter.Namespace != "" && s.Scope.Object.Namespace != filter.Namespace || !strings.Contains(s.Scope.String()+s.Next, filter.Text) {
			continue
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b server.ScopeStanding) int {
		if filter.Order == "name" {
			return a.Scope.Object.Compare(b.Scope.Object)
		}
		return cmp.Compare(a.Rung, b.Rung)
	})
	return piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
}

func (f *fixture) Guards(_ context.Context, ask server.Ask, filter server.GuardFilter) ([]server.GuardInfo, error) {
	if !ask.Guards {
		return nil, server.ErrForbidden
	}
	var all []server.GuardInfo
	stages := []string{"absent", "audit", "warn", "deny", "in place"}
	for _, c := range f.controls {
		for _, g := range c.Guards {
			n := len(all)
			one := server.GuardInfo{Control: c.ID, Name: g.Name, Title: g.Title, Doc: g.Doc, OptIn: g.OptIn, Changes: []string{"ValidatingAdmissionPolicy bailey-" + g.Name, "ValidatingAdmissionPolicyBinding bailey-" + g.Name}}
			for i := range []int{1, 12, 0, 3, 1}[n%5] {
				s := server.GuardStage{Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: f.namespaces[i]}}, Stage: stages[(n+i)%5], Since: f.now.Add(-time.Duration(n+i) * 26 * time.Hour), Why: "audits since Monday; denies after 7 quiet days"}
				if i == 0 {
					s.Scope = bailey.Scope{Kind: bailey.ScopeCluster}
					s.Impact = &server.GuardImpact{At: f.now, Judged: 12_843, Refused: n % 4 * 9, Examples: []server.Object{f.workload(3), f.workload(9)}}
					if s.Impact.Refused == 0 {
						s.Impact.Examples = nil
					}
				}
				if n%6 == 1 && i == 2 {
					s.Drifted, s.Why = true, "failurePolicy is Ignore, applied was Fail"
				}
				one.Stages = append(one.Stages, s)
			}
			for i := len(one.Stages); i < len(f.namespaces) && i > 1; i++ { // a guard of a large cluster has hundreds
				s := one.Stages[i%2]
				s.Scope.Kind, s.Scope.Object, s.Impact = bailey.ScopeNamespace, bailey.Ref{Kind: bailey.KindNamespace, Name: f.namespaces[i]}, nil
				one.Stages = append(one.Stages, s)
			}
			all = append(all, one)
		}
	}
	return filter.Of(all)
}

func (f *fixture) Guard(ctx context.Context, ask server.Ask, control, name string, filter server.PlaceFilter) (server.GuardPage, error) {
	all, err := f.Guards(ctx, ask, server.GuardFilter{Control: control})
	at := slices.IndexFunc(all, func(g server.GuardInfo) bool { return g.Name == name })
	if err != nil || at < 0 {
		return server.GuardPage{}, cmp.Or(err, server.ErrNotFound)
	}
	p := server.GuardPage{GuardInfo: all[at]}
	if p.Stages, err = filter.Of(p.Stages); err != nil {
		return p, err
	}
	p.Total = len(p.Stages)
	p.Stages, p.Next, err = piece(p.Stages, filter.Cursor, cmp.Or(filter.Limit, 50))
	return p, err
}

// planned gives the path of the page of a guard that was planned for many places.
func (f *fixture) planned() string {
	all, _ := f.Guards(context.Background(), server.Ask{Guards: true}, server.GuardFilter{})
	return "/enforce/" + all[1].Control + "/" + all[1].Name
}
