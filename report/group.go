package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// group is what one rule found.
type group struct {
	id       string // of the rule
	title    string
	severity bailey.Severity // the worst of the open findings, else of all
	// open, waived and baseline count findings and add up to all of them.
	open, waived, baseline int
	// objects counts what is affected by the open findings.
	objects int
	fixable bool // the rule has a mechanical fix
	// causes are sorted by what one change there would put right, most first;
	// those with accepted findings only come last.
	causes []*cause
	// also are rules of other controls that say something of the same fields of
	// all the same objects, and nothing more; repeats marks such a rule's group.
	also    []string
	repeats bool
}

// cause is one object where a change would put findings of one rule right.
type cause struct {
	ref      bailey.Ref
	findings []*bailey.Finding // open ones first
	open     int
	// objects counts what one change puts right: the objects of the open
	// findings and the pods that they name.
	objects int
	pods    int // pods among objects, the cause itself left out
}

// first is the finding that stands for the others in short lists.
func (c *cause) first() *bailey.Finding { return c.findings[0] }

// alsoLimit bounds how many findings are told with the one that stands for a cause.
const alsoLimit = 1

// asBad are other open findings of the cause that weigh as much as the first, at most
// alsoLimit: to put right one of them alone leaves as much.
func (c *cause) asBad() []*bailey.Finding {
	n := 1
	for n < min(c.open, 1+alsoLimit) && c.findings[n].Severity == c.first().Severity {
		n++
	}
	return c.findings[min(1, c.open):max(n, min(1, c.open))]
}

// label is "Deployment shop/web (3 pods)", safe to show.
func (c *cause) label() string {
	s := clean(c.ref.String())
	if c.pods > 0 {
		s += " (" + count(c.pods, "pod") + ")"
	}
	return s
}

// groupFindings sorts findings into a group for each rule: the worst severity
// first, then the most objects, then the rule's ID.
func groupFindings(r *bailey.Report) []*group {
	rules := map[string]*bailey.Rule{}
	for _, c := range r.Controls {
		for _, rule := range c.Rules {
			rules[c.RuleID(rule)] = rule
		}
	}
	type key struct {
		rule string
		ref  bailey.Ref
	}
	byRule := map[string]*group{}
	byCause := map[key]*cause{}
	var groups []*group
	for i := range r.Findings {
		f := &r.Findings[i]
		g := byRule[f.Rule]
		if g == nil {
			g = &group{id: f.Rule, title: ruleTitle(rules[f.Rule], f.Rule)}
			g.fixable = rules[f.Rule] != nil && rules[f.Rule].Fix != nil
			byRule[f.Rule] = g
			groups = append(groups, g)
		}
		k := key{f.Rule, causeOf(f)}
		c := byCause[k]
		if c == nil {
			c = &cause{ref: k.ref}
			byCause[k] = c
			g.causes = append(g.causes, c)
		}
		c.findings = append(c.findings, f)
	}
	for _, g := range groups {
		g.count()
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(
			-cmp.Compare(min(a.open, 1), min(b.open, 1)), // nothing open comes last
			-cmp.Compare(a.severity, b.severity),
			-cmp.Compare(a.objects, b.objects),
			strings.Compare(a.id, b.id))
	})
	markRepeats(groups)
	return groups
}

// spot is a field of an object.
type spot struct {
	object bailey.Ref
	field  string
}

// markRepeats finds the groups that only repeat, for another control, what an
// earlier group says: an unconfined container is a gap of two controls, and
// one thing to put right.
func markRepeats(groups []*group) {
	first := map[spot][]*group{}
	for _, g := range groups {
		var covers []*group // those that have every spot of g so far
		for i, at := range g.spots() {
			if at.field == "" {
				covers = nil
				break
			}
			if i == 0 {
				covers = slices.Clone(first[at])
			}
			covers = slices.DeleteFunc(covers, func(c *group) bool { return !slices.Contains(first[at], c) || c.control() == g.control() })
		}
		if len(covers) > 0 {
			covers[0].also = append(covers[0].also, g.id)
			g.repeats = true
			continue
		}
		for _, at := range g.spots() {
			first[at] = append(first[at], g)
		}
	}
}

