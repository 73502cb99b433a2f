package compute

import (
	"slices"
	"strings"

	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var admission = ref.Kubernetes("concepts/security/pod-security-admission/", "Pod Security Admission")

// enforcement is what the labels of a namespace tell the PodSecurity plugin to refuse.
type enforcement struct {
	// label is the enforce label as written; empty if there is none.
	label string
	level api.Level
	// pinned is the version that the labels fix; zero for the server's own.
	pinned bailey.Version
}

// enforced reads the labels as the plugin does: a level that is none of the
// three counts as restricted, a version that cannot be read as the latest.
func enforced(labels map[string]string) enforcement {
	e := enforcement{label: labels[api.EnforceLevelLabel], level: api.LevelPrivileged}
	if _, labelled := labels[api.EnforceLevelLabel]; !labelled {
		return e
	}
	e.level, _ = api.ParseLevel(e.label)
	if v, err := api.ParseVersion(labels[api.EnforceVersionLabel]); err == nil && !v.Latest() {
		e.pinned = bailey.Version{Major: v.Major(), Minor: v.Minor()}
	}
	return e
}

// at gives the version of the standard that a server of the version applies.
func (e enforcement) at(server bailey.Version) bailey.Version {
	if e.pinned.IsZero() || !server.IsZero() && !server.AtLeast(e.pinned.Major, e.pinned.Minor) {
		return server
	}
	return e.pinned
}

// covers reports whether the level includes the checks of the other.
func (e enforcement) covers(level api.Level) bool { return api.CompareLevels(e.level, level) >= 0 }

// lacks names the rules of the level up to which the namespace enforces, whose
// checks the server knows and the version that the labels fix does not.
func (e enforcement) lacks(level api.Level, server bailey.Version) []string {
	pinned := e.at(server)
	if pinned == server {
		return nil
	}
	var names []string
	for _, c := range standardChecks {
		if api.CompareLevels(level, c.Level) < 0 || c.at(server) == nil {
			continue
		}
		switch {
		case c == &procMountRestrictedCheck:
			// Where it does not exist yet, baseline is as strict.
		case c.at(pinned) == nil, c == &seccompBaselineCheck && !pinned.AtLeast(1, 19):
			// Before 1.19 the check reads annotations that no server honours now.
			names = append(names, c.rule.Name)
		}
	}
	return names
}

// holdsPods says whether something in the namespace is, or makes, pods. What was seen
// settles that something is; only that nothing is wants whole lists. It stops at the
// first, so that it reads little where there is something.
func holdsPods(v *bailey.View, namespace string) bool {
	for _, k := range bailey.PodBearing {
		if slices.ContainsFunc(v.Known(k, namespace), func(f *bailey.Fact) bool { return !f.Dormant }) {
			return true
		}
	}
	for _, k := range bailey.PodBearing {
		v.List(k, namespace)
	}
	return false
}

// admitted is what one level of the standard makes of a namespace's workloads.
type admitted struct {
	level api.Level
	// refused are the first workloads that keep the namespace from the next
	// level, each with the rule that it violates.
	refused []string
	// any tells whether there are workloads at all.
	any bool
}

// refusedLimit bounds how many workloads a note names.
const refusedLimit = 5

// strictestFor gives the strictest level at which every workload of the
// namespace would be admitted. What a seen controller owns is judged through it.
func strictestFor(v *bailey.View, namespace string) admitted {
	a := admitted{level: api.LevelRestricted}
	for _, k := range bailey.PodBearing {
		for _, f := range v.List(k, namespace) {
			w, ok := workload.Of(f)
			if !ok || f.Dormant {
				continue
			}
			a.any = true
			if f.Owner.Kind.IsPodBearing() && v.Get(f.Owner.Kind, f.Owner.Namespace, f.Owner.Name) != nil {
				continue
			}
			level, check := strictest(v.Version(), w)
			switch order := api.CompareLevels(level, a.level); {
			case check == nil || order > 0:
				continue
			case order < 0:
				a.level, a.refused = level, nil
			}
			if len(a.refused) <= refusedLimit {
				a.refused = append(a.refused, f.Kind.Short()+" "+f.Name+" ("+check.rule.Name+")")
			}
		}
	}
	return a
}

// names says which workloads are refused, the first of them by name.
func (a admitted) names() string {
	if len(a.refused) > refusedLimit {
		return strings.Join(a.refused[:refusedLimit], ", ") + " and more"
	}
	return strings.Join(a.refused, ", ")
}

// setLabels gives the patch that sets labels of a namespace, in pairs.
func setLabels(f *bailey.Fact, pairs ...string) []bailey.PatchOp {
	var ops []bailey.PatchOp
	if f.Labels == nil {
		ops = append(ops, add("/metadata/labels", map[string]any{}))
	}
	for i := 0; i < len(pairs); i += 2 {
		ops = append(ops, add("/metadata/labels/"+bailey.PointerPart(pairs[i]), pairs[i+1]))
	}
	return ops
}

var namespaceNotEnforced = &bailey.Rule{
	Name:  "namespace-not-enforced",
	Title: "Namespace enforces no Pod Security level",
	Doc: `Without the label pod-security.kubernetes.io/enforce, or with the value privileged, whoever may create pods
in the namespace may create one that takes over the node. It is medium where something runs, low where nothing does,
where the label says privileged, so that somebody has decided, and in kube-system, whose own pods need the privileges.
kube-public and kube-node-lease are left out as long as they hold no pods.

The fix sets the strictest level that everything now in the namespace passes. There is none where that is privileged.

The API server's admission configuration can set a default for namespaces without labels, and exempt some. No API
shows it; the experiment refused-by-pod-security tries what happens.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{admission, ref.CIS("5.2.1", "A policy mechanism for pods is active in every namespace with workloads"), ref.NSA("Pod security enforcement"), ref.ATTACK("T1610")},
	On:       []bailey.Kind{bailey.KindNamespace},
	Needs:    bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		e := enforced(f.Labels)
		if e.level != api.LevelPrivileged {
			return nil
		}
		runs := holdsPods(v, f.Name)
		if !runs && (f.Name == "kube-public" || f.Name == "kube-node-lease") {
			return nil
		}
		found := bailey.Finding{Field: "metadata.labels", Message: "no Pod Security level is enforced"}
		switch {
		case e.label != "":
			found.Field = `metadata.labels["` + api.EnforceLevelLabel + `"]`
			found.Message = "the enforced Pod Security level is privileged, which refuses nothing"
			found.Severity = bailey.SeverityLow
		case !runs:
			found.Message += " (nothing runs here)"
			found.Severity = bailey.SeverityLow
		case f.Name == "kube-system":
			found.Severity = bailey.SeverityLow
		}
		return []bailey.Finding{found}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		a := strictestFor(v, f.Name)
		if !a.any {
			a.level = api.LevelBaseline // refuses little of what may come
		}
		if a.level == api.LevelPrivileged || len(v.Missing()) > 0 {
			return nil
		}
		change := bailey.Change{Object: f.Ref, APIVersion: f.APIVersion, Patch: setLabels(f, api.EnforceLevelLabel, string(a.level))}
		if len(a.refused) > 0 {
			change.Note = "Everything here passes " + string(a.level) + ". Not restricted: " + a.names() + "."
		}
		return []bailey.Change{change}
	},
	Bad: []string{`apiVersion: v1
kind: Namespace
metadata: {name: bad}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: bad}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`, `apiVersion: v1
kind: Namespace
metadata: {name: bad, labels: {pod-security.kubernetes.io/enforce: privileged}}
`},
}

var enforceVersionOld = &bailey.Rule{
	Name:  "enforce-version-old",
	Title: "Namespace enforces an old version of the standard",
	Doc: `pod-security.kubernetes.io/enforce-version fixes the version of the standard, so that an upgrade of the
cluster refuses nothing that worked before. A version from before a check came in does not refuse what that check
finds. The finding names the rules concerned; a pinned version that lacks none is left alone.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{admission, ref.CIS("5.2.1", "A policy mechanism for pods is active in every namespace with workloads")},
	On:       []bailey.Kind{bailey.KindNamespace},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		e := enforced(f.Labels)
		if e.pinned.IsZero() || e.level == api.LevelPrivileged {
			return nil
		}
		lacks := e.lacks(e.level, v.Version())
		if len(lacks) == 0 {
			return nil
		}
		return []bailey.Finding{{
			Field:   `metadata.labels["` + api.EnforceVersionLabel + `"]`,
			Message: "the standard is enforced as of v" + e.pinned.String() + ", which has no " + strings.Join(lacks, ", "),
		}}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{{
			Object: f.Ref, APIVersion: f.APIVersion,
			Patch: setLabels(f, api.EnforceVersionLabel, serverVersion(v)),
			Note:  "Set warn-version first, and see which workloads it warns about.",
		}}
	},
	Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: bad
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.20}
`},
}
