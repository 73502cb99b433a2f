package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestServeNameless: a server whose identity may not read which cluster it is says so in its log, on its
// page and to probes, and is not ready.
func TestServeNameless(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	user := "nameless-" + ns
	kubeconfig, err := cluster.KubeconfigFor(user)
	if err != nil {
		t.Fatal(err)
	}
	rbac := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns
	for path, object := range map[string]map[string]any{
		"/roles": {"kind": "Role", "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"get", "list", "watch"}}}},
		"/rolebindings": {"kind": "RoleBinding", "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}},
	} {
		object["apiVersion"], object["metadata"] = "rbac.authorization.k8s.io/v1", map[string]any{"name": "reader"}
		if err := cluster.Do(t.Context(), http.MethodPost, rbac+path, object, nil); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(t.TempDir(), "data")
	p := startUnready(t, "127.0.0.1:0", t.TempDir(), "serve", "--kubeconfig", kubeconfig, "--namespace", ns, "--data", data)
	token := tokenIn(t, data)
	for _, path := range []string{"/readyz", "/api/v1/status", "/"} {
		awaitWithin(t, time.Minute, path+" does not say why", func() bool {
			code, said := p.get(t, path, token)
			return strings.Contains(said, "get the namespace kube-system") && (code == http.StatusOK) == (path != "/readyz")
		})
	}
	time.Sleep(20 * seenWait) // the log is told at the next look
	if _, said := p.end(t); strings.Count(said, "nothing is kept, proven or shown") != 1 {
		t.Errorf("the log: %s", said)
	}
}
