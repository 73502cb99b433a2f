package facts_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/internal/registrytest"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/facts"
	"github.com/baileyhq/bailey/trust/registry"
	"github.com/baileyhq/bailey/trust/sign"
)

// world is a registry with images, and a policy about them.
type world struct {
	t        *testing.T
	registry *registrytest.Registry
	client   *registry.Client
	policy   *trust.Policy
	key      *sign.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, registry: registrytest.Start(t)}
	w.client = &registry.Client{Keychain: w.registry.Keychain(), Transport: w.registry.Transport}
	var err error
	if w.key, err = sign.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	public, err := w.key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := strings.ReplaceAll(`version: 1
authorities: [{name: release, keys: [release.pub]}]
rules:
- {name: shop, images: ["HOST/shop/**"], namespaces: [shop], signature: {by: [release]}}
- {name: anywhere, images: ["HOST/shop/**"], namespaces: [lab], unsigned: true}
`, "HOST", w.registry.Host)
	for name, content := range map[string]string{"trust.yaml": text, "release.pub": string(public)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if w.policy, err = trust.Load(filepath.Join(dir, "trust.yaml")); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) sign(repository, digest string) {
	w.t.Helper()
	full := w.registry.Host + "/" + repository
	bundle, err := sign.Image(w.t.Context(), trust.Artifact{Repository: full, Digest: digest}, sign.Options{Key: w.key, Now: time.Now()})
	if err == nil {
		_, err = w.client.Attach(w.t.Context(), full, digest, bundle, trust.PredicateSignature, time.Now())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// pods is a snapshot with a pod for each image, in its namespace.
func pods(images ...[2]string) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{At: time.Now(), Medium: "cluster", Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	for _, m := range bailey.NoImages() {
		b.Miss(m)
	}
	for _, ns := range []string{"shop", "lab"} {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: ns}, APIVersion: "v1", Object: &corev1.Namespace{}})
	}
	for i, image := range images {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image[1]}}}}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: image[0], Name: string(rune('a' + i))}, APIVersion: "v1", Object: pod})
	}
	return b.Snapshot()
}

