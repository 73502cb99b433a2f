package gate

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/imageref"
)

func podOf(t testing.TB, image string) *admissionv1.AdmissionRequest {
	apiVersion, kind, object := wrapped(t, bailey.KindPod, `{"containers":[{"name":"a","image":"`+image+`"}]}`)
	return request(t, admissionv1.Create, apiVersion, kind, object, "")
}

// TestRegistryDown: what was verified before goes on being admitted, by the same policy
// alone; everything else is refused with what is down.
func TestRegistryDown(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true, digest("c"): true}, tags: map[string]string{"registry.example.com/shop/web:1": digest("a")}}
	g := newGate(t, Options{Trust: b.trust("1"), RefreshFrom: 1, TagFor: 1})
	known, unknown, tag := podOf(t, good+digest("a")), podOf(t, good+digest("c")), podOf(t, "registry.example.com/shop/web:1")
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, known); !a.Allowed {
		t.Fatal(a.Result)
	}
	b.set(func() { b.down = true })
	for range 3 { // each of them looks again, in vain
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, known); !a.Allowed {
			t.Fatal("a digest that was verified is refused: ", a.Result)
		}
		await(t, func() bool { return b.verifications() > 1 })
	}
	for name, r := range map[string]*admissionv1.AdmissionRequest{imagegate.ImagesWebhook: unknown, imagegate.PinWebhook: tag} {
		a := g.Review(t.Context(), name, r)
		if a.Allowed || a.Result.Code != 503 || !strings.Contains(a.Result.Message, "connection refused") || !strings.Contains(a.Result.Message, "verified before") {
			t.Errorf("%s: %+v", name, a.Result)
		}
	}
	g.SetTrust(b.trust("2"))
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, known); a.Allowed {
		t.Error("another policy's verdict is used")
	}
	b.set(func() { b.down = false })
	await(t, func() bool { return g.Review(t.Context(), imagegate.ImagesWebhook, known).Allowed })
}

func await(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come about within 20 s")
		}
	}
}

// TestRefreshWithdraws: a verdict that is looked at again and refuses takes the place of
// the one that admitted.
func TestRefreshWithdraws(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}}
	g := newGate(t, Options{Trust: b.trust("1"), RefreshFrom: 1})
	r := podOf(t, good+digest("a"))
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed {
		t.Fatal(a.Result)
	}
	b.set(func() { b.good = nil })
	await(t, func() bool { return !g.Review(t.Context(), imagegate.ImagesWebhook, r).Allowed })
}

// TestRefusedBriefly: what is put right is admitted soon, and is not asked for meanwhile.
func TestRefusedBriefly(t *testing.T) {
	b := &book{good: map[string]bool{}}
	g := newGate(t, Options{Trust: b.trust("1"), RefusedFor: 200 * time.Millisecond})
	r := podOf(t, good+digest("a"))
	begin := time.Now()
	for range 10 {
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed {
			t.Fatal("admitted")
		}
	}
	if n := b.verifications(); n != 1 && time.Since(begin) < 200*time.Millisecond {
		t.Errorf("%d verifications of one digest", n)
	}
	b.set(func() { b.good[digest("a")] = true })
	await(t, func() bool { return g.Review(t.Context(), imagegate.ImagesWebhook, r).Allowed })
}

// TestOneVerification: however many ask for a digest at once, under one rule it is
// verified once; those whose time is over are refused, and the next finds the verdict.
func TestOneVerification(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}, wait: make(chan struct{})}
	g := newGate(t, Options{Trust: b.trust("1")})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for i := range 50 {
		r := podOf(t, good+digest("a"))
		if i%2 == 0 {
			r.Namespace = "shop-2" // under the same rule
		}
		group.Go(func() {
			if a := g.Review(ctx, imagegate.ImagesWebhook, r); a.Allowed || a.Result.Code != 503 || !strings.Contains(a.Result.Message, "in time") {
				t.Errorf("%+v", a)
			}
		})
	}
	group.Wait()
	close(b.wait)
	r := podOf(t, good+digest("a"))
	await(t, func() bool { return g.Review(t.Context(), imagegate.ImagesWebhook, r).Allowed })
	if n := b.verifications(); n != 1 {
		t.Errorf("%d verifications", n)
	}
	r.Namespace = "other"
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed || b.verifications() != 2 {
		t.Errorf("under another rule it is admitted by the same verdict: %+v", a)
	}
}

