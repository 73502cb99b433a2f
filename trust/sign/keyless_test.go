package sign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/sign"
)

// services stand in for Fulcio, Rekor and a timestamp authority: their protocols are
// spoken, with certificates, entries, proofs and timestamps that verify.
type services struct {
	*ca.VirtualSigstore
	root               string
	fulcio, rekor, tsa *httptest.Server
	breakRekor         bool
}

const issuer = "https://issuer.example.com"

func start(t *testing.T) *services {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	must(t, err)
	s := &services{VirtualSigstore: v}
	top, topKey, err := ca.GenerateRootCa()
	must(t, err)
	issuing, issuingKey, err := ca.GenerateFulcioIntermediate(top, topKey)
	must(t, err)
	stamping, stampingKey, err := ca.GenerateTSAIntermediate(top, topKey)
	must(t, err)
	stampKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	stampLeaf, err := ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), stampKey, stamping, stampingKey)
	must(t, err)
	logs := v.RekorLogs()
	for id, log := range logs {
		log.ID, err = hex.DecodeString(id)
		must(t, err)
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: top, Intermediates: []*x509.Certificate{issuing}, ValidityPeriodStart: time.Now().Add(-time.Hour), URI: "https://fulcio.example.com",
	}}, nil, []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: top, Intermediates: []*x509.Certificate{stamping}, Leaf: stampLeaf, URI: "https://tsa.example.com"}}, logs)
	must(t, err)
	text, err := trusted.MarshalJSON()
	must(t, err)
	s.root = string(text)
	s.fulcio = serve(t, func(w http.ResponseWriter, r *http.Request) error { return s.certify(w, r, issuing, issuingKey) })
	s.rekor = serve(t, s.enter)
	s.tsa = serve(t, func(w http.ResponseWriter, r *http.Request) error {
		query, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		asked, err := timestamp.ParseRequest(query)
		if err != nil {
			return err
		}
		answer, err := (&timestamp.Timestamp{
			HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 2, 3}, Nonce: asked.Nonce,
		}).CreateResponseWithOpts(stampLeaf, stampKey, crypto.SHA256)
		if err != nil {
			return err
		}
		_, err = w.Write(answer)
		return err
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, handle func(http.ResponseWriter, *http.Request) error) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			if err := json.NewEncoder(w).Encode(map[string]any{"code": http.StatusBadRequest, "message": err.Error()}); err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// publicKey is as much of a key as a CA sees.
type publicKey struct{ crypto.PublicKey }

func (k publicKey) Public() crypto.PublicKey { return k.PublicKey }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, fmt.Errorf("a public key does not sign")
}

