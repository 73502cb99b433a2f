// Package check judges a snapshot: it runs every rule of the controls on every
// object through a recording view, and says for each control and scope on
// which rung it stands, what was seen, and what would change the verdict.
package check

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/baileyhq/bailey"
)

// Options changes what Judge makes of a snapshot.
type Options struct {
	Waivers []bailey.Waiver
	// Baseline holds the IDs of findings that were accepted.
	Baseline Baseline
	// Evidence must come from a signer that the caller trusts.
	Evidence []bailey.Evidence
	// Weigher tells what findings on a workload weigh there; nil: what they do anywhere.
	Weigher *bailey.Weigher
	// Workers is the number of goroutines; 0 means one per processor.
	Workers int
}

// Judge runs the controls' rules on the snapshot. The result is the same,
// in the same order, however many workers there are. It fails only when ctx ends.
func Judge(ctx context.Context, s *bailey.Snapshot, controls []*bailey.Control, o Options) (*bailey.Report, error) {
	p := newPlan(controls)
	judged, err := p.evaluateAll(ctx, s, o.Workers, nil)
	if err != nil {
		return nil, err
	}
	return p.report(s, judged, o), nil
}

// plan is the controls' rules arranged by the kind they judge.
type plan struct {
	controls []*bailey.Control
	byKind   map[bailey.Kind][]group
	ruleIDs  map[*bailey.Rule]string
}

// group is the rules of one control that judge one kind.
type group struct {
	control int // index into plan.controls
	rules   []*bailey.Rule
}

func newPlan(controls []*bailey.Control) *plan {
	p := &plan{controls: controls, byKind: map[bailey.Kind][]group{}, ruleIDs: map[*bailey.Rule]string{}}
	for i, c := range controls {
		for _, r := range c.Rules {
			p.ruleIDs[r] = c.RuleID(r)
			for _, k := range r.On {
				groups := p.byKind[k]
				if n := len(groups); n > 0 && groups[n-1].control == i {
					groups[n-1].rules = append(groups[n-1].rules, r)
				} else {
					p.byKind[k] = append(groups, group{i, []*bailey.Rule{r}})
				}
			}
		}
	}
	return p
}

// judged is one object, and what the rules made of it. There is one for each object of the
// snapshot, so it is kept small.
type judged struct {
	fact *bailey.Fact
	*outcome
	// variant tells that fact is one of a fact's Variants.
	variant bool
}

// chunk is the number of objects that a worker takes at once.
const chunk = 128

func (p *plan) evaluateAll(ctx context.Context, s *bailey.Snapshot, workers int, shared *pool) ([]judged, error) {
	var facts []*bailey.Fact
	variants := map[*bailey.Fact]bool{}
	for _, k := range s.Kinds() {
		if len(p.byKind[k]) == 0 {
			continue
		}
		for _, f := range s.List(k, "") {
			if f.Dormant {
				continue
			}
			facts = append(facts, f)
			if shared != nil { // a session has one result for each object
				continue
			}
			facts = append(facts, f.Variants...)
			for _, other := range f.Variants {
				variants[other] = true
			}
		}
	}
	results := make([]judged, len(facts))
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			e := newEvaluator(p, s, shared)
			for ctx.Err() == nil {
				to := int(next.Add(chunk))
				from := to - chunk
				if from >= len(facts) {
					return
				}
				for i := from; i < min(to, len(facts)); i++ {
					results[i] = e.evaluate(facts[i])
					if variants[facts[i]] {
						// Its findings count; what was seen is told by the fact that counts.
						results[i].variant, results[i].outcome.runs = true, nil
					}
				}
			}
		})
	}
	wg.Wait()
	return results, ctx.Err()
}

// evaluator runs rules on single objects. It belongs to one goroutine.
type evaluator struct {
	plan   *plan
	view   *bailey.View
	shared *pool                // of a session; nil: outcomes are not shared, and reads not recorded
	reads  map[bailey.Read]bool // of one control on one object
	// What follows is of all controls on one object, for sessions.
	scratch outcome
	all     []bailey.Read
	known   map[bailey.Read]bool
}

func newEvaluator(p *plan, s *bailey.Snapshot, shared *pool) *evaluator {
	return &evaluator{plan: p, view: bailey.NewView(s), shared: shared, reads: map[bailey.Read]bool{}, known: map[bailey.Read]bool{}}
}

func (e *evaluator) evaluate(f *bailey.Fact) judged {
	groups := e.plan.byKind[f.Kind]
	o := &outcome{}
	if e.shared != nil {
		o = &e.scratch
		o.said, o.runs, e.all = o.said[:0], o.runs[:0], e.all[:0]
		clear(e.known)
	} else {
		o.runs = make([]run, 0, len(groups))
	}
	for _, g := range groups {
		var missing []bailey.Missing
		clear(e.reads)
		for _, rule := range g.rules {
			e.view.Allow(rule.On, rule.Needs, rule.Derives)
			findings, failure := runRule(rule, e.view, f)
			for _, read := range e.view.Reads() {
				e.reads[read] = true
				if e.shared != nil && !e.known[read] {
					e.known[read] = true
					e.all = append(e.all, read)
				}
			}
			lacks := e.view.Missing()
			if failure != nil {
				lacks = append(lacks, *failure)
			}
			if len(lacks) > 0 {
				// The rule judged on less than it needs: what it said does not count.
				for _, m := range lacks {
					missing = addMissing(missing, m)
				}
				continue
			}
			for i := range findings {
				x := &findings[i]
				o.said = append(o.said, said{rule, int32(g.control), int32(x.Severity), x.Field, x.Named, x.Message, slices.Clip(x.Related)})
			}
		}
		needed := int32(1 + len(e.reads))
		r := run{control: int32(g.control), seen: max(0, needed-int32(len(missing))), needed: needed, provider: int32(providers(missing))}
		if len(missing) > 0 {
			r.missing = &missing
		}
		o.runs = append(o.runs, r)
	}
	if e.shared != nil {
		o = e.shared.share(o, e.all)
	}
	return judged{fact: f, outcome: o}
}

// runRule runs a rule and turns its panic into a missing fact: one rule's
// defect must not cost the user the other verdicts.
func runRule(rule *bailey.Rule, v *bailey.View, f *bailey.Fact) (findings []bailey.Finding, failure *bailey.Missing) {
	defer func() {
		if p := recover(); p != nil {
			findings = nil
			failure = &bailey.Missing{Kind: f.Kind, Namespace: f.Namespace, Name: f.Name, Reason: bailey.ReasonPanicked,
				Detail: fmt.Sprintf("rule %s failed: %v", rule.Name, p), Hint: "this is a defect of Bailey: please report it with the object's shape"}
		}
	}()
	return rule.Check(v, f), nil
}

// providers counts what a provider keeps to itself.
func providers(missing []bailey.Missing) int {
	n := 0
	for i := range missing {
		if missing[i].Reason == bailey.ReasonProvider {
			n++
		}
	}
	return n
}

func addMissing(list []bailey.Missing, m bailey.Missing) []bailey.Missing {
	for i := range list {
		if list[i] == m {
			return list
		}
	}
	return append(list, m)
}
