package enforce

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// unlessKept is a policy that refuses what changes the label "kept" of a pod.
func unlessKept(t *testing.T) *Judge {
	t.Helper()
	plan := onlyNamed("request.operation != 'UPDATE' || object.metadata.labels.kept == oldObject.metadata.labels.kept")
	spec := under(plan.Changes[0].Apply, "spec")
	rules := under(spec, "matchConstraints")["resourceRules"].([]any)
	rules[0].(map[string]any)["operations"] = []any{"CREATE", "UPDATE"}
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
	b.Saw(bailey.KindNamespace, "")
	b.Add(namespaceFact("shop", nil))
	judge, err := NewJudge(b.Snapshot(), plan)
	if err != nil {
		t.Fatal(err)
	}
	return judge
}

// podText is a pod as a server answers it, or as it is sent where the version is 0.
func podText(uid string, version, generation int, kept string) []byte {
	meta := map[string]any{"name": "x", "namespace": "shop", "labels": map[string]any{"kept": kept}}
	if uid != "" {
		meta["uid"], meta["generation"] = uid, generation
	}
	if version > 0 {
		meta["resourceVersion"] = fmt.Sprint(version)
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": map[string]any{"containers": []any{}}})
	if err != nil {
		panic(err)
	}
	return text
}

func onPod(verb string, body, answer []byte) *Recorded {
	return &Recorded{Verb: verb, Resource: "pods", Namespace: "shop", Name: "x", User: "jane", AuditID: "a", Code: 200, Body: body, Answer: answer}
}

// TestReplayOfUpdates judges an update beside the object as an earlier answer showed it,
// and only where nothing can have come between.
func TestReplayOfUpdates(t *testing.T) {
	made := onPod("create", podText("", 0, 0, "a"), podText("u", 7, 1, "a"))
	patch := []byte(`{"metadata":{"labels":{"kept":"b"}}}`)
	status := func(answer []byte) *Recorded {
		r := onPod("patch", patch, answer)
		r.Subresource = "status"
		return r
	}
	dry := onPod("update", podText("u", 7, 1, "b"), podText("u", 7, 1, "b"))
	dry.DryRun = true
	applied := onPod("patch", podText("", 0, 0, "b"), podText("v", 9, 1, "b"))
	applied.Code = 201
	bound := onPod("create", []byte(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"x"}}`), []byte(`{"apiVersion":"v1","kind":"Status","metadata":{}}`))
	bound.Subresource = "binding"
	for name, c := range map[string]struct {
		events             []*Recorded
		evaluated, refused int
		why                string // of what is not evaluated
	}{
		"an update that keeps it":          {[]*Recorded{made, onPod("update", podText("u", 7, 1, "a"), podText("u", 8, 2, "a"))}, 2, 0, ""},
		"an update":                        {[]*Recorded{made, onPod("update", podText("u", 7, 1, "b"), podText("u", 8, 2, "b"))}, 2, 1, ""},
		"an update without an answer":      {[]*Recorded{made, onPod("update", podText("u", 7, 1, "b"), nil)}, 2, 1, ""},
		"an update of any version":         {[]*Recorded{made, onPod("update", podText("", 0, 0, "b"), podText("u", 8, 2, "b"))}, 2, 1, ""},
		"a patch":                          {[]*Recorded{made, onPod("patch", patch, podText("u", 8, 1, "b"))}, 2, 1, ""},
		"a patch, and one that undoes it":  {[]*Recorded{made, onPod("patch", patch, podText("u", 8, 1, "b")), onPod("patch", patch, podText("u", 9, 1, "b"))}, 3, 1, ""},
		"a patch that makes it":            {[]*Recorded{applied}, 1, 0, ""},
		"after a dry run":                  {[]*Recorded{made, dry, onPod("patch", patch, podText("u", 8, 1, "a"))}, 3, 1, ""},
		"after a status that is shown":     {[]*Recorded{made, status(podText("u", 8, 1, "b")), onPod("patch", patch, podText("u", 9, 1, "b"))}, 2, 0, ""},
		"after a status that is not shown": {[]*Recorded{made, status(nil), onPod("patch", patch, podText("u", 9, 1, "b"))}, 1, 0, notShownAfter},
		"after a binding":                  {[]*Recorded{made, bound, onPod("patch", patch, podText("u", 9, 1, "b"))}, 1, 0, notShownAfter},
		"of another version":               {[]*Recorded{made, onPod("update", podText("u", 8, 1, "b"), podText("u", 9, 1, "b"))}, 1, 0, notShownAfter},
		"with a generation missing":        {[]*Recorded{made, onPod("patch", patch, podText("u", 9, 3, "b"))}, 1, 0, notShownAfter},
		"out of order":                     {[]*Recorded{made, onPod("patch", patch, podText("u", 6, 1, "b"))}, 1, 0, notShownAfter},
		"another of that name":             {[]*Recorded{made, onPod("patch", patch, podText("v", 9, 1, "b"))}, 1, 0, neverShown},
		"after it was deleted":             {[]*Recorded{made, onPod("delete", nil, nil), onPod("patch", patch, podText("u", 9, 1, "b"))}, 1, 0, neverShown},
		"after all were deleted":           {[]*Recorded{made, {Verb: "deletecollection", Resource: "pods", Namespace: "shop"}, onPod("patch", patch, podText("u", 9, 1, "b"))}, 1, 0, neverShown},
		"never shown":                      {[]*Recorded{onPod("update", podText("u", 8, 1, "b"), podText("u", 9, 1, "b"))}, 0, 0, neverShown},
		"a patch without an answer":        {[]*Recorded{made, onPod("patch", patch, nil)}, 1, 0, "it is a patch, and the log does not hold what came of it (the audit policy's level is not RequestResponse)"},
		"metadata alone is answered":       {[]*Recorded{made, onPod("patch", patch, []byte(`{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"uid":"u","resourceVersion":"8"}}`))}, 1, 0, "it is a patch, and the log does not hold what came of it (the audit policy's level is not RequestResponse)"},
	} {
		judge := unlessKept(t)
		for _, e := range c.events {
			if err := judge.Replay(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		got := judge.Replayed()
		refused := 0
		for _, q := range got.Refused["p"] {
			refused += q.Count
		}
		want := map[string]int{}
		if c.why != "" {
			want[c.why] = 1
		}
		if got.Evaluated != c.evaluated || refused != c.refused || !maps.Equal(got.NotEvaluated, want) {
			t.Errorf("%s: %d evaluated, %d refused, not evaluated %v; want %d, %d, %v", name, got.Evaluated, refused, got.NotEvaluated, c.evaluated, c.refused, want)
		}
	}
}

// TestHistoryIsBounded: what was not used for longest makes room.
func TestHistoryIsBounded(t *testing.T) {
	const limit, size = 1 << 20, 10_000
	h := newHistory(limit)
	answer := func(name string, size int) *Recorded {
		text := strings.Replace(string(podText("u", 7, 1, strings.Repeat("x", size))), `"name":"x"`, `"name":"`+name+`"`, 1)
		return &Recorded{Verb: "update", Resource: "pods", Namespace: "shop", Name: name, Answer: []byte(text)}
	}
	for i := range limit/size + 10 {
		h.note(answer(fmt.Sprint("p", i), size))
		h.note(answer(fmt.Sprint("p", i), size))
	}
	held := 0
	for _, s := range h.objects.Values() {
		held += len(s.text)
	}
	if held != h.bytes || held > limit || held < limit-2*size || h.objects.Contains(answer("p0", 1).key()) {
		t.Errorf("%d bytes in %d objects, counted as %d", held, h.objects.Len(), h.bytes)
	}
}
