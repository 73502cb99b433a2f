package compute

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

const probeImage = "localhost/bailey-probe:dev"

// importProbe builds Bailey and gives it to the node as the image of probe pods.
func importProbe(t *testing.T, node *devcluster.Node) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bailey")
	build := exec.Command("go", "build", "-o", program, "github.com/baileyhq/bailey/cmd/bailey")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := node.Import(t.Context(), probeImage, map[string]string{"/bailey": program}, []string{"/bailey"}); err != nil {
		t.Fatal(err)
	}
}

func onRealNode(s *bailey.Snapshot) provetest.Options {
	return provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: probeImage, Repeat: 1, Snapshot: s}
}

// TestProveOnNode runs the experiments with pods on a real node, whose runtime
// knows runc under a second name, and whose kubelet sets the default profile.
func TestProveOnNode(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	importProbe(t, node)
	t.Run("syscalls", func(t *testing.T) {
		records := provetest.Run(t, cluster, Syscalls, onRealNode(provetest.Collect(t, cluster)))
		provetest.AllHeld(t, records)
		if got := len(provetest.Outcomes(records)); got != 2 {
			t.Errorf("%d probes:\n%s", got, provetest.Text(records))
		}
	})
	t.Run("bounds of a real node", func(t *testing.T) {
		records := provetest.Run(t, cluster, NodeIsolation, provetest.Options{Only: []string{nodesAreBounded.Name}})
		provetest.AllHeld(t, records)
		if got := len(provetest.Outcomes(records)); got != 5 {
			t.Errorf("%d probes of one node:\n%s", got, provetest.Text(records))
		}
	})
	t.Run("a sandbox that is none", func(t *testing.T) {
		var class map[string]any
		if err := yaml.Unmarshal([]byte(`{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: sandboxed}, handler: runc-alt}`), &class); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Do(t.Context(), http.MethodPost, "/apis/node.k8s.io/v1/runtimeclasses", class, nil); err != nil {
			t.Fatal(err)
		}
		records := provetest.Run(t, cluster, Sandbox, onRealNode(provetest.Collect(t, cluster)))
		provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Broken})
		if text := provetest.Text(records); !strings.Contains(text, "sees the kernel Linux") {
			t.Error(text)
		}
	})
	t.Run("no image", func(t *testing.T) {
		o := onRealNode(provetest.Collect(t, cluster))
		o.Image = "" // the pods cannot be made
		provetest.Want(t, provetest.Run(t, cluster, Syscalls, o), map[string]prove.Outcome{"*": prove.Inconclusive})
	})
	t.Run("the kubelet's default is not in force", func(t *testing.T) {
		second, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{Name: "node2", ExtraKubeletConfig: map[string]any{"seccompDefault": false}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := second.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		importProbe(t, second)
		b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(provetest.Collect(t, cluster).List(bailey.KindNode, "")...)
		// What both kubelets' files say, though the second was never started with it.
		for _, name := range []string{node.Name, second.Name} {
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindKubelet, Name: name},
				Object: &bailey.Component{Node: name, Config: map[string]any{"seccompDefault": true}}})
		}
		records := provetest.Run(t, cluster, Syscalls, onRealNode(b.Snapshot()))
		provetest.Want(t, records, map[string]prove.Outcome{"keyctl under the kubelet's default (pod on node " + second.Name + ")": prove.Broken})
	})
}
