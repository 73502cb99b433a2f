package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/server"
)

// servedProcess is a process of bailey serve or up.
type servedProcess struct {
	cmd  *exec.Cmd
	url  string
	link string
	said <-chan string // all that it said, once it has ended
}

var answersAt = regexp.MustCompile(`^Bailey answers at (https?://\S+)$`)

// startServed starts a process and waits until it is ready.
func startServed(t *testing.T, state string, args ...string) *servedProcess {
	t.Helper()
	return startServedAt(t, "127.0.0.1:0", state, args...)
}

// startServedAt starts one that answers at an address, and waits until it is ready.
func startServedAt(t *testing.T, listen, state string, args ...string) *servedProcess {
	t.Helper()
	p := startUnready(t, listen, state, args...)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if code, _ := p.get(t, "/readyz", ""); code == http.StatusOK {
			return p
		}
		if time.Now().After(end) {
			t.Fatal("it does not become ready")
		}
	}
}

// startUnready starts one, and waits until it says where it answers.
func startUnready(t *testing.T, listen, state string, args ...string) *servedProcess {
	t.Helper()
	p := &servedProcess{cmd: command(t, append(slices.Clone(args), "--listen", listen)...)}
	p.cmd.Env = append(p.cmd.Env, "XDG_STATE_HOME="+state)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	address, said := make(chan [2]string, 1), make(chan string, 1)
	p.said = said
	go func() {
		all, url := "", ""
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			line := lines.Text()
			all += line + "\n"
			if m := answersAt.FindStringSubmatch(line); m != nil {
				if url = m[1]; strings.HasPrefix(url, "https:") { // there is no link
					address <- [2]string{url}
				}
			}
			if link := strings.TrimSpace(line); url != "" && strings.HasPrefix(link, url+"/login?link=") {
				address <- [2]string{url, link}
			}
		}
		said <- all
	}()
	select {
	case at := <-address:
		p.url, p.link = at[0], at[1]
	case all := <-said:
		t.Fatalf("it ended: %s", all)
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not say where it answers")
	}
	return p
}

func (p *servedProcess) get(t *testing.T, path, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

// kill ends the process, and it is told nothing of that.
func (p *servedProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.said
	_ = p.cmd.Wait()
}

// end ends the process as Ctrl-C does, and gives its exit code and what it said.
func (p *servedProcess) end(t *testing.T) (int, string) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var said string
	select {
	case said = <-p.said:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), said
}

func tokenIn(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(data, tokenFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %s", path, info.Mode())
	}
	token, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

// TestServeFiles: a folder is watched, what changes in it is found and goes, what endpoints say
// is what a scan says, and history outlives the process, even one that is killed.
func TestServeFiles(t *testing.T) {
	state, folder := t.TempDir(), t.TempDir()
	data := filepath.Join(state, "data")
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop}\nspec: {hostNetwork: true, containers: [{name: c, image: x}]}\n"
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", pod("a"))
	p := startServed(t, state, "serve", "--data", data, "--target", folder)
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings?name=a", `"rule":"compute/pod-security/host-namespaces"`)

	var have, want struct {
		Findings []struct{ ID, Rule, Message string }
		Verdicts []struct{ Control, Rung string }
	}
	code, body := p.get(t, "/api/v1/report", token)
	if err := json.Unmarshal([]byte(body), &have); code != http.StatusOK || err != nil {
		t.Fatalf("%d, %v: %.300s", code, err, body)
	}
	out, _, _ := programIn(t, state, "scan", folder, "-o", "json", "--fail-on", "none")
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatal(err)
	}
	if len(have.Findings) == 0 || len(have.Findings) != len(want.Findings) || len(have.Verdicts) != len(want.Verdicts) {
		t.Fatalf("%d findings and %d verdicts, a scan gives %d and %d", len(have.Findings), len(have.Verdicts), len(want.Findings), len(want.Verdicts))
	}
	for i := range want.Findings {
		if have.Findings[i] != want.Findings[i] {
			t.Errorf("%+v, and the scan says %+v", have.Findings[i], want.Findings[i])
		}
	}
	for i := range want.Verdicts {
		if have.Verdicts[i] != want.Verdicts[i] {
			t.Errorf("%+v, and the scan says %+v", have.Verdicts[i], want.Verdicts[i])
		}
	}

	write("b.yaml", pod("b"))
	awaitText(t, p, token, "/api/v1/findings?name=b", "host-namespaces")
	write("c.yaml", "{") // what cannot be read is said, and loses nothing
	awaitText(t, p, token, "/api/v1/status", `"ready":true`)
	if err := os.Remove(filepath.Join(folder, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, token, "/api/v1/findings?name=b&state=gone", "host-namespaces")
	for path, want := range map[string]int{"/healthz": 200, "/api/v1/overview": 401, "/api/v1/openapi.json": 200, "/metrics": 200} {
		if code, body := p.get(t, path, ""); code != want {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	if _, body := p.get(t, "/metrics", ""); !strings.Contains(body, `bailey_findings{severity="high"}`) || !strings.Contains(body, "bailey_control_rung") || strings.Contains(body, "shop") {
		t.Errorf("metrics: %.2000s", body)
	} else if others := othersNames(body); len(others) > 0 {
		t.Errorf("names of others: %q", others)
	}

	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.said
	_ = p.cmd.Wait()
	p = startServed(t, state, "serve", "--data", data, "--target", folder)
	if tokenIn(t, data) != token {
		t.Error("the token is another after a restart")
	}
	awaitText(t, p, token, "/api/v1/findings?name=b&state=gone", "host-namespaces")
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") || strings.Contains(said, token) {
		t.Errorf("exit %d: %s", code, said)
	}
}

// metricLine is a line of metrics, or what describes one.
var metricLine = regexp.MustCompile(`(?m)^(?:# [A-Z]+ )?([A-Za-z_:][A-Za-z0-9_:]*)`)

// othersNames gives the names of metrics that do not begin with Bailey's.
func othersNames(body string) (names []string) {
	all := metricLine.FindAllStringSubmatch(body, -1)
	for _, m := range all {
		if !strings.HasPrefix(m[1], "bailey_") {
			names = append(names, m[1])
		}
	}
	if len(all) < 100 || !strings.Contains(body, "bailey_process_resident_memory_bytes ") {
		names = append(names, fmt.Sprintf("(of %d lines)", len(all)))
	}
	return names
}

func awaitText(t *testing.T, p *servedProcess, token, path, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		code, body := p.get(t, path, token)
		if code == http.StatusOK && strings.Contains(body, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d lacks %s: %.500s", path, code, want, body)
		}
	}
}

