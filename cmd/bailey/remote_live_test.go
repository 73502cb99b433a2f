package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/server"
)

// TestSameAnswers: of a real cluster, a scan, a scan of the server's report, the API and the
// dashboard name the same findings, and put each control on the same rung; before a run that
// the server was told to do, and after it.
func TestSameAnswers(t *testing.T) {
	cluster := devclustertest.Own(t)
	state := t.TempDir()
	load := filepath.Join(state, "load.yaml")
	if err := os.WriteFile(load, []byte(workloads), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "create", "namespace", "shop")
	kubectl(t, cluster, "apply", "-n", "shop", "-f", load)
	waitForPods(t, cluster, "shop", 2)
	p := startServed(t, state, "serve", "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0")
	token := tokenIn(t, filepath.Join(state, "bailey", "server"))

	agree := func() {
		t.Helper()
		var differs string
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			here, from := scanned(t, state, "--kubeconfig", cluster.Kubeconfig), scanned(t, state, "--server", p.url)
			want := seenIn(here)
			differs = ""
			for name, got := range map[string]answers{"scan --server": seenIn(from), "the API": p.answers(t, token), "the dashboard": {p.exported(t, token), p.exportedRungs(t, token)}} {
				if !slices.Equal(got.findings, want.findings) {
					differs += fmt.Sprintf("%s has %d findings, a scan %d\n", name, len(got.findings), len(want.findings))
				}
				if !maps.Equal(got.rungs, want.rungs) {
					differs += fmt.Sprintf("%s stands at %v, a scan at %v\n", name, got.rungs, want.rungs)
				}
			}
			if len(want.findings) < 20 || len(want.rungs) != 46 {
				t.Fatalf("%d findings, %d controls: the test has lost its object", len(want.findings), len(want.rungs))
			}
			if a, b := verdictLines(here), verdictLines(from); !slices.Equal(a, b) {
				differs += fmt.Sprintf("verdicts: %d and %d", len(a), len(b))
			}
			if differs == "" {
				return
			}
		}
		t.Fatal(differs)
	}
	agree()
	before := seenIn(scanned(t, state, "--server", p.url)).rungs
	out, errs, code := programIn(t, state, "prove", "access/tls", "access/authorization", "--server", p.url)
	if code != exitOK && code != exitFindings || !strings.HasPrefix(out, "done: ") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	agree()
	if after := seenIn(scanned(t, state, "--server", p.url)).rungs; maps.Equal(before, after) {
		t.Logf("the run moved no control: %s", out)
	}
	if out, errs, code := programIn(t, state, "evidence", "list", "--server", p.url); code != exitOK || !strings.Contains(out, "held ") {
		t.Errorf("evidence list --server: exit %d: %s%s", code, out, errs)
	}

	// The same gates and formats.
	for _, args := range [][]string{nil, {"--fail-on", "critical"}, {"--fail-on", "none"}, {"--fail-on", "none", "--fail-on-unknown"}, {"-c", "compute/pod-security"}, {"-c", "compute/*", "-o", "sarif"}} {
		_, errs, here := programIn(t, state, append([]string{"scan", "--kubeconfig", cluster.Kubeconfig}, args...)...)
		out, errsFrom, from := programIn(t, state, append([]string{"scan", "--server", p.url}, args...)...)
		if here != from || out == "" {
			t.Errorf("scan %v: exit %d here (%s), %d from the server (%s)", args, here, errs, from, errsFrom)
		}
	}
	only, onlyFrom := scanned(t, state, "--kubeconfig", cluster.Kubeconfig, "-c", "compute/pod-security"), scanned(t, state, "--server", p.url, "-c", "compute/pod-security")
	if only.Coverage.Seen != onlyFrom.Coverage.Seen || only.Coverage.Needed != onlyFrom.Coverage.Needed || len(only.Coverage.Missing) != len(onlyFrom.Coverage.Missing) || len(only.Findings) != len(onlyFrom.Findings) || len(only.Verdicts) != len(onlyFrom.Verdicts) {
		t.Errorf("one control: coverage %+v, %+v; findings %d, %d", only.Coverage, onlyFrom.Coverage, len(only.Findings), len(onlyFrom.Findings))
	}
	// A baseline of the server's findings leaves nothing new.
	baseline := filepath.Join(state, "baseline.json")
	if out, errs, code := programIn(t, state, "baseline", "--server", p.url, "-o", baseline); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := programIn(t, state, "scan", "--server", p.url, "--baseline", baseline); code != exitOK {
		t.Errorf("with its own baseline: exit %d: %.500s%s", code, out, errs)
	}
	if out, errs, code := programIn(t, state, "controls", "--server", p.url); code != exitOK || !strings.Contains(out, "gap  (") {
		t.Errorf("controls --server: exit %d: %.500s%s", code, out, errs)
	}
	if code, said := p.end(t); code != exitOK || strings.Contains(said, token) {
		t.Errorf("exit %d: %s", code, said)
	}
}

