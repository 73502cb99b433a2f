package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
)

// TestProveAtEtcd gives the prover etcd itself: what is stored there is read only then.
func TestProveAtEtcd(t *testing.T) {
	cluster := devclustertest.Shared(t)
	object := map[string]any{"metadata": map[string]any{"name": "at-etcd"}, "stringData": map[string]any{"password": "hidden-value"}}
	const secrets = "/api/v1/namespaces/default/secrets"
	if err := cluster.Do(t.Context(), http.MethodPost, secrets, object, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Do(context.Background(), http.MethodDelete, secrets+"/at-etcd", nil, nil) })
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	base := []string{"prove", "storage/api-encryption", "--kubeconfig", cluster.Kubeconfig, "--quick", "-o", "json"}
	pki := func(name string) string { return filepath.Join(cluster.PKI, name) }

	if _, errs, code := program(t, base...); code != exitNothing || !strings.Contains(errs, "etcd") {
		t.Errorf("without etcd it ends with %d: %s", code, errs)
	}
	at := append(slices.Clone(base), "--etcd", cluster.Etcd, "--etcd-ca", pki("etcd-ca.crt"))
	if _, errs, code := program(t, at...); code == exitOK || !strings.Contains(errs, "hint: it takes a client certificate") {
		t.Errorf("without a client certificate it ends with %d: %s", code, errs)
	}
	out, errs, code := program(t, append(slices.Clone(at), "--etcd-cert", pki("etcd-client.crt"), "--etcd-key", pki("etcd-client.key"))...)
	var all struct{ Results []proved }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("exit %d: %s: %v", code, errs, err)
	}
	if code != exitOK || len(all.Results) != 1 || len(all.Results[0].Probes) != 1 || all.Results[0].Probes[0].Outcome() != prove.Held {
		t.Errorf("at etcd it ends with %d: %s%s", code, out, errs)
	}
	if strings.Contains(out+errs, "hidden-value") {
		t.Error("a Secret's content was printed")
	}
}
