package network

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// TestPoliciesAreReal gives the API server, by dry-run, the NetworkPolicies of
// every case and every Bad, and each as its rule's fix leaves it, and the
// guards' objects.
func TestPoliciesAreReal(t *testing.T) {
	namespace := devclustertest.Namespace(t, nil)
	var texts [][]byte
	for _, r := range Policy.Rules {
		for _, bad := range r.Bad {
			texts = append(texts, []byte(bad))
		}
	}
	files, err := filepath.Glob("testdata/policy/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				texts = append(texts, f.Data)
			}
		}
	}
	tried, fixed := 0, 0
	for _, text := range texts {
		s := snapshot(controltest.Facts(t, text)...)
		v := bailey.NewView(s)
		for _, f := range s.List(bailey.KindNetworkPolicy, "") {
			offer(t, namespace, f)
			tried++
		}
		for _, r := range Policy.Rules {
			for _, k := range r.On {
				for _, f := range s.List(k, "") {
					v.Allow(r.On, r.Needs, r.Derives)
					for _, finding := range r.Check(v, f) {
						if r.Fix == nil {
							continue
						}
						for _, change := range r.Fix(v, f, finding) {
							// What a fix does to a workload is admitted where scan --fix is tried.
							if after := controltest.Apply(t, s, change); after.Kind == bailey.KindNetworkPolicy {
								offer(t, namespace, after)
								fixed++
							}
						}
					}
				}
			}
		}
	}
	if tried < 20 || fixed < 15 {
		t.Errorf("only %d policies and %d fixes were tried", tried, fixed)
	}
	s := snapshot()
	for _, g := range Policy.Guards {
		v := bailey.NewView(s)
		v.Allow(nil, g.Needs, g.Derives)
		for _, change := range g.Objects(v, bailey.Ref{Kind: bailey.KindNamespace, Name: namespace}) {
			offer(t, namespace, controltest.Apply(t, s, change))
		}
	}
}

// offer creates the policy by dry-run, in the namespace of the test.
func offer(t *testing.T, namespace string, f *bailey.Fact) {
	t.Helper()
	text, err := json.Marshal(f.Object)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	o["apiVersion"], o["kind"] = f.APIVersion, f.Kind.Short()
	o["metadata"].(map[string]any)["namespace"] = namespace
	if err := devclustertest.Shared(t).Do(t.Context(), http.MethodPost, "/apis/networking.k8s.io/v1/namespaces/"+namespace+"/networkpolicies?dryRun=All", o, nil); err != nil {
		t.Errorf("%s: %v", f.Ref, err)
	}
}
