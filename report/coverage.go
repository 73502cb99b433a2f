package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// unseen is what was not seen for one reason, with one hint.
type unseen struct {
	reason bailey.Reason
	hint   string
	// what names the objects, by kind: "Role", "ConfigMap in 12 namespaces".
	what []string
	// details are what the medium said, each once.
	details []string
}

// reasonOrder puts defects of Bailey first, and what is normal last.
var reasonOrder = []bailey.Reason{
	bailey.ReasonPanicked, bailey.ReasonUndeclared, bailey.ReasonUnreadable,
	bailey.ReasonForbidden, bailey.ReasonAmbiguous, bailey.ReasonNotCollected, bailey.ReasonOpenWorld, bailey.ReasonProvider,
}

// label is the reason in words.
func (u *unseen) label() string {
	switch u.reason {
	case bailey.ReasonNotCollected:
		return "not collected"
	case bailey.ReasonOpenWorld:
		return "open world"
	case bailey.ReasonProvider:
		return "provider's"
	case bailey.ReasonUndeclared:
		return "undeclared read"
	case bailey.ReasonPanicked:
		return "rule failed"
	}
	return clean(string(u.reason))
}

// notSeen groups what was not seen by reason and hint. Controls without rules
// are not among it: the ladder names them.
func notSeen(r *bailey.Report) []*unseen {
	type key struct {
		reason bailey.Reason
		hint   string
	}
	all := map[bailey.Missing]bool{}
	groups := map[key][]bailey.Missing{}
	add := func(missing []bailey.Missing) {
		for _, m := range missing {
			if m.Reason != bailey.ReasonNoRule && !all[m] {
				all[m] = true
				k := key{m.Reason, m.Hint}
				groups[k] = append(groups[k], m)
			}
		}
	}
	add(r.Coverage.Missing)
	for i := range r.Verdicts {
		add(r.Verdicts[i].Coverage.Missing)
	}
	var out []*unseen
	for k, missing := range groups {
		u := &unseen{reason: k.reason, hint: clean(k.hint)}
		slices.SortFunc(missing, func(a, b bailey.Missing) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Detail, b.Detail))
		})
		for len(missing) > 0 {
			n := 1
			for n < len(missing) && missing[n].Kind == missing[0].Kind {
				n++
			}
			u.what = append(u.what, whatMissing(missing[:n]))
			missing = missing[n:]
		}
		for _, m := range groups[k] {
			if d := clean(m.Detail); d != "" && !slices.Contains(u.details, d) && len(u.details) < 100 {
				u.details = append(u.details, d)
			}
		}
		out = append(out, u)
	}
	rank := func(u *unseen) int {
		if i := slices.Index(reasonOrder, u.reason); i >= 0 {
			return i
		}
		return len(reasonOrder)
	}
	slices.SortFunc(out, func(a, b *unseen) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.reason, b.reason), -cmp.Compare(len(a.what), len(b.what)), cmp.Compare(a.hint, b.hint))
	})
	return out
}

// whatMissing names the missing parts of one kind, sorted by namespace.
func whatMissing(missing []bailey.Missing) string {
	kind := clean(missing[0].Kind.Short())
	var spaces, names []string
	for _, m := range missing {
		switch {
		case m.Name != "":
			name := m.Name
			if m.Namespace != "" {
				name = m.Namespace + "/" + name
			}
			if name = clean(name); !slices.Contains(tail(names, 1), name) {
				names = append(names, name)
			}
		case m.Namespace != "":
			if ns := clean(m.Namespace); !slices.Contains(tail(spaces, 1), ns) {
				spaces = append(spaces, ns)
			}
		default:
			return kind
		}
	}
	var parts []string
	switch {
	case len(spaces) > 3:
		parts = append(parts, kind+" in "+count(len(spaces), "namespace"))
	case len(spaces) > 0:
		parts = append(parts, kind+" in "+strings.Join(spaces, " and "))
	}
	switch {
	case len(names) > 3:
		parts = append(parts, count(len(names), kind))
	case len(names) > 0:
		parts = append(parts, kind+" "+strings.Join(names, " and "))
	}
	return strings.Join(parts, ", ")
}

func tail[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }

// isWhole reports whether something was scanned and every fact that it needed
// was seen.
func isWhole(r *bailey.Report) bool {
	parts, _ := skipped(r)
	return r.Facts > 0 && r.Coverage.Needed > 0 && r.Coverage.Seen >= r.Coverage.Needed && len(parts) == 0 && len(notSeen(r)) == 0
}

// skipped lists the parts of the targets that were not read, but for those
// that stand among the missing facts already.
func skipped(r *bailey.Report) (parts []bailey.Skip, ignored int) {
	said := map[string]bool{}
	for _, m := range r.Coverage.Missing {
		said[m.Detail] = true
	}
	for _, t := range r.Meta.Targets {
		for _, s := range t.Skipped {
			if said[s.What+": "+s.Why] {
				continue
			}
			if len(r.Meta.Targets) > 1 && !strings.HasPrefix(s.What, t.Name) {
				s.What = t.Name + ": " + s.What
			}
			parts = append(parts, s)
		}
		ignored += len(t.Ignored)
	}
	return parts, ignored
}

// scanned is one line about what was looked at: "cluster prod-eu, Kubernetes
// 1.37: 1,204 objects in 3.2 s".
func scanned(r *bailey.Report) string {
	var names []string
	for _, t := range r.Meta.Targets {
		names = append(names, strings.TrimSpace(clean(t.Medium)+" "+clean(t.Name)))
	}
	what := strings.Join(names, ", ")
	switch {
	case len(names) > 3:
		what = strings.Join(names[:2], ", ") + " and " + number(len(names)-2) + " more targets"
	case what == "" && r.Meta.Medium != "":
		what = strings.TrimSpace(clean(r.Meta.Medium) + " " + clean(r.Meta.Context))
	case what == "":
		what = "nothing"
	}
	version := "unknown Kubernetes version"
	if !r.Meta.Version.IsZero() {
		version = "Kubernetes " + r.Meta.Version.String()
		if r.Meta.AssumedVersion {
			version += " assumed"
		}
	}
	text := what + ", " + version + ": " + count(r.Facts, "object")
	if r.Took > 0 {
		text += " in " + lasted(r.Took)
	}
	return text
}