// spots lists the fields of the open findings.
func (g *group) spots() []spot {
	var all []spot
	for _, c := range g.openCauses() {
		for _, f := range c.findings {
			if isOpen(f) {
				all = append(all, spot{f.Object, f.Field})
			}
		}
	}
	return all
}

func (g *group) control() string { return g.id[:max(0, strings.LastIndexByte(g.id, '/'))] }

// distinct leaves out the groups that only repeat others.
func distinct(groups []*group) []*group {
	return slices.DeleteFunc(slices.Clone(groups), func(g *group) bool { return g.repeats })
}

// ids names the rule, and those that repeat it.
func (g *group) ids() string {
	return clean(strings.Join(append([]string{g.id}, g.also...), ", "))
}

// ruleTitle is the rule's title. What the catalogue does not hold is named by
// the last part of its ID: "waiver-expired" is "Waiver expired".
func ruleTitle(rule *bailey.Rule, id string) string {
	if rule != nil && rule.Title != "" {
		return clean(rule.Title)
	}
	name := clean(strings.ReplaceAll(id[strings.LastIndexByte(id, '/')+1:], "-", " "))
	if name == "" {
		return "Finding without a rule"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// causeOf is where the change for the finding belongs.
func causeOf(f *bailey.Finding) bailey.Ref {
	if f.Cause == (bailey.Ref{}) {
		return f.Object
	}
	return f.Cause
}

// count fills in what is counted, once all findings are in.
func (g *group) count() {
	var worst bailey.Severity
	for _, c := range g.causes {
		slices.SortStableFunc(c.findings, func(a, b *bailey.Finding) int {
			if isOpen(a) != isOpen(b) {
				if isOpen(a) {
					return -1
				}
				return 1
			}
			return cmp.Or(-cmp.Compare(a.Severity, b.Severity), -cmp.Compare(len(a.Factors), len(b.Factors)))
		})
		affected := map[bailey.Ref]bool{}
		for _, f := range c.findings {
			worst = max(worst, f.Severity)
			switch {
			case f.Waiver != nil:
				g.waived++
				continue
			case f.Baseline:
				g.baseline++
				continue
			}
			c.open++
			g.severity = max(g.severity, f.Severity)
			g.fixable = g.fixable || len(f.Fix) > 0
			affected[f.Object] = true
			for _, ref := range f.Related {
				// Other related objects take part, but are not put right.
				if ref.Kind == bailey.KindPod {
					affected[ref] = true
				}
			}
		}
		for ref := range affected {
			if ref.Kind == bailey.KindPod && ref != c.ref {
				c.pods++
			}
		}
		c.objects = len(affected)
		g.open += c.open
		g.objects += c.objects
	}
	if g.open == 0 {
		g.severity = worst
	}
	slices.SortStableFunc(g.causes, func(a, b *cause) int {
		return cmp.Or(
			-cmp.Compare(min(a.open, 1), min(b.open, 1)),
			-cmp.Compare(a.first().Severity, b.first().Severity),
			-cmp.Compare(len(a.first().Factors), len(b.first().Factors)),
			-cmp.Compare(a.objects, b.objects),
			a.ref.Compare(b.ref))
	})
}

// severities is "1 critical, 3 high" where the open findings are of several severities.
func (g *group) severities() string {
	var n [bailey.SeverityCritical + 1]int
	for _, c := range g.openCauses() {
		for _, f := range c.findings[:c.open] {
			n[min(max(f.Severity, 0), bailey.SeverityCritical)]++
		}
	}
	var parts []string
	for s := bailey.SeverityCritical; s >= bailey.SeverityNone; s-- {
		if n[s] > 0 {
			parts = append(parts, number(n[s])+" "+s.String())
		}
	}
	if len(parts) < 2 {
		return ""
	}
	return strings.Join(parts, ", ")
}

// openCauses are the causes that have open findings.
func (g *group) openCauses() []*cause {
	n, _ := slices.BinarySearchFunc(g.causes, 0, func(c *cause, _ int) int {
		if c.open > 0 {
			return -1
		}
		return 1
	})
	return g.causes[:n]
}

// fixFirst gives the groups to put right first, at most n: by severity, then
// by how many objects one change would put right, then by how many all changes
// would, then those that have a mechanical fix.
func fixFirst(groups []*group, n int) []*group {
	var open []*group
	for _, g := range groups {
		if g.open > 0 && !g.repeats {
			open = append(open, g)
		}
	}
	largest := func(g *group) int {
		n := 0
		for _, c := range g.openCauses() {
			if c.first().Severity == g.severity {
				n = max(n, c.objects)
			}
		}
		return n
	}
	slices.SortStableFunc(open, func(a, b *group) int {
		mechanical := 0
		if a.fixable != b.fixable {
			mechanical = 1
			if a.fixable {
				mechanical = -1
			}
		}
		return cmp.Or(
			-cmp.Compare(a.severity, b.severity),
			-cmp.Compare(largest(a), largest(b)),
			mechanical,
			-cmp.Compare(a.objects, b.objects),
			strings.Compare(a.id, b.id))
	})
	return open[:min(n, len(open))]
}

// fixExamples is how many findings of a group are asked for a fix that can
// stand for the others.
const fixExamples = 5

// lead gives the cause that stands for the group where only one is shown, and
// the fix there: the first cause, or one as bad that has a fix.
func (g *group) lead(r *bailey.Report) (*cause, []bailey.Change) {
	causes := g.openCauses()
	for _, c := range causes[:min(fixExamples, len(causes))] {
		if c.first().Severity != causes[0].first().Severity {
			break
		}
		if fix := r.FixOf(c.first()); len(fix) > 0 {
			return c, fix
		}
	}
	return causes[0], nil
}

// others is "and 11 more, in 4 namespaces" for what is beside the lead;
// nothing if that is all.
func (g *group) others() string {
	causes := g.openCauses()
	if len(causes) == 1 {
		return ""
	}
	s := "and " + number(len(causes)-1) + " more"
	if n := namespaces(causes); n > 1 {
		s += ", in " + count(n, "namespace")
	}
	return s
}

func namespaces(causes []*cause) int {
	seen := map[string]bool{}
	for _, c := range causes {
		if c.ref.Namespace != "" {
			seen[c.ref.Namespace] = true
		}
	}
	return len(seen)
}

// tally counts findings.
type tally struct {
	severity                     [bailey.SeverityCritical + 1]int // open ones
	open, waived, baseline, fail int
	broken                       int    // experiments
	noun                         string // "finding", or "new finding" in a comparison
}

func tallyOf(r *bailey.Report, failOn bailey.Severity) tally {
	t := tally{noun: "finding"}
	if r.Diff != nil {
		t.noun = "new finding"
	}
	for i := range r.Findings {
		switch f := &r.Findings[i]; {
		case f.Waiver != nil:
			t.waived++
		case f.Baseline:
			t.baseline++
		default:
			t.open++
			if f.Severity >= 0 && int(f.Severity) < len(t.severity) {
				t.severity[f.Severity]++
			}
		}
	}
	t.fail, t.broken = Failing(r, failOn), Broken(r)
	return t
}

// String is "4 findings: 1 critical, 3 high (2 waived, 1 in the baseline)". It
// never stands without the facts seen.
func (t tally) String() string {
	var parts []string
	for s := bailey.SeverityCritical; s >= bailey.SeverityNone; s-- {
		if n := t.severity[s]; n > 0 {
			parts = append(parts, number(n)+" "+s.String())
		}
	}
	text := count(t.open, t.noun)
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	text += t.accepted()
	if t.broken > 0 {
		text = count(t.broken, "broken experiment") + "; " + text
	}
	return text
}

// accepted is " (2 waived, 1 in the baseline)", or nothing.
func (t tally) accepted() string {
	var parts []string
	if t.waived > 0 {
		parts = append(parts, number(t.waived)+" waived")
	}
	if t.baseline > 0 {
		parts = append(parts, number(t.baseline)+" in the baseline")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// factsSeen is "2,011 of 2,014 facts seen".
func factsSeen(c bailey.Coverage) string {
	text := number(c.Seen) + " of " + number(c.Needed) + " facts seen"
	if c.Provider > 0 {
		text += ", " + number(c.Provider) + " are the provider's"
	}
	return text
}
