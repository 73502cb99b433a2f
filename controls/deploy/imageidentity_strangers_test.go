package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestStrangersPlanned names what is tried of the images that are to be, in which namespaces
// and beside what, on a cluster in which no gate is.
func TestStrangersPlanned(t *testing.T) {
	digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	refused := func(reason string) []bailey.ImageRefusal {
		return []bailey.ImageRefusal{{Reason: reason, Message: "no"}}
	}
	vouched := []bailey.ImageEvidence{{Kind: "signature"}}
	good := &bailey.Image{Repository: "r.example/shop/web", Digest: digest("a"), Verified: true, Evidence: vouched}
	tries := map[string]*bailey.Image{
		"unsigned": {Repository: "r.example/shop/web", Digest: digest("b"), Refusals: refused("missing")},
		"stranger": {Repository: "r.example/shop/x", Digest: digest("c"), Attached: 1, Refusals: refused("wrong-key")},
		"moved":    {Repository: "r.example/shop/web", Tag: "1", Digest: digest("d"), Was: digest("a"), Refusals: refused("missing")},
		"unmoved":  {Repository: "r.example/shop/web", Tag: "1", Digest: digest("d"), Was: digest("d"), Refusals: refused("missing")},
		"unnamed":  {Repository: "z.example/x", Digest: digest("e"), Refusals: refused("unnamed")},
		"unpushed": {Repository: "r.example/shop/web", Digest: digest("f"), Refusals: refused("not-found")},
		"admitted": {Repository: "r.example/shop/y", Digest: digest("9"), Verified: true, Evidence: vouched},
		"taken":    {Repository: "r.example/shop/z", Digest: digest("8"), Verified: true},
	}
	plan := func(change func(*bailey.Builder)) map[string][]string {
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		for _, ns := range []string{"shop", "other", "bailey", "kube-system"} {
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: ns}, Object: &corev1.Namespace{}},
				&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindImage, Namespace: ns, Name: "good"}, Object: good})
			for name, image := range tries {
				b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindImageToTry, Namespace: ns, Name: name}, Object: image})
			}
		}
		gate := imagegate.Config{Namespace: "bailey", Service: imagegate.Name}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: imagegate.Name}, Object: gate.Validating()})
		if change != nil {
			change(b)
		}
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, strangersRefused.Needs, strangersRefused.Derives)
		probes := strangersRefused.Plan(view, bailey.Ref{})
		if missing := view.Missing(); len(missing) > 0 {
			t.Fatalf("%v", missing)
		}
		got := map[string][]string{}
		for _, p := range probes {
			name, way, _ := strings.Cut(p.Name, ", ")
			if p.Given != nil || !slices.Equal(p.Try.Refusers, gatekeepers) {
				t.Errorf("%s: given %v, refusers %v", p.Name, p.Given, p.Try.Refusers)
			}
			if way == "container" {
				got[name] = append(got[name], fmt.Sprintf("%s: %s beside %s", p.Try.Request.Namespace, imagesIn(p.Try.Request.Object), imagesIn(p.Twin.Request.Object)))
			}
		}
		return got
	}

	beside := "r.example/shop/web@" + digest("a")
	want := map[string]string{
		"unsigned image unsigned":           "r.example/shop/web@" + digest("b"),
		"image that others signed stranger": "r.example/shop/x@" + digest("c"),
		"moved tag moved":                   "r.example/shop/web:1",
		"image that no rule names unnamed":  "z.example/x@" + digest("e"),
	}
	got := plan(nil)
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for name, image := range want {
		places := []string{"other: " + image + " beside " + beside, "shop: " + image + " beside " + beside}
		if !slices.Equal(got[name], places) {
			t.Errorf("%s: got %q, want %q", name, got[name], places)
		}
	}
	// Where the policy admits it, it is not tried, and the other namespace is.
	got = plan(func(b *bailey.Builder) {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindImageToTry, Namespace: "other", Name: "unsigned"}, Object: tries["admitted"]})
	})
	if one := got["unsigned image unsigned"]; len(one) != 1 || !strings.HasPrefix(one[0], "shop: ") {
		t.Errorf("%q", one)
	}
	// A gate whose exemptions were widened keeps none of them out of sight.
	got = plan(func(b *bailey.Builder) {
		c := imagegate.Config{Namespace: "bailey", URL: "https://gate.example"}.Validating()
		e := &c.Webhooks[0].NamespaceSelector.MatchExpressions[0]
		e.Values = append(e.Values, "shop")
		c.Webhooks = slices.DeleteFunc(c.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name != imagegate.ImagesWebhook })
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: imagegate.Name}, Object: c})
	})
	if places := strings.Join(got["unsigned image unsigned"], "\n"); !strings.Contains(places, "shop: ") || !strings.Contains(places, "bailey: ") {
		t.Errorf("%q", places)
	}
}

// imagesIn gives the image of a pod's first container.
func imagesIn(pod map[string]any) string {
	spec, _ := pod["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	first, _ := containers[0].(map[string]any)
	image, _ := first["image"].(string)
	return image
}
