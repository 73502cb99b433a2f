package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/store"
)

// TestWhoSeesSpokes: a cluster that a spoke pushes is seen by those whom a rule for clusters names
// it to, or all, and by nobody else; and nothing is done to it here.
func TestWhoSeesSpokes(t *testing.T) {
	w := startWorld(t)
	ns := devclustertest.Namespace(t, nil)
	const mine, theirs = "spoke-mine", "spoke-theirs"
	for _, uid := range []string{mine, theirs} {
		if err := w.desk.o.Store.PutCluster(t.Context(), uid, uid, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.desk.o.Store.PushWhole(t.Context(), uid, uid, time.Now(), "s/0", store.Delta{}); err != nil {
			t.Fatal(err)
		}
		alerts := store.AlertStates{All: true, Alerts: []store.Alert{{Key: "alert of " + uid, Kind: store.AlertDetection, Title: "A shell", First: time.Now(), Last: time.Now(), Times: 1}}}
		if err := w.desk.o.Store.PushAlerts(t.Context(), uid, time.Now(), "s/0", "s/1", alerts, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	named := baileyRule("get", "clusters")
	named["resourceNames"] = []any{mine}
	admin, tenant, fleet, guest, stranger := w.token(t, ns, "admin"), w.token(t, ns, "tenant"), w.token(t, ns, "fleet"), w.token(t, ns, "guest"), w.token(t, ns, "stranger")
	w.grant(t, ns, "admin", "", baileyRule("get", "reports"), baileyRule("create", "waivers"))
	w.grant(t, ns, "tenant", "", baileyRule("get", "reports"), named)
	w.grant(t, ns, "guest", "", baileyRule("get", "ledgers"), named)
	w.grant(t, ns, "fleet", "", baileyRule("get", "clusters"), baileyRule("create", "waivers"))
	for _, c := range []struct {
		name, token  string
		mine, theirs int
	}{
		{"nobody", "", 401, 401},
		{"who sees all of the hub's own", admin, 403, 403},
		{"who is named one", tenant, 200, 403},
		{"who is named all", fleet, 200, 200},
		{"who is named one, and sees nothing of the hub's own", guest, 200, 403},
		{"who may see nothing", stranger, 403, 403},
	} {
		for uid, want := range map[string]int{mine: c.mine, theirs: c.theirs} {
			// The authorizer may learn of a rule later than of the one that was awaited.
			var code int
			var body string
			for end := time.Now().Add(patience); code != want && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				code, body, _ = w.ask(t, c.token, http.MethodGet, "/api/v1/findings?cluster="+uid, "")
			}
			if code != want {
				t.Errorf("%s gets %d of %s: %.200s", c.name, code, uid, body)
			}
			for _, path := range []string{"/api/v1/alerts?cluster=" + uid, "/api/v1/search?text=shell&cluster=" + uid} {
				if code, body, _ := w.ask(t, c.token, http.MethodGet, path, ""); code != want || strings.Contains(body, "alert of "+uid) != (want == 200) {
					t.Errorf("%s gets %d of %s: %s", c.name, code, path, body)
				}
			}
			if _, body, _ := w.ask(t, c.token, http.MethodGet, "/api/v1/alerts", ""); strings.Contains(body, "alert of "+uid) {
				t.Errorf("%s is shown alerts of %s among the hub's own: %s", c.name, uid, body)
			}
			for _, path := range []string{"/api/v1/clusters", "/api/v1/fleet"} {
				if _, body, _ := w.ask(t, c.token, http.MethodGet, path, ""); strings.Contains(body, uid) != (want == 200) {
					t.Errorf("%s is shown %s: %s", c.name, path, body)
				}
			}
		}
		own := c.token == admin || c.token == tenant
		for _, path := range []string{"/api/v1/clusters", "/api/v1/fleet"} {
			if code, body, _ := w.ask(t, c.token, http.MethodGet, path, ""); strings.Contains(body, w.loop.Cluster()) != own || (code == http.StatusOK) != (own || c.mine == 200) {
				t.Errorf("%s is shown %s: %d %s", c.name, path, code, body)
			}
		}
	}
	if code, body, _ := w.ask(t, fleet, http.MethodGet, "/api/v1/findings", ""); code != http.StatusForbidden {
		t.Errorf("who sees spokes sees the hub's own cluster: %d %.200s", code, body)
	}
	waiver := `{"rule":"compute/pod-security/host-namespaces","reason":"a test","owner":"me","expires":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
	if code, body, _ := w.ask(t, fleet, http.MethodPost, "/api/v1/waivers?cluster="+mine, waiver); code != http.StatusUnprocessableEntity {
		t.Errorf("a waiver for a spoke: %d %.200s", code, body)
	}
}

// TestEventsOfAnother: a reader who comes from another process is told that something is lost, and
// one who comes back is not.
func TestEventsOfAnother(t *testing.T) {
	news := NewNews()
	news.Tell(Item{Kind: NewsSight, Data: 1}, Item{Kind: NewsSight, Data: 2})
	stopping := make(chan struct{})
	desk := NewDesk(DeskOptions{Own: func() string { return "uid" }, Namespaces: func() []string { return nil }})
	api := &API{Desk: desk, Rights: LocalRights{}, News: news, Stopping: stopping}
	sessions := &Sessions{Now: time.Now}
	front := &Front{Sessions: sessions, Tokens: NewLocalToken("the token", nil), Now: time.Now}
	s := httptest.NewServer(front.Wrap(api.Handler()))
	t.Cleanup(s.Close)
	close(stopping) // each stream ends when it has told what there is
	for last, want := range map[string]string{
		news.Process() + "-1": "retry: 2000\n\nid: " + news.Process() + "-2\nevent: sight\ndata: 2\n\n",
		"else-where-1":        "retry: 2000\n\nevent: missed\ndata: {}\n\n",
		"1":                   "retry: 2000\n\nevent: missed\ndata: {}\n\n",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer the token")
		r.Header.Set("Last-Event-ID", last)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		told, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(told) != want {
			t.Errorf("after %s: %q, %v", last, told, err)
		}
	}
}
