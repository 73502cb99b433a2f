package controltest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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
	var made []string // paths
	done := map[bailey.Ref]bool{}
	for _, scope := range scopes {
		view.Allow(nil, g.Needs, g.Derives)
		for _, change := range g.Objects(view, scope) {
			if done[change.Object] {
				continue
			}
			done[change.Object] = true
			path := pathOf(&unstructured.Unstructured{Object: change.Content})
			if err := cluster.Do(t.Context(), http.MethodPost, path, change.Content, nil); err != nil {
				t.Fatal(err)
			}
			made = append(made, path+"/"+change.Object.Name)
		}
	}
	if len(made) == 0 {
		t.Fatalf("guard %s makes no object", g.Name)
	}
	remove = func() {
		isBinding := func(path string) bool { return strings.Contains(path, "/validatingadmissionpolicybindings/") }
		slices.SortStableFunc(made, func(a, b string) int {
			switch {
			case isBinding(a) && !isBinding(b):
				return -1
			case isBinding(b) && !isBinding(a):
				return 1
			}
			return 0
		})
		for _, path := range made {
			begin := time.Now()
			for { // a policy whose binding has gone is in force for a moment more
				err := cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, path, nil, nil)
				if err == nil {
					break
				}
				if !strings.Contains(err.Error(), "-parameter-kept") || time.Since(begin) > 30*time.Second {
					t.Error(err)
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		made = nil
	}
	t.Cleanup(remove)
	return remove
}
