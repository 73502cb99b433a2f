package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestNothingOfTheHubs: what a hub has of its own cluster alone it does not give where a spoke's is asked for: waivers of
// its configuration, its ledger, its report and what happens in it.
func TestNothingOfTheHubs(t *testing.T) {
	kept := openStore(t)
	for _, uid := range []string{"hub", "spoke"} {
		if err := kept.PutCluster(t.Context(), uid, uid, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.PushWhole(t.Context(), "spoke", "spoke", time.Now(), "s/0", store.Delta{}); err != nil {
		t.Fatal(err)
	}
	accepted := bailey.Waiver{Rule: "compute/pod-security/privileged", Reason: "of the hub", Owner: "me", Expires: time.Now().Add(time.Hour)}
	stopping := make(chan struct{})
	close(stopping) // streams end when they have told what there is
	desk := NewDesk(DeskOptions{Store: kept, Own: func() string { return "hub" }, Namespaces: func() []string { return nil },
		Configured: func() []bailey.Waiver { return []bailey.Waiver{accepted} }, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	dir, identities := newLedger(t)
	api := &API{Version: "test", Desk: desk, Rights: LocalRights{}, News: NewNews(), Stopping: stopping, Book: openBook(t, dir, identities), Log: slog.New(slog.DiscardHandler),
		Report: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the report") }}
	t.Cleanup(func() { closeBook(t, api.Book) })
	api.Book.Verify(t.Context())
	api.Book.Record(t.Context(), "e", envelopeOf("a/b", "x", "held"))
	for end := time.Now().Add(patience); api.Book.State().Size == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is signed")
		}
	}
	front := &Front{Sessions: &Sessions{Now: time.Now}, Tokens: NewLocalToken("the token", nil), Now: time.Now}
	s := httptest.NewServer(front.Wrap(api.Handler()))
	t.Cleanup(s.Close)
	ask := func(path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer the token")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	for _, path := range []string{"/waivers?", "/search?text=hub&"} {
		for cluster, has := range map[string]bool{"": true, "hub": true, "spoke": false} {
			if code, text := ask(path + "cluster=" + cluster); code != http.StatusOK || strings.Contains(text, "of the hub") != has {
				t.Errorf("%s of %q: %d %s", path, cluster, code, text)
			}
		}
	}
	for path, own := range map[string]string{"/report": "hub", "/events": "hub", "/ledger/tile/0/000.p/2": "hub", "/ledger/checkpoint": "", "/ledger/entries": ""} {
		if code, text := ask(path + "?cluster=spoke"); code != http.StatusUnprocessableEntity || !strings.Contains(text, "cluster") {
			t.Errorf("%s of a spoke: %d %s", path, code, text)
		}
		if own != "" {
			path += "?cluster=" + own
		}
		if code, text := ask(path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}
