package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// manager is a real Alertmanager.
type manager struct {
	url, dir, address string
	cmd               *exec.Cmd
}

// startManager starts one with a configuration, at a free port of loopback.
func startManager(t *testing.T, config string) *manager {
	t.Helper()
	if _, err := exec.LookPath("prometheus-alertmanager"); err != nil {
		t.Skip("no Alertmanager is here: make packages")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{dir: t.TempDir(), address: l.Addr().String(), url: "http://" + l.Addr().String()}
	l.Close()
	if err := os.WriteFile(filepath.Join(m.dir, "alertmanager.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.kill() })
	m.start(t)
	return m
}

func (m *manager) start(t *testing.T) {
	t.Helper()
	m.cmd = exec.Command("prometheus-alertmanager", "--config.file="+filepath.Join(m.dir, "alertmanager.yml"), "--storage.path="+filepath.Join(m.dir, "data"),
		"--web.listen-address="+m.address, "--cluster.listen-address=")
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "Alertmanager", patience, func() bool {
		answer, err := http.Get(m.url + "/-/ready")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	})
}

// kill ends it as SIGKILL does.
func (m *manager) kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// fires lists what fires: name and key of each, sorted.
func (m *manager) fires(t *testing.T) string {
	t.Helper()
	answer, err := http.Get(m.url + "/api/v2/alerts?active=true")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	var list []struct{ Labels map[string]string }
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return err.Error()
	}
	var all []string
	for _, a := range list {
		all = append(all, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["key"]+" "+a.Labels["severity"]))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestRouteOfDocs: the configuration that the documentation shows is one.
func TestRouteOfDocs(t *testing.T) {
	if _, err := exec.LookPath("amtool"); err != nil {
		t.Skip("no amtool is here: make packages")
	}
	page, err := os.ReadFile("../docs/serving.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\nroute:")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("docs/serving.md shows no route")
	}
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(path, []byte("route:"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("amtool", "check-config", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	out, err := exec.Command("amtool", "config", "routes", "test", "--config.file="+path, `alertname=BaileyAlive`, "cluster=x").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "dead-man") {
		t.Errorf("%s goes to %s (%v)", AliveAlert, out, err)
	}
}

// TestAlertmanager: what lasts fires in a real Alertmanager, which groups and notifies; it ends
// when it is over; all comes again after a SIGKILL of it, without another raise; and that all is
// well is said as long as it is.
func TestAlertmanager(t *testing.T) {
	var mu sync.Mutex
	var notes []string // what the team's receiver was told: of each notification the state, and its alerts
	team := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var note struct {
			Status string
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		data, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(data, &note); err != nil {
			t.Error(err)
		}
		var all []string
		for _, a := range note.Alerts {
			all = append(all, a.Status+" "+a.Labels["key"])
		}
		slices.Sort(all)
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, strings.Trim(r.URL.Path, "/")+" "+note.Status+": "+strings.Join(all, ", "))
	}))
	defer team.Close()
	noted := func(want string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(notes, want)
		}
	}
	m := startManager(t, fmt.Sprintf(`
route:
  receiver: team
  group_by: [cluster, control]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - receiver: dead-man
      matchers: [alertname="BaileyAlive"]
      group_wait: 0s
receivers:
  - name: team
    webhook_configs: [{url: '%[1]s/team'}]
  - name: dead-man
    webhook_configs: [{url: '%[1]s/dead-man'}]
`, team.URL))
	w := newTelling(t)
	w.Alertmanagers = []string{m.url + "/"}
	w.Alive = 500 * time.Millisecond
	w.raise(t, "finding/a/b/c/shop", "a/b", bailey.SeverityHigh)
	w.raise(t, "rung/a/b/", "a/b", bailey.SeverityMedium)
	w.raise(t, "rung/d/e/", "d/e", bailey.SeverityCritical)
	w.run(t)

	all := "BaileyAlive  none, BaileyFindings finding/a/b/c/shop high, BaileyFindings rung/a/b/ medium, BaileyFindings rung/d/e/ critical"
	await(t, all, patience, func() bool { return m.fires(t) == all })
	for _, want := range []string{"team firing: firing finding/a/b/c/shop, firing rung/a/b/", "team firing: firing rung/d/e/", "dead-man firing: firing "} {
		await(t, want, patience, noted(want))
	}
	await(t, "that it is noted", patience, func() bool {
		waiting, err := w.Store.Waiting(t.Context(), tellingUID, 10)
		return err == nil && len(waiting) == 0
	})

	m.kill()
	await(t, "that it fails", patience, func() bool {
		return metricOf(t, w.Metrics, "bailey_alerts_failing_since_timestamp_seconds", "receiver", "alertmanager") > 0
	})
	w.change(t, alertChange{alertEnd, testAlert("rung/d/e/", "d/e", bailey.SeverityCritical)})
	if err := os.RemoveAll(filepath.Join(m.dir, "data")); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	left := "BaileyAlive  none, BaileyFindings finding/a/b/c/shop high, BaileyFindings rung/a/b/ medium"
	await(t, left, patience, func() bool { return m.fires(t) == left })

	w.change(t, alertChange{alertEnd, testAlert("rung/a/b/", "a/b", bailey.SeverityMedium)})
	w.change(t, alertChange{alertRaise, testAlert("finding/a/b/c/shop", "a/b", bailey.SeverityCritical)}) // worse than it was
	left = "BaileyAlive  none, BaileyFindings finding/a/b/c/shop critical"
	await(t, left, patience, func() bool { return m.fires(t) == left })

	w.Loop.mu.Lock()
	w.Loop.contact.Lost = time.Now()
	w.Loop.mu.Unlock()
	left = "BaileyFindings finding/a/b/c/shop critical"
	await(t, left, patience, func() bool { return m.fires(t) == left })
	await(t, "the dead man", patience, noted("dead-man resolved: resolved "))
	kept, err := w.Store.Alert(t.Context(), store.Everything(), tellingUID, "rung/a/b/")
	if err != nil || kept.Times != 1 {
		t.Errorf("it was raised again: %+v %v", kept, err)
	}
}
