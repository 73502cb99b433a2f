package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/sign"
)

const (
	signer = "robot@example.com"
	issuer = "https://issuer.example.com"
)

// instance is a sigstore instance in memory: CA, log and timestamp authority. Its
// certificates are in no certificate transparency log.
type instance struct {
	*ca.VirtualSigstore
	root string
}

func newInstance(t testing.TB) *instance {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	logs := v.RekorLogs()
	for id, log := range logs {
		if log.ID, err = hex.DecodeString(id); err != nil {
			t.Fatal(err)
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, v.FulcioCertificateAuthorities(), nil, v.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	text, err := trusted.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return &instance{v, string(text)}
}

// witnesses say what a bundle of an instance holds.
type witnesses struct {
	entry, proof, timestamp bool
	logged                  time.Time // zero: now
}

// bundle is a keyless signature over a statement about a digest.
func (i *instance) bundle(t testing.TB, digest string, w witnesses) *protobundle.Bundle {
	t.Helper()
	leaf, key, err := i.GenerateLeafCert(signer, issuer)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := sign.Statement("a", digest, trust.PredicateSignature, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	const payloadType = "application/vnd.in-toto+json"
	sum := sha256.Sum256(dsse.PAE(payloadType, statement))
	sig, err := key.(*ecdsa.PrivateKey).Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	b := &protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: statement, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
		VerificationMaterial: &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: leaf.Raw}}},
	}
	if w.entry {
		if w.logged.IsZero() {
			w.logged = time.Now()
		}
		envelope := &dsse.Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(statement), Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}}}
		entry, err := i.GenerateTlogEntry(leaf, envelope, sig, w.logged.Add(2*time.Second).Unix(), true)
		if err != nil {
			t.Fatal(err)
		}
		e := entry.TransparencyLogEntry()
		e.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
		// The instance signs the promise and keeps it to itself.
		set, err := i.RekorSignPayload(tlog.RekorPayload{
			Body: base64.StdEncoding.EncodeToString(e.CanonicalizedBody), IntegratedTime: e.IntegratedTime, LogIndex: e.LogIndex, LogID: hex.EncodeToString(e.LogId.KeyId),
		})
		if err != nil {
			t.Fatal(err)
		}
		e.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: set}
		if !w.proof {
			e.InclusionProof = nil
		}
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{e}
	}
	if w.timestamp {
		stamp, err := i.TimestampResponse(sig)
		if err != nil {
			t.Fatal(err)
		}
		b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}}}
	}
	return b
}

