package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// Review compares two reports, of the states before and after a change. Objects
// that moved from one name to another are taken for the same.
func Review(old, new *bailey.Report, moved map[bailey.Ref]bailey.Ref) *bailey.ChangeReview {
	c := Compare(old, new)
	r := &bailey.ChangeReview{Old: old, New: new, Added: c.Findings, Fixed: c.Diff.Fixed, Unseen: c.Diff.Unseen, Unchanged: c.Diff.Unchanged}
	before := make(map[string]*bailey.Finding, len(old.Findings))
	for i := range old.Findings {
		before[old.Findings[i].ID] = &old.Findings[i]
	}
	for i := range new.Findings {
		f := &new.Findings[i]
		if was := before[f.ID]; was != nil {
			if why := worse(was, f); why != "" {
				r.Worse = append(r.Worse, bailey.WorseFinding{Finding: *f, Why: why})
			}
		}
	}
	r.Unchanged -= len(r.Worse)
	pair(r, moved)
	r.Rungs = rungChanges(old, new, moved)
	return r
}

// worse says why a finding weighs more than it did; empty if it does not.
func worse(was, is *bailey.Finding) string {
	switch {
	case is.Severity > was.Severity:
		return "it was " + was.Severity.String()
	case isOpen(is) && !isOpen(was):
		return "what accepted it no longer does"
	}
	return ""
}

// pair takes the findings of moved objects out of what is added and fixed.
func pair(r *bailey.ChangeReview, moved map[bailey.Ref]bailey.Ref) {
	type key struct {
		rule, named string
		object      bailey.Ref
	}
	keyOf := func(f *bailey.Finding, object bailey.Ref) key {
		named := f.Named
		if named == "" {
			named = f.Field
		}
		return key{f.Rule, named, object}
	}
	from := map[key]*bailey.Finding{}
	for _, list := range [][]bailey.Finding{r.Fixed, r.Unseen} {
		for i := range list {
			if to, known := moved[list[i].Object]; known {
				from[keyOf(&list[i], to)] = &list[i]
			}
		}
	}
	gone := map[string]bool{}
	var added []bailey.Finding
	for i := range r.Added {
		f := &r.Added[i]
		was := from[keyOf(f, f.Object)]
		if was == nil {
			added = append(added, *f)
			continue
		}
		gone[was.ID] = true
		if why := worse(was, f); why != "" {
			r.Worse = append(r.Worse, bailey.WorseFinding{Finding: *f, Why: "moved from " + was.Object.String() + ", and " + why})
		} else {
			r.Moved = append(r.Moved, bailey.MovedFinding{Finding: *f, From: was.Object})
		}
	}
	r.Added = added
	isGone := func(f bailey.Finding) bool { return gone[f.ID] }
	r.Fixed = slices.DeleteFunc(slices.Clone(r.Fixed), isGone)
	r.Unseen = slices.DeleteFunc(slices.Clone(r.Unseen), isGone)
}

// rungChanges are those of the smallest scopes; of larger ones where no smaller one
// of the control says it.
func rungChanges(old, new *bailey.Report, moved map[bailey.Ref]bailey.Ref) []bailey.RungChange {
	type key struct {
		control string
		scope   bailey.Scope
	}
	before := map[key]bailey.Rung{}
	for i := range old.Verdicts {
		v := &old.Verdicts[i]
		scope := v.Scope
		if to, known := moved[scope.Object]; known {
			scope.Object = to
		}
		before[key{v.Control, scope}] = v.Rung
	}
	var changes []bailey.RungChange
	for i := range new.Verdicts {
		v := &new.Verdicts[i]
		if was, known := before[key{v.Control, v.Scope}]; known && was != v.Rung {
			changes = append(changes, bailey.RungChange{Control: v.Control, Scope: v.Scope, From: was, To: v.Rung})
		}
	}
	below := func(a, b bailey.Scope) bool { // whether a lies in b
		if a == b {
			return false
		}
		return b.Kind == bailey.ScopeCluster || b.Kind == bailey.ScopeNamespace && a.Object.Namespace == b.Object.Name
	}
	all := slices.Clone(changes)
	changes = slices.DeleteFunc(changes, func(c bailey.RungChange) bool {
		return slices.ContainsFunc(all, func(o bailey.RungChange) bool { return o.Control == c.Control && below(o.Scope, c.Scope) })
	})
	slices.SortStableFunc(changes, func(a, b bailey.RungChange) int {
		return cmp.Compare(int(a.To)-int(a.From), int(b.To)-int(b.From)) // the farthest down first
	})
	return changes
}

// ReviewFailing counts what makes a review fail: findings at or over the severity
// that are new or worse and that nobody accepts, and what a change gives an attacker
// that no rule judges: lost protection at or over the severity, and grants and
// exposure that are critical. SeverityNone gives 0.
func ReviewFailing(r *bailey.ChangeReview, at bailey.Severity) int {
	if at == bailey.SeverityNone {
		return 0
	}
	n := 0
	for _, f := range newAndWorse(r) {
		if isOpen(f) && f.Severity >= at {
			n++
		}
	}
	for i := range r.Effects {
		if e := &r.Effects[i]; fails(e, at) {
			n++
		}
	}
	return n
}

