package access

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/node"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// machineRules judges a machine as it is, wants to have seen a component of it, and gives what rules say of what the filter names:
// other clusters may run on the same machine.
func machineRules(t *testing.T, o node.Options, seen bailey.Kind, ours func(*bailey.Fact) bool) map[string][]string {
	t.Helper()
	o.Now = time.Now()
	s, err := node.Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.List(seen, "")) == 0 {
		t.Fatalf("no %s was seen: %+v", seen, s.Meta)
	}
	r, err := check.Judge(t.Context(), s, Controls(), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, f := range r.Findings {
		if ours(s.Get(f.Object)) {
			found[f.Rule] = append(found[f.Rule], f.Message)
		}
	}
	return found
}

// TestBrokenControlPlane makes three things wrong with a real control plane: its API server
// lets everybody do everything, a key is everybody's to read, a certificate has expired.
// Each is found, and put right none is.
func TestBrokenControlPlane(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	state := filepath.Join(t.TempDir(), "state")
	run := func(args []string, do func(*devcluster.Cluster)) {
		cluster, err := devcluster.Start(t.Context(), devcluster.Options{State: state, SkipControllers: true, ExtraAPIServerArgs: args})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := cluster.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		do(cluster)
	}
	wrong := []string{"access/authorization/always-allow", "access/tls/readable-key", "access/tls/expired-certificate"}
	look := func(cluster *devcluster.Cluster, want int) {
		t.Helper()
		u, err := url.Parse(cluster.RESTHost)
		if err != nil {
			t.Fatal(err)
		}
		found := machineRules(t, node.Options{}, bailey.KindAPIServer, func(f *bailey.Fact) bool {
			switch o := f.Object.(type) {
			case *bailey.Component:
				return f.Kind == bailey.KindAPIServer && o.Flags["secure-port"] == u.Port()
			case *bailey.HostFile:
				return strings.HasPrefix(o.Path, cluster.PKI)
			case *bailey.HostCertificate:
				return strings.HasPrefix(o.Path, cluster.PKI)
			}
			return false
		})
		for _, rule := range wrong {
			if len(found[rule]) != want {
				t.Errorf("%s: %q, want %d", rule, found[rule], want)
			}
		}
	}
	run([]string{"--authorization-mode=AlwaysAllow"}, func(cluster *devcluster.Cluster) {
		key, file := filepath.Join(cluster.PKI, "front-proxy.key"), filepath.Join(cluster.PKI, "front-proxy.crt")
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, expiredCertificate(t, key), 0o644); err != nil {
			t.Fatal(err)
		}
		look(cluster, 1)
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, good, 0o644); err != nil {
			t.Fatal(err)
		}
	})
	run(nil, func(cluster *devcluster.Cluster) { look(cluster, 0) })
}

// expiredCertificate is one for the key in the file that ended an hour ago.
func expiredCertificate(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s holds no key", file)
	}
	var key any
	if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		if key, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front-proxy-client"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestBrokenKubelet starts a real kubelet that answers strangers, reads its machine, and
// reads it again when the kubelet does so no more.
func TestBrokenKubelet(t *testing.T) {
	cluster, _ := devclustertest.SharedNode(t)
	const rule = "access/api-bypass/kubelet-anonymous"
	look := func(config map[string]any) map[string][]string {
		t.Helper()
		n, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{Name: "open", ExtraKubeletConfig: config})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := n.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		root := filepath.Join("/proc", strconv.Itoa(cluster.PIDs()[n.Name]), "root")
		return machineRules(t, node.Options{Root: root, Proc: filepath.Join(root, "proc")}, bailey.KindKubelet, func(f *bailey.Fact) bool { return f.Kind == bailey.KindKubelet })
	}
	broken := look(map[string]any{"authentication": map[string]any{"anonymous": map[string]any{"enabled": true}}})
	if len(broken[rule]) != 1 {
		t.Errorf("a kubelet that answers strangers: %q", broken)
	}
	if fixed := look(nil); len(fixed[rule]) != 0 {
		t.Errorf("a kubelet that answers none: %q", fixed[rule])
	}
}