// answers are findings by identity and where each control stands.
type answers struct {
	findings []string
	rungs    map[string]bailey.Rung
}

func scanned(t *testing.T, state string, args ...string) *bailey.Report {
	t.Helper()
	out, errs, code := programIn(t, state, append([]string{"scan", "-o", "json", "--fail-on", "none"}, args...)...)
	if code != exitOK {
		t.Fatalf("bailey scan %s: exit %d\n%s", strings.Join(args, " "), code, errs)
	}
	r, err := report.ReadJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seenIn(r *bailey.Report) answers {
	a := answers{rungs: r.Rungs()}
	for i := range r.Findings {
		f := &r.Findings[i]
		a.findings = append(a.findings, f.ID+" "+f.Severity.String())
	}
	slices.Sort(a.findings)
	return a
}

func verdictLines(r *bailey.Report) []string {
	var all []string
	for _, v := range r.Verdicts {
		all = append(all, fmt.Sprint(v.Control, v.Scope, v.Rung, v.Findings, v.Coverage.Seen, v.Coverage.Needed))
	}
	return all
}

// answers gives what the API says, of all pages.
func (p *servedProcess) answers(t *testing.T, token string) answers {
	t.Helper()
	a := answers{rungs: map[string]bailey.Rung{}}
	for cursor := ""; ; {
		var page server.FindingPage
		p.decode(t, "/api/v1/findings?limit=7&cursor="+url.QueryEscape(cursor), token, &page)
		for _, f := range page.Findings {
			a.findings = append(a.findings, f.ID+" "+f.Severity.String())
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	slices.Sort(a.findings)
	var overview server.Overview
	p.decode(t, "/api/v1/overview", token, &overview)
	for _, lane := range overview.Lanes {
		for _, s := range lane.Standings {
			a.rungs[s.Control] = s.Rung
		}
	}
	return a
}

func (p *servedProcess) decode(t *testing.T, path, token string, into any) {
	t.Helper()
	code, body := p.get(t, path, token)
	if err := json.Unmarshal([]byte(body), into); code != http.StatusOK || err != nil {
		t.Fatalf("%s: %d, %v: %.300s", path, code, err, body)
	}
}

// exported gives the findings of the dashboard's CSV.
func (p *servedProcess) exported(t *testing.T, token string) []string {
	t.Helper()
	var all []string
	for _, row := range p.table(t, "/findings?format=csv", token)[1:] {
		all = append(all, row[0]+" "+row[1])
	}
	slices.Sort(all)
	return all
}

// exportedRungs gives where each control stands by the dashboard's CSV.
func (p *servedProcess) exportedRungs(t *testing.T, token string) map[string]bailey.Rung {
	t.Helper()
	rows := p.table(t, "/?format=csv", token)
	control, rung := slices.Index(rows[0], "control"), slices.Index(rows[0], "rung")
	if control < 0 || rung < 0 {
		t.Fatalf("the columns are %q", rows[0])
	}
	all := map[string]bailey.Rung{}
	for _, row := range rows[1:] {
		var r bailey.Rung
		if err := r.UnmarshalText([]byte(row[rung])); err != nil {
			t.Fatalf("%s: %v", row[control], err)
		}
		all[row[control]] = r
	}
	return all
}

// table reads CSV, with its head.
func (p *servedProcess) table(t *testing.T, path, token string) [][]string {
	t.Helper()
	code, body := p.get(t, path, token)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if code != http.StatusOK || err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d, %v: %.300s", path, code, err, body)
	}
	return rows
}
