package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestProberRights: an API server takes the rights that --explain prints, and with them the prober
// makes dry-runs and nothing else.
func TestProberRights(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	t.Parallel() // it mostly waits
	cluster := devclustertest.Own(t)
	kubectl(t, cluster, "create", "namespace", "guarded")
	kubectl(t, cluster, "label", "namespace", "guarded", "pod-security.kubernetes.io/enforce=restricted")
	out, errs, code := program(t, "prove", "--explain", "--kubeconfig", cluster.Kubeconfig, "compute/pod-security")
	_, manifest, found := strings.Cut(out, "The prober needs these rights, and no more:\n")
	if code != exitOK || !found {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	dir := t.TempDir()
	rights, pod := filepath.Join(dir, "rights.yaml"), filepath.Join(dir, "pod.yaml")
	for path, text := range map[string]string{rights: manifest, pod: `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - {name: c, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectl(t, cluster, "create", "namespace", "bailey")
	kubectl(t, cluster, "apply", "-f", rights)
	prober := []string{"--as", "system:serviceaccount:bailey:bailey-prober", "-n", "guarded", "create", "-f", pod}
	said := ""
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out, err := cluster.Kubectl(t.Context(), append(prober, "--dry-run=server")...)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it may make no dry-runs: %v\n%s\n%s", err, out, manifest)
		}
	}
	awaitWithin(t, time.Minute, "what is no dry-run is refused", func() bool {
		out, err := cluster.Kubectl(t.Context(), prober...)
		if err == nil {
			kubectl(t, cluster, "-n", "guarded", "delete", "pod", "p", "--grace-period=0", "--force")
			return false
		}
		said = string(out) + err.Error()
		return true
	})
	if !strings.Contains(said, "may only make dry-runs") {
		t.Error(said)
	}
}
