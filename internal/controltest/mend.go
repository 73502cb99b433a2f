package controltest

import (
	"encoding/json"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/baileyhq/bailey"
)

// Mended applies the fixes of what every guard's rules find in the objects of a text, as
// often as it takes, and wants the guards' policies to admit the outcome. It gives back
// how many objects a policy refused before. What has no mechanical fix the caller mends;
// mend reports whether the object stays.
func Mended(t *testing.T, controls []*bailey.Control, text []byte, mend func(o *unstructured.Unstructured) bool) (refused int) {
	t.Helper()
	a := newAgreement(t, controls, "*/testdata/*/*.txtar")
	policies, bindings := a.policies()
	all := documents(t, text)
	set := compile(t, Sample{Text: append(a.paramText(), text...), settings: caseSettings{version: bailey.LatestVersion}}, policies, bindings)
	deny := func(document []byte) string {
		request := creation(t, document)
		if !slices.ContainsFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return looksAt(p, request) }) {
			return ""
		}
		denials, undecided, err := set.Review(t.Context(), request)
		if err != nil || len(undecided) > 0 {
			t.Fatalf("%v %v", undecided, err)
		}
		if len(denials) == 0 {
			return ""
		}
		return denials[0].Policy + ": " + denials[0].Message
	}
	for _, document := range all {
		if deny(document) != "" {
			refused++
		}
	}
	var kept [][]byte
	for _, document := range all {
		o := creation(t, document).Object.(*unstructured.Unstructured)
		if !mend(o) {
			continue
		}
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, text)
	}
	all = kept
	for range 20 {
		if !a.fixOnce(all) {
			break
		}
	}
	for _, document := range all {
		if said := deny(document); said != "" {
			t.Errorf("once fixed it is refused: %s\n%s", said, document)
		}
	}
	return refused
}

// fixOnce applies one fix to each object that has one, and reports whether any had.
func (a *agreement) fixOnce(all [][]byte) (fixed bool) {
	var facts []*bailey.Fact
	for _, document := range all {
		facts = append(facts, decode(a.t, document))
	}
	for _, p := range a.params {
		text, err := json.Marshal(p.Object)
		if err != nil {
			a.t.Fatal(err)
		}
		facts = append(facts, decode(a.t, text))
	}
	s := caseSettings{version: bailey.LatestVersion}.snapshot(facts, nil)
	view := bailey.NewView(s)
	done := map[bailey.Ref]bool{}
	for _, g := range a.guards {
		for _, f := range evaluate(g.Covers, s).findings {
			if f.rule.Fix == nil || done[f.object] {
				continue
			}
			view.Allow(f.rule.On, f.rule.Needs, f.rule.Derives)
			for _, change := range f.rule.Fix(view, s.Get(f.object), f.Finding) {
				at := slices.IndexFunc(facts, func(o *bailey.Fact) bool { return o.Ref == change.Object })
				if at < 0 || at >= len(all) || change.Patch == nil || done[change.Object] {
					continue
				}
				ops, err := json.Marshal(change.Patch)
				if err != nil {
					a.t.Fatal(err)
				}
				all[at] = patched(a.t, all[at], ops)
				done[change.Object], done[f.object], fixed = true, true, true
			}
		}
	}
	return fixed
}

func patched(t *testing.T, document, ops []byte) []byte {
	t.Helper()
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply(document)
	if err != nil {
		t.Fatalf("%v: %s on\n%s", err, ops, document)
	}
	return out
}
