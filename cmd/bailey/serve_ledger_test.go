package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// order begins a run and gives its ID.
func (p *servedProcess) order(t *testing.T, token, body string) string {
	t.Helper()
	code, answer := p.post(t, "/api/v1/runs", token, body)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || made.ID == "" {
		t.Fatalf("no run was begun: %d, %v", code, err)
	}
	return made.ID
}

// post sends JSON and gives status and body.
func (p *servedProcess) post(t *testing.T, path, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// TestServeLedger: what a run proves is in the ledger, which verifies by itself; pages say where;
// a second writer is one clear error; and a ledger that is damaged stops nothing but itself.
func TestServeLedger(t *testing.T) {
	t.Parallel()                     // it mostly waits
	cluster := devclustertest.Own(t) // no namespace that others make and take away is tried
	devclustertest.NamespaceIn(t, cluster, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	state := t.TempDir()
	data, dir := filepath.Join(state, "data"), filepath.Join(state, "the-ledger")
	serve := []string{"serve", "--data", data, "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0", "--ledger", dir}
	p := startServed(t, state, serve...)
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/status", `"appending":true`)
	run := p.order(t, token, `{"controls":["compute/pod-security"]}`)
	awaitText(t, p, token, "/api/v1/runs/"+run, `"state":"done"`)
	awaitText(t, p, token, "/api/v1/ledger/entries", `"control":"compute/pod-security"`)
	awaitText(t, p, token, "/api/v1/controls/compute/pod-security", `"ledgerIndex":`)
	if _, body := p.get(t, "/metrics", ""); !strings.Contains(body, "bailey_ledger_damaged 0") {
		t.Error("no metric says that the ledger is well")
	}
	_, errs, code := programIn(t, state, "serve", "--data", filepath.Join(state, "other"), "--kubeconfig", cluster.Kubeconfig, "--listen", "127.0.0.1:0", "--ledger", dir)
	if code == exitOK || !strings.Contains(errs, "another process has the ledger open") || strings.Count(errs, "another process") != 1 {
		t.Errorf("a second writer: exit %d: %s", code, errs)
	}
	var page server.LedgerPage
	if _, body := p.get(t, "/api/v1/ledger/entries?kind=record", token); json.Unmarshal([]byte(body), &page) != nil || len(page.Entries) == 0 || page.Entries[0].Verdict != "held" {
		t.Errorf("%+v", page)
	}
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") || !strings.Contains(said, page.Key) {
		t.Errorf("exit %d: %s", code, said)
	}
	if out, errs, code := programIn(t, state, "ledger", "verify", dir, "--key", page.Key); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}

	// What is proven while no server runs is recorded by the next.
	if out, errs, code := programIn(t, state, "prove", "compute/pod-security", "--kubeconfig", cluster.Kubeconfig, "--quick"); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	p = startServed(t, state, serve...)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var now server.LedgerPage
		if _, body := p.get(t, "/api/v1/ledger/entries", token); json.Unmarshal([]byte(body), &now) == nil && now.Size > page.Size {
			break
		}
		if time.Now().After(end) {
			t.Fatal("what was proven without it is not recorded")
		}
	}
	p.end(t)

	var bundle string
	_ = filepath.WalkDir(filepath.Join(dir, "log", "tile", "entries"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			bundle = path
		}
		return err
	})
	content, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(content)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(bundle, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	p = startServed(t, state, serve...)
	awaitText(t, p, token, "/api/v1/status", `"appending":false`)
	awaitText(t, p, token, "/api/v1/status", `"problem":"`)
	awaitText(t, p, token, "/ledger", "Something is wrong with this ledger")
	if _, body := p.get(t, "/metrics", ""); !strings.Contains(body, "bailey_ledger_damaged 1") {
		t.Error("no metric says that the ledger is damaged")
	}
	run = p.order(t, token, `{"controls":["compute/pod-security"]}`)
	awaitText(t, p, token, "/api/v1/runs/"+run, `"state":"done"`)
	p.end(t)
}

// TestServeLedgerAlert: a ledger that is damaged raises a critical alert, which lasts across a restart and is over
// once the ledger is whole again.
func TestServeLedgerAlert(t *testing.T) {
	t.Parallel() // it mostly waits
	state, folder := t.TempDir(), t.TempDir()
	writePod(t, folder, "red")
	data, dir := filepath.Join(state, "data"), filepath.Join(state, "the-ledger")
	start := func() (*servedProcess, string) {
		t.Helper()
		p := startServed(t, state, "serve", "--data", data, "--target", folder, "--ledger", dir)
		return p, tokenIn(t, data)
	}
	p, token := start()
	awaitText(t, p, token, "/api/v1/status", `"verified":"`)
	if _, body := p.get(t, "/api/v1/alerts", token); strings.Contains(body, `"ledger"`) {
		t.Errorf("of a ledger that is whole is told: %s", body)
	}
	p.end(t)

	checkpoint := filepath.Join(dir, "log", "checkpoint")
	whole, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(checkpoint, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bytes.Replace(whole, []byte("\n"), []byte("x\n"), 1))
	for range 2 {
		p, token = start()
		awaitText(t, p, token, "/api/v1/alerts?open=true", `"kind":"ledger","severity":"critical","title":"The ledger is damaged"`)
		awaitText(t, p, token, "/api/v1/alerts", `"count":1`)
		awaitText(t, p, token, "/alerts", "The ledger is damaged")
		if _, body := p.get(t, "/metrics", ""); !strings.Contains(body, "bailey_ledger_damaged 1") {
			t.Error("no metric says that the ledger is damaged")
		}
		p.end(t)
	}
	write(whole)
	p, token = start()
	awaitText(t, p, token, "/api/v1/alerts", `"resolved":"`)
	p.end(t)
}
