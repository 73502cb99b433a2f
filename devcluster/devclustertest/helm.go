package devclustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

// Helm builds Helm, once for a cluster, and gives the program's path. The folder helm is a module that
// says which: it takes the versions of Kubernetes' libraries that Bailey is built with, so that they are
// compiled once.
func Helm(t testing.TB, cluster *devcluster.Cluster) string {
	t.Helper()
	program := filepath.Join(cluster.Dir, "tmp", "helm") // it goes with the cluster
	if _, err := os.Stat(program); err == nil {
		return program
	}
	here, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/baileyhq/bailey/devcluster/devclustertest").Output()
	if err != nil {
		t.Fatal(err)
	}
	build(t, filepath.Join(strings.TrimSpace(string(here)), "helm"), "helm.sh/helm/v4/cmd/helm", program)
	return program
}
