package access

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// brokenAddress is a loopback address of this test's own, so that nobody else's
// server stands at its ports.
const brokenAddress = "127.0.0.77"

// TestBroken breaks one path of each control on one cluster, and wants that path
// and no other to be named.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte("bailey-probe-no-token,intruder,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What no role gives, a file gives to everybody.
	abac := filepath.Join(dir, "abac.jsonl")
	if err := os.WriteFile(abac, []byte(`{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"system:authenticated","namespace":"kube-system","resource":"secrets","readonly":true}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := ownCluster(t, devcluster.Options{Address: brokenAddress, ExtraAPIServerArgs: []string{
		"--anonymous-auth=true", "--token-auth-file=" + tokens, "--tls-min-version=VersionTLS11",
		"--authorization-mode=ABAC", "--authorization-policy-file=" + abac,
		"--disable-admission-plugins=CertificateSubjectRestriction", "--service-account-lookup=false",
	}})
	for _, args := range [][]string{
		{"create", "clusterrole", "strangers", "--verb=list", "--resource=pods"},
		{"create", "clusterrolebinding", "strangers", "--clusterrole=strangers", "--user=system:anonymous"},
	} {
		if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, brokenAddress+":8080")
	serve(t, "127.0.0.78:10255")
	serveKubelet(t, "127.0.0.78:10250")
	if _, err := cluster.RegisterNodes(t.Context(), 2, func(i int, node map[string]any) {
		// Nobody listens at the second.
		address := []string{"127.0.0.78", "127.0.0.76"}[i]
		node["status"].(map[string]any)["addresses"] = []any{map[string]any{"type": "InternalIP", "address": address}}
	}); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		control *bailey.Control
		only    []string
		want    map[string]prove.Outcome
	}{
		{APIServer, nil, map[string]prove.Outcome{
			"all pods (list pods)":                                   prove.Broken,
			"unprotected API, API server's host (port 8080)":         prove.Broken,
			"kubelet's read-only port, node node-00000 (port 10255)": prove.Broken,
			"*, node node-00001 (*":                                  prove.Inconclusive, // it is out of reach
		}},
		{Authentication, nil, map[string]prove.Outcome{"bearer token that is none (bearer token)": prove.Broken}},
		{Authorization, []string{"closed-edges"}, map[string]prove.Outcome{
			"read Secrets in kube-system, a user of no group *": prove.Broken,
			"read Secrets in kube-system, ServiceAccount *":     prove.Broken,
		}},
		{Authorization, []string{"minted-identity"}, map[string]prove.Outcome{"Secrets of kube-system *": prove.Broken}},
		{impatient(ServiceAccounts), nil, map[string]prove.Outcome{
			"token of a pod that has gone *":                        prove.Broken,
			"token of a ServiceAccount that has gone *":             prove.Broken,
			"token of an earlier ServiceAccount of the same name *": prove.Broken,
		}},
		{CertificateSigning, []string{"powerful-requests"}, map[string]prove.Outcome{"*": prove.Broken}},
		{CertificateSigning, []string{"signers-guarded"}, map[string]prove.Outcome{"ask for system:masters *": prove.Broken}},
		{TLS, []string{"kubelet-tls"}, map[string]prove.Outcome{"* of node-00001 (*": prove.Inconclusive}},
		{TLS, []string{"api-server-tls"}, map[string]prove.Outcome{"TLS 1.1, API server (TLS 1.1)": prove.Broken}},
	} {
		t.Run(c.control.ID, func(t *testing.T) {
			provetest.Want(t, provetest.Run(t, cluster, c.control, provetest.Options{Only: c.only, Skipped: "no experiment is"}), c.want)
		})
	}
}

// impatient is the control with experiments that wait a second, no longer, for what
// may be accepted for a while: what is accepted for ever is so after it too.
func impatient(c *bailey.Control) *bailey.Control {
	hasty := *c
	hasty.Experiments = nil
	for _, x := range c.Experiments {
		quick := *x
		quick.Plan = func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
			probes := x.Plan(v, scope)
			for i := range probes {
				if probes[i].Try.Within > 0 {
					probes[i].Try.Within = time.Second
				}
			}
			return probes
		}
		hasty.Experiments = append(hasty.Experiments, &quick)
	}
	return &hasty
}

// TestProberWithoutRights runs with a prober that may do nothing: who is turned down
// before the control is asked has shown nothing.
func TestProberWithoutRights(t *testing.T) {
	cluster := devclustertest.Shared(t)
	kubeconfig, err := cluster.KubeconfigFor("nobody")
	if err != nil {
		t.Fatal(err)
	}
	config, err := kube.RESTConfig(kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	s := withoutNodes(t, cluster)
	for _, c := range []struct {
		control *bailey.Control
		only    string
		held    []string // which everybody who is authenticated may ask for
	}{
		{APIServer, "strangers-refused", []string{"API groups ", "description of the API ", "debugging page "}},
		{Authorization, "closed-edges", nil},
		{Authorization, "minted-identity", nil},
		{ServiceAccounts, "tokens-end", nil},
		{CertificateSigning, "powerful-requests", nil},
		{CertificateSigning, "signers-guarded", nil},
	} {
		t.Run(c.only, func(t *testing.T) {
			outcomes := provetest.Outcomes(provetest.Run(t, cluster, c.control, provetest.Options{Only: []string{c.only}, Snapshot: s, Config: config}))
			if len(outcomes) == 0 {
				t.Fatal("no probe was run")
			}
			for name, outcome := range outcomes {
				want := prove.Inconclusive
				if slices.ContainsFunc(c.held, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
					want = prove.Held
				}
				if outcome != want {
					t.Errorf("%s is %s, want %s", name, outcome, want)
				}
			}
		})
	}
}

// serve answers every request until the test ends.
func serve(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// serveKubelet answers as a kubelet does: by TLS, and nothing to strangers.
func serveKubelet(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	_ = server.Listener.Close()
	server.Listener = l
	server.StartTLS()
	t.Cleanup(server.Close)
}
