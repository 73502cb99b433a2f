package provetest_test

import (
	"testing"

	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
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
