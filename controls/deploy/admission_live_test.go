package deploy

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

// TestAdmissionObjectsAreReal gives the API server, by dry-run, the webhooks,
// policies and bindings of every case and every Bad, and each as its rule's fix
// leaves it: rules must not be written for objects that cannot exist, nor fixes
// that the server refuses.
func TestAdmissionObjectsAreReal(t *testing.T) {
	texts := map[string][]byte{}
	for _, r := range Admission.Rules {
		for _, bad := range r.Bad {
			texts["Bad of "+r.Name] = append(append(texts["Bad of "+r.Name], "---\n"...), bad...)
		}
	}
	files, err := filepath.Glob("testdata/admission/*.txtar")
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
				texts[file] = append(append(texts[file], "\n---\n"...), f.Data...)
			}
		}
	}
	tried, fixed := 0, 0
	for name, text := range texts {
		b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(controltest.Facts(t, text)...)
		s := b.Snapshot()
		for _, k := range append(append([]bailey.Kind{}, gateKinds...), bindingKinds...) {
			for _, f := range s.List(k, "") {
				offer(t, name, f)
				tried++
				for _, r := range Admission.Rules {
					v := bailey.NewView(s)
					v.Allow(r.On, r.Needs, r.Derives)
					if r.Fix == nil || !judges(r, k) {
						continue
					}
					for _, finding := range r.Check(v, f) {
						for _, change := range r.Fix(v, f, finding) {
							offer(t, name+", fixed by "+r.Name, controltest.Apply(t, s, change))
							fixed++
						}
					}
				}
			}
		}
	}
	if tried < 50 || fixed < 15 {
		t.Errorf("only %d objects and %d fixes were tried", tried, fixed)
	}
}

func judges(r *bailey.Rule, k bailey.Kind) bool {
	for _, on := range r.On {
		if on == k {
			return true
		}
	}
	return false
}

// offer creates the object by dry-run.
func offer(t *testing.T, name string, f *bailey.Fact) {
	t.Helper()
	text, err := json.Marshal(f.Object)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	kind := f.Kind.Short()
	o["apiVersion"], o["kind"] = f.APIVersion, kind
	delete(o["metadata"].(map[string]any), "uid")
	plural := strings.ToLower(kind) + "s"
	if before, ends := strings.CutSuffix(plural, "policys"); ends {
		plural = before + "policies"
	}
	if err := devclustertest.Shared(t).Do(t.Context(), http.MethodPost, "/apis/"+f.APIVersion+"/"+plural+"?dryRun=All", o, nil); err != nil {
		t.Errorf("%s: %s: %v", name, f.Ref, err)
	}
}
