package compute

import (
	"strings"

	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
)

// podSecurityGuards are the two levels that a namespace can enforce, and what keeps them.
var podSecurityGuards = []*bailey.Guard{
	enforceLevel(api.LevelBaseline, standardRules(api.LevelBaseline)),
	enforceLevel(api.LevelRestricted, standardRules(api.LevelBaseline, api.LevelRestricted)),
	levelsKept,
}

// enforceLevel is the guard that refuses, by a label of the namespace, pods
// that violate a level of the standard.
func enforceLevel(level api.Level, covers []*bailey.Rule) *bailey.Guard {
	name := string(level)
	return &bailey.Guard{
		Name:  "enforce-" + name,
		Title: "The namespace enforces " + name,
		Doc: `The PodSecurity admission plugin of the API server refuses pods that violate the level, whoever makes them,
on creation and on update, ephemeral containers included. Workloads that make pods are not refused themselves: their
pods are.

The label is set where everything in the namespace passes the level. Where something does not, only audit and warn
are set, which refuse nothing, and the change names the workloads to repair first.

Exemptions in the API server's admission configuration are not visible through the API.`,
		Covers: covers,
		Scope:  bailey.ScopeNamespace,
		Needs:  append([]bailey.Kind{bailey.KindNamespace}, bailey.PodBearing...),
		Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
			f := v.Get(bailey.KindNamespace, "", scope.Name)
			if f == nil {
				return nil
			}
			e := enforced(f.Labels)
			if e.covers(level) && len(e.lacks(level, v.Version())) == 0 {
				return nil
			}
			change := bailey.Change{Object: f.Ref, APIVersion: f.APIVersion}
			labels := raise(f, level, api.AuditLevelLabel, api.WarnLevelLabel)
			a := strictestFor(v, scope.Name)
			switch {
			case len(v.Missing()) > 0:
				change.Note = "Not every workload of " + scope.Name + " was seen (" + string(v.Missing()[0].Kind) + "): enforce " + name + " once a scan sees them all."
			case api.CompareLevels(a.level, level) < 0:
				change.Note = "Before " + name + " can be enforced, these must change: " + a.names() + "."
			default:
				labels = append(raise(f, level, api.EnforceLevelLabel), labels...)
				if !e.pinned.IsZero() {
					labels = append(labels, api.EnforceVersionLabel, serverVersion(v))
				}
			}
			change.Patch = setLabels(f, labels...)
			return []bailey.Change{change}
		},
		Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
			f := v.Get(bailey.KindNamespace, "", scope.Name)
			if f == nil {
				return bailey.Presence{Why: "namespace " + scope.Name + " was not seen"}
			}
			e := enforced(f.Labels)
			if e.label == "" {
				return bailey.Presence{Why: "no label " + api.EnforceLevelLabel}
			}
			why := "enforce=" + e.label
			if !e.covers(level) {
				return bailey.Presence{Why: why}
			}
			if lacks := e.lacks(level, v.Version()); len(lacks) > 0 {
				return bailey.Presence{Why: why + " as of v" + e.pinned.String() + ", without " + strings.Join(lacks, ", ")}
			}
			return bailey.Presence{InPlace: true, Why: why}
		},
	}
}

// raise gives the labels, each with the level, whose value is less strict now.
func raise(f *bailey.Fact, level api.Level, labels ...string) (pairs []string) {
	for _, label := range labels {
		now, err := api.ParseLevel(f.Labels[label])
		if err != nil || api.CompareLevels(now, level) < 0 {
			pairs = append(pairs, label, string(level))
		}
	}
	return pairs
}

// serverVersion is the server's version as a label says it.
func serverVersion(v *bailey.View) string {
	if v.Version().IsZero() {
		return api.LatestVersion().String()
	}
	return "v" + v.Version().String()
}
