package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// cut is a way to an API server that can be cut off.
type cut struct {
	off  atomic.Bool
	next http.RoundTripper
}

func (c *cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.off.Load() {
		return nil, errors.New("no route to host")
	}
	return c.next.RoundTrip(r)
}

// TestClusterAway: while the cluster does not answer, whoever looked before sees what they saw for a
// while, and nobody acts, comes anew or sees more.
func TestClusterAway(t *testing.T) {
	cluster := devclustertest.Shared(t)
	config, err := kube.RESTConfig(cluster.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	way, clock := &cut{}, &clock{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { way.next = next; return way })
	rights, tokens, err := AskCluster(config, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := devclustertest.Namespace(t, nil), devclustertest.Namespace(t, nil)
	front := &Front{Sessions: &Sessions{Now: clock.now}, Tokens: tokens, Log: slog.New(slog.DiscardHandler), Now: clock.now}
	desk := NewDesk(DeskOptions{Own: func() string { return "uid" }, Namespaces: func() []string { return []string{mine, theirs} }})
	s := httptest.NewServer(front.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			if err := front.LogInByToken(w, r, r.PostFormValue("token")); err != nil {
				http.Error(w, err.Error(), http.StatusUnauthorized)
			}
			return
		}
		ask, err := AskOf(r.Context(), desk, rights, "")
		may := false
		if err == nil && r.URL.Path == "/act" {
			may, err = rights.May(r.Context(), WhoAsks(r.Context()), WriteWaivers, "")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(struct {
			Sees Namespaces
			May  bool
		}{ask.Sees, may})
	})))
	t.Cleanup(s.Close)
	w, browser := &world{cluster: cluster, url: s.URL}, person()
	tenant, admin, other := w.token(t, mine, "tenant"), w.token(t, mine, "admin"), w.token(t, mine, "other")
	w.grant(t, mine, "tenant", mine, baileyRule("get", "reports"))
	w.grant(t, mine, "admin", "", baileyRule("create", "waivers"), baileyRule("get", "reports"))
	enter(t, browser, s.URL, tenant)
	looks := func(when, token, path string, want int, names ...string) {
		t.Helper()
		code, body, _ := w.ask(t, token, http.MethodGet, path, "")
		var said struct {
			Sees Namespaces
			May  bool
		}
		_ = json.Unmarshal([]byte(body), &said)
		if code != want || !slices.Equal(said.Sees.Names, names) || said.May != (want == http.StatusOK && path == "/act") {
			t.Errorf("%s: %d %s", when, code, body)
		}
	}
	looks("at first", tenant, "/", http.StatusOK, mine)
	await(t, "the administrator's rights", patience, func() bool {
		clock.pass(reviewKept) // the authorizer learns of one rule after the other
		code, _, _ := w.ask(t, admin, http.MethodGet, "/act", "")
		return code == http.StatusOK
	})
	looks("an administrator", admin, "/act", http.StatusOK)
	looks("before", tenant, "/", http.StatusOK, mine)
	way.off.Store(true)
	clock.pass(2 * sessionChecked)
	looks("while it is away", tenant, "/", http.StatusOK, mine)
	looks("an administrator who acts", admin, "/act", http.StatusServiceUnavailable)
	looks("who comes anew", other, "/", http.StatusServiceUnavailable)
	answer, err := browser.Get(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a session: %d", answer.StatusCode)
	}
	clock.pass(awayKept)
	looks("too long after", tenant, "/", http.StatusServiceUnavailable)
	way.off.Store(false)
	clock.pass(awayPause)
	looks("when it is back", tenant, "/", http.StatusOK, mine)
	clock.pass(time.Minute)
	looks("and after", admin, "/act", http.StatusOK)
}
