package main

import (
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/providertest"
	"github.com/baileyhq/bailey/server"
)

// TestServeProvider: whoever a real provider logs in sees nothing, and what the rules of a real
// cluster grant to the name that its API server would know them by.
func TestServeProvider(t *testing.T) {
	cluster := devclustertest.Own(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, for the redirect URI
	if err != nil {
		t.Fatal(err)
	}
	where := l.Addr().String()
	_ = l.Close()
	provider := providertest.Start(t, "http://"+where+server.CallbackPath)
	state := t.TempDir()
	p := startServedAt(t, where, state, "serve", "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0", "--oidc-issuer", provider.Issuer, "--oidc-client-id", providertest.Client,
		"--oidc-client-secret", provider.SecretFile, "--external-url", "http://"+where)

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	read := func(answer *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if _, body := read(browser.Get(p.url + "/login")); !strings.Contains(body, `href="/login/oidc?next=`) {
		t.Fatalf("no way to the provider: %s", body)
	}
	form, err := browser.Get(p.url + "/login/oidc?next=/waivers")
	if err != nil {
		t.Fatal(err)
	}
	at := form.Request.URL
	_ = form.Body.Close()
	if !strings.HasPrefix(provider.Issuer, at.Scheme+"://"+at.Host) {
		t.Fatalf("the provider's page is %s", at.Redacted())
	}
	code, body := read(browser.PostForm(at.Scheme+"://"+at.Host+"/login/username", url.Values{"id": {at.Query().Get("authRequestID")}, "username": {providertest.Person}, "password": {providertest.Password}}))
	if code != http.StatusForbidden {
		t.Fatalf("without a rule: %d %.500s", code, body)
	}
	grant := filepath.Join(state, "grant.yaml")
	if err := os.WriteFile(grant, []byte("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: bailey-reader}\nrules: [{apiGroups: [bailey.dev], resources: [reports], verbs: [get]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "apply", "-f", grant)
	kubectl(t, cluster, "create", "clusterrolebinding", "bailey-reader", "--clusterrole=bailey-reader", "--user="+provider.Issuer+"#"+providertest.Subject)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if code, body = read(browser.Get(p.url + "/waivers")); code == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with a rule: %d %.500s", code, body)
		}
	}
	if !strings.Contains(body, providertest.Subject) {
		t.Errorf("the page does not say who is logged in: %s", body)
	}
	ended, said := p.end(t)
	if ended != exitOK || strings.Contains(said, providertest.Secret+"\n") || strings.Contains(said, tokenIn(t, filepath.Join(state, "bailey", "server"))) {
		t.Errorf("exit %d: %s", ended, said)
	}
}
