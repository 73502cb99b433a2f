package server

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/derive/detect"
)

// TestHallmark: the event of a request that Bailey made is known by whoever has the key, and no other
// event that bears its audit ID, or one that is made up.
func TestHallmark(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	var came *http.Request
	server := httptest.NewServer(http.StripPrefix("/k8s/clusters/c-1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came = r })))
	defer server.Close()
	// ask makes a request, and gives its event as an API server writes it down.
	ask := func(method, path, verb string) detect.Event {
		t.Helper()
		config := &rest.Config{Host: server.URL + "/k8s/clusters/c-1", UserAgent: "bailey/1", BearerToken: "t", Impersonate: rest.ImpersonationConfig{UserName: "jane"}}
		NewHallmark(key, clock).Around(config)
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return detect.Event{AuditID: came.Header.Get("Audit-ID"), RequestURI: came.URL.RequestURI(), Verb: verb, UserAgent: came.UserAgent(), Received: now}
	}
	heir := NewHallmark(key, clock) // of the next process
	var pods detect.Event
	for _, r := range []struct{ method, path, verb string }{
		{http.MethodGet, "/api/v1/pods?limit=500", "list"},
		{http.MethodGet, "/api/v1/pods?watch=true&resourceVersion=1", "watch"},
		{http.MethodGet, "/api/v1/namespaces/a%2Fb/pods/x%20y", "get"},
		{http.MethodGet, "/version", "get"},
		{http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All", "create"},
		{http.MethodPut, "/api/v1/nodes/n", "update"},
		{http.MethodPatch, "/api/v1/nodes/n", "patch"},
		{http.MethodDelete, "/api/v1/nodes/n", "delete"},
		{http.MethodDelete, "/api/v1/nodes", "deletecollection"},
		{http.MethodPost, "/no/resource", "post"},
	} {
		e := ask(r.method, r.path, r.verb)
		if !holds(heir, &e) {
			t.Errorf("%s %s is not known: %+v", r.method, r.path, e)
		}
		if len(e.AuditID) > auditIDMost {
			t.Errorf("%d characters: %s", len(e.AuditID), e.AuditID)
		}
		if r.verb == "create" {
			pods = e
		}
	}
	if again := ask(http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All", "create"); again.AuditID == pods.AuditID {
		t.Error("two requests have one ID")
	}
	for what, change := range map[string]func(e *detect.Event){
		"no ID":           func(e *detect.Event) { e.AuditID = "" },
		"another's ID":    func(e *detect.Event) { e.AuditID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
		"only the prefix": func(e *detect.Event) { e.AuditID = hallmarkPrefix },
		"made up":         func(e *detect.Event) { e.AuditID = hallmarkPrefix + strings.Repeat("A", 44) },
		"no base64":       func(e *detect.Event) { e.AuditID = hallmarkPrefix + strings.Repeat("=", 44) },
		"longer":          func(e *detect.Event) { e.AuditID += "A" },
		"another's key": func(e *detect.Event) {
			e.AuditID = NewHallmark(make([]byte, 32), clock).id("POST", e.RequestURI, e.UserAgent)
		},
		"another path":   func(e *detect.Event) { e.RequestURI = "/api/v1/namespaces/kube-system/pods?dryRun=All" },
		"no dry run":     func(e *detect.Event) { e.RequestURI = "/api/v1/namespaces/shop/pods" },
		"another verb":   func(e *detect.Event) { e.Verb = "deletecollection" },
		"another client": func(e *detect.Event) { e.UserAgent = "kubectl/v1.34.0" },
		"old":            func(e *detect.Event) { e.Received = now.Add(idHolds + time.Second) },
		"not made yet":   func(e *detect.Event) { e.Received = now.Add(-idHolds - time.Second) },
		"no time":        func(e *detect.Event) { e.Received = time.Time{} },
	} {
		e := pods
		if change(&e); holds(heir, &e) {
			t.Errorf("%s: %+v is taken for a request of Bailey", what, e)
		}
	}
	for i := range pods.AuditID {
		e := pods
		e.AuditID = e.AuditID[:i] + string(e.AuditID[i]^1) + e.AuditID[i+1:]
		if holds(heir, &e) {
			t.Errorf("with byte %d changed it is known still", i)
		}
	}
	late := pods
	late.Received = now.Add(idHolds - time.Second)
	if !holds(heir, &late) {
		t.Error("a request that took long to come in is not known")
	}
}

func holds(h *Hallmark, e *detect.Event) bool {
	after, sealed := h.sealed(e)
	return sealed && after.Abs() <= idHolds
}
