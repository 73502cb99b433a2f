package develop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// authority is one that this test program's system roots hold; stranger is not.
var authority, stranger = newAuthority("known"), newAuthority("unknown")

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "roots")
	if err == nil {
		file := filepath.Join(folder, "ca.pem")
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.cert.Raw}), 0o600)
		os.Setenv("SSL_CERT_FILE", file)
	}
	if err != nil {
		log.Fatal(err)
	}
	code := devclustertest.Run(m)
	os.RemoveAll(folder)
	os.Exit(code)
}

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) *signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	s := &signer{cert, key}
	s.cert = s.sign(cert, key)
	return s
}

func (s *signer) sign(cert *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, cert, s.cert, &key.PublicKey, s.key)
	if err == nil {
		cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		log.Fatal(err)
	}
	return cert
}

// issue gives a server's certificate.
func (s *signer) issue(host string, until time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	cert := s.sign(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// serve starts a server on loopback and gives its port.
func serve(t *testing.T, handler http.HandlerFunc, config *tls.Config) int64 {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tried
	if config == nil {
		s.Start()
	} else {
		s.TLS = config
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return int64(s.Listener.Addr().(*net.TCPAddr).Port)
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusPermanentRedirect)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestRoutesProtected publishes servers on loopback by Gateways, a namespace for
// each, and by a load balancer.
func TestRoutesProtected(t *testing.T) {
	cluster := devclustertest.Shared(t)
	soon := time.Now().Add(time.Hour)
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	want := map[string]prove.Outcome{}
	for _, c := range []struct {
		name   string
		plain  http.HandlerFunc
		cert   tls.Certificate
		oldest uint16
		path   string // the one that does not hold
		then   prove.Outcome
	}{
		{name: "good", plain: redirect, cert: authority.issue("good.example", soon)},
		{name: "serves", plain: status(200), cert: authority.issue("serves.example", soon), path: "plain HTTP", then: prove.Broken},
		{name: "elsewhere", plain: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		},
			cert: authority.issue("elsewhere.example", soon), path: "plain HTTP", then: prove.Broken},
		{name: "missing", plain: status(404), cert: authority.issue("missing.example", soon), path: "plain HTTP", then: prove.Inconclusive},
		{name: "private", plain: status(401), cert: authority.issue("private.example", soon), path: "plain HTTP", then: prove.Inconclusive},
		{name: "old", plain: redirect, cert: authority.issue("old.example", soon), oldest: tls.VersionTLS10, path: "old TLS", then: prove.Broken},
		{name: "over", plain: redirect, cert: authority.issue("over.example", time.Now().Add(-time.Hour)), path: "certificate", then: prove.Broken},
		{name: "another", plain: redirect, cert: authority.issue("default.example", soon), path: "certificate", then: prove.Broken},
		{name: "unknown", plain: redirect, cert: stranger.issue("unknown.example", soon), path: "certificate", then: prove.Inconclusive},
	} {
		host := c.name + ".example"
		oldest := max(c.oldest, tls.VersionTLS10)
		if c.oldest == 0 {
			oldest = tls.VersionTLS12
		}
		http, https := serve(t, c.plain, nil), serve(t, status(200), &tls.Config{Certificates: []tls.Certificate{c.cert}, MinVersion: oldest})
		publish(b, c.name, host, http, https)
		if c.path != "" {
			want["*"+host+"* ("+c.path+")"] = c.then
		}
	}
	publish(b, "dead", "dead.example", 1, 1)
	want["*dead.example*"] = prove.Inconclusive

	// A load balancer without TLS, and one that a gateway's controller owns.
	balancer := &corev1.Service{}
	balancer.Spec.Type = corev1.ServiceTypeLoadBalancer
	balancer.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: int32(serve(t, status(200), nil))}}
	balancer.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "127.0.0.2"}}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", balancer.Spec.Ports[0].Port))
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, status(200))
	t.Cleanup(func() { l.Close() })
	add(b, bailey.KindNamespace, "", "balanced", &corev1.Namespace{})
	add(b, bailey.KindService, "balanced", "plain", balancer)
	owned := balancer.DeepCopy()
	owned.Status.LoadBalancer.Ingress[0].IP = "127.0.0.1"
	add(b, bailey.KindService, "balanced", "of-the-gateway", owned)
	want["plain HTTP, port *, Service balanced/plain (plain HTTP)"] = prove.Broken

	records := provetest.Run(t, cluster, AppDesign, provetest.Options{Snapshot: b.Snapshot(), Worst: bailey.DangerNone})
	provetest.Want(t, records, want)
	if n := len(provetest.Outcomes(records)); n != 10*3+1 {
		t.Errorf("%d probes:\n%s", n, provetest.Text(records))
	}
}

func publish(b *bailey.Builder, namespace, host string, http, https int64) {
	add(b, bailey.KindNamespace, "", namespace, &corev1.Namespace{})
	add(b, bailey.KindGateway, namespace, "edge", map[string]any{
		"spec": map[string]any{"listeners": []any{
			map[string]any{"name": "http", "protocol": "HTTP", "port": http, "hostname": host},
			map[string]any{"name": "https", "protocol": "HTTPS", "port": https, "hostname": host},
		}},
		"status": map[string]any{"addresses": []any{map[string]any{"type": "IPAddress", "value": "127.0.0.1"}}},
	})
}

func add(b *bailey.Builder, kind bailey.Kind, namespace, name string, object any) {
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: kind, Namespace: namespace, Name: name}, Object: object})
}

// TestIngressRoutes plans only: an Ingress is served at ports that a test may not use.
func TestIngressRoutes(t *testing.T) {
	ingress := func(address string, labels map[string]string, hosts ...string) *networkingv1.Ingress {
		in := &networkingv1.Ingress{}
		in.Labels = labels
		for _, h := range hosts {
			in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: h})
		}
		if address != "" {
			in.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address}}
		}
		return in
	}
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	add(b, bailey.KindIngress, "a", "served", ingress("fd00::1", nil, "a.example", "a.example", "*.b.example", ""))
	add(b, bailey.KindIngress, "a", "unserved", ingress("", nil, "c.example"))
	add(b, bailey.KindIngress, "a", "acme", ingress("fd00::1", map[string]string{"acme.cert-manager.io/http01-solver": "true"}, "a.example"))
	v := bailey.NewView(b.Snapshot())
	v.Allow(nil, routesProtected.Needs, nil)
	probes := routesProtected.Plan(v, bailey.Ref{Kind: bailey.KindNamespace, Name: "a"})
	if len(probes) != 3 {
		t.Fatalf("%d probes: %+v", len(probes), probes)
	}
	if d := probes[0].Try.Task.Dial; d.Address != "[fd00::1]:80" || d.Host != "a.example" || d.HTTP != "/" {
		t.Errorf("%+v", d)
	}
	if d := probes[0].Twin.Task.Dial; d.Address != "[fd00::1]:443" || d.TLS.ServerName != "a.example" {
		t.Errorf("%+v", d)
	}
	if more := routesProtected.Plan(v, bailey.Ref{Kind: bailey.KindNamespace, Name: "b"}); len(more) > 0 {
		t.Errorf("another namespace: %+v", more)
	}
}
