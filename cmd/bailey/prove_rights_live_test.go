package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// TestProberRights: an API server takes the rights that --explain prints, and with them the prober
// makes dry-runs and nothing else.
func TestProberRights(t *testing.T) {
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
	asProber := []string{"--as", "system:serviceaccount:bailey:bailey-prober", "-n", "guarded", "create", "-f", pod}
	awaitWithin(t, time.Minute, "it may make dry-runs", func() bool {
		_, err := cluster.Kubectl(t.Context(), append(asProber, "--dry-run=server")...)
		return err == nil
	})
	said := ""
	awaitWithin(t, time.Minute, "what is no dry-run is refused", func() bool {
		out, err := cluster.Kubectl(t.Context(), asProber...)
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
	// Nor does a name get it past that.
	named, err := os.ReadFile(pod)
	if err == nil {
		err = os.WriteFile(pod, []byte(strings.Replace(string(named), "name: p}", "name: bailey-probe-p}", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cluster.Kubectl(t.Context(), asProber...); err == nil || !strings.Contains(string(out)+err.Error(), "may only make dry-runs") {
		t.Errorf("a pod named like those of experiments: %s%v", out, err)
	}

	// A server runs experiments as the prober, who may not look around.
	const prober = "system:serviceaccount:bailey:bailey-prober"
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = prober
	}
	file := filepath.Join(dir, "prober")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	for _, as := range [][2]string{{"--prove-as", prober}, {"--prove-kubeconfig", file}} {
		state := t.TempDir()
		data := filepath.Join(state, "data")
		p := startServed(t, state, "serve", "--data", data, "--kubeconfig", cluster.Kubeconfig, as[0], as[1], "--prove-control", "compute/pod-security", "--prove-rate", "100")
		token := tokenIn(t, data)
		var runs struct{ Items []server.Run }
		awaitWithin(t, 2*time.Minute, "the schedule has run experiments", func() bool {
			code, body := p.get(t, "/api/v1/runs", token)
			return code == http.StatusOK && json.Unmarshal([]byte(body), &runs) == nil && len(runs.Items) > 0 && runs.Items[0].State != "running"
		})
		if run := runs.Items[0]; run.State != "done" || run.Held == 0 || run.Inconclusive > 0 || !slices.Equal(run.Controls, []string{"compute/pod-security"}) {
			t.Errorf("%s: %+v", as[0], run)
		}
		p.end(t)
	}
}
