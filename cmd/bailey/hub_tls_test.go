package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store/sqlite"
)

// TestHubOverTLS: a hub with a certificate of its own is pushed to by a server that knows it, and told
// nothing by one that does not: neither findings nor the token.
func TestHubOverTLS(t *testing.T) {
	s := &spokes{state: t.TempDir()}
	folder := t.TempDir()
	writePod(t, folder, "of-the-hub")
	s.data = filepath.Join(s.state, "data")
	s.hub = startUnready(t, "127.0.0.1:0", s.state, "serve", "--hub", "--data", s.data, "--target", folder, "--tls-self-signed", "127.0.0.1")
	ca := filepath.Join(s.data, "tls.crt")
	if !strings.HasPrefix(s.hub.url, "https://127.0.0.1:") {
		t.Fatalf("it answers at %s", s.hub.url)
	}
	plain, err := http.Get("http" + strings.TrimPrefix(s.hub.url, "https") + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %s", plain.Status)
	}
	token := filepath.Join(s.state, "token")
	if err := os.WriteFile(token, []byte("a-token-to-keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := programIn(t, s.state, "scan", "--server", s.hub.url, "--token-file", token); code != exitFailed || !strings.Contains(errs, "certificate") || strings.Contains(errs, "a-token-to-keep") {
		t.Errorf("a command that does not know the certificate: exit %d: %s", code, errs)
	}
	if _, errs, code := programIn(t, s.state, "scan", "--server", s.hub.url, "--token-file", token, "--server-ca", ca); code != exitFailed || strings.Contains(errs, "certificate") || strings.Contains(errs, "a-token-to-keep") {
		t.Errorf("one that does, with a wrong token: exit %d: %s", code, errs)
	}

	knows, not := s.spoke(t, "red", "--push-ca", ca), s.spoke(t, "blue")
	at := func(uid string) []string {
		kept, err := sqlite.Open(t.Context(), s.data)
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		return namesOf(t, kept, uid)
	}
	awaitWithin(t, 30*time.Second, "what is pushed is kept", func() bool { return slices.Contains(at(knows.uid), "red") })
	awaitText(t, not.servedProcess, not.token, "/api/v1/findings?name=blue", "host-namespaces")
	time.Sleep(2 * time.Second) // it has tried
	if names := at(not.uid); len(names) > 0 {
		t.Errorf("a server pushes to a hub whose certificate it does not know: %q", names)
	}
	if code, said := not.end(t); code != exitOK || !strings.Contains(said, "certificate") || strings.Contains(said, not.push) {
		t.Errorf("exit %d: %s", code, said)
	}
}
