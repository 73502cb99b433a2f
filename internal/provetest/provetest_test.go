package provetest_test

import (
	"net/http"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// TestRun runs the dry-run experiment of pod security in one namespace.
func TestRun(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	records := provetest.Run(t, cluster, compute.PodSecurity, provetest.Options{Namespace: ns})
	provetest.AllHeld(t, records)
	if len(records) != 1 || len(provetest.Outcomes(records)) < 30 {
		t.Errorf("%d records:\n%s", len(records), provetest.Text(records))
	}
}

// TestLeft finds what a run would have left behind, in a namespace and beside all.
func TestLeft(t *testing.T) {
	cluster := devclustertest.Shared(t)
	run := "left" + prove.NewRunID()
	ns := devclustertest.Namespace(t, map[string]string{bailey.RunLabel: run})
	err := cluster.Do(t.Context(), http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+ns+"/roles",
		map[string]any{"metadata": map[string]any{"name": "left", "labels": map[string]any{bailey.RunLabel: run}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if left := provetest.Left(t, cluster, run); len(left) != 2 {
		t.Errorf("found %v, want the namespace and the role", left)
	}
}
