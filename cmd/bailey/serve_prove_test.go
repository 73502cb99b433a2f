package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// TestServeRun: a run says how far it is while it goes on, is stopped by who may, and what it
// showed until then is kept; one that ends by itself has done all that it planned. Who sees what of all this is tried on the same
// server, page by page and endpoint by endpoint.
func TestServeRun(t *testing.T) {
	cluster := devclustertest.Shared(t)
	devclustertest.Namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	seen := newSight(t, cluster)
	state := t.TempDir()
	data := filepath.Join(state, "data")
	p := startServed(t, state, "serve", "--data", data, "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0", "--ledger", filepath.Join(state, "ledger"))
	token := tokenIn(t, data)
	read := func(id string) (run server.Run) {
		t.Helper()
		if code, body := p.get(t, "/api/v1/runs/"+id, token); code != http.StatusOK || json.Unmarshal([]byte(body), &run) != nil {
			t.Fatalf("%d %s", code, body)
		}
		return run
	}
	until := func(id, what string, there func(server.Run) bool) server.Run {
		t.Helper()
		for end := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			run := read(id)
			if there(run) {
				return run
			}
			if time.Now().After(end) || run.State == "failed" {
				t.Fatalf("not %s: %+v", what, run)
			}
		}
	}
	awaitText(t, p, token, "/api/v1/overview", `"ready":true`)
	id := p.order(t, token, `{"controls":["compute/pod-security"]}`)
	done := until(id, "done", func(r server.Run) bool { return r.State == "done" })
	if done.Total == 0 || done.Done != done.Total || len(done.Experiments) == 0 || done.Experiments[0].Scopes < 3 || done.Held == 0 {
		t.Errorf("a run that has ended: %+v", done)
	}
	const one = "strangers-refused" // of several that could be tried there
	plan := func(experiment string) (plan server.Proposal) {
		t.Helper()
		if code, body := p.get(t, "/api/v1/experiments/"+experiment+"/plan", token); code != http.StatusOK || json.Unmarshal([]byte(body), &plan) != nil {
			t.Fatalf("%d %s", code, body)
		}
		return plan
	}
	proposed := plan("access/api-server/" + one)
	if proposed.Refused != "" || proposed.Requests < proposed.Probes || len(proposed.Paths) == 0 || len(proposed.Rights) == 0 {
		t.Errorf("what would be tried: %+v", proposed)
	}
	if _, page := p.get(t, "/experiments/access/api-server/"+one, token); !strings.Contains(page, "What it would try now") || !strings.Contains(page, proposed.Paths[0].Path) {
		t.Error("the page does not say what would be tried")
	}
	if own := plan("access/certificate-signing/" + isolatedOf(t, "access/certificate-signing")); !strings.Contains(own.Refused, "--isolated") || own.Probes == 0 {
		t.Errorf("what may not be tried here: %+v", own)
	}
	id = p.order(t, token, `{"controls":["access/api-server"],"experiment":"`+one+`"}`)
	alone := until(id, "done", func(r server.Run) bool { return r.State == "done" })
	if alone.Experiment != one || len(alone.Experiments) != 1 || alone.Experiments[0].Experiment != one || alone.Total == 0 || alone.Total != proposed.Probes*proposed.Repeat {
		t.Errorf("one experiment: %+v", alone)
	}
	if code, said := p.post(t, "/api/v1/runs", token, `{"controls":[],"isolated":true}`); code != http.StatusUnprocessableEntity || !strings.Contains(said, "bailey serve --isolated --context NAME") {
		t.Errorf("an isolated run: %d %s", code, said)
	}
	if _, page := p.get(t, "/runs", token); strings.Contains(page, `name="isolated"`) || !strings.Contains(page, "bailey serve --isolated --context NAME") {
		t.Error("an isolated run is offered")
	}
	if _, acts := p.get(t, "/api/v1/actions?action=order+run", token); !strings.Contains(acts, id+": access/api-server "+one) || !strings.Contains(acts, `"why":"this server lets no run make namespaces`) {
		t.Errorf("what was done: %s", acts)
	}
	id = p.order(t, token, `{"controls":[]}`)
	until(id, "under way", func(r server.Run) bool { return r.State == "running" && r.Done > 0 && r.Done < r.Total })
	if _, page := p.get(t, "/runs/"+id, token); !strings.Contains(page, "<progress value=") || !strings.Contains(page, `action="/runs/`+id+`/stop"`) {
		t.Errorf("the page of a run under way: %.3000s", page)
	}
	stop, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/runs/"+id+"/stop", nil)
	if err != nil {
		t.Fatal(err)
	}
	stop.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(stop)
	if err != nil || answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%v %v", answer, err)
	}
	_ = answer.Body.Close()
	stopped := until(id, "stopped", func(r server.Run) bool { return r.State == "stopped" && r.Tried > 0 })
	if stopped.Done >= stopped.Total || !strings.HasPrefix(stopped.Error, "stopped by ") {
		t.Errorf("a run that was stopped: %+v", stopped)
	}
	next := p.order(t, token, `{"controls":["compute/pod-security"]}`)
	until(next, "done", func(r server.Run) bool { return r.State == "done" })
	seen.serves(t, p, next)
	seen.all(t)
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// isolatedOf names an experiment of a control that makes objects of its own.
func isolatedOf(t *testing.T, control string) string {
	t.Helper()
	for _, c := range controls.All() {
		for _, x := range c.Experiments {
			if c.ID == control && x.Danger == bailey.DangerIsolated {
				return x.Name
			}
		}
	}
	t.Fatalf("%s has no isolated experiment", control)
	return ""
}

// TestUpIsolated: in a cluster of its own, up lets runs make objects of their own where it is told so.
func TestUpIsolated(t *testing.T) {
	u := newUpGated(t)
	p := u.up(false, "--gate", "off", "--isolated")
	token := tokenIn(t, filepath.Join(u.state, "bailey", "server"))
	awaitText(t, p, token, "/api/v1/overview", `"ready":true`)
	if _, page := p.get(t, "/runs", token); !strings.Contains(page, `name="isolated"`) {
		t.Error("no isolated run is offered")
	}
	id := p.order(t, token, `{"controls":["access/certificate-signing"],"isolated":true}`)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var run server.Run
		if code, body := p.get(t, "/api/v1/runs/"+id, token); code != http.StatusOK || json.Unmarshal([]byte(body), &run) != nil {
			t.Fatalf("%d %s", code, body)
		}
		if run.State == "done" && run.Danger == bailey.DangerIsolated && run.Tried > 0 {
			break
		}
		if time.Now().After(end) || run.State == "done" || run.State == "failed" {
			t.Fatalf("%+v", run)
		}
	}
	if code, said := p.end(t); code != exitOK {
		t.Errorf("exit %d: %s", code, said)
	}
}