// awaitGate waits until one webhook is asked about pods, at an address where somebody listens.
func awaitGate(t *testing.T, dir string) {
	t.Helper()
	cluster, err := devcluster.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	u := &upGated{t: t, cluster: cluster}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if at := u.webhook(); at != "" {
			conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(at, "https://"), imagegate.RulesPath))
			if err != nil {
				t.Fatalf("nobody answers at %s: %v", at, err)
			}
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("no gate is asked")
		}
	}
}

// startsAgainWithin is how soon up is ready where its data is there.
const startsAgainWithin = 30 * time.Second

// TestUpServes: up serves a cluster of its own that holds what it was given, a second up finds
// it again within seconds, with its history, one that was killed hinders no other, and Ctrl-C leaves no process behind.
// Its ledger goes on, and its gate is there each time.
func TestUpServes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	binary, err := devcluster.Find("")
	if err != nil {
		t.Fatal(err)
	}
	state, folder := t.TempDir(), t.TempDir()
	manifest := "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n" +
		"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {hostPID: true, containers: [{name: c, image: x}]}}}\n"
	if err := os.WriteFile(filepath.Join(folder, "a.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(state, "data")
	var before []remembered
	var again []time.Duration
	for i, args := range [][]string{{"--load", folder}, nil, nil} {
		begun := time.Now()
		p := startServed(t, state, append([]string{"up", "--data", data, "--controlplane", binary, "--prove-every", "0"}, args...)...)
		took := time.Since(begun)
		t.Logf("start %d: ready after %s", i+1, took.Round(10*time.Millisecond))
		awaitText(t, p, tokenIn(t, data), "/api/v1/findings?name=web&namespace=shop", "compute/pod-security/host-namespaces")
		if i == 0 {
			cluster, err := devcluster.Open(filepath.Join(state, "bailey", "devcluster"))
			if err != nil {
				t.Fatal(err)
			}
			w := troubled{servedProcess: p, token: tokenIn(t, data), cluster: cluster, namespace: "default"}
			before = []remembered{w.gone(t, "ends"), p.remember(t, w.token, "name=web&namespace=shop")}
		} else {
			again = append(again, took)
			for _, m := range before {
				m.still(t, p, tokenIn(t, data))
			}
		}
		var status server.Sight
		if _, body := p.get(t, "/api/v1/status", tokenIn(t, data)); json.Unmarshal([]byte(body), &status) != nil || !status.Ready || status.Lost != nil {
			t.Errorf("status %+v", status)
		}
		awaitText(t, p, tokenIn(t, data), "/api/v1/status", `"appending":true`)
		awaitGate(t, filepath.Join(state, "bailey", "devcluster"))
		if i == 1 { // as a power cut does
			_ = p.cmd.Process.Kill()
			<-p.said
			_ = p.cmd.Wait()
			continue
		}
		code, said := p.end(t)
		if code != exitOK || strings.Contains(said, "level=ERROR") {
			t.Errorf("exit %d: %s", code, said)
		}
		if made := strings.Contains(said, "Made a ledger in "); made != (i == 0) {
			t.Errorf("start %d: it made a ledger: %v", i, made)
		}
		if _, err := devcluster.Open(filepath.Join(state, "bailey", "devcluster")); err == nil {
			t.Error("the cluster runs on")
		}
	}
	if soonest := slices.Min(again); soonest > startsAgainWithin { // this machine may have been busy: the better of two counts
		t.Errorf("with its data there it is ready after %s only", soonest)
	}
}
