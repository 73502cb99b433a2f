package network

import (
	"context"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// moreNodes gives the shared node and others that end with the test, all with
// Bailey's image.
func moreNodes(t *testing.T, n int) (*devcluster.Cluster, []*devcluster.Node) {
	t.Helper()
	cluster, first := devclustertest.SharedNode(t)
	nodes := []*devcluster.Node{first}
	for len(nodes) < n {
		node, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := node.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, node)
	}
	devclustertest.ImportBailey(t, cluster, nodes...)
	return cluster, nodes
}

func inPods() provetest.Options {
	return provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: devclustertest.BaileyImage, Repeat: 1}
}

// TestEncryptionOnNodes sends markers between two nodes of which one encrypts with
// WireGuard what it sends, and the other does not.
func TestEncryptionOnNodes(t *testing.T) {
	cluster, nodes := moreNodes(t, 2)
	devclustertest.Encrypt(t, cluster, nodes...)
	devclustertest.Decrypt(t, nodes[1], nodes[0])
	records := provetest.Run(t, cluster, Encryption, inPods())
	provetest.Want(t, records, map[string]prove.Outcome{"*(node node2 to node node1)": prove.Broken})
	if n := len(provetest.Outcomes(records)); n != 2 {
		t.Errorf("%d probes:\n%s", n, provetest.Text(records))
	}
}

// TestEncryptionSoak does the same with three nodes: all in plain text, all encrypted,
// one pair left in plain text.
func TestEncryptionSoak(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes minutes: BAILEY_SOAK=1 runs it")
	}
	cluster, nodes := moreNodes(t, 3)
	t.Run("plain", func(t *testing.T) {
		records := provetest.Run(t, cluster, Encryption, inPods())
		provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Broken})
		if n := len(provetest.Outcomes(records)); n != 6 {
			t.Errorf("%d probes:\n%s", n, provetest.Text(records))
		}
	})
	devclustertest.Encrypt(t, cluster, nodes...)
	t.Run("WireGuard", func(t *testing.T) {
		provetest.AllHeld(t, provetest.Run(t, cluster, Encryption, inPods()))
	})
	t.Run("one pair in plain text", func(t *testing.T) {
		devclustertest.Decrypt(t, nodes[0], nodes[2])
		devclustertest.Decrypt(t, nodes[2], nodes[0])
		provetest.Want(t, provetest.Run(t, cluster, Encryption, inPods()), map[string]prove.Outcome{
			"*(node node1 to node node3)": prove.Broken,
			"*(node node3 to node node1)": prove.Broken,
		})
	})
}

func TestEncryptionPlan(t *testing.T) {
	plan := func(names ...string) map[string][]string {
		b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
		b.Saw(bailey.KindNode, "")
		for _, name := range names {
			node := &corev1.Node{}
			node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
			node.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoExecute}}
			if name == "down" {
				node.Status.Conditions[0].Status = corev1.ConditionFalse
			}
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNode, Name: name}, Labels: map[string]string{corev1.LabelHostname: "host-" + name}, Object: node})
		}
		s, paths := b.Snapshot(), map[string][]string{}
		for _, name := range names {
			v := bailey.NewView(s)
			v.Allow(nil, unreadableOnTheWire.Needs, nil)
			for _, p := range unreadableOnTheWire.Plan(v, bailey.Ref{Kind: bailey.KindNode, Name: name}) {
				paths[name] = append(paths[name], p.Path)
			}
		}
		return paths
	}
	if got := plan("a"); len(got) != 0 {
		t.Errorf("one node: %v", got)
	}
	got := plan("a", "b", "c", "d", "down")
	if len(got) != 4 || len(got["d"]) != 2 || got["d"][0] != "node host-d to node host-a" || got["d"][1] != "node host-d to node host-b" {
		t.Errorf("%v", got)
	}
}
