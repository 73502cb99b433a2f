// Package posture says what the objects of a snapshot let somebody do who holds
// them: privileges of workloads, grants of RBAC, exposure, and what holds these
// back. Two snapshots' postures can be compared.
package posture

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
)

// trait is one thing that an object gives or holds back.
type trait struct {
	class  bailey.EffectClass
	object bailey.Ref
	// key tells it from the object's others. Where two snapshots have another value for
	// one key, it has changed.
	key, value string
	text       string
	gain       bailey.Severity
	source     bailey.Source
	field      string // of the object, of privileges that hold the node
	// changed, if set, says what a change from the value before is worth, and whether it
	// gives more of it.
	changed func(before string) (text string, gain bailey.Severity, more bool)
	// given, if set, is a protection of the same object that must have been there before
	// and be there after: what a policy lets through counts only where it held back all.
	given string
	// node tells a privilege by which whoever breaks into the workload holds its node.
	node bool
}

type traitKey struct {
	class  bailey.EffectClass
	object bailey.Ref
	key    string
}

func (t *trait) id() traitKey { return traitKey{t.class, t.object, t.key} }

// Compare says what has come and what has gone from one snapshot to another, what is
// worth most to an attacker first. Objects that moved from one name to another are
// taken for the same.
func Compare(base, head *bailey.Snapshot, moved map[bailey.Ref]bailey.Ref) []bailey.Effect {
	before, after := map[traitKey]*trait{}, map[traitKey]*trait{}
	for _, t := range traits(base) {
		if to, known := moved[t.object]; known {
			t.object = to
		}
		before[t.id()] = &t
	}
	var effects []bailey.Effect
	add := func(t *trait, text string, gain bailey.Severity, added bool) {
		effects = append(effects, bailey.Effect{Class: t.class, Gain: gain, Added: added, Object: t.object, Text: text, Source: t.source})
	}
	now := traits(head)
	for i := range now {
		after[now[i].id()] = &now[i]
	}
	within := func(t *trait) bool {
		held := traitKey{bailey.EffectProtection, t.object, t.given}
		return t.given == "" || before[held] != nil && after[held] != nil
	}
	for _, t := range now {
		was := before[t.id()]
		switch {
		case !within(&t):
		case was == nil:
			add(&t, t.text, t.gain, true)
		case was.value != t.value && t.changed != nil:
			text, gain, more := t.changed(was.value)
			add(&t, text, gain, more)
		case was.value != t.value:
			add(&t, t.text, t.gain, true)
		}
	}
	for id, t := range before {
		if after[id] != nil || !within(t) {
			continue
		}
		text, gain := t.text, t.gain
		if t.class == bailey.EffectProtection {
			text = "no longer " + text
			if place := namespaceOf(t.object); place != "" && hasWorkloads(base, place) && !hasWorkloads(head, place) {
				text, gain = text+"; its namespace has no workload any more", bailey.SeverityLow
			}
		}
		add(t, text, gain, false)
	}
	effects = append(effects, compareGrants(grantsOf(base), grantsOf(head))...)
	effects = append(effects, compareBackends(base, head, moved)...)
	slices.SortFunc(effects, func(a, b bailey.Effect) int {
		return cmp.Or(
			cmp.Compare(rank(b.Weakens()), rank(a.Weakens())),
			cmp.Compare(b.Gain, a.Gain),
			cmp.Compare(a.Class, b.Class),
			a.Object.Compare(b.Object),
			cmp.Compare(a.Text, b.Text))
	})
	return effects
}

// namespaceOf is the namespace that an object is in, or is; empty for one of the cluster's.
func namespaceOf(ref bailey.Ref) string {
	if ref.Kind == bailey.KindNamespace {
		return ref.Name
	}
	return ref.Namespace
}

func hasWorkloads(s *bailey.Snapshot, namespace string) bool {
	return slices.ContainsFunc(bailey.PodBearing, func(k bailey.Kind) bool { return len(s.List(k, namespace)) > 0 })
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// traits gives those of every object but RBAC's.
func traits(s *bailey.Snapshot) []trait {
	var all []trait
	for _, k := range s.Kinds() {
		for _, f := range s.List(k, "") {
			if !f.Dormant {
				all = append(all, privileges(f)...)
				all = append(all, exposure(f)...)
				all = append(all, protection(f)...)
				if in, is := bailey.As[*networkingv1.Ingress](f); is {
					all = append(all, annotated(f, in)...)
				}
			}
		}
	}
	return all
}
