//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/ledger/audit"
)

// TestSinkOfTwoAPIServers has two API servers over one etcd send their events to one
// sink, each by a path of its own, in blocking mode and with a bearer token. The sink is
// away twice: shortly, so that nothing is lost, and for longer than the API servers try.
// What the proofs say of each is held against its own log file.
func TestSinkOfTwoAPIServers(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes a minute: make soak, or BAILEY_SOAK=1")
	}
	dir := t.TempDir()
	keys := makeSinkKeys(t, dir)
	way := newWay(t)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := func(name, token string) []string {
		config := filepath.Join(dir, name+".kubeconfig")
		printed := runBailey(t, "ledger", "audit", "--print-webhook-config", "--url", "https://"+way.addr+"/"+name, "--server-ca", keys.ca, "--token-file", token)
		if err := os.WriteFile(config, printed, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--audit-webhook-config-file=" + config, "--audit-webhook-mode=blocking", "--audit-webhook-initial-backoff=200ms"}
	}
	// Until it is known where the counters are, the sink takes events and no more: without
	// it, each request of a control plane that starts would wait for it.
	s := &sink{name: "webhook", ledger: filepath.Join(dir, "webhook"),
		args: []string{"--listen", way.to, "--tls-cert", keys.cert, "--tls-key", keys.key, "--token-file", token}}
	runBailey(t, "ledger", "init", s.ledger)
	s.start(t)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{ExtraAPIServerArgs: flags("one", token)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	replica, err := cluster.AddAPIServer(t.Context(), "two", flags("two", token)...)
	if err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	s.args = append(s.args, "--metrics-from", "one="+cluster.Kubeconfig, "--metrics-from", "two="+replica.Kubeconfig, "--every", "500ms", "--settle", "6s")
	s.start(t)
	s.quiet(t, "one")
	s.quiet(t, "two")

	for _, token := range []string{"", "Bearer ", "Bearer 0123456789abcdef0123456789abcdee"} {
		if code := post(t, keys, "https://"+way.to+"/one", token); code != http.StatusUnauthorized {
			t.Errorf("a request with %q is answered with %d", token, code)
		}
	}
	first, second := work(t, cluster.Do), work(t, replica.Do)
	first.goes(t, 20)
	second.goes(t, 20)
	s.kill(t) // in blocking mode the requests wait for it
	s.start(t)
	first.goes(t, 10)
	second.goes(t, 10)
	first.stop()
	second.stop()
	s.quiet(t, "one")
	s.quiet(t, "two")

	way.cut.Store(true)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := replica.Do(ctx, http.MethodGet, "/api/v1/namespaces/kube-public", nil, nil)
		cancel()
		if err != nil {
			t.Fatalf("in blocking mode a request goes on without the sink: %v", err)
		}
	}
	way.cut.Store(false)
	for _, name := range []string{"one", "two"} {
		s.judged(t, name)
		s.quiet(t, name)
	}
	s.stop(t)

	one, two := readTruth(t, cluster.AuditLog), readTruth(t, replica.AuditLog)
	compare(t, s, "one", one)
	compare(t, s, "two", two)
	for id := range one {
		if _, both := two[id]; both {
			t.Errorf("the event %s is in the logs of both API servers", id)
		}
	}
	var named uint64
	for _, p := range s.of("two") {
		if p.Verdict == audit.Gap {
			named += p.Missing.Least
		}
	}
	if named < 3 {
		t.Errorf("of the second API server 3 requests and more were lost, and the gaps name %d events", named)
	}
}

// post sends an empty list of events.
func post(t *testing.T, keys sinkKeys, url, authorization string) (code int) {
	t.Helper()
	pem, err := os.ReadFile(keys.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
