package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/collect/alerts"
)

const correlation = "bailey-7f3a91c2"

// standIn answers as api/v2/openapi.yaml of Alertmanager describes: what was
// posted, as a list of alerts with their times.
type standIn struct {
	mu   sync.Mutex
	list []map[string]any
	code int
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code != 0 {
		w.WriteHeader(s.code)
		return
	}
	if r.URL.Path != "/prefix/api/v2/alerts" || r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(append([]map[string]any{}, s.list...))
}

func (s *standIn) add(at time.Time, annotation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, map[string]any{
		"labels": map[string]string{"alertname": "SecretsListed", "severity": "page"}, "annotations": map[string]string{"summary": annotation},
		"startsAt": at, "endsAt": at.Add(time.Hour), "updatedAt": at, "fingerprint": "0123456789abcdef", "generatorURL": "",
		"receivers": []map[string]string{{"name": "team"}}, "status": map[string]any{"state": "active", "silencedBy": []string{}, "inhibitedBy": []string{}, "mutedBy": []string{}},
	})
}

func await(t *testing.T, w alerts.Watcher, since time.Time, limit time.Duration) (time.Time, bool, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return w.Await(ctx, correlation, since)
}

func TestAlertmanager(t *testing.T) {
	s := &standIn{}
	server := httptest.NewServer(s)
	defer server.Close()
	m := &alerts.Alertmanager{URL: server.URL + "/prefix/", Authorization: "Bearer secret", Every: 10 * time.Millisecond}
	start := time.Now()
	if _, found, err := await(t, m, start, 100*time.Millisecond); found || err != nil {
		t.Errorf("with no alert: %t (%v)", found, err)
	}
	s.add(time.Now(), "somebody listed Secrets")
	s.add(start.Add(-time.Hour), "an earlier run of "+correlation)
	s.add(time.Now(), "another experiment: "+correlation+"0")
	if _, found, err := await(t, m, start, 100*time.Millisecond); found || err != nil {
		t.Errorf("with others: %t (%v)", found, err)
	}
	time.AfterFunc(50*time.Millisecond, func() { s.add(time.Now(), "user agent bailey/"+correlation+" listed Secrets") })
	if at, found, err := await(t, m, start, 10*time.Second); !found || err != nil || at.Before(start) {
		t.Errorf("with the alert: %s, %t (%v)", at, found, err)
	}
	if _, _, err := m.Await(t.Context(), "short", start); err == nil {
		t.Error("took a short correlation ID")
	}
}

// TestAlertmanagerUnknown wants an error, not silence, where nobody knows.
func TestAlertmanagerUnknown(t *testing.T) {
	s := &standIn{code: http.StatusBadGateway}
	server := httptest.NewServer(s)
	m := &alerts.Alertmanager{URL: server.URL, Every: 10 * time.Millisecond}
	if _, found, err := await(t, m, time.Now(), 100*time.Millisecond); found || err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("bad gateway: %t (%v)", found, err)
	}
	s.mu.Lock()
	s.code = 0
	s.mu.Unlock()
	if _, found, err := await(t, m, time.Now(), 100*time.Millisecond); found || err == nil {
		t.Errorf("another URL: %t (%v)", found, err)
	}
	server.Close()
	if _, found, err := await(t, m, time.Now(), 100*time.Millisecond); found || err == nil {
		t.Errorf("nobody listens: %t (%v)", found, err)
	}
}

func TestReceiver(t *testing.T) {
	r, err := alerts.Listen("", "a-token")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	post := func(token, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"hook", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	start := time.Now()
	if code := post("wrong", correlation); code != http.StatusUnauthorized {
		t.Errorf("a wrong token gave %d", code)
	}
	if code := post("a-token", strings.Repeat("x", 2<<20)+correlation); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body gave %d", code)
	}
	if _, found, err := await(t, r, start, 50*time.Millisecond); found || err != nil {
		t.Errorf("what was refused was found: %t (%v)", found, err)
	}
	if code := post("a-token", `{"alerts":[{"annotations":{"summary":"agent `+correlation+`"}}]}`); code != http.StatusOK {
		t.Errorf("the alert gave %d", code)
	}
	at, found, err := await(t, r, start, 10*time.Second)
	if !found || err != nil || at.Before(start) || at.After(time.Now()) {
		t.Errorf("arrived before the call: %s, %t (%v)", at, found, err)
	}
	later := time.Now()
	if _, found, _ := await(t, r, later, 50*time.Millisecond); found {
		t.Error("an earlier alert counted for a later run")
	}
	post("a-token", "another's: "+correlation+"0, and "+correlation+"-001")
	if _, found, _ := await(t, r, later, 50*time.Millisecond); found {
		t.Error("an alert counted for what its ID only begins with")
	}
	time.AfterFunc(20*time.Millisecond, func() { post("a-token", `{"text":"seen:\n`+correlation+`\n"}`) })
	if _, found, err := await(t, r, later, 10*time.Second); !found || err != nil {
		t.Errorf("arrives during the call: %t (%v)", found, err)
	}
	for n := range 200 { // it keeps the latest ones only
		post("a-token", fmt.Sprint("other ", n))
	}
	if _, found, _ := await(t, r, start, 20*time.Millisecond); found {
		t.Error("it kept more than it should")
	}
}
