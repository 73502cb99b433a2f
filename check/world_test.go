package check_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// The tests judge a small world of their own: pods that are good or bad, in
// namespaces that are labelled or not.

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type pod struct{ bad bool }

type namespace struct{ labelled bool }

// badPod reads nothing but its object.
var badPod = &bailey.Rule{
	Name: "bad-pod", Severity: bailey.SeverityHigh, On: bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if p, ok := bailey.As[*pod](f); ok && p.bad {
			field := "spec.containers[0].bad"
			if f.Kind != bailey.KindPod {
				field = "spec.template." + field
			}
			return []bailey.Finding{{Field: field, Message: "it is bad"}}
		}
		return nil
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{{Object: f.Ref, Patch: []bailey.PatchOp{{Op: "remove", Path: "/spec/bad"}}}}
	},
}

// unlabelled reads the pod's namespace.
var unlabelled = &bailey.Rule{
	Name: "unlabelled", Severity: bailey.SeverityLow, On: []bailey.Kind{bailey.KindPod}, Needs: []bailey.Kind{bailey.KindNamespace},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if ns, ok := bailey.As[*namespace](v.Get(bailey.KindNamespace, "", f.Namespace)); !ok || !ns.labelled {
			return []bailey.Finding{{Message: "its namespace has no label"}}
		}
		return nil
	},
}

// crowd is a derived fact: the number of pods everywhere.
var crowd = &bailey.Derivation{
	Name: "crowd", Needs: []bailey.Kind{bailey.KindPod},
	Compute: func(v *bailey.View) any { return len(v.List(bailey.KindPod, "")) },
}

var crowded = &bailey.Rule{
	Name: "crowded", Severity: bailey.SeverityMedium, On: []bailey.Kind{bailey.KindNamespace}, Derives: []*bailey.Derivation{crowd},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if n, _ := v.Derived(crowd).(int); n > 3 {
			return []bailey.Finding{{Message: fmt.Sprintf("%d pods", n)}}
		}
		return nil
	},
}

var (
	podControl       = &bailey.Control{ID: "test/pods", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}}
	namespaceControl = &bailey.Control{ID: "test/namespaces", Scope: bailey.ScopeNamespace, Rules: []*bailey.Rule{unlabelled, crowded}}
	emptyControl     = &bailey.Control{ID: "test/empty", Scope: bailey.ScopeCluster}
	world            = []*bailey.Control{podControl, namespaceControl, emptyControl}
)

func podFact(ns, name string, bad bool) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: ns, Name: name}, APIVersion: "v1", Object: &pod{bad}}
}

func namespaceFact(name string, labelled bool) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: name}, APIVersion: "v1", Object: &namespace{labelled}}
}

// snapshot builds one in which every kind was seen but for what is missing.
func snapshot(missing []bailey.Missing, facts ...*bailey.Fact) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{At: now, Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(facts...)
	for _, m := range missing {
		b.Miss(m)
	}
	return b.Snapshot()
}

func judge(t *testing.T, s *bailey.Snapshot, controls []*bailey.Control, o check.Options) *bailey.Report {
	t.Helper()
	r, err := check.Judge(t.Context(), s, controls, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verdict(t *testing.T, r *bailey.Report, control string, scope bailey.Scope) bailey.Verdict {
	t.Helper()
	for _, v := range r.Verdicts {
		if v.Control == control && v.Scope == scope {
			return v
		}
	}
	t.Fatalf("no verdict of %s for %s in %v", control, scope, r.Verdicts)
	return bailey.Verdict{}
}

var cluster = bailey.Scope{Kind: bailey.ScopeCluster}

func inNamespace(name string) bailey.Scope {
	return bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: name}}
}

func workloadScope(ref bailey.Ref) bailey.Scope {
	return bailey.Scope{Kind: bailey.ScopeWorkload, Object: ref}
}