func (w *world) add(s *bailey.Snapshot, o facts.Options) *bailey.Snapshot {
	w.t.Helper()
	o.Policy, o.At = w.policy, time.Now()
	got, err := facts.Add(w.t.Context(), s, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func image(t *testing.T, s *bailey.Snapshot, kind bailey.Kind, namespace, name string) *bailey.Image {
	t.Helper()
	i, ok := bailey.As[*bailey.Image](s.Get(bailey.Ref{Kind: kind, Namespace: namespace, Name: name}))
	if !ok {
		t.Fatalf("nothing is known of %s in %s: %v", name, namespace, s.Unseen(kind, namespace, name))
	}
	return i
}

func TestAdd(t *testing.T) {
	w := newWorld(t)
	host := w.registry.Host
	signed, unsigned := w.registry.Push(t, "shop/web", "1"), w.registry.Push(t, "shop/unsigned", "1")
	w.sign("shop/web", signed)
	s := pods([2]string{"shop", host + "/shop/web:1"}, [2]string{"lab", host + "/shop/web:1"}, [2]string{"shop", host + "/shop/unsigned@" + unsigned},
		[2]string{"shop", host + "/shop/nowhere:1"}, [2]string{"shop", "registry.invalid/x:1"}, [2]string{"shop", "not a reference"})
	got := w.add(s, facts.Options{Registry: w.client, Try: []string{host + "/shop/web:1@" + unsigned, "registry.invalid/x:1"}})

	if i := image(t, got, bailey.KindImage, "shop", host+"/shop/web:1"); !i.Verified || i.Digest != signed || len(i.Evidence) != 1 || i.Evidence[0].Authority != "release" || i.Attached != 1 || i.Policy != w.policy.Revision() {
		t.Errorf("%+v", i)
	}
	if i := image(t, got, bailey.KindImage, "lab", host+"/shop/web:1"); !i.Verified || len(i.Evidence) != 0 || i.Rules[0] != "anywhere" {
		t.Errorf("by the rule of its namespace: %+v", i)
	}
	if i := image(t, got, bailey.KindImage, "shop", host+"/shop/unsigned@"+unsigned); i.Verified || len(i.Refusals) != 1 || i.Refusals[0].Reason != "missing" || i.Attached != 0 {
		t.Errorf("%+v", i)
	}
	if i := image(t, got, bailey.KindImage, "shop", host+"/shop/nowhere:1"); i.Verified || i.Refusals[0].Reason != facts.NotFound || i.Digest != "" {
		t.Errorf("%+v", i)
	}
	if i := image(t, got, bailey.KindImage, "shop", "registry.invalid/x:1"); i.Verified || i.Refusals[0].Reason != "unnamed" {
		t.Errorf("%+v", i)
	}
	if i := image(t, got, bailey.KindImageToTry, "shop", host+"/shop/web:1@"+unsigned); i.Was != unsigned || i.Digest != signed || i.Tag != "1" {
		t.Errorf("a tag that was moved: %+v", i)
	}
	if m := got.Unseen(bailey.KindImageToTry, "shop", "registry.invalid/x:1"); m == nil || m.Reason != bailey.ReasonUnreadable {
		t.Errorf("an image to try of a registry that is not there: %v", m)
	}
	if m := got.Unseen(bailey.KindImage, "", ""); m != nil {
		t.Errorf("the images were not all seen: %v", m)
	}
	// A snapshot that is saved holds it.
	var file bytes.Buffer
	if err := saved.Write(&file, got); err != nil {
		t.Fatal(err)
	}
	again, err := saved.Read(&file, saved.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if i := image(t, again, bailey.KindImage, "shop", host+"/shop/web:1"); !i.Verified || i.Evidence[0].Kind != "signature" || i.At.IsZero() {
		t.Errorf("after it was saved: %+v", i)
	}
}

// TestAddAsksLittle counts what the registry hears: an image in many namespaces is asked for once,
// one that is down is given up, and offline nobody is asked.
func TestAddAsksLittle(t *testing.T) {
	w := newWorld(t)
	host := w.registry.Host
	signed := w.registry.Push(t, "shop/web", "1")
	w.sign("shop/web", signed)
	name := host + "/shop/web@" + signed
	before := w.registry.Requests.Load()
	w.add(pods([2]string{"shop", name}), facts.Options{Registry: w.client})
	once := w.registry.Requests.Load() - before
	before = w.registry.Requests.Load()
	w.add(pods([2]string{"shop", name}, [2]string{"shop", name}, [2]string{"lab", name}), facts.Options{Registry: w.client})
	if n := w.registry.Requests.Load() - before; n != once {
		t.Errorf("%d requests for an image that is used three times, and %d for one", n, once)
	}

	before = w.registry.Requests.Load()
	offline := w.add(pods([2]string{"shop", name}), facts.Options{})
	if m := offline.Unseen(bailey.KindImage, "shop", name); m == nil || !strings.Contains(m.Detail, "offline") || w.registry.Requests.Load() != before {
		t.Errorf("offline: %v", m)
	}

	w.registry.Break(503)
	var many [][2]string
	for _, c := range "0123456789abcdef0123456789abcdef" {
		many = append(many, [2]string{"shop", host + "/shop/" + string(c) + string(rune('a'+len(many)%26)) + ":1"})
	}
	before = w.registry.Requests.Load()
	down := w.add(pods(many...), facts.Options{Registry: w.client})
	for _, i := range many {
		if m := down.Unseen(bailey.KindImage, "shop", i[1]); m == nil || m.Reason != bailey.ReasonUnreadable || m.Hint == "" {
			t.Fatalf("of a registry that is down: %v", m)
		}
	}
	if n := w.registry.Requests.Load() - before; n > 60 {
		t.Errorf("a registry that is down was asked %d times for %d images", n, len(many))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := facts.Add(ctx, pods([2]string{"shop", name}), facts.Options{Policy: w.policy, Registry: w.client}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	var wrong *facts.TryError
	if _, err := facts.Add(t.Context(), pods(), facts.Options{Policy: w.policy, Registry: w.client, Try: []string{"Not:A:Reference"}}); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
}
