package trust_test

import (
	"errors"
	"testing"
	"time"

	"github.com/baileyhq/bailey/trust"
)

func FuzzPolicy(f *testing.F) {
	f.Add([]byte("version: 1\nauthorities: [{name: a, keys: [a.pub]}]\nrules: [{name: r, images: [x.example/**], signature: {by: [a]}}]\n"))
	f.Add([]byte(`{"version":1,"rules":[{"name":"r","images":["**"],"unsigned":true}],"unmatched":"admit"}`))
	f.Add([]byte("version: 1\nauthorities: [{name: a, trustedRoot: r, identities: [{subjectRegexp: '(a|b)*', issuer: x}]}]\nrules: []\n"))
	key := []byte(publicPEM(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := trust.Parse("policy", data, func(name string) ([]byte, error) {
			if name == "a.pub" {
				return key, nil
			}
			return nil, errors.New("none")
		})
		if err != nil {
			return
		}
		d := p.For("n", "x.example/a").Verify(trust.Artifact{Repository: "x.example/a", Digest: digest(nil)}, nil, time.Unix(0, 0))
		if !d.Verified && d.Reason() == "" {
			t.Error("refused without a reason")
		}
		if d.Verified && len(d.Evidence) > 0 {
			t.Error("evidence out of nothing")
		}
	})
}

// FuzzBundle: no bundle that was made up verifies, and none ends the process.
func FuzzBundle(f *testing.F) {
	i := newInstance(f)
	sum, stranger := digest([]byte("image")), newInstance(f)
	for _, w := range []witnesses{{entry: true, proof: true, timestamp: true}, {timestamp: true}, {entry: true}} {
		f.Add(encode(f, stranger.bundle(f, sum, w)))
	}
	f.Add(mustRead(f, "testdata/public-good.json"))
	policies := []*trust.Policy{i.keyless(f, nil), single(f, trust.Signer{Key: publicPEM(f)}, ""), single(f, trust.Signer{CA: newCA(f, time.Unix(0, 0), time.Now().AddDate(1, 0, 0)).rootPEM, Subject: "x"}, "")}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := trust.ParseBundle("fuzz", data)
		for _, p := range policies {
			d := p.For("", "").Verify(trust.Artifact{Digest: sum}, []*trust.Bundle{b}, time.Now())
			if d.Verified || d.Reason() == "" {
				t.Errorf("%+v", d)
			}
		}
	})
}

func FuzzCosign(f *testing.F) {
	sum := digest([]byte("image"))
	payload := `{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":"` + sum + `"},"type":"cosign container image signature"}}`
	f.Add([]byte(payload), "MEUC", "", "", `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"c0"}}`, `{"SignedRFC3161Timestamp":"AA=="}`, true)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AA=="}]}`), "", "-----BEGIN CERTIFICATE-----", "", "", "", false)
	p := single(f, trust.Signer{Key: publicPEM(f)}, "")
	f.Fuzz(func(t *testing.T, layer []byte, signature, certificate, chain, entry, stamp string, signed bool) {
		mediaType := trust.CosignAttestationType
		if signed {
			mediaType = trust.CosignSignatureType
		}
		b := trust.FromCosign("fuzz", mediaType, layer, map[string]string{
			"dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/certificate": certificate, "dev.sigstore.cosign/chain": chain,
			"dev.sigstore.cosign/bundle": entry, "dev.sigstore.cosign/rfc3161timestamp": stamp,
		})
		d := p.For("", "").Verify(trust.Artifact{Digest: sum}, []*trust.Bundle{b}, time.Unix(0, 0))
		if d.Verified || d.Reason() == "" {
			t.Errorf("%+v", d)
		}
	})
}
