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
	"github.com/baileyhq/bailey/ledger"
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

func newGated(t *testing.T) *gated {
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
	if code := run(t.Context(), []string{"gate", "--print", "--url", g.relay.url()}, strings.NewReader(""), &manifests, os.Stderr); code != 0 {
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
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := sign.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
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

// TestGate takes images through the gate: signed and not, by whom the policy names and by
// strangers, with tags that move, certificates that ended, and a registry that is cut off.
func TestGate(t *testing.T) {
	g := newGated(t)
	g.start()
	host := g.registry.Host
	signed, second, unsigned, stranger := g.registry.Push(t, "shop/web", "1"), g.registry.Push(t, "shop/second", "1"), g.registry.Push(t, "shop/unsigned", "1"), g.registry.Push(t, "shop/stranger", "1")
	g.sign("shop/web", signed, sign.Options{Key: g.release})
	g.sign("shop/second", second, sign.Options{Key: g.release})
	g.sign("shop/stranger", stranger, sign.Options{Key: newKey(t)})

	g.admits(host+"/shop/web:1", signed)
	g.admits(host+"/shop/web@"+signed, signed)
	g.refuses(host+"/shop/unsigned:1", "rule shop", "@"+unsigned, "bailey sign")
	g.refuses(host+"/shop/stranger:1", "rule shop", "sign with the private key of the policy's public key")
	g.refuses(host+"/shop/missing:1", "is not in its registry")
	g.refuses(host+"/elsewhere/web:1", "add a rule for this repository") // its registry is not even asked
	other := g.registry.Push(t, "elsewhere/web", "1")
	g.refuses(host+"/elsewhere/web@"+other, "add a rule for this repository")

	// A signature of one repository is none of another's image.
	copied := g.registry.Push(t, "shop/moved", "1")
	g.sign("shop/moved", copied, sign.Options{Key: g.release})
	g.admits(host+"/shop/moved:1", copied)
	moved := g.registry.Push(t, "shop/moved", "1")
	g.refuses(host+"/shop/moved:1", "@"+moved)
	g.admits(host+"/shop/moved@"+copied, copied)

	// Certificates of one's own CA: valid now, and when it was signed only.
	valid, expired := g.registry.Push(t, "corporate/valid", "1"), g.registry.Push(t, "corporate/expired", "1")
	g.sign("corporate/valid", valid, corporateOptions(t, time.Now()))
	g.sign("corporate/expired", expired, corporateOptions(t, time.Now().AddDate(0, 0, -2)))
	g.admits(host+"/corporate/valid:1", valid)
	g.refuses(host+"/corporate/expired:1", "rule corporate", "certificate")

	// Signed, but nobody says how it was built; then somebody does.
	built := g.registry.Push(t, "built/web", "1")
	g.sign("built/web", built, sign.Options{Key: g.release})
	g.refuses(host+"/built/web:1", "rule built", "provenance")
	predicate := []byte(`{"buildDefinition":{"buildType":"https://example.com/build","externalParameters":{}},"runDetails":{"builder":{"id":"https://ci.example.com"}}}`)
	bundle, err := sign.Attest(t.Context(), host+"/built/web", built, "https://slsa.dev/provenance/v1", predicate, sign.Options{Key: g.release, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	g.attach(host+"/built/web", built, bundle, "https://slsa.dev/provenance/v1")
	g.admits(host+"/built/web:1", built)

	// The registry is cut off.
	g.registry.Close()
	g.admits(host+"/shop/web@"+signed, signed)
	g.refuses(host+"/shop/second@"+second, "could not be judged", "registry")
	g.refuses(host+"/shop/web:1", "could not be judged", "registry")

	// Another policy judges by itself, without a restart.
	put(t, g.policy, strings.ReplaceAll("version: 1\nrules:\n- {name: none, images: [\"HOST/shop/web\"], unsigned: true}\n", "HOST", host))
	g.refuses(host+"/shop/second@"+second, "add a rule for this repository")
	g.admits(host+"/shop/web@"+signed, signed)
}

// TestGateByAWrongClock: an hour to either side, signatures by keys and certificates hold.
func TestGateByAWrongClock(t *testing.T) {
	g := newGated(t)
	host := g.registry.Host
	signed, valid := g.registry.Push(t, "shop/web", "1"), g.registry.Push(t, "corporate/valid", "1")
	g.registry.Push(t, "shop/unsigned", "1")
	g.sign("shop/web", signed, sign.Options{Key: g.release})
	g.sign("corporate/valid", valid, corporateOptions(t, time.Now()))
	t.Setenv("DOCKER_CONFIG", g.registry.Config)
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: os.Stderr, quiet: true, now: func() time.Time { return time.Now().Add(wrong) }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- a.gate(ctx, &gateFlags{policy: g.policy, namespace: "bailey", service: imagegate.Name, url: g.relay.url(), kubeconfig: g.account,
				listen: address, health: "127.0.0.1:0", pin: "workloads", registryCA: g.registry.CAFile})
		}()
		g.relay.add(address)
		g.admits(host+"/shop/web:1", signed)
		g.admits(host+"/corporate/valid:1", valid)
		g.refuses(host+"/shop/unsigned:1", "rule shop")
		g.relay.remove(address)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// attempt is one request of a load.
type attempt struct {
	signed     bool
	begin, end time.Time
	err        error
}

// load sends signed and unsigned images, by turns, until stop is closed.
func (g *gated) load(signed, unsigned string, stop chan struct{}) func() []attempt {
	var mu sync.Mutex
	var all []attempt
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a := attempt{signed: n%2 == 0, begin: time.Now()}
				image := unsigned
				if a.signed {
					image = signed
				}
				_, a.err = g.try(g.t.Context(), image)
				a.end = time.Now()
				mu.Lock()
				all = append(all, a)
				mu.Unlock()
			}
		})
	}
	return func() []attempt { close(stop); group.Wait(); return all }
}