// TestOneNamespaceDoesNotStarveOthers: strange images of one namespace take half of the
// verifications at most.
func TestOneNamespaceDoesNotStarveOthers(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}, wait: make(chan struct{})}
	defer close(b.wait)
	g := newGate(t, Options{Trust: b.trust("1"), Verifying: 4})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for i := range 20 {
		r := podOf(t, fmt.Sprintf("registry.example.com/a%d@%s", i, digest("b")))
		r.Namespace = "noisy"
		g.Review(ctx, imagegate.ImagesWebhook, r)
	}
	await(t, func() bool { return b.verifications() == 2 })
	quiet := g.trust.Load()
	other := *quiet
	other.Verify = func(context.Context, string, imageref.Ref) (Verdict, error) { return Verdict{By: "release"}, nil }
	g.SetTrust(&other)
	r := podOf(t, good+digest("a"))
	r.Namespace = "quiet"
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed {
		t.Error(a.Result)
	}
}

// TestMovedTag: a tag is asked for again after a moment.
func TestMovedTag(t *testing.T) {
	b := &book{tags: map[string]string{"registry.example.com/shop/web:1": digest("a")}}
	g := newGate(t, Options{Trust: b.trust("1"), TagFor: time.Millisecond})
	r := podOf(t, "registry.example.com/shop/web:1")
	if a := g.Review(t.Context(), imagegate.PinWebhook, r); !strings.Contains(string(a.Patch), digest("a")) {
		t.Fatalf("%s", a.Patch)
	}
	b.set(func() { b.tags["registry.example.com/shop/web:1"] = digest("b") })
	await(t, func() bool {
		return strings.Contains(string(g.Review(t.Context(), imagegate.PinWebhook, r).Patch), digest("b"))
	})
	b.set(func() { b.tags["registry.example.com/shop/web:1"] = `sha256:b","x":"` })
	await(t, func() bool { return !g.Review(t.Context(), imagegate.PinWebhook, r).Allowed })
}

// TestVerdictEnds: a verdict with an end is none afterwards.
func TestVerdictEnds(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	trust := (&book{}).trust("1")
	trust.Verify = func(context.Context, string, imageref.Ref) (Verdict, error) {
		return Verdict{Until: time.Date(2026, 11, 26, 11, 0, 0, 0, time.UTC)}, nil
	}
	g := newGate(t, Options{Trust: trust, Now: func() time.Time { return now }})
	r := podOf(t, good+digest("a"))
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed {
		t.Fatal(a.Result)
	}
	now = now.Add(time.Hour)
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed || !strings.Contains(a.Result.Message, "until 2026-11-26T11:00:00Z") {
		t.Errorf("%+v", a)
	}
}

