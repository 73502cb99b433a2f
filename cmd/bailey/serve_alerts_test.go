package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
)

// TestServeAlerts: what is there at first is no alert; what comes is, once, at the webhook and in
// the API, also across a SIGKILL; and nothing that is said shows the webhook's URL.
func TestServeAlerts(t *testing.T) {
	told := make(chan server.WebhookBody, 10)
	alive := make(chan bool, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/alive/sEcReT" {
			alive <- true
			return
		}
		var b server.WebhookBody
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &b)
		}
		if err != nil || r.Header.Get("Bailey-Signature") != "sha256="+server.Sign([]byte("0123456789abcdef"), data) {
			t.Errorf("%v, signed %s", err, r.Header.Get("Bailey-Signature"))
		}
		told <- b
	}))
	defer hook.Close()
	state, folder := t.TempDir(), t.TempDir()
	data, webhook, deadMan := filepath.Join(state, "data"), filepath.Join(state, "webhook"), filepath.Join(state, "dead-man")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name, namespace string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: {hostPID: true, containers: [{name: c, image: x, securityContext: {privileged: true}}]}\n"
	}
	write(webhook, hook.URL+"/hook/sEcReT\n0123456789abcdef\n")
	write(deadMan, hook.URL+"/alive/sEcReT\n")
	write(filepath.Join(folder, "a.yaml"), pod("a", "shop"))
	start := func() *servedProcess {
		return startServed(t, state, "serve", "--data", data, "--target", folder, "--alert-webhook", webhook, "--dead-man", deadMan, "--external-url", "https://bailey.example.com/")
	}
	p := start()
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings?name=a", "compute/pod-security/privileged")
	write(filepath.Join(folder, "b.yaml"), pod("b", "shop"))
	awaitText(t, p, token, "/api/v1/alerts?open=true", `"key":"finding/compute/pod-security/privileged/shop"`)
	var body server.WebhookBody
	select {
	case body = <-told:
	case <-time.After(30 * time.Second):
		t.Fatal("the webhook is told nothing")
	}
	var keys []string
	for _, g := range body.Groups {
		for _, a := range g.Alerts {
			keys = append(keys, a.Key)
			if strings.Contains(a.Text, "shop/a") || a.Namespace != "shop" || a.State != "firing" {
				t.Errorf("%+v", a)
			}
			page, ours := strings.CutPrefix(a.Page, "https://bailey.example.com/")
			if code, shown := p.get(t, "/"+page, token); !ours || code != http.StatusOK || a.Kind == "finding" && !strings.Contains(shown, "shop") {
				t.Errorf("%s names the page %s, which answers %d", a.Key, a.Page, code)
			}
		}
	}
	if all := strings.Join(keys, " "); !strings.Contains(all, "finding/compute/pod-security/privileged/shop") || strings.Contains(all, "rung/compute/pod-security") {
		t.Errorf("the webhook is told %s", all)
	}
	awaitText(t, p, token, "/api/v1/alerts?open=true", `"delivered":`)
	select {
	case <-alive:
	case <-time.After(90 * time.Second):
		t.Error("nobody is told that all is well")
	}

	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said := <-p.said
	_ = p.cmd.Wait()
	p = start()
	write(filepath.Join(folder, "c.yaml"), pod("c", "mail"))
	select {
	case body = <-told:
	case <-time.After(30 * time.Second):
		t.Fatal("after a restart the webhook is told nothing")
	}
	for _, g := range body.Groups {
		for _, a := range g.Alerts {
			if a.Namespace != "mail" {
				t.Errorf("told again: %+v", a)
			}
		}
	}
	code, more := p.end(t)
	if said += more; code != exitOK || strings.Contains(said, "sEcReT") || strings.Contains(said, "0123456789abcdef") || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}
}
