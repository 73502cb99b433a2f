package check

import (
	"maps"
	"slices"
	"sync"

	"github.com/baileyhq/bailey"
)

// report joins what was judged into findings and verdicts.
func (p *plan) report(s *bailey.Snapshot, results []judged, o Options) *bailey.Report {
	r := &bailey.Report{Meta: s.Meta, Controls: p.controls, Facts: s.Len(), Remedy: p.remedy(s)}
	// What was found, and what was seen, are gathered side by side.
	var g *gathered
	var all []bailey.Finding
	var wg sync.WaitGroup
	wg.Go(func() {
		g = p.gather(s, results, o.Weigher)
		all = p.accept(g.findings, s.Meta.At, o)
	})
	ladders := p.ladders(s, results, o.Evidence)
	wg.Wait()

	index := make(map[string]*ladder, len(ladders))
	for _, l := range ladders {
		index[l.control.ID] = l
	}
	for i, scope := range g.scopes { // what a waiver took in counts again by itself
		index[all[i].Control].at(scope).count(&all[i])
	}
	// What is counted is larger than what comes of it: what is needed no more goes at once, and each ladder as its verdicts are
	// made, so that a large cluster does not hold all of both.
	g, index = nil, nil
	wg.Go(func() { r.Findings = sortFindings(all) })
	orders := make([][]*standing, len(ladders))
	for i, l := range ladders {
		r.Evidence = append(r.Evidence, l.counting...)
		wg.Go(func() { orders[i] = l.order() })
	}
	sortEvidence(r.Evidence)
	wg.Wait()
	total := 0
	for _, order := range orders {
		total += len(order)
	}
	r.Verdicts = make([]bailey.Verdict, total)
	for i, rest := 0, r.Verdicts; i < len(ladders); i++ {
		into := rest[:len(orders[i])]
		rest = rest[len(orders[i]):]
		wg.Go(func() {
			ladders[i].close(orders[i], into)
			ladders[i], orders[i] = nil, nil
		})
	}
	wg.Wait()
	r.Coverage = bailey.TotalCoverage(p.controls, r.Verdicts)
	return r
}

// ladders counts for every control and scope what was seen.
func (p *plan) ladders(s *bailey.Snapshot, results []judged, evidence []bailey.Evidence) []*ladder {
	ladders := make([]*ladder, len(p.controls))
	namespaces := namespacesOf(s)
	for i, c := range p.controls {
		ladders[i] = newLadder(p, s, c, evidence)
		ladders[i].addLists(namespaces)
	}
	for i := range results {
		j := &results[i]
		if len(j.runs) == 0 {
			continue
		}
		own := ownersOf(s, j.fact)
		for k := range j.runs {
			run := &j.runs[k]
			st := ladders[run.control].at(scopeOf(p.controls[run.control].Scope, j.fact, own))
			st.objects++
			st.seen += int(run.seen)
			st.needed += int(run.needed)
			st.provider += int(run.provider)
			if run.missing != nil {
				st.miss(*run.missing)
			}
		}
	}
	return ladders
}

// count takes in a finding that makes the scope a gap.
func (st *standing) count(f *bailey.Finding) {
	st.findings++
	if f.Waiver != nil {
		st.waived++
		if st.waivedUntil.IsZero() || f.Waiver.Expires.Before(st.waivedUntil) {
			st.waivedUntil = f.Waiver.Expires
		}
	}
}

// remedy computes fixes from the snapshot that was judged. A fix that fails is
// none: its finding stands all the same.
func (p *plan) remedy(s *bailey.Snapshot) func(*bailey.Finding) []bailey.Change {
	rules := map[string]*bailey.Rule{}
	for _, c := range p.controls {
		for _, r := range c.Rules {
			rules[c.RuleID(r)] = r
		}
	}
	return func(f *bailey.Finding) (fix []bailey.Change) {
		defer func() {
			if recover() != nil {
				fix = nil
			}
		}()
		rule := rules[f.Rule]
		fact := s.Get(f.Object)
		if rule == nil || rule.Fix == nil || fact == nil {
			return nil
		}
		if at := fact.Source.At(f.Field); len(fact.Variants) > 0 && (at.File != f.Source.File || at.Line != f.Source.Line) {
			return nil // the finding is of a variant, and a patch would change the other
		}
		v := bailey.NewView(s)
		v.Allow(rule.On, rule.Needs, rule.Derives)
		return rule.Fix(v, fact, *f)
	}
}

// namespacesOf lists the namespaces that exist or that an object names, sorted.
func namespacesOf(s *bailey.Snapshot) []string {
	names := map[string]bool{}
	for _, f := range s.List(bailey.KindNamespace, "") {
		names[f.Name] = true
	}
	for _, k := range s.Kinds() {
		last := ""
		for _, f := range s.List(k, "") {
			if f.Namespace != last {
				names[f.Namespace] = true
				last = f.Namespace
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
