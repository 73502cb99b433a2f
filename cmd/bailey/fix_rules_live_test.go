package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestRulesFixFiles writes each Bad object to a file and lets its rule fix it there: the
// rule is silent then, and what a real API server admits, by dry-run, it admits still.
func TestRulesFixFiles(t *testing.T) {
	cluster := devclustertest.Shared(t)
	namespace := devclustertest.Namespace(t, nil)
	conf := &config{}
	for _, k := range bailey.KnownKinds() {
		if k.Program() == "" {
			conf.Complete = append(conf.Complete, string(k))
		}
	}
	fixed, admitted := 0, 0
	for _, c := range controls.All() {
		for _, r := range c.Rules {
			if r.Fix == nil {
				continue
			}
			one := *c
			one.Rules, one.Guards, one.Experiments = []*bailey.Rule{r}, nil, nil
			for _, bad := range r.Bad {
				dir := t.TempDir()
				file := filepath.Join(dir, "bad.yaml")
				if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
					t.Fatal(err)
				}
				a := &app{stdout: io.Discard, stderr: io.Discard, now: time.Now, quiet: true}
				f, _, now, err := a.fix(t.Context(), &targetFlags{loadedState: conf}, conf, []string{file}, "", []*bailey.Control{&one}, check.Options{})
				if err != nil {
					t.Errorf("%s: %v\n%s", c.RuleID(r), err, bad)
					continue
				}
				for _, n := range f.left {
					if !strings.Contains(n.why, "it is a new object") && !strings.Contains(n.why, "is in none of the files") {
						t.Errorf("%s was not fixed: %s\n%s", c.RuleID(r), n.why, bad)
					}
				}
				if len(f.done) == 0 {
					continue
				}
				fixed++
				for _, n := range f.done {
					for i := range now.Findings {
						if now.Findings[i].ID == n.finding.ID {
							t.Errorf("%s is found once it is fixed (%s)\n%s", c.RuleID(r), n.change, bad)
						}
					}
				}
				if err := writeWhole(f.changed()); err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				before, after := badObjects(t, []byte(bad)), badObjects(t, text)
				for i := range after {
					if tried(t, cluster, namespace, before[i]) != nil {
						continue // no object for a server as it stands, or of no kind that it has
					}
					if err := tried(t, cluster, namespace, after[i]); err != nil {
						t.Errorf("%s: once fixed the API server refuses it: %v\n%s", c.RuleID(r), err, text)
					}
					admitted++
				}
			}
		}
	}
	t.Logf("%d objects fixed, %d admitted before and after", fixed, admitted)
	if fixed < 50 || admitted < 50 {
		t.Errorf("%d objects fixed, %d admitted: too little was tried", fixed, admitted)
	}
}

func badObjects(t *testing.T, text []byte) (all []*unstructured.Unstructured) {
	d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := d.Decode(&o.Object); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if o.Object != nil {
			all = append(all, o)
		}
	}
}

// tried creates an object by server-side dry-run.
func tried(t *testing.T, cluster *devcluster.Cluster, namespace string, o *unstructured.Unstructured) error {
	o = o.DeepCopy()
	gvk := o.GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	path := "/api/v1"
	if gvk.Group != "" {
		path = "/apis/" + gvk.Group + "/" + gvk.Version
	}
	if namespaced, _ := object.Namespaced(bailey.KindOf(o.GetAPIVersion(), gvk.Kind)); namespaced {
		o.SetNamespace(namespace)
		path += "/namespaces/" + namespace
	}
	return cluster.Do(t.Context(), http.MethodPost, path+"/"+resource.Resource+"?dryRun=All", o.Object, nil)
}
