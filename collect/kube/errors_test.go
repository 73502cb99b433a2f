package kube

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: dev, context: {cluster: c, user: u}}, {name: prod, context: {cluster: c, user: u}}]
`

// TestConfiguration tries what can be wrong before any request.
func TestConfiguration(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		name    string
		options Options
		want    []string
	}{
		{"no kubeconfig", Options{}, []string{"no cluster to read", "hint: name one with --kubeconfig"}},
		{"absent file", Options{Kubeconfig: filepath.Join(t.TempDir(), "absent")}, []string{"absent", "hint:"}},
		{"not YAML", Options{Kubeconfig: file("{")}, []string{"read the kubeconfig", "hint:"}},
		{"empty file", Options{Kubeconfig: file("")}, []string{"names no context", "hint:"}},
		{"no current context", Options{Kubeconfig: file(kubeconfig)}, []string{"no current context", "dev, prod"}},
		{"unknown context", Options{Kubeconfig: file(kubeconfig), Context: "stage"}, []string{`no context "stage"`, "dev, prod"}},
		{"nobody there", Options{Kubeconfig: file(kubeconfig), Context: "prod"}, []string{"https://127.0.0.1:1", `context "prod"`, "kubectl --context prod version"}},
		{"unknown host", Options{RESTConfig: &rest.Config{Host: "https://no-such-host.invalid"}}, []string{"no-such-host.invalid", "hint:"}},
	} {
		start := time.Now()
		_, err := Collect(t.Context(), test.options)
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nlacks %q", test.name, err, want)
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %s", test.name, took)
		}
	}
}

// TestCredentials tries to get into a real server with what it does not take.
func TestCredentials(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ca := filepath.Join(cluster.PKI, "ca.crt")
	old := encodePair(t, issue(t, cluster, &x509.Certificate{NotAfter: time.Now().Add(-24 * time.Hour), Subject: pkix.Name{CommonName: "old"}}))
	old.CAFile = ca
	nobody := encodePair(t, issue(t, cluster, &x509.Certificate{NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: "nobody"}}))
	nobody.CAFile = ca
	for _, test := range []struct {
		name   string
		config *rest.Config
		want   []string
	}{
		{"bad token", &rest.Config{Host: cluster.RESTHost, BearerToken: "x", TLSClientConfig: rest.TLSClientConfig{CAFile: ca}},
			[]string{"does not accept the credentials", "hint: log in again"}},
		{"expired certificate", &rest.Config{Host: cluster.RESTHost, TLSClientConfig: old},
			[]string{"expired on " + time.Now().Add(-24*time.Hour).UTC().Format(time.DateOnly), "hint:"}},
		{"another CA", &rest.Config{Host: cluster.RESTHost, TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(cluster.PKI, "etcd-ca.crt")}},
			[]string{"not signed by the CA", "hint:"}},
		{"another name", &rest.Config{Host: cluster.RESTHost, TLSClientConfig: rest.TLSClientConfig{CAFile: ca, ServerName: "other.example"}},
			[]string{"for other names", "hint:"}},
		{"no permission", &rest.Config{Host: cluster.RESTHost, TLSClientConfig: nobody},
			[]string{"nothing could be read", `"nobody"`, `{apiGroups: [""], resources: ["pods"], verbs: ["list"]}`}},
	} {
		_, err := Collect(t.Context(), Options{RESTConfig: test.config})
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nlacks %q", test.name, err, want)
			}
		}
	}
}

func TestRetry(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		try   int
		again bool
		wait  time.Duration // exactly, if not 0
	}{
		{"throttled", &statusError{code: 429, wait: 7 * time.Second}, 1, true, 7 * time.Second},
		{"throttled for long", &statusError{code: 429, wait: time.Hour}, 1, false, 0},
		{"unavailable", &statusError{code: 503}, 3, true, 0},
		{"unavailable, at last", &statusError{code: 503}, tries, false, 0},
		{"forbidden", &statusError{code: 403}, 1, false, 0},
		{"gone", &statusError{code: http.StatusGone}, 1, false, 0},
		{"broken connection", errors.New("EOF"), 1, true, 0},
	} {
		wait, again := retry(test.err, test.try)
		if again != test.again || test.wait != 0 && wait != test.wait || again && (wait <= 0 || wait > maxWait) {
			t.Errorf("%s: %s %v", test.name, wait, again)
		}
	}
}