// certify checks the proof of possession, and issues a certificate for the token's subject.
func (s *services) certify(w http.ResponseWriter, r *http.Request, issuing *x509.Certificate, issuingKey crypto.Signer) error {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 || r.URL.Path != "/api/v2/signingCert" {
		return fmt.Errorf("no token, or no such path: Bearer %s", strings.Join(parts, "."))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var token struct {
		Email string `json:"email"`
	}
	if err := json.Unmarshal(claims, &token); err != nil {
		return err
	}
	var body struct {
		Request struct {
			PublicKey struct{ Content string } `json:"publicKey"`
			Proof     []byte                   `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(body.Request.PublicKey.Content))
	if block == nil {
		return fmt.Errorf("no public key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token.Email))
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], body.Request.Proof) {
		return fmt.Errorf("the proof of possession is wrong")
	}
	leaf, err := ca.GenerateLeafCert(token.Email, issuer, time.Now().Add(-time.Minute), publicKey{key}, issuing, issuingKey)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{
		"certificates": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))},
	}}})
}

// enter logs what is proposed, in the form that Rekor's own code gives it.
func (s *services) enter(w http.ResponseWriter, r *http.Request) error {
	if s.breakRekor {
		return fmt.Errorf("broken on purpose")
	}
	proposed, err := models.UnmarshalProposedEntry(r.Body, consumer{})
	if err != nil {
		return err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return err
	}
	body, err := types.CanonicalizeEntry(r.Context(), entry)
	if err != nil {
		return err
	}
	proof, err := s.GetInclusionProof(body)
	if err != nil {
		return err
	}
	id, err := s.RekorLogID()
	if err != nil {
		return err
	}
	at := time.Now().Unix()
	set, err := s.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at, LogIndex: 0, LogID: id})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte{0}, body...))
	uuid := hex.EncodeToString(sum[:])
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", uuid)
	w.WriteHeader(http.StatusCreated)
	return json.NewEncoder(w).Encode(map[string]any{uuid: map[string]any{
		"body": base64.StdEncoding.EncodeToString(body), "integratedTime": at, "logID": id, "logIndex": 0,
		"verification": map[string]any{"inclusionProof": proof, "signedEntryTimestamp": base64.StdEncoding.EncodeToString(set)},
	}})
}

type consumer struct{}

func (consumer) Consume(r io.Reader, into any) error { return json.NewDecoder(r).Decode(into) }

// token is an identity token that nobody signed.
func token(email string) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"none"}`) + "." + part(`{"email":"`+email+`","email_verified":true,"iss":"`+issuer+`"}`) + "." + part("signature")
}

func TestKeyless(t *testing.T) {
	s := start(t)
	ctx := context.Background()
	content := []byte("content")
	sum := sha256.Sum256(content)
	file := trust.Artifact{Digest: "sha256:" + hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
	image := trust.Artifact{Repository: "r.example/a", Digest: file.Digest}
	none := 0
	p, err := trust.Single(trust.Signer{TrustedRoot: s.root, Subject: "robot@example.com", Issuer: issuer, CertificateTransparency: &none}, "")
	must(t, err)
	o := sign.Options{Fulcio: s.fulcio.URL, IdentityToken: token("robot@example.com"), Rekor: s.rekor.URL, RekorVersion: 1, Now: time.Now()}
	bundle, err := sign.File(ctx, bytes.NewReader(content), o)
	must(t, err)
	d := p.For("", "").Verify(file, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now())
	if !d.Verified || d.Evidence[0].Signer != "robot@example.com" || d.Evidence[0].Issuer != issuer || d.Evidence[0].Time.IsZero() {
		t.Errorf("a file: %s %+v", d.Reason(), d.Evidence)
	}
	bundle, err = sign.Image(ctx, image, o)
	must(t, err)
	if d := p.For("", image.Repository).Verify(image, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now()); !d.Verified {
		t.Errorf("an image: %s", d.Reason())
	}

	// With a timestamp, and with nothing but a timestamp.
	one := 1
	for _, rekor := range []string{s.rekor.URL, ""} {
		signer := trust.Signer{TrustedRoot: s.root, Subject: "robot@example.com", Issuer: issuer, CertificateTransparency: &none, Timestamps: &one}
		if rekor == "" {
			signer.TransparencyLog = &none
		}
		p, err := trust.Single(signer)
		must(t, err)
		o := o
		o.Rekor, o.Timestamp = rekor, s.tsa.URL
		bundle, err := sign.Image(ctx, image, o)
		must(t, err)
		if d := p.For("", image.Repository).Verify(image, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now()); !d.Verified {
			t.Errorf("with a timestamp, and the log %q: %s", rekor, d.Reason())
		}
	}
	o.Rekor = ""
	if _, err := sign.Image(ctx, image, o); err == nil || !strings.Contains(err.Error(), "witness to the time") {
		t.Errorf("a keyless signature without a time: %v", err)
	}
	o.Rekor = s.rekor.URL

	// What goes wrong at a service is told, without the token that it may send back.
	s.breakRekor = true
	if _, err := sign.Image(ctx, image, o); err == nil || !strings.Contains(err.Error(), "broken on purpose") {
		t.Errorf("a log that does not answer: %v", err)
	}
	s.breakRekor = false
	o.Fulcio = s.rekor.URL // which is none
	if _, err := sign.Image(ctx, image, o); err == nil {
		t.Error("what is no CA gave a certificate")
	}
	o.Fulcio = s.fulcio.URL + "/elsewhere"
	_, err = sign.Image(ctx, image, o)
	if err == nil || !strings.Contains(err.Error(), "no such path") || strings.Contains(err.Error(), strings.Split(o.IdentityToken, ".")[1]) {
		t.Errorf("a CA that sends the token back: %v", err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	o.Fulcio = s.fulcio.URL
	if _, err := sign.Image(over, image, o); err == nil {
		t.Error("signing goes on after it was cancelled")
	}
}

// TestKeys signs with every kind of key, and verifies with its public key.
func TestKeys(t *testing.T) {
	for name, private := range privateKeys(t) {
		key, err := sign.ParseKey(private, nil)
		must(t, err)
		public, err := key.PublicPEM()
		must(t, err)
		p, err := trust.Single(trust.Signer{Key: string(public)}, "")
		must(t, err)
		content := []byte("content of " + name)
		sum := sha256.Sum256(content)
		a := trust.Artifact{Digest: "sha256:" + hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
		blob, err := sign.File(context.Background(), bytes.NewReader(content), sign.Options{Key: key})
		must(t, err)
		statement, err := sign.Image(context.Background(), a, sign.Options{Key: key})
		must(t, err)
		for what, bundle := range map[string][]byte{"file": blob, "statement": statement} {
			if d := p.For("", "").Verify(a, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now()); !d.Verified {
				t.Errorf("%s, %s: %s", name, what, d.Reason())
			}
			other := a
			other.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("another")), nil }
			other.Digest = "sha256:" + strings.Repeat("0", 64)
			if d := p.For("", "").Verify(other, []*trust.Bundle{trust.ParseBundle("b", bundle)}, time.Now()); d.Verified || d.Refusals[0].Reason != trust.ReasonDigest && d.Refusals[0].Reason != trust.ReasonSignature {
				t.Errorf("%s, %s, of another file: %+v", name, what, d)
			}
		}
	}
}
