package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store/sqlite"
)

// alertsAt gives the alerts of a cluster at a server; empty: its own. When they were delivered is left out.
func alertsAt(t *testing.T, p *servedProcess, token, cluster string) []server.Alert {
	t.Helper()
	_, body := p.get(t, "/api/v1/alerts?limit=1000&cluster="+cluster, token)
	var page struct{ Items []server.Alert }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	for i := range page.Items {
		page.Items[i].Delivered = nil
	}
	return page.Items
}

// TestHubAlerts: a hub shows the alerts of a spoke as the spoke itself does: those that were raised before
// and after a SIGKILL of the spoke and while the hub was away, and those that are over. It delivers its own alone.
func TestHubAlerts(t *testing.T) {
	told := make(chan server.WebhookBody, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var b server.WebhookBody
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &b)
		}
		if err != nil {
			t.Error(err)
		}
		told <- b
	}))
	defer hook.Close()
	s := &spokes{state: t.TempDir()}
	folder, webhook := t.TempDir(), filepath.Join(s.state, "webhook")
	if err := os.WriteFile(webhook, []byte(hook.URL+"\n0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writePodIn(t, folder, "hubs", "first")
	s.data = filepath.Join(s.state, "data")
	args := []string{"serve", "--hub", "--data", s.data, "--target", folder, "--alert-webhook", webhook}
	s.hub = startServed(t, s.state, args...)
	s.token = tokenIn(t, s.data)
	address := strings.TrimPrefix(s.hub.url, "http://")
	one := s.spoke(t, "red")
	awaitText(t, s.hub, s.token, "/api/v1/findings?name=red&cluster="+one.uid, "host-namespaces")
	if all := alertsAt(t, s.hub, s.token, one.uid); len(all) > 0 {
		t.Errorf("what was there at first is an alert: %+v", all)
	}
	const key = "finding/compute/pod-security/host-namespaces/"
	// same waits until the hub shows what the spoke does, with an alert of a namespace.
	same := func(what, namespace string) {
		t.Helper()
		awaitText(t, one.servedProcess, one.token, "/api/v1/alerts", key+namespace+`"`)
		awaitWithin(t, 90*time.Second, what+": the hub shows the spoke's alerts", func() bool {
			return reflect.DeepEqual(alertsAt(t, s.hub, s.token, one.uid), alertsAt(t, one.servedProcess, one.token, ""))
		})
	}
	writePodIn(t, one.folder, "mail", "green")
	same("one is raised", "mail")

	s.hub.kill()
	writePodIn(t, one.folder, "bank", "while-away")
	awaitText(t, one.servedProcess, one.token, "/api/v1/alerts", key+`bank"`)
	s.hub = startServedAt(t, address, s.state, args...)
	same("one was raised while the hub was away", "bank")

	one.kill()
	writePodIn(t, one.folder, "post", "while-down")
	one.servedProcess = startServed(t, one.state, one.args...)
	same("one came while the spoke was down", "post")

	kept, err := sqlite.Open(t.Context(), one.data)
	if err != nil {
		t.Fatal(err)
	}
	err = kept.Resolve(t.Context(), one.uid, time.Now(), key+"mail")
	kept.Close()
	if err != nil {
		t.Fatal(err)
	}
	same("one is over", "post")
	if code, body := s.hub.get(t, "/api/v1/alerts?state=over&cluster="+one.uid, s.token); code != http.StatusOK || !strings.Contains(body, key+`mail"`) || strings.Contains(body, key+`bank"`) {
		t.Errorf("what is over: %d %s", code, body)
	}
	if code, body := s.hub.get(t, "/alerts?cluster="+one.uid, s.token); code != http.StatusOK || !strings.Contains(body, "while-away") || strings.Contains(body, "No audit log") {
		t.Errorf("the page: %d %s", code, body)
	}
	if code, body := s.hub.get(t, "/api/v1/search?text=while-away&cluster="+one.uid, s.token); code != http.StatusOK || !strings.Contains(body, `"kind":"alert"`) {
		t.Errorf("search: %d %s", code, body)
	}
	if all := alertsAt(t, s.hub, s.token, ""); len(all) > 0 {
		t.Errorf("alerts of the spoke are the hub's own: %+v", all)
	}

	writePodIn(t, folder, "hubs", "second")
	for wait, own := time.After(30*time.Second), false; !own; {
		select {
		case body := <-told:
			for _, g := range body.Groups {
				for _, a := range g.Alerts {
					if own = own || a.Namespace == "hubs"; a.Namespace != "hubs" {
						t.Errorf("the hub delivers what is the spoke's: %+v", a)
					}
				}
			}
		case <-wait:
			t.Fatal("the hub delivers nothing")
		}
	}
	for _, p := range []*servedProcess{one.servedProcess, s.hub} {
		if code, said := p.end(t); code != exitOK || strings.Contains(said, one.push) {
			t.Errorf("exit %d: %s", code, said)
		}
	}
}
