package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

// TestOwnCluster tries what would disturb a shared one: compaction, a dead
// aggregated API, kubelets, and at last the end of the API server.
func TestOwnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane of its own, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{SkipControllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		// The API server may have been killed, which Stop is told of.
		if err := cluster.Stop(ctx); err != nil && !strings.Contains(err.Error(), "kube-apiserver") {
			t.Error(err)
		}
	})
	t.Run("Expired", func(t *testing.T) { expired(t, cluster) })
	t.Run("StaleAPI", func(t *testing.T) { staleAPI(t, cluster) })
	t.Run("Kubelets", func(t *testing.T) { kubelets(t, cluster) })
	t.Run("Managed", func(t *testing.T) { managed(t, cluster) })
	t.Run("Frozen", func(t *testing.T) { frozen(t, cluster) })
	t.Run("Killed", func(t *testing.T) { killed(t, cluster) })
	t.Run("Gone", func(t *testing.T) { gone(t, cluster) })
}

// expired compacts etcd between the first page and the second.
func expired(t *testing.T, cluster *devcluster.Cluster) {
	makeConfigMaps(t, cluster, "default", 1100)
	const path = "/api/v1/configmaps"
	pages, whole := 0, 0
	requests := &counter{before: func(_ int32, r *http.Request) {
		if r.URL.Path != path {
			return
		}
		query := r.URL.Query()
		if query.Get("limit") == "" {
			whole++
			return
		}
		pages++
		if query.Has("continue") {
			// A token for a revision that has been compacted away, as an old one is.
			query.Set("continue", oldToken)
			r.URL.RawQuery = query.Encode()
		}
	}}
	compact(t, cluster)
	s := collect(t, Options{RESTConfig: administrator(cluster, requests)})
	if n := len(s.List(bailey.KindConfigMap, "default")); n < 1100 || s.Unseen(bailey.KindConfigMap, "", "") != nil {
		t.Errorf("%d ConfigMaps, %+v", n, s.Unseen(bailey.KindConfigMap, "", ""))
	}
	if pages != 2 || whole != 1 {
		t.Errorf("%d pages and %d whole lists, want 2 and 1", pages, whole)
	}
}

// oldToken continues a list at revision 2 after "default/cm-0499":
// {"v":"meta.k8s.io/v1","rv":2,"start":"default/cm-0499\u0000"}
const oldToken = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Miwic3RhcnQiOiJkZWZhdWx0L2NtLTA0OTlcdTAwMDAifQ"

// compact makes etcd forget the past.
func compact(t *testing.T, cluster *devcluster.Cluster) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(cluster.PKI, "etcd-client.crt"), filepath.Join(cluster.PKI, "etcd-client.key"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, // loopback, in a test
	}}}
	call := func(path string, in any) []byte {
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Post(cluster.Etcd+path, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", path, response.Status, answer, err)
		}
		return answer
	}
	var status struct {
		Header struct{ Revision string }
	}
	if err := json.Unmarshal(call("/v3/maintenance/status", map[string]any{}), &status); err != nil {
		t.Fatal(err)
	}
	call("/v3/kv/compaction", map[string]any{"revision": status.Header.Revision})
}

// staleAPI registers an API whose server does not exist.
func staleAPI(t *testing.T, cluster *devcluster.Cluster) {
	apply(t, cluster, `apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1alpha2.policy.networking.k8s.io}
spec:
  group: policy.networking.k8s.io
  version: v1alpha2
  service: {namespace: default, name: nobody}
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100`)
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		s := collect(t, Options{RESTConfig: administrator(cluster, nil)})
		m := s.Unseen(bailey.KindClusterNetworkPolicy, "", "")
		if m != nil {
			if m.Reason != bailey.ReasonUnreadable || !strings.Contains(m.Detail, "policy.networking.k8s.io/v1alpha2") || m.Hint == "" {
				t.Errorf("%+v", m)
			}
			if other := s.Unseen(bailey.KindNetworkPolicy, "", ""); other != nil {
				t.Errorf("NetworkPolicies: %+v", other)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("an API whose server does not exist is taken for one that is not there")
		}
	}
}

