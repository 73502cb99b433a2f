package controltest

import (
	"context"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

// Install puts a guard in place for every scope of the snapshot, as it is, and gives
// what takes it away again, which the test's end does too. Policies are in force a
// little later.
func Install(t *testing.T, cluster *devcluster.Cluster, s *bailey.Snapshot, g *bailey.Guard) (remove func()) {
	t.Helper()
	scopes := []bailey.Ref{{}}
	if g.Scope == bailey.ScopeNamespace {
		scopes = nil
		for _, ns := range s.List(bailey.KindNamespace, "") {
			scopes = append(scopes, ns.Ref)
		}
	}
	view := bailey.NewView(s)
	made := map[bailey.Ref]string{}
	for _, scope := range scopes {
		view.Allow(nil, g.Needs, nil)
		for _, change := range g.Objects(view, scope) {
			if made[change.Object] != "" {
				continue
			}
			path := pathOf(&unstructured.Unstructured{Object: change.Content})
			if err := cluster.Do(t.Context(), http.MethodPost, path, change.Content, nil); err != nil {
				t.Fatal(err)
			}
			made[change.Object] = path + "/" + change.Object.Name
		}
	}
	if len(made) == 0 {
		t.Fatalf("guard %s makes no object", g.Name)
	}
	remove = func() {
		for object, path := range made {
			delete(made, object)
			if err := cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, path, nil, nil); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(remove)
	return remove
}
