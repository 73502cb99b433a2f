package access

import (
	"context"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// withoutNodes is the cluster as it is but for nodes that other tests may have
// registered, behind which no kubelet stands.
func withoutNodes(t *testing.T, cluster *devcluster.Cluster) *bailey.Snapshot {
	t.Helper()
	s := provetest.Collect(t, cluster)
	var refs []bailey.Ref
	for _, f := range s.List(bailey.KindNode, "") {
		refs = append(refs, f.Ref)
	}
	return s.Without(refs...)
}

// ownCluster starts a control plane for this test alone.
func ownCluster(t *testing.T, o devcluster.Options) *devcluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	cluster, err := devcluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// TestHeld runs what only asks against a cluster that is set right.
func TestHeld(t *testing.T) {
	cluster := devclustertest.Shared(t)
	s := withoutNodes(t, cluster)
	for _, control := range []*bailey.Control{APIServer, Authentication, Authorization, TLS, CertificateSigning} {
		t.Run(control.ID, func(t *testing.T) {
			records := provetest.Run(t, cluster, control, provetest.Options{Snapshot: s, Worst: bailey.DangerDryRun, Skipped: "makes objects of its own"})
			provetest.AllHeld(t, records)
		})
	}
}

// TestIsolatedHeld tries with real identities, tokens and requests.
func TestIsolatedHeld(t *testing.T) {
	cluster := devclustertest.Shared(t)
	s := withoutNodes(t, cluster)
	for _, c := range []struct {
		control *bailey.Control
		only    string
	}{
		{Authorization, "minted-identity"}, {ServiceAccounts, "tokens-end"}, {CertificateSigning, "signers-guarded"},
	} {
		t.Run(c.only, func(t *testing.T) {
			provetest.AllHeld(t, provetest.Run(t, cluster, c.control, provetest.Options{Only: []string{c.only}, Snapshot: s}))
		})
	}
}
