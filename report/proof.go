package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// brokenLimit bounds how many broken paths are named in a report that is not
// verbose.
const brokenLimit = 5

// Broken counts the experiments that were broken and have not been put right.
// Each makes a gap that no waiver accepts.
func Broken(r *bailey.Report) int {
	n := 0
	for _, b := range brokenOf(r) {
		last := ""
		for _, text := range b.broken {
			if name, _, _ := strings.Cut(text, ": "); name != last {
				n++
				last = name
			}
		}
	}
	return n
}

// brokenScope is what was broken of one control for one scope.
type brokenScope struct {
	control string
	scope   bailey.Scope
	broken  []string // sorted: "experiment: path: why"
}

// text is "namespace shop: refused-by-pod-security: ephemeral: admitted".
func (b *brokenScope) text(i int) string {
	if b.scope.Kind == bailey.ScopeCluster {
		return clean(b.broken[i])
	}
	return clean(b.scope.String() + ": " + b.broken[i])
}

// brokenOf lists what was broken, once for the widest scope that it was broken
// for: a verdict holds the proof of what it lies in too.
func brokenOf(r *bailey.Report) []*brokenScope {
	type key struct {
		control string
		scope   bailey.Scope
	}
	known := map[key][]string{}
	var out []*brokenScope
	for i := range r.Verdicts { // the wider scope comes first
		v := &r.Verdicts[i]
		if v.Proof == nil || len(v.Proof.Broken) == 0 {
			continue
		}
		b := &brokenScope{control: v.Control, scope: v.Scope}
		for _, text := range v.Proof.Broken {
			if !slices.ContainsFunc(above(v.Scope), func(s bailey.Scope) bool { return slices.Contains(known[key{v.Control, s}], text) }) {
				b.broken = append(b.broken, text)
			}
		}
		known[key{v.Control, v.Scope}] = v.Proof.Broken
		if len(b.broken) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// above lists the scopes that the scope lies in, the nearest first.
func above(s bailey.Scope) []bailey.Scope {
	cluster := bailey.Scope{Kind: bailey.ScopeCluster}
	switch {
	case s.Kind == bailey.ScopeCluster:
		return nil
	case s.Kind == bailey.ScopeWorkload && s.Object.Namespace != "":
		return []bailey.Scope{{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: s.Object.Namespace}}, cluster}
	}
	return []bailey.Scope{cluster}
}

// proofs sums the proofs of each control over its scopes. The proof of a scope
// holds that of what it lies in, so only scopes that have evidence of their own
// are summed, each without what a wider one has counted.
func proofs(r *bailey.Report) map[string]*bailey.Proof {
	type key struct {
		control string
		scope   bailey.Scope
	}
	own := make(map[key]bool, len(r.Evidence))
	for i := range r.Evidence {
		own[key{r.Evidence[i].Control, r.Evidence[i].Scope}] = true
	}
	if len(own) == 0 {
		return nil
	}
	counted := map[key]*bailey.Proof{}
	sums := map[string]*bailey.Proof{}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		k := key{v.Control, v.Scope}
		if v.Proof == nil || !own[k] {
			continue
		}
		counted[k] = v.Proof
		p := *v.Proof
		for _, s := range above(v.Scope) {
			if wider := counted[key{v.Control, s}]; wider != nil {
				p.Held, p.Tried = p.Held-wider.Held, p.Tried-wider.Tried
				break
			}
		}
		p.Broken = nil
		sum := sums[v.Control]
		if sum == nil {
			sums[v.Control] = &p
			continue
		}
		sum.Held, sum.Tried = sum.Held+p.Held, sum.Tried+p.Tried
		sum.Least = min(sum.Least, p.Least)
		sum.Experiments = min(sum.Experiments, p.Experiments)
		sum.Needed = max(sum.Needed, p.Needed)
		if p.At.After(sum.At) {
			sum.At = p.At
		}
	}
	for _, b := range brokenOf(r) {
		if sum := sums[b.control]; sum != nil {
			for i := range b.broken {
				sum.Broken = append(sum.Broken, b.text(i))
			}
		}
	}
	return sums
}

// proofText is "64/64 tries held, least path 16 (a failure rate above 17 %
// would have been seen, 95 %), 3 h ago", or what was broken. It is empty for a
// control without proof.
func proofText(p *bailey.Proof, now time.Time) string {
	if p == nil {
		return ""
	}
	if len(p.Broken) > 0 {
		return "broken: " + list(p.Broken, 1, false)
	}
	text := number(p.Held) + "/" + number(p.Tried) + " tries held"
	switch {
	case p.Least > 0:
		text += ", least path " + number(p.Least) + " (a failure rate above " + percent(bailey.FailureBound(p.Least)) + " would have been seen, 95 %)"
	default:
		text += ", not every path yet"
	}
	if p.Experiments < p.Needed {
		text += ", " + number(p.Experiments) + " of " + count(p.Needed, "experiment") + " often enough"
	}
	return text + ", " + ago(now, p.At)
}

// percent is "17 %"; below ten with what matters of it: "0.5 %".
func percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 2, 64) + " %"
}

// ago says how old something is at a moment: "3 h ago".
func ago(now, at time.Time) string {
	switch d := now.Sub(at); {
	case now.IsZero() || at.IsZero():
		return "at an unknown time"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return number(int(d.Minutes())) + " min ago"
	case d < 48*time.Hour:
		return number(int(d.Hours())) + " h ago"
	default:
		return number(int(d.Hours()/24)) + " days ago"
	}
}

// brokenLines names what was broken, the controls in the catalogue's order; left
// is how many there are beyond the limit. No limit means all.
func brokenLines(r *bailey.Report, limit int) (lines []brokenLine, left int) {
	order := map[string]int{}
	for i, c := range r.Controls {
		order[c.ID] = i
	}
	all := brokenOf(r)
	slices.SortStableFunc(all, func(a, b *brokenScope) int {
		return cmp.Or(cmp.Compare(order[a.control], order[b.control]), cmp.Compare(a.control, b.control))
	})
	for _, b := range all {
		for i := range b.broken {
			if limit > 0 && len(lines) == limit {
				left++
				continue
			}
			lines = append(lines, brokenLine{clean(b.control), b.text(i)})
		}
	}
	return lines, left
}

type brokenLine struct{ Control, Text string }

// brokenTitle says in a heading what a broken experiment is.
const brokenTitle = "the platform let through what the control forbids"