func encode(t testing.TB, b *protobundle.Bundle) []byte {
	t.Helper()
	text, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keyless is the policy for the instance's robot. Without certificate transparency: the
// instance has none.
func (i *instance) keyless(t testing.TB, change func(*trust.Signer)) *trust.Policy {
	t.Helper()
	none := 0
	s := trust.Signer{TrustedRoot: i.root, Subject: signer, Issuer: issuer, CertificateTransparency: &none}
	if change != nil {
		change(&s)
	}
	return single(t, s)
}

func single(t testing.TB, s trust.Signer, types ...string) *trust.Policy {
	t.Helper()
	p, err := trust.Single(s, types...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decide(p *trust.Policy, digest string, bundle []byte, at time.Time) trust.Decision {
	return p.For("", "r.example/a").Verify(trust.Artifact{Repository: "r.example/a", Digest: digest}, []*trust.Bundle{trust.ParseBundle("bundle", bundle)}, at)
}

// expect wants a decision: verified for "", or this reason, with a message of its own.
func expect(t testing.TB, name string, d trust.Decision, reason trust.Reason) {
	t.Helper()
	switch {
	case reason == "" && !d.Verified:
		t.Errorf("%s: refused: %s", name, d.Reason())
	case reason != "" && d.Verified:
		t.Errorf("%s: verified, want %s", name, reason)
	case reason != "" && (d.Refusals[0].Reason != reason || d.Hint() == ""):
		t.Errorf("%s: %s (%s; hint %q), want %s", name, d.Refusals[0].Reason, d.Reason(), d.Hint(), reason)
	}
}

func TestKeyless(t *testing.T) {
	i, other := newInstance(t), newInstance(t)
	digest := digest([]byte("image"))
	whole := witnesses{entry: true, proof: true, timestamp: true}
	good := encode(t, i.bundle(t, digest, whole))
	now := time.Now()
	expect(t, "all witnesses", decide(i.keyless(t, nil), digest, good, now), "")
	expect(t, "years later", decide(i.keyless(t, nil), digest, good, now.AddDate(5, 0, 0)), "")
	d := decide(i.keyless(t, nil), digest, good, now)
	if e := d.Evidence[0]; e.Signer != signer || e.Issuer != issuer || e.Kind != trust.KindSignature || e.Time.IsZero() || !d.Until.IsZero() {
		t.Errorf("evidence %+v, until %s", e, d.Until)
	}
	one, two := 1, 2
	for _, c := range []struct {
		name   string
		bundle []byte
		change func(*trust.Signer)
		reason trust.Reason
	}{
		{"log alone", encode(t, i.bundle(t, digest, witnesses{entry: true, proof: true})), nil, ""},
		{"no proof", encode(t, i.bundle(t, digest, witnesses{entry: true, timestamp: true})), nil, trust.ReasonNoProof},
		{"no log entry", encode(t, i.bundle(t, digest, witnesses{timestamp: true})), nil, trust.ReasonNoLogEntry},
		{"timestamp alone, as asked for", encode(t, i.bundle(t, digest, witnesses{timestamp: true})), func(s *trust.Signer) { zero := 0; s.TransparencyLog, s.Timestamps = &zero, &one }, ""},
		{"no timestamp", encode(t, i.bundle(t, digest, witnesses{entry: true, proof: true})), func(s *trust.Signer) { s.Timestamps = &one }, trust.ReasonNoTime},
		{"logged too late", encode(t, i.bundle(t, digest, witnesses{entry: true, proof: true, logged: now.Add(30 * time.Minute)})), nil, trust.ReasonExpired},
		{"another subject", good, func(s *trust.Signer) { s.Subject = "somebody@example.com" }, trust.ReasonIdentity},
		{"another issuer", good, func(s *trust.Signer) { s.Issuer = "https://other.example.com" }, trust.ReasonIdentity},
		{"a part of the subject", good, func(s *trust.Signer) { s.Subject, s.SubjectRegexp = "", "robot@" }, trust.ReasonIdentity},
		{"a regular expression", good, func(s *trust.Signer) { s.Subject, s.SubjectRegexp = "", `.*@example\.com` }, ""},
		{"another instance", encode(t, other.bundle(t, digest, witnesses{entry: true, proof: true})), nil, trust.ReasonUnknownLog},
		{"another instance of the same names", encode(t, other.bundle(t, digest, whole)), nil, trust.ReasonTimestamp},
		{"another image", encode(t, i.bundle(t, "sha256:"+strings.Repeat("0", 64), whole)), nil, trust.ReasonDigest},
	} {
		expect(t, c.name, decide(i.keyless(t, c.change), digest, c.bundle, now), c.reason)
	}
	if _, err := trust.Single(trust.Signer{TrustedRoot: i.root, Subject: signer, Issuer: issuer}); err == nil || !strings.Contains(err.Error(), "certificateTransparency") {
		t.Errorf("certificate transparency that nobody can show: %v", err)
	}
	if _, err := trust.Single(trust.Signer{TrustedRoot: i.root, Subject: signer, Issuer: issuer, TransparencyLog: &two}); err == nil {
		t.Error("two logs are wanted where one is known")
	}
}

// TestMixed: parts of one good bundle in another are found.
func TestMixed(t *testing.T) {
	i := newInstance(t)
	digest := digest([]byte("image"))
	whole := witnesses{entry: true, proof: true, timestamp: true}
	p := i.keyless(t, nil)
	for name, mix := range map[string]struct {
		change func(into, from *protobundle.Bundle)
		reason trust.Reason
	}{
		"log entry": {func(a, b *protobundle.Bundle) {
			a.VerificationMaterial.TlogEntries = b.VerificationMaterial.TlogEntries
		}, trust.ReasonLogEntry},
		"timestamp": {func(a, b *protobundle.Bundle) {
			a.VerificationMaterial.TimestampVerificationData = b.VerificationMaterial.TimestampVerificationData
		}, trust.ReasonTimestamp},
		"certificate": {func(a, b *protobundle.Bundle) { a.VerificationMaterial.Content = b.VerificationMaterial.Content }, trust.ReasonLogEntry},
		"signature": {func(a, b *protobundle.Bundle) {
			a.GetDsseEnvelope().Signatures = b.GetDsseEnvelope().Signatures
		}, trust.ReasonLogEntry},
		"one more log entry": {func(a, b *protobundle.Bundle) {
			a.VerificationMaterial.TlogEntries = append(a.VerificationMaterial.TlogEntries, b.VerificationMaterial.TlogEntries...)
		}, trust.ReasonLogEntry},
		"one more timestamp": {func(a, b *protobundle.Bundle) {
			stamps := a.VerificationMaterial.TimestampVerificationData
			stamps.Rfc3161Timestamps = append(stamps.Rfc3161Timestamps, b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps...)
		}, trust.ReasonTimestamp},
		"two signatures": {func(a, b *protobundle.Bundle) {
			a.GetDsseEnvelope().Signatures = append(a.GetDsseEnvelope().Signatures, b.GetDsseEnvelope().Signatures...)
		}, trust.ReasonMalformed},
		"another type": {func(a, _ *protobundle.Bundle) { a.GetDsseEnvelope().PayloadType = "text/plain" }, trust.ReasonStatement},
		"another statement": {func(a, _ *protobundle.Bundle) {
			a.GetDsseEnvelope().Payload = []byte(strings.Replace(string(a.GetDsseEnvelope().Payload), "Statement/v1", "Statement/v9", 1))
		}, trust.ReasonStatement},
		"nothing": {func(a, _ *protobundle.Bundle) {}, ""},
	} {
		a, b := i.bundle(t, digest, whole), i.bundle(t, digest, whole)
		mix.change(a, b)
		expect(t, name, decide(p, digest, encode(t, a), time.Now()), mix.reason)
	}
}

// authority is one's own CA with an intermediate one.
type ownCA struct {
	rootPEM           string
	intermediate, top *x509.Certificate
	key               *ecdsa.PrivateKey
}

func newCA(t testing.TB, from, to time.Time) *ownCA {
	t.Helper()
	certificate := func(template, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	rootKey, key := ecKey(t), ecKey(t)
	top := certificate(template("root"), template("root"), rootKey.Public(), rootKey)
	return &ownCA{
		rootPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: top.Raw})), top: top,
		intermediate: certificate(template("issuing"), top, key.Public(), rootKey), key: key,
	}
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue gives a key and its certificate, with the chain.
func (c *ownCA) issue(t testing.TB, subject string, from, to time.Time, usage ...x509.ExtKeyUsage) (*sign.Key, []*x509.Certificate) {
	t.Helper()
	key := ecKey(t)
	uri, err := url.Parse(subject)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, URIs: []*url.URL{uri}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage,
	}, c.intermediate, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := sign.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k, []*x509.Certificate{leaf, c.intermediate, c.top}
}

func TestOwnCA(t *testing.T) {
	now := time.Now()
	from, to := now.Add(-time.Hour), now.Add(time.Hour)
	own, other := newCA(t, now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)), newCA(t, now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0))
	const subject = "spiffe://corp.example/ci/release"
	digest := digest([]byte("image"))
	artifact := trust.Artifact{Repository: "r.example/a", Digest: digest}
	make := func(c *ownCA, subject string) []byte {
		key, chain := c.issue(t, subject, from, to, x509.ExtKeyUsageCodeSigning)
		bundle, err := sign.Image(context.Background(), artifact, sign.Options{Key: key, Certificates: chain, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return bundle
	}
	s := trust.Signer{CA: own.rootPEM, Subject: subject}
	p, good := single(t, s), make(own, subject)
	d := decide(p, digest, good, now)
	expect(t, "good", d, "")
	if d.Until.IsZero() || d.Until.After(to) {
		t.Errorf("it verifies until %s, and the certificate until %s", d.Until, to)
	}
	expect(t, "expired", decide(p, digest, good, to.Add(time.Minute)), trust.ReasonExpired)
	if d := decide(p, digest, good, to.Add(time.Minute)); !strings.Contains(d.Reason(), "no trusted timestamp says that it was signed before") {
		t.Errorf("the reason does not say that a timestamp is missing: %s", d.Reason())
	}
	expect(t, "not valid yet", decide(p, digest, good, from.Add(-time.Minute)), trust.ReasonExpired)
	expect(t, "another subject", decide(p, digest, make(own, "spiffe://corp.example/ci/test"), now), trust.ReasonIdentity)
	expect(t, "another CA", decide(p, digest, make(other, subject), now), trust.ReasonUntrusted)
	expect(t, "a key", decide(single(t, trust.Signer{Key: publicPEM(t)}), digest, good, now), trust.ReasonOtherMaterial)

	// With a timestamp the signature outlives the certificate.
	i := newInstance(t)
	parsed := &protobundle.Bundle{}
	if err := protojson.Unmarshal(good, parsed); err != nil {
		t.Fatal(err)
	}
	stamp, err := i.TimestampResponse(parsed.GetDsseEnvelope().GetSignatures()[0].GetSig())
	if err != nil {
		t.Fatal(err)
	}
	parsed.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}}}
	stamped := encode(t, parsed)
	one := 1
	s.TrustedRoot, s.Timestamps = i.root, &one
	d = decide(single(t, s), digest, stamped, to.AddDate(10, 0, 0))
	expect(t, "expired, with a timestamp", d, "")
	if !d.Until.IsZero() {
		t.Errorf("with a timestamp it verifies until %s", d.Until)
	}
	expect(t, "no timestamp where one is wanted", decide(single(t, s), digest, good, now), trust.ReasonNoTime)
	s.TrustedRoot = newInstance(t).root
	expect(t, "another's timestamp", decide(single(t, s), digest, stamped, now), trust.ReasonTimestamp)

	// What could never be verified is not signed.
	key, chain := own.issue(t, subject, from, to)
	if _, err := sign.Image(context.Background(), artifact, sign.Options{Key: key, Certificates: chain, Now: now}); err == nil || !strings.Contains(err.Error(), "codeSigning") {
		t.Errorf("a certificate for nothing signs: %v", err)
	}
	key, _ = own.issue(t, subject, from, to, x509.ExtKeyUsageCodeSigning)
	if _, err := sign.Image(context.Background(), artifact, sign.Options{Key: key, Certificates: chain, Now: now}); err == nil {
		t.Error("another key's certificate signs")
	}
}