// fails: privileges and images are judged by rules, which waivers can accept.
func fails(e *bailey.Effect, at bailey.Severity) bool {
	switch {
	case !e.Weakens():
		return false
	case e.Class == bailey.EffectProtection:
		return e.Gain >= at
	}
	return e.Gain == bailey.SeverityCritical && e.Class != bailey.EffectPrivilege && e.Class != bailey.EffectImage
}

// newAndWorse are the findings that count.
func newAndWorse(r *bailey.ChangeReview) []*bailey.Finding {
	var all []*bailey.Finding
	for i := range r.Added {
		all = append(all, &r.Added[i])
	}
	for i := range r.Worse {
		all = append(all, &r.Worse[i].Finding)
	}
	return all
}

// changesNothing reports whether there is nothing to say of a change.
func changesNothing(r *bailey.ChangeReview) bool {
	return len(r.Added)+len(r.Worse)+len(r.Moved)+len(r.Fixed)+len(r.Unseen)+len(r.Effects)+len(r.Rungs)+len(r.Waivers)+len(r.Notes) == 0
}

// reviewed names what was compared.
func reviewed(r *bailey.ChangeReview) string { return clean(r.Base) + " with " + clean(r.Head) }

// reviewCounts is "2 new findings (1 critical, 1 high), 1 worse, 40 unchanged; 3 gains
// for an attacker".
func reviewCounts(r *bailey.ChangeReview) string {
	var severity [bailey.SeverityCritical + 1]int
	open := 0
	for i := range r.Added {
		if f := &r.Added[i]; isOpen(f) {
			severity[f.Severity]++
			open++
		}
	}
	text := count(open, "new finding")
	var parts []string
	for s := bailey.SeverityCritical; s > bailey.SeverityNone; s-- {
		if severity[s] > 0 {
			parts = append(parts, number(severity[s])+" "+s.String())
		}
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	for _, part := range []struct {
		n    int
		word string
	}{{len(r.Worse), "worse"}, {len(r.Added) - open, "new and accepted"}, {len(r.Fixed), "fixed"}, {len(r.Moved), "moved"}, {len(r.Unseen), "not seen again"}, {r.Unchanged, "unchanged"}} {
		if part.n > 0 {
			text += ", " + number(part.n) + " " + part.word
		}
	}
	weaker, stronger := 0, 0
	for i := range r.Effects {
		switch e := &r.Effects[i]; {
		case e.Class == bailey.EffectImage:
		case e.Weakens():
			weaker++
		default:
			stronger++
		}
	}
	if weaker > 0 {
		text += "; " + count(weaker, "gain") + " for an attacker"
	}
	if stronger > 0 {
		text += "; " + count(stronger, "thing") + " taken away from one"
	}
	return text
}

// nothingChanged is all that is said of a change that matters nothing.
func nothingChanged(r *bailey.ChangeReview) string {
	text := "Compared " + reviewed(r) + ": nothing that matters for security has changed"
	if r.Unchanged > 0 {
		text += " (" + count(r.Unchanged, "finding") + " as before)"
	}
	return text + "; " + factsSeen(r.New.Coverage) + "."
}

// effectLine is an effect in words.
func effectLine(e *bailey.Effect) (what, text string) {
	return clean(e.Object.String()), clean(e.Text)
}

// reviewParts sorts the effects: what the change gives an attacker, what it takes
// away, and other images.
func reviewParts(r *bailey.ChangeReview) (weaker, stronger, images []*bailey.Effect) {
	for i := range r.Effects {
		switch e := &r.Effects[i]; {
		case e.Class == bailey.EffectImage && e.Added:
			images = append(images, e)
		case e.Class == bailey.EffectImage:
		case e.Weakens():
			weaker = append(weaker, e)
		default:
			stronger = append(stronger, e)
		}
	}
	return weaker, stronger, images
}

func waiverLine(w *bailey.WaiverChange) string {
	on := ""
	for _, part := range []string{w.Waiver.Kind, w.Waiver.Namespace, w.Waiver.Name} {
		if part != "" {
			on += " " + part
		}
	}
	if on != "" {
		on = " on" + on
	}
	text := fmt.Sprintf("%s a waiver of %s%s until %s by %s: %s", w.What, clean(w.Waiver.Rule), clean(on), day(w.Waiver.Expires.Add(-1)), clean(w.Waiver.Owner), clean(w.Waiver.Reason))
	if w.What == "removes" {
		return text + " (it counts here still)"
	}
	return text + " (it does not count here)"
}

// closingOf says whether the change fails, and by what.
func closingOf(r *bailey.ChangeReview, at bailey.Severity) string {
	if at == bailey.SeverityNone {
		return ""
	}
	if n := ReviewFailing(r, at); n > 0 {
		return fmt.Sprintf("%s at or over the threshold (%s): the review fails.", count(n, "change"), at)
	}
	return fmt.Sprintf("Nothing new or worse at or over the threshold (%s).", at)
}