// kubelets reads the configuration of two nodes: one answers, one does not.
func kubelets(t *testing.T, cluster *devcluster.Cluster) {
	serving := issue(t, cluster, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)})
	ca, err := os.ReadFile(filepath.Join(cluster.PKI, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	asked := ""
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + " as " + r.TLS.PeerCertificates[0].Subject.CommonName
		io.WriteString(w, `{"kubeletconfig":{"authentication":{"anonymous":{"enabled":false}},"port":10250,"staticPodURLHeader":{"Authorization":["`+marker+`"]}}}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().(*net.TCPAddr)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ports := []int{address.Port, silent.Addr().(*net.TCPAddr).Port}
	names, err := cluster.RegisterNodes(t.Context(), 2, func(i int, node map[string]any) {
		status := node["status"].(map[string]any)
		status["addresses"] = []any{map[string]any{"type": "InternalIP", "address": "127.0.0.1"}}
		status["daemonEndpoints"] = map[string]any{"kubeletEndpoint": map[string]any{"Port": ports[i]}}
	})
	if err != nil {
		t.Fatal(err)
	}

	s := collect(t, Options{RESTConfig: administrator(cluster, nil), KubeletConfigz: true})
	f := s.Get(bailey.Ref{Kind: bailey.KindKubelet, Name: names[0]})
	if f == nil {
		_, missing := s.Coverage()
		t.Fatalf("no kubelet; missing: %+v", missing)
	}
	c := f.Object.(*bailey.Component)
	if c.Node != names[0] || c.Config["port"] != int64(10250) || c.Config["staticPodURLHeader"] != nil {
		t.Errorf("%+v", c)
	}
	if asked != "/configz as admin" && !strings.HasPrefix(asked, "/configz as ") {
		t.Errorf("the kubelet was asked for %s", asked)
	}
	m := s.Unseen(bailey.KindKubelet, "", names[1])
	if m == nil || m.Reason != bailey.ReasonUnreadable || m.Hint == "" {
		t.Errorf("the silent kubelet: %+v", m)
	}

	s = collect(t, Options{RESTConfig: administrator(cluster, nil)})
	if m := s.Unseen(bailey.KindKubelet, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
		t.Errorf("without the option: %+v", m)
	}
	config := administrator(cluster, nil)
	config.CAFile, config.Insecure = "", true
	s = collect(t, Options{RESTConfig: config, KubeletConfigz: true})
	if m := s.Unseen(bailey.KindKubelet, "", names[0]); m == nil || !strings.Contains(m.Detail, "CA") {
		t.Errorf("without a CA: %+v", m)
	}
}

// frozen stops the API server in the middle, so that it accepts and never answers.
func frozen(t *testing.T, cluster *devcluster.Cluster) {
	pid := cluster.PIDs()[devcluster.APIServer]
	requests := &counter{before: func(n int32, _ *http.Request) {
		if n == 12 {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
	}}
	defer syscall.Kill(pid, syscall.SIGCONT)
	start := time.Now()
	partial(t, Options{RESTConfig: administrator(cluster, requests), Timeout: 2 * time.Second})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start = time.Now()
	if _, err := Collect(ctx, Options{RESTConfig: administrator(cluster, nil)}); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("with a context that ends: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("after the context's end it went on for %s", took)
	}
}

// killed ends the API server in the middle.
func killed(t *testing.T, cluster *devcluster.Cluster) {
	pid := cluster.PIDs()[devcluster.APIServer]
	requests := &counter{before: func(n int32, _ *http.Request) {
		if n == 12 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}}
	start := time.Now()
	partial(t, Options{RESTConfig: administrator(cluster, requests)})
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// partial collects while the server goes away, and wants what was not read to
// be missing.
func partial(t *testing.T, o Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := Collect(ctx, o)
	if err != nil {
		if !strings.Contains(err.Error(), "hint:") {
			t.Errorf("an error without a hint: %v", err)
		}
		return
	}
	unreadable := 0
	_, missing := s.Coverage()
	for _, m := range missing {
		if m.Reason == bailey.ReasonUnreadable && m.Detail != "" && m.Hint != "" {
			unreadable++
		}
	}
	if unreadable < 20 {
		t.Errorf("%d kinds are unreadable: %+v", unreadable, missing)
	}
}

func gone(t *testing.T, cluster *devcluster.Cluster) {
	start := time.Now()
	_, err := Collect(t.Context(), Options{Kubeconfig: cluster.Kubeconfig})
	if err == nil || !strings.Contains(err.Error(), cluster.RESTHost) || !strings.Contains(err.Error(), "is the cluster running?") {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s to see that nobody is there", took)
	}
}

// issue makes a certificate that the cluster's CA signs.
func issue(t *testing.T, cluster *devcluster.Cluster, template *x509.Certificate) tls.Certificate {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(cluster.PKI, "ca.crt"), filepath.Join(cluster.PKI, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-48 * time.Hour)
	if template.Subject.CommonName == "" {
		template.Subject = pkix.Name{CommonName: "node", Organization: []string{"system:nodes"}}
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func encodePair(t *testing.T, pair tls.Certificate) rest.TLSClientConfig {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return rest.TLSClientConfig{
		CertData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		KeyData:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
}
