package main

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/trust/sign"
)

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
