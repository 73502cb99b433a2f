package access

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// TestPortsOfControlPlaneNodes: behind a load balancer the API server's host has no port but one, so
// that the nodes of the control plane are asked themselves.
func TestPortsOfControlPlaneNodes(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(
		&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNode, Name: "first"}, Object: &corev1.Node{},
			Labels: map[string]string{"node-role.kubernetes.io/control-plane": ""}},
		&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNode, Name: "worker"}, Object: &corev1.Node{}})
	p := prove.Plan(b.Snapshot(), []*bailey.Control{APIServer}, prove.Choice{Worst: bailey.DangerNone})
	var names []string
	for _, u := range p.Units {
		for i := range u.Probes {
			names = append(names, u.Probes[i].Name)
		}
	}
	for _, part := range []string{"unprotected API", "etcd", "controller-manager", "scheduler"} {
		if !slices.Contains(names, part+", node first") {
			t.Errorf("the %s of the control plane's node is not asked", part)
		}
		if slices.Contains(names, part+", node worker") {
			t.Errorf("the %s of a worker is asked, which runs none", part)
		}
	}
}
