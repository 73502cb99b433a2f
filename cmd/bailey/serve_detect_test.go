package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// TestServeDetections: what Bailey itself does, its experiments included, raises no alert of the
// audit log, also where the server that did it was killed; what somebody else does raises one, once.
func TestServeDetections(t *testing.T) {
	t.Parallel() // it mostly waits
	cluster := devclustertest.Own(t)
	for _, args := range [][]string{ // where experiments try what detections tell of
		{"create", "namespace", "shop"},
		{"label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted"},
	} {
		if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	state := t.TempDir()
	data := filepath.Join(state, "data")
	start := func() *servedProcess {
		return startServed(t, state, "serve", "--data", data, "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0", "--audit-log", cluster.AuditLog)
	}
	p := start()
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/status", `"detections":{"since":`)
	alerts := func() (list []server.Alert) {
		t.Helper()
		var page struct{ Items []server.Alert }
		if code, body := p.get(t, "/api/v1/alerts?open=true", token); code != http.StatusOK || json.Unmarshal([]byte(body), &page) != nil {
			t.Fatalf("%d %s", code, body)
		}
		for _, a := range page.Items {
			if a.Kind == "detection" || a.Key == "staleness/audit" {
				list = append(list, a)
			}
		}
		return list
	}
	const controls = `{"controls":["compute/pod-security", "access/authorization", "access/api-server"]}`
	id := p.order(t, token, controls)
	var run server.Run
	for end := time.Now().Add(2 * time.Minute); run.State != "done"; time.Sleep(100 * time.Millisecond) {
		p.decode(t, "/api/v1/runs/"+id, token, &run)
		if time.Now().After(end) || run.State == "failed" {
			t.Fatalf("%+v", run)
		}
	}
	if run.Tried == 0 {
		t.Fatalf("nothing was tried: %+v", run)
	}
	// Nor does what a server did that was killed in a run, of which the next one reads.
	id = p.order(t, token, controls)
	for run = (server.Run{}); run.State != "running" || run.Done < 50; time.Sleep(10 * time.Millisecond) {
		if p.decode(t, "/api/v1/runs/"+id, token, &run); run.State == "done" || run.State == "failed" {
			t.Fatalf("%+v", run)
		}
	}
	p.kill()
	p = start()
	awaitText(t, p, token, "/api/v1/status", `"detections":{"since":`)
	before := time.Now()
	if _, err := cluster.Kubectl(t.Context(), "run", "escape", "--image=localhost/none", "--privileged"); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, token, "/api/v1/alerts?open=true", `"key":"detection/privileged-container/`)
	t.Logf("told after %s", time.Since(before).Round(10*time.Millisecond))
	if list := alerts(); len(list) != 1 || !strings.Contains(list[0].Text, "create pods, let through") || !strings.Contains(list[0].Text, "About default/escape.") {
		t.Errorf("%+v", list)
	}
	if code, page := p.get(t, "/alerts", token); code != http.StatusOK || !strings.Contains(page, "has been followed from then on") {
		t.Errorf("%d %.2000s", code, page)
	}
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}
}
