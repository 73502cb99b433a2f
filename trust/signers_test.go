package trust_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/sign"
)

// TestThresholdCountsSigners: one key that two authorities hold is one signer, however
// often it signed; and each authority gets the signer that leaves one to the others.
func TestThresholdCountsSigners(t *testing.T) {
	artifact := trust.Artifact{Repository: "x.example/a", Digest: digest([]byte("image"))}
	files := map[string]string{}
	bundles := map[string]*trust.Bundle{}
	for _, name := range []string{"x", "y"} {
		key, err := sign.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.PublicPEM()
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := sign.Image(context.Background(), artifact, sign.Options{Key: key, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		files[name+".pub"], bundles[name] = string(public), trust.ParseBundle(name, bundle)
	}
	for _, c := range []struct {
		name, a, b, signed string
		verified           bool
	}{
		{"one key of two", "x.pub", "x.pub", "x", false},
		{"one key of two, signed twice", "x.pub", "x.pub", "xx", false},
		{"two keys, signed by one", "x.pub", "y.pub", "x", false},
		{"two keys", "x.pub", "y.pub", "xy", true},
		{"the first may use both", "x.pub, y.pub", "x.pub", "xy", true},
		{"the second may use both", "x.pub", "x.pub, y.pub", "xy", true},
		{"both may use both, signed by one", "x.pub, y.pub", "x.pub, y.pub", "yy", false},
	} {
		p, err := parse(t, "version: 1\nauthorities: [{name: a, keys: ["+c.a+"]}, {name: b, keys: ["+c.b+"]}]\n"+
			"rules: [{name: r, images: [x.example/**], signature: {by: [a, b], threshold: 2}}]\n", files)
		if err != nil {
			t.Fatal(err)
		}
		var found []*trust.Bundle
		for _, name := range strings.Split(c.signed, "") {
			found = append(found, bundles[name])
		}
		d := p.For("", artifact.Repository).Verify(artifact, found, time.Now())
		if d.Verified != c.verified || c.verified && len(d.Evidence) != 2 || !c.verified && d.Refusals[0].Reason != trust.ReasonThreshold {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// TestKeyBesideTrustedRoot: in a policy as by flags, a key's signature must be in a log
// where the trusted root knows one, unless the policy says that it need not.
func TestKeyBesideTrustedRoot(t *testing.T) {
	artifact := trust.Artifact{Repository: "x.example/a", Digest: digest([]byte("image"))}
	key, err := sign.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := sign.Image(context.Background(), artifact, sign.Options{Key: key, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"a.pub": string(public), "root.json": string(mustRead(t, "testdata/public-good.json"))}
	for fields, reason := range map[string]trust.Reason{"": "", ", trustedRoot: root.json": trust.ReasonNoLogEntry, ", trustedRoot: root.json, transparencyLog: 0": ""} {
		p, err := parse(t, "version: 1\nauthorities: [{name: a, keys: [a.pub]"+fields+"}]\nrules: [{name: r, images: [x.example/**], signature: {by: [a]}}]\n", files)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "keys"+fields, p.For("", artifact.Repository).Verify(artifact, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now()), reason)
	}
}
