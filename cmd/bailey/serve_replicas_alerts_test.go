package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// listener is a webhook that remembers what it is told.
type listener struct {
	file string // names it to a server
	mu   sync.Mutex
	all  []server.WebhookAlert
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{file: filepath.Join(t.TempDir(), "webhook")}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var b server.WebhookBody
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, g := range b.Groups {
			l.all = append(l.all, g.Alerts...)
		}
	}))
	t.Cleanup(hook.Close)
	if err := os.WriteFile(l.file, []byte(hook.URL+"\n0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// once: of no alert the webhook was told twice that it came, whoever led. Nothing here lasts long enough to be told again.
func (l *listener) once(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	came := map[string][]server.WebhookAlert{}
	for _, a := range l.all {
		if a.State == "firing" {
			came[a.Key] = append(came[a.Key], a)
		}
	}
	for key, all := range came {
		if len(all) > 1 {
			t.Errorf("the webhook was told %d times of %s: %+v", len(all), key, all)
		}
	}
}

// heard reports whether the webhook was told of an alert.
func (l *listener) heard(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.all, func(a server.WebhookAlert) bool { return a.Key == key })
}

// privileged makes a pod that raises another alert than pod does.
func (r *replicas) privileged(t *testing.T, name string) {
	t.Helper()
	if err := r.cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/default/pods", map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "x", "securityContext": map[string]any{"privileged": true}}}}}, nil); err != nil {
		t.Fatal(err)
	}
}

// awaitTold waits until the alert that a rule of Pod Security raises was told, and is known to have been.
func (r *replicas) awaitTold(t *testing.T, rule string) {
	t.Helper()
	key := "finding/compute/pod-security/" + rule + "/default"
	awaitWithin(t, time.Minute, "the webhook is told of "+key, func() bool {
		kept, err := r.store.Alert(t.Context(), store.Everything(), r.uid, key)
		return err == nil && !kept.Delivered.IsZero() && r.told.heard(key)
	})
}

// allTold waits until no alert is left that is not known to have been told, and none has come for a while: what is being told as a leader
// ends without warning is told again by the next, under the same ID.
func (r *replicas) allTold(t *testing.T) {
	t.Helper()
	known, since := -1, time.Now()
	awaitWithin(t, time.Minute, "all alerts are told", func() bool {
		page, err := r.store.Alerts(t.Context(), store.AlertQuery{Cluster: r.uid, Access: store.Everything(), State: store.All, Limit: 1000})
		if err != nil || slices.ContainsFunc(page.Items, func(a store.Alert) bool { return a.Delivered.IsZero() }) {
			known = -1
			return false
		}
		if known != len(page.Items) {
			known, since = len(page.Items), time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}
