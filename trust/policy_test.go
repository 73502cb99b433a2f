package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/trust"
)

// publicPEM is a fresh public key.
func publicPEM(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func parse(t testing.TB, text string, files map[string]string) (*trust.Policy, error) {
	t.Helper()
	return trust.Parse("policy.yaml", []byte(text), func(name string) ([]byte, error) {
		content, ok := files[name]
		if !ok {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		return []byte(content), nil
	})
}

func TestPolicyNamesImagesAndNamespaces(t *testing.T) {
	p, err := parse(t, `
version: 1
authorities:
- {name: release, keys: [release.pub]}
rules:
- name: shop
  images: [registry.example.com/shop/*]
  namespaces: [shop, shop-*]
  signature: {by: [release]}
- name: deep
  images: [registry.example.com/team/**]
  signature: {by: [release]}
- name: base
  images: ["docker.io/library/nginx", "*.example.net:5000/**"]
  unsigned: true
`, map[string]string{"release.pub": publicPEM(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ namespace, repository, rules string }{
		{"shop", "registry.example.com/shop/web", "shop"},
		{"shop-test", "registry.example.com/shop/web", "shop"},
		{"shopping", "registry.example.com/shop/web", ""},
		{"", "registry.example.com/shop/web", ""},
		{"shop", "registry.example.com/shop/web/more", ""},
		{"shop", "registry.example.com/shop", ""},
		{"shop", "registryXexample.com/shop/web", ""},
		{"shop", "evil.example/registry.example.com/shop/web", ""},
		{"any", "registry.example.com/team/a/b/c", "deep"},
		{"any", "docker.io/library/nginx", "base"},
		{"any", "docker.io/library/nginx2", ""},
		{"any", "eu.example.net:5000/x/y", "base"},
		{"any", "a/b.example.net:5000/x", ""},
	} {
		r := p.For(c.namespace, c.repository)
		if r.Key() != c.rules || r.Named() != (c.rules != "") {
			t.Errorf("%s in %q: rules %q, want %q", c.repository, c.namespace, r.Key(), c.rules)
		}
		d := r.Verify(trust.Artifact{Repository: c.repository, Digest: digest(nil)}, nil, time.Now())
		if want := c.rules == "base"; d.Verified != want {
			t.Errorf("%s in %q: verified %v without a signature, want %v", c.repository, c.namespace, d.Verified, want)
		}
		if !d.Verified && (len(d.Refusals) == 0 || d.Reason() == "" || d.Hint() == "") {
			t.Errorf("%s: refused without a reason or a hint: %+v", c.repository, d)
		}
	}
}

// TestRevision: whatever a decision depends on changes the revision.
func TestRevision(t *testing.T) {
	text := "version: 1\nauthorities: [{name: a, keys: [a.pub]}]\nrules: [{name: r, images: [x.example/**], signature: {by: [a]}}]\n"
	revisions := map[string]bool{}
	one, two := publicPEM(t), publicPEM(t)
	for _, c := range []struct{ text, key string }{{text, one}, {text, two}, {text + "\n", one}} {
		p, err := parse(t, c.text, map[string]string{"a.pub": c.key})
		if err != nil {
			t.Fatal(err)
		}
		revisions[p.Revision()] = true
	}
	again, _ := parse(t, text, map[string]string{"a.pub": one})
	if len(revisions) != 3 || !revisions[again.Revision()] {
		t.Errorf("revisions %v, and %s again", revisions, again.Revision())
	}
}

func TestPolicyErrors(t *testing.T) {
	files := map[string]string{"a.pub": publicPEM(t), "root.json": string(mustRead(t, "testdata/public-good.json")), "bad.pub": "x"}
	head := "version: 1\nauthorities: [{name: a, keys: [a.pub]}]\n"
	rule := "rules: [{name: r, images: [x.example/**], signature: {by: [a]}}]\n"
	authority := func(a string) string { return "version: 1\nauthorities: [{name: a, " + a + "}]\n" + rule }
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"not YAML", "a: b: c", "no YAML"},
		{"unknown field", head + rule + "unsinged: true\n", "line 4: field unsinged not found"},
		{"repeated field", head + head + rule, "already"},
		{"two documents", head + rule + "---\n" + head + rule, "more than one document"},
		{"no version", strings.Replace(head, "version: 1\n", "", 1) + rule, "version: 0"},
		{"no rules", head, "no rule"},
		{"wants nothing", head + "rules: [{name: r, images: [x.example/**]}]", "wants nothing"},
		{"wants and not", head + "rules: [{name: r, images: [x.example/**], unsigned: true, signature: {by: [a]}}]", "unsigned: true and wants"},
		{"no images", head + "rules: [{name: r, signature: {by: [a]}}]", "names no images"},
		{"no registry", head + "rules: [{name: r, images: [nginx], signature: {by: [a]}}]", "names no registry"},
		{"tag", head + `rules: [{name: r, images: ["x.example/a:1"], signature: {by: [a]}}]`, "tag or a digest"},
		{"upper case", head + `rules: [{name: r, images: [x.example/Shop/**], signature: {by: [a]}}]`, "upper-case"},
		{"a name of docker.io", head + `rules: [{name: r, images: ["*.docker.io/library/a"], signature: {by: [a]}}]`, "write docker.io/library/a"},
		{"no repository", head + `rules: [{name: r, images: [x.example/shop/], signature: {by: [a]}}]`, "matches nothing"},
		{"no namespaces", head + "rules: [{name: r, images: [x.example/**], namespaces: [], signature: {by: [a]}}]", "line 3: namespaces: is written and empty"},
		{"namespaces without a value", head + "rules: [{name: r, images: [x.example/**], namespaces: , signature: {by: [a]}}]", "namespaces: is written and empty"},
		{"no builders", head + "rules: [{name: r, images: [x.example/**], provenance: {by: [a], builders: []}}]", "builders: is written and empty"},
		{"no sources", head + "rules: [{name: r, images: [x.example/**], provenance: {by: [a], sources: []}}]", "sources: is written and empty"},
		{"no demand", head + "rules: [{name: r, images: [x.example/**], signature: {by: [a]}, sbom: }]", "sbom: is written and empty"},
		{"by nobody", head + "rules: [{name: r, images: [x.example/**], signature: {}}]", "does not say by whom"},
		{"by a stranger", head + "rules: [{name: r, images: [x.example/**], signature: {by: [b]}}]", `no authority "b"`},
		{"threshold", head + "rules: [{name: r, images: [x.example/**], signature: {by: [a], threshold: 2}}]", "2 of 1"},
		{"conditions", head + "rules: [{name: r, images: [x.example/**], signature: {by: [a], builders: [b]}}]", "conditions of provenance"},
		{"type", head + "rules: [{name: r, images: [x.example/**], sbom: {by: [a], types: [slsaprovenance1]}}]", "none of"},
		{"unmatched", head + rule + "unmatched: maybe\n", "neither refuse nor admit"},
		{"two names", "version: 1\nauthorities: [{name: a, keys: [a.pub]}, {name: a, keys: [a.pub]}]\n" + rule, "another one bears this name"},
		{"missing file", authority("keys: [none.pub]"), "none.pub"},
		{"no key", authority("keys: [bad.pub]"), "no PEM public key"},
		{"no trust", authority("identities: [{subject: x}]"), "neither keys"},
		{"everybody", authority("trustedRoot: root.json"), "everybody"},
		{"any issuer", authority("trustedRoot: root.json, identities: [{subject: x}]"), "names no issuer"},
		{"no time", authority("trustedRoot: root.json, transparencyLog: 0, identities: [{subject: x, issuer: y}]"), "lives for minutes"},
		{"too many logs", authority("trustedRoot: root.json, transparencyLog: 2, identities: [{subject: x, issuer: y}]"), "knows 1 of a transparency log"},
		{"log of nobody", authority("keys: [a.pub], transparencyLog: 1"), "knows 0 of a transparency log"},
		{"bad regexp", authority(`trustedRoot: root.json, identities: [{subjectRegexp: "a)|(b", issuer: y}]`), "no regular expression"},
		{"both", authority("trustedRoot: root.json, identities: [{subjectRegexp: a, subject: a, issuer: y}]"), "both subject"},
	} {
		_, err := parse(t, c.text, files)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "policy.yaml: ") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := parse(t, authority("keys: [none.pub]"), files); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file is not told as one: %v", err)
	}
}

// TestImageSpellings: a pattern names the registry by whatever spelling, and never falls
// short of the images that it is meant for.
func TestImageSpellings(t *testing.T) {
	for pattern, repository := range map[string]string{
		"docker.io/nginx":                   "docker.io/library/nginx",
		"index.docker.io/library/nginx":     "docker.io/library/nginx",
		"registry-1.docker.io/nginx":        "docker.io/library/nginx",
		"Docker.IO:443/acme/*":              "docker.io/acme/web",
		"docker.io/*":                       "docker.io/library/nginx",
		"docker.io/**":                      "docker.io/acme/web",
		"Registry.Example.com:443/shop/**":  "registry.example.com/shop/web",
		"registry.example.com:05000/shop/*": "registry.example.com:5000/shop/web",
		"*.Example.com/shop/web":            "eu.example.com/shop/web",
		"**.Example.com/web":                "eu.example.com/web",
		"**/nginx":                          "docker.io/library/nginx",
		"**":                                "docker.io/library/nginx",
	} {
		p, err := parse(t, "version: 1\nauthorities: [{name: a, keys: [a.pub]}]\nrules: [{name: r, images: [\""+pattern+"\"], signature: {by: [a]}}]\nunmatched: admit\n", map[string]string{"a.pub": publicPEM(t)})
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		} else if !p.For("", repository).Named() {
			t.Errorf("%s does not name %s", pattern, repository)
		}
	}
}
