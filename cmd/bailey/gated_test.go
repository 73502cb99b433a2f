package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/registrytest"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
	"github.com/baileyhq/bailey/trust/sign"
)

// gated is a control plane whose images pass gates: processes of their own, behind a relay
// that stands in for a Service, which ask a real registry.
type gated struct {
	t        *testing.T
	cluster  *devcluster.Cluster
	registry *registrytest.Registry
	client   *registry.Client
	relay    *relay
	policy   string
	account  string // kubeconfig of the gate's ServiceAccount
	release  *sign.Key
}

const trustText = `version: 1
authorities:
- name: release
  keys: [release.pub]
- name: corporate
  ca: [ca.pem]
  identities: [{subject: "spiffe://corp.example/release"}]
rules:
- name: shop
  images: ["HOST/shop/**"]
  signature: {by: [release]}
- name: corporate
  images: ["HOST/corporate/**"]
  signature: {by: [corporate]}
- name: built
  images: ["HOST/built/**"]
  signature: {by: [release]}
  provenance: {by: [release], types: [slsaprovenance1]}
`

// newGated installs what --print prints, with more flags if any.
func newGated(t *testing.T, flags ...string) *gated {
	g := &gated{t: t, cluster: devclustertest.Own(t), registry: registrytest.Start(t), relay: newRelay(t)}
	g.client = &registry.Client{Keychain: g.registry.Keychain(), Transport: g.registry.Transport}
	g.release = newKey(t)
	public, err := g.release.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	g.policy = filepath.Join(dir, "trust.yaml")
	put(t, g.policy, strings.ReplaceAll(trustText, "HOST", g.registry.Host))
	put(t, filepath.Join(dir, "release.pub"), string(public))
	put(t, filepath.Join(dir, "ca.pem"), string(certificatePEM(corporateCA(t))))
	var manifests strings.Builder
	if code := run(t.Context(), append([]string{"gate", "--print", "--url", g.relay.url()}, flags...), strings.NewReader(""), &manifests, os.Stderr); code != 0 {
		t.Fatalf("--print: exit code %d", code)
	}
	file := filepath.Join(dir, "gate.yaml")
	put(t, file, manifests.String())
	if out, err := g.cluster.Kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if g.account, err = g.cluster.KubeconfigFor("system:serviceaccount:bailey:"+imagegate.Name, "system:serviceaccounts", "system:serviceaccounts:bailey", "system:authenticated"); err != nil {
		t.Fatal(err)
	}
	return g
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *sign.Key {
	t.Helper()
	key, err := sign.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// corporate is the CA that the policy trusts.
var corporate struct {
	once sync.Once
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func corporateCA(t *testing.T) *x509.Certificate {
	t.Helper()
	corporate.once.Do(func() {
		corporate.cert, corporate.key = certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "corp"}, NotBefore: time.Now().AddDate(0, 0, -9), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	})
	return corporate.cert
}

func certify(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// corporateOptions sign by a certificate that was valid around a moment.
func corporateOptions(t *testing.T, at time.Time) sign.Options {
	t.Helper()
	who, err := url.Parse("spiffe://corp.example/release")
	if err != nil {
		t.Fatal(err)
	}
	ca := corporateCA(t)
	leaf, key := certify(t, &x509.Certificate{NotBefore: at.Add(-3 * time.Hour), NotAfter: at.Add(3 * time.Hour), URIs: []*url.URL{who},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, ca, corporate.key)
	parsed, err := sign.ParseKey(keyPEM(t, key), nil)
	if err != nil {
		t.Fatal(err)
	}
	return sign.Options{Key: parsed, Certificates: []*x509.Certificate{leaf, ca}, Now: at}
}

// sign puts a signature beside an image.
func (g *gated) sign(repository, digest string, o sign.Options) {
	g.t.Helper()
	full := g.registry.Host + "/" + repository
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	bundle, err := sign.Image(g.t.Context(), trust.Artifact{Repository: full, Digest: digest}, o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.attach(full, digest, bundle, trust.PredicateSignature)
}

func (g *gated) attach(full, digest string, bundle []byte, predicateType string) {
	g.t.Helper()
	if _, err := g.client.Attach(g.t.Context(), full, digest, bundle, predicateType, time.Now()); err != nil {
		g.t.Fatal(err)
	}
}

// gateProcess is `bailey gate` in a process of its own.
type gateProcess struct {
	*exec.Cmd
	address string // of its webhooks
	ledger  string
	mu      sync.Mutex
	said    strings.Builder
	done    chan struct{}
}

var gateServes = regexp.MustCompile(`webhooks=(127\.0\.0\.1:\d+)`)

// start runs a gate and puts it behind the relay.
func (g *gated) start(args ...string) *gateProcess {
	g.t.Helper()
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	p := &gateProcess{ledger: filepath.Join(g.t.TempDir(), "ledger"), done: make(chan struct{})}
	p.Cmd = exec.Command(self, append([]string{"gate", "--policy", g.policy, "--kubeconfig", g.account, "--url", g.relay.url(), "--registry-ca", g.registry.CAFile,
		"--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--ledger", p.ledger, "--ledger-recipient", auditor, "--drain", "1s"}, args...)...)
	p.Env = append(os.Environ(), asBailey+"=1", "DOCKER_CONFIG="+g.registry.Config)
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.StderrPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		g.t.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.said.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := gateServes.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	g.t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.done
		_ = p.Wait()
		if g.t.Failed() {
			g.t.Logf("a gate said:\n%s", p.text())
		}
	})
	select {
	case p.address = <-found:
	case <-p.done:
		g.t.Fatalf("the gate ended:\n%s", p.text())
	case <-time.After(time.Minute):
		g.t.Fatalf("the gate does not serve:\n%s", p.text())
	}
	g.relay.add(p.address)
	return p
}

func (p *gateProcess) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// auditor is the public key of nobody in particular.
const auditor = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// relay hands each connection to one of the gates that are there.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	gates    []string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &relay{listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *relay) url() string { return "https://" + r.listener.Addr().String() }

func (r *relay) add(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates = append(r.gates, address)
}

// remove takes a gate out, as a Service does with what is not ready.
func (r *relay) remove(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range r.gates {
		if a == address {
			r.gates = append(r.gates[:i:i], r.gates[i+1:]...)
			return
		}
	}
}

func (r *relay) serve(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	gates := r.gates
	r.mu.Unlock()
	for _, address := range gates {
		out, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		go func() { _, _ = io.Copy(out, conn); _ = out.Close() }()
		_, _ = io.Copy(conn, out)
		_ = out.Close()
		return
	}
}

// try creates a pod as a dry-run. It gives the image that the pod would have.
func (g *gated) try(ctx context.Context, image string) (string, error) {
	return g.create(ctx, image, "?dryRun=All")
}

func (g *gated) create(ctx context.Context, image, query string) (string, error) {
	var got struct {
		Spec struct {
			Containers []struct{ Image string }
		}
	}
	err := g.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces/default/pods"+query, map[string]any{
		"metadata": map[string]any{"generateName": "x-"},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "a", "image": image}}},
	}, &got)
	if err != nil {
		return "", err
	}
	return got.Spec.Containers[0].Image, nil
}

func (g *gated) admits(image, digest string) {
	g.t.Helper()
	g.becomes(image, func(got string, err error) bool { return err == nil && strings.HasSuffix(got, "@"+digest) })
}

func (g *gated) refuses(image string, why ...string) {
	g.t.Helper()
	g.becomes(image, func(_ string, err error) bool {
		if err == nil || !strings.Contains(err.Error(), "gate.bailey.dev\" denied the request: image") {
			return false
		}
		for _, text := range why {
			if !strings.Contains(err.Error(), text) {
				return false
			}
		}
		return true
	})
}

// becomes tries an image until it comes out as it should.
func (g *gated) becomes(image string, as func(string, error) bool) {
	g.t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got, err := g.try(g.t.Context(), image)
		if as(got, err) {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("%s: %q, %v", image, got, err)
		}
	}
}
