package access

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// brokenAddress is a loopback address of this test's own, so that nobody else's
// server stands at its ports.
const brokenAddress = "127.0.0.77"

// TestBroken breaks one path of each control on one cluster, and wants that path
// and no other to be named.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte("bailey-probe-no-token,intruder,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := ownCluster(t, devcluster.Options{Address: brokenAddress, ExtraAPIServerArgs: []string{
		"--anonymous-auth=true", "--token-auth-file=" + tokens, "--tls-min-version=VersionTLS11",
	}})
	for _, args := range [][]string{
		{"create", "clusterrole", "strangers", "--verb=list", "--resource=pods"},
		{"create", "clusterrolebinding", "strangers", "--clusterrole=strangers", "--user=system:anonymous"},
	} {
		if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, brokenAddress+":8080")
	serve(t, "127.0.0.78:10255")
	if _, err := cluster.RegisterNodes(t.Context(), 1, func(_ int, node map[string]any) {
		node["status"].(map[string]any)["addresses"] = []any{map[string]any{"type": "InternalIP", "address": "127.0.0.78"}}
	}); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		control *bailey.Control
		only    []string
		want    map[string]prove.Outcome
	}{
		{APIServer, nil, map[string]prove.Outcome{
			"all pods (list pods)":                                   prove.Broken,
			"unprotected API, API server's host (port 8080)":         prove.Broken,
			"kubelet's read-only port, node node-00000 (port 10255)": prove.Broken,
		}},
		{Authentication, nil, map[string]prove.Outcome{"bearer token that is none (bearer token)": prove.Broken}},
		{TLS, []string{"kubelet-tls"}, map[string]prove.Outcome{"*": prove.Inconclusive}}, // no kubelet is there
		{TLS, []string{"api-server-tls"}, map[string]prove.Outcome{"TLS 1.1, API server (TLS 1.1)": prove.Broken}},
	} {
		t.Run(c.control.ID, func(t *testing.T) {
			provetest.Want(t, provetest.Run(t, cluster, c.control, provetest.Options{Only: c.only, Worst: bailey.DangerNone}), c.want)
		})
	}
}

// serve answers every request until the test ends.
func serve(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}