// TestMemoryIsBounded fills the cache beyond its room.
func TestMemoryIsBounded(t *testing.T) {
	b := &book{good: map[string]bool{}}
	trust := b.trust("1")
	trust.Verify = func(context.Context, string, imageref.Ref) (Verdict, error) { return Verdict{By: "release"}, nil }
	g := newGate(t, Options{Trust: trust})
	before := heap()
	for i := range 60_000 {
		ref := imageref.Ref{Registry: "registry.example.com", Repository: fmt.Sprintf("shop/app-%d", i), Digest: fmt.Sprintf("sha256:%064x", i)}
		if _, err := g.cache.verdict(t.Context(), g.trust.Load(), "shop", ref); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.cache.admitted.Len(); n != 50_000 {
		t.Errorf("%d verdicts are remembered", n)
	}
	if grown := heap() - before; grown > 60<<20 {
		t.Errorf("50,000 verdicts take %d MiB", grown>>20)
	}
	runtime.KeepAlive(g)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestUnnamedFirst: of an image that no rule names no registry is asked.
func TestUnnamedFirst(t *testing.T) {
	b := &book{tags: map[string]string{}, unnamed: map[string]bool{"internal.example": true}, strangers: &Refusal{Reason: "is named by no rule"}}
	g := newGate(t, Options{Trust: b.trust("1")})
	tag, pinned := podOf(t, "internal.example/a:1"), podOf(t, "internal.example/a@"+digest("a"))
	for name, r := range map[string]*admissionv1.AdmissionRequest{"tag": tag, "digest": pinned} {
		if a := g.Review(t.Context(), imagegate.PinWebhook, r); !a.Allowed || a.Patch != nil {
			t.Errorf("%s: it is left to the other webhook: %+v", name, a)
		}
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed || a.Result.Code != 403 || !strings.Contains(a.Result.Message, "named by no rule") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	b.strangers = nil
	for name, r := range map[string]*admissionv1.AdmissionRequest{"tag": tag, "digest": pinned} {
		for _, webhook := range []string{imagegate.PinWebhook, imagegate.ImagesWebhook} {
			if a := g.Review(t.Context(), webhook, r); !a.Allowed || a.Patch != nil {
				t.Errorf("%s, where such images are admitted: %s: %+v", name, webhook, a)
			}
		}
	}
	if b.resolved+b.verified != 0 {
		t.Errorf("its registry was asked %d times", b.resolved+b.verified)
	}
}

// TestTagsAtOnce: tags are asked for by so many at once, those of one namespace by half of
// them, and not at all for a request that is over.
func TestTagsAtOnce(t *testing.T) {
	b := &book{}
	trust := b.trust("1")
	asked, wait := make(chan struct{}, 100), make(chan struct{})
	trust.Resolve = func(context.Context, imageref.Ref) (string, error) {
		asked <- struct{}{}
		<-wait
		return digest("a"), nil
	}
	g := newGate(t, Options{Trust: trust, Verifying: 4})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if a := g.Review(over, imagegate.PinWebhook, podOf(t, "registry.example.com/over:1")); a.Allowed {
		t.Error("admitted without an answer")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for i := range 20 {
		r := podOf(t, fmt.Sprintf("registry.example.com/a%d:1", i))
		group.Go(func() {
			if a := g.Review(ctx, imagegate.PinWebhook, r); a.Allowed {
				t.Error("admitted without an answer")
			}
		})
	}
	group.Wait()
	if n := len(asked); n != 2 {
		t.Errorf("%d tags were asked for at once, want 2", n)
	}
	close(wait)
	await(t, func() bool {
		return strings.Contains(string(g.Review(t.Context(), imagegate.PinWebhook, podOf(t, "registry.example.com/a1:1")).Patch), digest("a"))
	})
}

// TestRefreshPauses: a registry that is down is not asked again with every request, and
// looking again takes no room from verifications that somebody waits for.
func TestRefreshPauses(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true, digest("c"): true}}
	g := newGate(t, Options{Trust: b.trust("1"), RefreshFrom: 1, Verifying: 1})
	r := podOf(t, good+digest("a"))
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed {
		t.Fatal(a.Result)
	}
	b.set(func() { b.down = true })
	var entry *admitted
	await(t, func() bool {
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed {
			t.Fatal(a.Result)
		}
		entry, _ = g.cache.admitted.Peek(g.cache.admitted.Keys()[0])
		return entry.pausedTo.Load() != 0 && !entry.refreshing.Load()
	})
	before := b.verifications()
	for range 50 {
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed || entry.refreshing.Load() {
			t.Fatalf("it is looked at again: %+v", a.Result)
		}
	}
	if n := b.verifications(); n != before {
		t.Errorf("%d verifications after one that failed", n-before)
	}
	entry.pausedTo.Store(0)
	wait := make(chan struct{})
	defer close(wait)
	b.set(func() { b.down, b.wait = false, wait })
	g.Review(t.Context(), imagegate.ImagesWebhook, r)
	await(t, func() bool { return b.verifications() > before })
	b.set(func() { b.wait = nil })
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, podOf(t, good+digest("c"))); !a.Allowed {
		t.Error(a.Result)
	}
}
