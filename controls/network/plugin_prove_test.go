package network

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func onNode(s *bailey.Snapshot) provetest.Options {
	return provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: devclustertest.BaileyImage, Repeat: 3, Snapshot: s}
}

func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes minutes: BAILEY_SOAK=1 runs it")
	}
}

func TestProvePlugin(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{})
	provetest.AllHeld(t, provetest.Run(t, cluster, Plugin, onNode(provetest.Collect(t, cluster))))
}

// TestProvePluginWithGaps: what a plugin does not enforce is broken, and nothing else.
func TestProvePluginWithGaps(t *testing.T) {
	soak(t)
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	o := onNode(provetest.Collect(t, cluster))
	for path, gaps := range map[string]devclustertest.Gaps{"egress": {Egress: true}, "ingress": {Ingress: true}} {
		t.Run("no "+path, func(t *testing.T) {
			devclustertest.Enforce(t, cluster, node, gaps)
			provetest.Want(t, provetest.Run(t, cluster, Plugin, o), map[string]prove.Outcome{"* (" + path + ")": prove.Broken})
		})
	}
	t.Run("nobody enforces", func(t *testing.T) {
		records := provetest.Run(t, cluster, Plugin, o)
		provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Broken})
		if text := provetest.Text(records); !strings.Contains(text, "still accepted after 10s") {
			t.Error(text)
		}
	})
	t.Run("a listener is gone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		removed := make(chan bool, 1)
		go func() { removed <- removeListener(ctx, cluster) }()
		devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{})
		records := provetest.Run(t, cluster, Plugin, o)
		cancel()
		if !<-removed {
			t.Fatal("no listener was removed")
		}
		provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Inconclusive})
		if text := provetest.Text(records); !strings.Contains(text, "is not there any more") {
			t.Error(text)
		}
	})
	t.Run("no image", func(t *testing.T) {
		o := o
		o.Image = "" // the pods cannot be made
		provetest.Want(t, provetest.Run(t, cluster, Plugin, o), map[string]prove.Outcome{"*": prove.Inconclusive})
	})
}

// removeListener deletes the closed listener as soon as a try is on its way.
func removeListener(ctx context.Context, cluster *devcluster.Cluster) bool {
	for ctx.Err() == nil {
		var pods corev1.PodList
		_ = cluster.Do(ctx, http.MethodGet, "/api/v1/pods?labelSelector="+bailey.ProbeLabel+"=true", nil, &pods)
		for i := range pods.Items {
			if pod := &pods.Items[i]; strings.HasPrefix(pod.Name, "try-") {
				return cluster.Do(ctx, http.MethodDelete, "/api/v1/namespaces/"+pod.Namespace+"/pods/closed", nil, nil) == nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}