// TestGateKilled kills gates with -9 under load: nothing is admitted that is not signed, and
// what is signed is refused only where its request met a gate that died, or none was up.
func TestGateKilled(t *testing.T) {
	g := newGated(t)
	host := g.registry.Host
	digest := g.registry.Push(t, "shop/web", "1")
	g.sign("shop/web", digest, sign.Options{Key: g.release})
	signed, unsigned := host+"/shop/web@"+digest, host+"/shop/unsigned@"+g.registry.Push(t, "shop/unsigned", "1")
	a := g.start()
	b := g.start()
	g.admits(signed, digest)
	finish := g.load(signed, unsigned, make(chan struct{}))
	pause := func() { time.Sleep(1500 * time.Millisecond) } // the load is what is tested, not the pause
	pause()
	kill := func(p *gateProcess) time.Time {
		at := time.Now()
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.done
		g.relay.remove(p.address)
		return at
	}
	first := kill(a)
	pause()
	second := kill(b)
	pause()
	c := g.start()
	g.admits(signed, digest)
	back := time.Now()
	if _, err := g.create(t.Context(), unsigned, ""); err == nil { // no dry-run, so that it is recorded
		t.Error("an image that nobody signed is admitted")
	}
	pause()
	d := g.start()
	// A gate that is told to end lets go without a request that fails: the relay, like a
	// Service, sends it nothing new from then on.
	g.relay.remove(c.address)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.done
	if err := c.Wait(); err != nil {
		t.Errorf("the gate that was told to end: %v", err)
	}
	pause()
	const notices = time.Second // an API server's connection ends a moment after the process
	judged := map[string]int{}
	for _, x := range finish() {
		switch {
		case x.err == nil && !x.signed:
			t.Errorf("an image that nobody signed is admitted at %s", x.begin)
		case x.err == nil:
			judged["admitted"]++
		case !x.signed && strings.Contains(x.err.Error(), "denied the request: image"):
			judged["refused"]++
		case x.end.After(first) && x.begin.Before(first.Add(notices)), x.end.After(second) && x.begin.Before(back):
			judged["failed"]++
		default:
			t.Errorf("from %s to %s (kills at %s and %s, back at %s) signed %t is refused: %v", x.begin, x.end, first, second, back, x.signed, x.err)
		}
	}
	if judged["admitted"] < 20 || judged["refused"] < 20 || judged["failed"] == 0 {
		t.Errorf("too little was tried: %v", judged)
	}
	t.Logf("%v", judged)
	if d.ProcessState != nil {
		t.Error("the last gate ended by itself")
	}
	// The decision log of the gate that ended is whole.
	report, err := ledger.Verify(t.Context(), os.DirFS(c.ledger), ledger.VerifyOptions{})
	if err != nil || len(report.Problems) > 0 || report.Records == 0 {
		t.Errorf("its decision log: %v: %+v", err, report)
	}
}
