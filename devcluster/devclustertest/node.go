package devclustertest

import (
	"context"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

// withNode is this test program's cluster with a node; shared.mu guards it.
var withNode struct {
	tried   bool
	cluster *devcluster.Cluster
	node    *devcluster.Node
	err     error
}

// SharedNode returns a cluster in a network of its own, and its node, on which pods run.
// There is one for each test program, started (in some 10 seconds) by the first test that
// asks. With -short, and where no node can be started, it skips the test and says why.
//
// What serves the API server or pods (a webhook, say) must listen by the cluster's Listen.
// A test that breaks a node on purpose starts one for itself, by the cluster's StartNode.
func SharedNode(t testing.TB) (*devcluster.Cluster, *devcluster.Node) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a node, which -short leaves out")
	}
	if err := devcluster.NodeSupported(); err != nil {
		t.Skip(err)
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !withNode.tried {
		withNode.tried = true
		withNode.err = startWithNode()
	}
	if withNode.err != nil {
		t.Fatalf("no node for this test: %v", withNode.err)
	}
	return withNode.cluster, withNode.node
}

func startWithNode() error {
	if !shared.hooked {
		return errNotHooked
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{Network: true})
	if err != nil {
		return err
	}
	withNode.cluster = cluster // stopped whatever becomes of the node
	withNode.node, err = cluster.StartNode(ctx, devcluster.NodeOptions{})
	return err
}
