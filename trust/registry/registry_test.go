package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/baileyhq/bailey/internal/registrytest"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
	"github.com/baileyhq/bailey/trust/sign"
)

func newKey(t testing.TB) (*sign.Key, string) {
	t.Helper()
	key, err := sign.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	return key, string(public)
}

func verify(t testing.TB, public string, a trust.Artifact, bundles []*trust.Bundle, types ...string) trust.Decision {
	t.Helper()
	p, err := trust.Single(trust.Signer{Key: public}, types...)
	if err != nil {
		t.Fatal(err)
	}
	return p.For("", a.Repository).Verify(a, bundles, time.Now())
}

// TestAttachAndFetch signs and attests an image in registries with and without an API
// for referrers, and reads it all back.
func TestAttachAndFetch(t *testing.T) {
	distribution := registrytest.Start(t)
	api := httptest.NewTLSServer(memory.New(memory.WithReferrersSupport(true), memory.Logger(quiet)))
	defer api.Close()
	for _, c := range []struct {
		name, host string
		client     *registry.Client
	}{
		{"fallback tag", distribution.Host, &registry.Client{Keychain: distribution.Keychain(), Transport: distribution.Transport}},
		{"API", strings.TrimPrefix(api.URL, "https://"), &registry.Client{Transport: api.Client().Transport}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			image, err := random.Image(100, 1)
			if err != nil {
				t.Fatal(err)
			}
			tag, err := name.NewTag(c.host + "/shop/web:1.0")
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(tag, image, remote.WithTransport(c.client.Transport), remote.WithAuthFromKeychain(distribution.Keychain())); err != nil {
				t.Fatal(err)
			}
			ref, err := registry.Parse(tag.String())
			if err != nil {
				t.Fatal(err)
			}
			digest, err := c.client.Resolve(ctx, ref)
			if err != nil {
				t.Fatal(err)
			}
			a := trust.Artifact{Repository: ref.Repository, Digest: digest}
			if found, err := c.client.Fetch(ctx, a.Repository, a.Digest); err != nil || len(found) != 0 {
				t.Fatalf("an image without signatures: %d, %v", len(found), err)
			}
			key, public := newKey(t)
			_, stranger := newKey(t)
			signature, err := sign.Image(ctx, a, sign.Options{Key: key})
			if err != nil {
				t.Fatal(err)
			}
			sbom, err := sign.Attest(ctx, a.Repository, a.Digest, "https://cyclonedx.org/bom", []byte(`{"bomFormat":"CycloneDX"}`), sign.Options{Key: key})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range []struct {
				bundle        []byte
				predicateType string
			}{{signature, trust.PredicateSignature}, {sbom, "https://cyclonedx.org/bom"}} {
				if _, err := c.client.Attach(ctx, a.Repository, a.Digest, b.bundle, b.predicateType, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			found, err := c.client.Fetch(ctx, a.Repository, a.Digest)
			if err != nil || len(found) != 2 {
				t.Fatalf("%d found, want 2: %v", len(found), err)
			}
			if d := verify(t, public, a, found); !d.Verified {
				t.Errorf("the signature does not verify: %s", d.Reason())
			}
			if d := verify(t, public, a, found, "cyclonedx"); !d.Verified || d.Evidence[0].Kind != trust.KindSBOM {
				t.Errorf("the SBOM does not verify: %s %v", d.Reason(), d.Evidence)
			}
			if d := verify(t, public, a, found, "slsaprovenance1"); d.Verified || d.Refusals[0].Reason != trust.ReasonMissing {
				t.Errorf("provenance that is not there: %+v", d)
			}
			if d := verify(t, stranger, a, found); d.Verified || d.Refusals[0].Reason != trust.ReasonWrongKey {
				t.Errorf("a stranger's key: %+v", d)
			}
			other := trust.Artifact{Repository: a.Repository, Digest: "sha256:" + strings.Repeat("0", 64)}
			if d := verify(t, public, other, found); d.Verified || d.Refusals[0].Reason != trust.ReasonDigest {
				t.Errorf("another image's: %+v", d)
			}
		})
	}
}

// TestCosignLayout reads what cosign before version 3 puts beside an image.
func TestCosignLayout(t *testing.T) {
	r := registrytest.Start(t)
	client := &registry.Client{Keychain: r.Keychain(), Transport: r.Transport}
	digest := r.Push(t, "shop/web", "1.0")
	a := trust.Artifact{Repository: r.Host + "/shop/web", Digest: digest}
	key, public := newKey(t)
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, a.Repository, digest)
	signature := signMessage(t, key, payload)
	push := func(suffix string, mediaType types.MediaType, layer []byte, annotations map[string]string) {
		t.Helper()
		image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{Layer: static.NewLayer(layer, mediaType), Annotations: annotations})
		if err != nil {
			t.Fatal(err)
		}
		r.PushImage(t, "shop/web", strings.Replace(digest, ":", "-", 1)+suffix, image)
	}
	push(".sig", trust.CosignSignatureType, payload, map[string]string{"dev.cosignproject.cosign/signature": signature})
	bundle, err := sign.Attest(context.Background(), "x", digest, "https://slsa.dev/provenance/v1", []byte(`{"runDetails":{"builder":{"id":"b"}}}`), sign.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		DSSE json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &made); err != nil {
		t.Fatal(err)
	}
	push(".att", trust.CosignAttestationType, made.DSSE, nil)

	found, err := client.Fetch(context.Background(), a.Repository, a.Digest)
	if err != nil || len(found) != 2 {
		t.Fatalf("%d found, want 2: %v", len(found), err)
	}
	if d := verify(t, public, a, found); !d.Verified || !strings.Contains(d.Evidence[0].Source, ".sig") {
		t.Errorf("the signature does not verify: %s", d.Reason())
	}
	if d := verify(t, public, a, found, "slsaprovenance1"); !d.Verified {
		t.Errorf("the provenance does not verify: %s", d.Reason())
	}
	other := r.Push(t, "shop/web", "2.0")
	if d := verify(t, public, trust.Artifact{Repository: a.Repository, Digest: other}, found); d.Verified || d.Refusals[0].Reason != trust.ReasonDigest {
		t.Errorf("another image's signature: %+v", d)
	}
	push(".sig", trust.CosignSignatureType, []byte(strings.Replace(string(payload), digest, other, 1)), map[string]string{"dev.cosignproject.cosign/signature": signature})
	found, err = client.Fetch(context.Background(), a.Repository, a.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if d := verify(t, public, trust.Artifact{Repository: a.Repository, Digest: other}, found); d.Verified {
		t.Error("a payload that was changed verifies")
	}
}

