package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// askShared asks the cluster that packages share.
func askShared(t *testing.T) (*devcluster.Cluster, *ClusterRights, *ClusterTokens) {
	t.Helper()
	cluster := devclustertest.Shared(t)
	config, err := kube.RESTConfig(cluster.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	rights, tokens, err := AskCluster(config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, rights, tokens
}

// TestManyNamespaces: a tenant of a cluster with many namespaces is answered in seconds, and sees
// their own.
func TestManyNamespaces(t *testing.T) {
	cluster, rights, tokens := askShared(t)
	mine := devclustertest.Namespace(t, nil)
	names := []string{mine}
	for i := range 300 { // to the authorizer a name is enough
		names = append(names, fmt.Sprintf("of-others-%d", i))
	}
	var sees Namespaces
	front := &Front{Sessions: &Sessions{Now: time.Now}, Tokens: tokens, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	desk := NewDesk(DeskOptions{Own: func() string { return "uid" }, Namespaces: func() []string { return names }})
	s := httptest.NewServer(front.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := AskOf(r.Context(), desk, rights, "")
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
		sees = ask.Sees
	})))
	t.Cleanup(s.Close)
	w := &world{cluster: cluster, url: s.URL}
	tenant := w.token(t, mine, "tenant")
	w.grant(t, mine, "tenant", mine, baileyRule("get", "reports"))
	begun := time.Now()
	code, said, _ := w.ask(t, tenant, http.MethodGet, "/", "")
	if code != http.StatusOK || sees.All || len(sees.Names) != 1 || sees.Names[0] != mine {
		t.Fatalf("%d %s: %+v", code, said, sees)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the first page takes %s", took)
	}
}
