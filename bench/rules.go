package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/controls"
)

// ruleCost is what one object costs one rule.
type ruleCost struct {
	id      string
	each    time.Duration
	objects int
	own     bool // measured on the rule's own example, since the cluster has nothing for it
}

// benchRules prints what each rule costs per object, in a generated cluster of 10,000
// objects; what derives bigger facts is computed before. Budget: none over ten times the
// median.
func benchRules(string) error {
	s := generate(10_000)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // collecting is the whole's cost, which judge shows
	var costs []ruleCost
	for _, c := range controls.All() {
		for _, r := range c.Rules {
			cost := ruleCost{id: c.RuleID(r)}
			snapshot, facts := s, factsOf(s, r)
			if len(facts) == 0 {
				cost.own = true
				var err error
				if snapshot, err = example(r); err != nil {
					return fmt.Errorf("%s: %w", cost.id, err)
				}
				facts = factsOf(snapshot, r)
			}
			cost.objects = len(facts)
			cost.each = costOf(snapshot, r, facts)
			costs = append(costs, cost)
		}
	}
	slices.SortFunc(costs, func(a, b ruleCost) int { return int(b.each - a.each) })
	median := costs[len(costs)/2].each
	over := 0
	for _, c := range costs {
		if c.each > 10*median {
			over++
		}
	}
	fmt.Printf("%d rules, per object: median %s, 90 of 100 under %s; %d over ten times the median\n", len(costs), median, costs[len(costs)/10].each, over)
	fmt.Printf("%12s %8s %10s  %s\n", "each", "median", "objects", "rule")
	for _, c := range costs[:min(len(costs), max(10, over))] {
		where := fmt.Sprint(c.objects)
		if c.own {
			where = "its own"
		}
		fmt.Printf("%12s %7.1fx %10s  %s\n", c.each, float64(c.each)/float64(median), where, c.id)
	}
	return nil
}

func factsOf(s *bailey.Snapshot, r *bailey.Rule) []*bailey.Fact {
	var facts []*bailey.Fact
	for _, k := range r.On {
		for _, f := range s.List(k, "") {
			if !f.Dormant {
				facts = append(facts, f)
			}
		}
	}
	return facts
}

// costOf runs the rule on the facts again and again, for at least 20 ms, and gives the
// least of several rounds' means.
func costOf(s *bailey.Snapshot, r *bailey.Rule, facts []*bailey.Fact) time.Duration {
	view := bailey.NewView(s)
	round := func() {
		for _, f := range facts {
			view.Allow(r.On, r.Needs, r.Derives)
			r.Check(view, f)
		}
	}
	round() // the derived facts
	runtime.GC()
	least := time.Duration(1<<63 - 1)
	for range 5 {
		begin, rounds := time.Now(), 0
		for time.Since(begin) < 20*time.Millisecond {
			round()
			rounds++
		}
		least = min(least, time.Since(begin)/time.Duration(rounds*len(facts)))
	}
	return least
}

// example is the world of a rule's first example.
func example(r *bailey.Rule) (*bailey.Snapshot, error) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion, At: time.Now()})
	for _, k := range slices.Concat(bailey.KnownKinds(), r.On, r.Needs) {
		b.Saw(k, "")
	}
	for _, text := range strings.Split(r.Bad[0], "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return nil, err
		}
		fact, err := object.Decode(data, bailey.Source{})
		if err != nil {
			return nil, err
		}
		b.Add(fact)
	}
	return b.Snapshot(), nil
}
