package devclustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

// BaileyImage is the image that ImportBailey makes. Its entry point is Bailey's program,
// which is all there is in it.
const BaileyImage = "localhost/bailey:dev"

// imported holds the image's name by digest at the nodes that have it already, by their root folders.
var imported struct {
	mu    sync.Mutex
	nodes map[string]string
}

// ImportBailey builds Bailey from this checkout, once for a cluster, and gives the nodes its
// image, so that pods can run it with any of its commands. A pod of it need not be root. It returns the image's name by digest.
func ImportBailey(t testing.TB, cluster *devcluster.Cluster, nodes ...*devcluster.Node) (named string) {
	t.Helper()
	imported.mu.Lock()
	defer imported.mu.Unlock()
	for _, node := range nodes {
		if named = imported.nodes[node.Root]; named != "" {
			continue
		}
		program := program(t, cluster)
		var err error
		if named, err = node.Import(t.Context(), BaileyImage, map[string]string{"/bailey": program}, []string{"/bailey"}); err != nil {
			t.Fatal(err)
		}
		if imported.nodes == nil {
			imported.nodes = map[string]string{}
		}
		imported.nodes[node.Root] = named
	}
	return named
}

// Bailey builds Bailey from this checkout, once for a cluster, and gives the program's path.
func Bailey(t testing.TB, cluster *devcluster.Cluster) string {
	t.Helper()
	imported.mu.Lock()
	defer imported.mu.Unlock()
	return program(t, cluster)
}

func program(t testing.TB, cluster *devcluster.Cluster) string {
	t.Helper()
	path := filepath.Join(cluster.Dir, "tmp", "bailey") // it goes with the cluster
	if _, err := os.Stat(path); err != nil {
		build(t, "", "github.com/baileyhq/bailey/cmd/bailey", path)
	}
	return path
}

// build builds a static program, as one in an image of its own has to be, by the module of a folder; of
// this folder if it is empty.
func build(t testing.TB, dir, pkg, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// SidecarImage is the image that ImportSidecar makes: the program in the folder sidecar.
const SidecarImage = "localhost/sidecar:dev"

// ImportSidecar gives the node an image of what stands in for a service mesh's proxy.
func ImportSidecar(t testing.TB, cluster *devcluster.Cluster, node *devcluster.Node) {
	t.Helper()
	program := filepath.Join(cluster.Dir, "tmp", "sidecar")
	build(t, "", "github.com/baileyhq/bailey/devcluster/devclustertest/sidecar", program)
	if _, err := node.Import(t.Context(), SidecarImage, map[string]string{"/sidecar": program}, []string{"/sidecar"}); err != nil {
		t.Fatal(err)
	}
}
