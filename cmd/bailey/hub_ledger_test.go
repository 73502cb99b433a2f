package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHubLedger: a hub keeps a ledger and waivers of its own. A spoke's evidence bears an index of the spoke's ledger and a run of the
// spoke's: at the hub neither leads to the hub's ledger and runs, which, like its waivers, are not shown as the spoke's.
func TestHubLedger(t *testing.T) {
	s := &spokes{state: t.TempDir()}
	folder, config := t.TempDir(), filepath.Join(s.state, "bailey.yaml")
	writePod(t, folder, "of-the-hub")
	if err := os.WriteFile(config, []byte("waivers: [{rule: compute/pod-security, reason: accepted at the hub, owner: me, expires: 2099-01-01}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.data = filepath.Join(s.state, "data")
	s.hub = startServed(t, s.state, "serve", "--hub", "--data", s.data, "--target", folder, "--config", config, "--ledger", filepath.Join(s.state, "ledger"))
	s.token = tokenIn(t, s.data)
	const uid, experiment = "a-spoke", "/experiments/compute/pod-security/refused-by-pod-security"
	lines := `{"format":"bailey-push","version":1,"kind":"whole","cluster":"a-spoke","name":"production","session":"s","number":0}
{"evidence":{"id":"0123456789abcdef","run":"run-of-the-spoke","control":"compute/pod-security","experiment":"refused-by-pod-security","scope":{"kind":"cluster"},"at":"2026-11-01T12:00:00Z","paths":[{"path":"p","tried":4,"held":4}],"ledgerIndex":17}}
{"end":1}
`
	if code, said := s.push(t, s.command(t, "token", uid, "--name", "production"), "", strings.NewReader(lines)); code != http.StatusNoContent {
		t.Fatalf("the push: %d %s", code, said)
	}
	awaitText(t, s.hub, s.token, "/api/v1/findings?state=waived", "host-namespaces")
	for _, c := range []struct {
		path      string
		code      int
		has, lack string // of the answer
	}{
		{experiment + "?cluster=" + uid, http.StatusOK, "entry 17 of its own server’s ledger", `href="/ledger`},
		{experiment + "?cluster=" + uid, http.StatusOK, "run run-of-the-s of its own server", `href="/runs/`},
		{"/ledger", http.StatusOK, `id="verifier"`, "watched by another server"},
		{"/ledger?entry=17&cluster=" + uid, http.StatusOK, "<b>production</b> is watched by another server", `id="verifier"`},
		{"/runs?cluster=" + uid, http.StatusOK, "<b>production</b> is watched by another server", "Nothing was run yet"},
		{"/waivers", http.StatusOK, "accepted at the hub", "watched by another server"},
		{"/waivers?cluster=" + uid, http.StatusOK, "<b>production</b> is watched by another server", "accepted at the hub"},
		{"/api/v1/waivers", http.StatusOK, "accepted at the hub", "nothing"},
		{"/api/v1/waivers?cluster=" + uid, http.StatusOK, `"items":[]`, "accepted at the hub"},
		{"/api/v1/evidence?cluster=" + uid, http.StatusOK, `"ledgerIndex":17`, "nothing"},
		{"/api/v1/ledger/entries?cluster=" + uid, http.StatusUnprocessableEntity, "cluster", `"entries"`},
		{"/api/v1/ledger/checkpoint?cluster=" + uid, http.StatusUnprocessableEntity, "cluster", "—"},
		{"/api/v1/ledger/tile/0/000.p/1?cluster=" + uid, http.StatusUnprocessableEntity, "the server's own cluster alone", "nothing"},
		{"/api/v1/report?cluster=" + uid, http.StatusUnprocessableEntity, "the server's own cluster alone", "of-the-hub"},
	} {
		if code, body := s.hub.get(t, c.path, s.token); code != c.code || !strings.Contains(body, c.has) || strings.Contains(body, c.lack) {
			t.Errorf("%s: %d, lacks %q or has %q: %.1000s", c.path, code, c.has, c.lack, body)
		}
	}
	if code, said := s.hub.end(t); code != exitOK {
		t.Errorf("exit %d: %s", code, said)
	}
}