// signMessage signs with the key as cosign signs payloads.
func signMessage(t testing.TB, key *sign.Key, payload []byte) string {
	t.Helper()
	bundle, err := sign.File(context.Background(), strings.NewReader(string(payload)), sign.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		MessageSignature struct{ Signature []byte }
	}
	if err := json.Unmarshal(bundle, &made); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(made.MessageSignature.Signature)
}

// TestTrouble: what is not known is an error, and never an image without signatures.
func TestTrouble(t *testing.T) {
	r := registrytest.Start(t)
	ctx := context.Background()
	digest := r.Push(t, "shop/web", "1.0")
	repository := r.Host + "/shop/web"
	good := &registry.Client{Keychain: r.Keychain(), Transport: r.Transport}
	sum := sha256.Sum256([]byte("no such image"))
	if _, err := good.Fetch(ctx, repository, "sha256:"+hex.EncodeToString(sum[:])); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
	if _, err := (&registry.Client{Transport: r.Transport}).Fetch(ctx, repository, digest); !errors.Is(err, registry.ErrDenied) {
		t.Errorf("without a password: %v", err)
	}
	if _, err := (&registry.Client{Keychain: r.Keychain()}).Fetch(ctx, repository, digest); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("a certificate of an unknown CA: %v", err)
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		r.Break(status)
		if _, err := good.Fetch(ctx, repository, digest); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	r.Break(0)
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := good.Fetch(over, repository, digest); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	plain := httptest.NewServer(memory.New(memory.Logger(quiet)))
	defer plain.Close()
	host := strings.TrimPrefix(plain.URL, "http://")
	if _, err := (&registry.Client{}).Fetch(ctx, host+"/a", digest); !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a registry without TLS: %v", err)
	}
	if _, err := (&registry.Client{PlainHTTP: []string{host}}).Fetch(ctx, host+"/a", digest); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a registry that may be without TLS: %v", err)
	}
	r.Close()
	if _, err := good.Fetch(ctx, repository, digest); !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("a registry that is cut off: %v", err)
	}
}

// TestLimits: too many and too large are errors that say so.
func TestLimits(t *testing.T) {
	r := registrytest.Start(t)
	ctx := context.Background()
	digest := r.Push(t, "shop/web", "1.0")
	a := trust.Artifact{Repository: r.Host + "/shop/web", Digest: digest}
	client := func(l registry.Limits) *registry.Client {
		return &registry.Client{Keychain: r.Keychain(), Transport: r.Transport, Limits: l}
	}
	key, public := newKey(t)
	for i := range 3 {
		bundle, err := sign.Attest(ctx, "x", digest, "https://example.com/t", fmt.Appendf(nil, `{"n":%d}`, i), sign.Options{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client(registry.Limits{}).Attach(ctx, a.Repository, digest, bundle, "https://example.com/t", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := client(registry.Limits{Signatures: 3}).Fetch(ctx, a.Repository, digest); err != nil || len(found) != 3 {
		t.Errorf("3 of 3: %d, %v", len(found), err)
	}
	for name, l := range map[string]registry.Limits{"2 of 3": {Signatures: 2}, "too large": {Each: 100}, "too large together": {Total: 1500}} {
		if _, err := client(l).Fetch(ctx, a.Repository, digest); err == nil || !strings.Contains(err.Error(), "hint: remove") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is no bundle does not hide the others.
	if _, err := client(registry.Limits{}).Attach(ctx, a.Repository, digest, []byte("no bundle"), "", time.Now()); err != nil {
		t.Fatal(err)
	}
	found, err := client(registry.Limits{}).Fetch(ctx, a.Repository, digest)
	if err != nil || len(found) != 4 {
		t.Fatalf("%d, %v", len(found), err)
	}
	if d := verify(t, public, a, found, "https://example.com/t"); !d.Verified {
		t.Errorf("beside something unreadable: %s", d.Reason())
	}
}

var quiet = log.New(io.Discard, "", 0)

func TestParseReference(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	for text, want := range map[string]registry.Reference{
		"nginx":                       {Repository: "docker.io/library/nginx", Tag: "latest"},
		"acme/web:1":                  {Repository: "docker.io/acme/web", Tag: "1"},
		"docker.io/nginx":             {Repository: "docker.io/library/nginx", Tag: "latest"},
		"index.docker.io/a/b":         {Repository: "docker.io/a/b", Tag: "latest"},
		"r.example:5000/a/b/c:v1":     {Repository: "r.example:5000/a/b/c", Tag: "v1"},
		"r.example/a@sha256:" + hex:   {Repository: "r.example/a", Digest: "sha256:" + hex},
		"r.example/a:1@sha256:" + hex: {Repository: "r.example/a", Tag: "1", Digest: "sha256:" + hex},
	} {
		if got, err := registry.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "A", "a@sha256:12", "a@sha512:" + hex, "a b", "r.example/a:", "r.example/a@"} {
		if got, err := registry.Parse(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// TestSpellings: an image is named as policies name it, however it is written.
func TestSpellings(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "docker.io/library/nginx", "docker.io/nginx": "docker.io/library/nginx", "registry-1.docker.io/nginx": "docker.io/library/nginx",
		"index.docker.io/acme/web": "docker.io/acme/web", "Registry.Example.com:443/shop/web:1": "registry.example.com/shop/web",
	} {
		if r, err := registry.Parse(image); err != nil || r.Repository != want {
			t.Errorf("%s: %q, want %q: %v", image, r.Repository, want, err)
		}
	}
}

// TestAnswerIsNotRepeated: of what a host answers, only status and error code are told.
func TestAnswerIsNotRepeated(t *testing.T) {
	for body, want := range map[string]string{
		"secret of an internal service":                              "status 500",
		`{"errors":[{"code":"TOOMANYREQUESTS","message":"secret"}]}`: "status 500 TOOMANYREQUESTS",
		`{"errors":[{"code":"the secret","message":"secret"}]}`:      "status 500",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, body)
		}))
		host := strings.TrimPrefix(server.URL, "http://")
		_, err := (&registry.Client{PlainHTTP: []string{host}}).Resolve(context.Background(), registry.Reference{Repository: host + "/a", Tag: "1"})
		if !errors.Is(err, registry.ErrUnavailable) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), want+"\n") {
			t.Errorf("%s: %v", body, err)
		}
		server.Close()
	}
}
