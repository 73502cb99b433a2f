package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	upstream "github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/baileyhq/bailey/trust"
)

// Options say who signs, and who else is to bear witness.
type Options struct {
	// Key signs; without one a fresh key does, for which Fulcio gives a certificate.
	Key *Key
	// Certificates is the key's certificate and its chain, leaf first.
	Certificates []*x509.Certificate

	Fulcio        string // URL
	IdentityToken string // OIDC, for Fulcio

	Rekor        string // URL of a transparency log
	RekorVersion uint32 // 1 or 2
	Timestamp    string // URL of a timestamp authority's endpoint

	// Transport is how the services are reached; nil is the default.
	Transport http.RoundTripper
	Now       time.Time
}

// serviceTimeout bounds each request to a service.
const serviceTimeout = 30 * time.Second

// PredicateLimit bounds a predicate, in bytes: its statement must fit into a bundle.
const PredicateLimit = 10 << 20

// Check says what is missing or does not go together.
func (o *Options) Check() error {
	switch {
	case o.Key == nil && o.Fulcio == "":
		return errors.New("nobody is named who signs\nhint: --key FILE, or --fulcio-url URL with --identity-token FILE")
	case o.Key == nil && o.IdentityToken == "":
		return errors.New("a certificate is given for an identity token, and there is none\nhint: --identity-token FILE, or SIGSTORE_ID_TOKEN")
	case o.Key != nil && o.Fulcio != "":
		return errors.New("--key and --fulcio-url do not go together: a keyless signature makes its own key")
	case o.Key == nil && len(o.Certificates) > 0:
		return errors.New("--certificate wants its --key")
	case o.Fulcio != "" && o.Rekor == "" && o.Timestamp == "":
		return errors.New("a keyless certificate lives for minutes: without a witness to the time nobody could verify the signature later\nhint: --rekor-url URL, --timestamp-url URL, or both")
	case o.Rekor != "" && o.RekorVersion != 1 && o.RekorVersion != 2:
		return errors.New("--rekor-version is 1 or 2")
	case o.RekorVersion == 2 && o.Rekor != "" && (o.Fulcio != "" || len(o.Certificates) > 0) && o.Timestamp == "":
		return errors.New("a log of version 2 signs no time, and certificates expire\nhint: add --timestamp-url URL")
	}
	for name, text := range map[string]string{"--fulcio-url": o.Fulcio, "--rekor-url": o.Rekor, "--timestamp-url": o.Timestamp} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			return fmt.Errorf("%s is no URL with https or http", name)
		}
	}
	return o.checkCertificates()
}

// checkCertificates wants the leaf to be the key's, and to be good for signing now.
func (o *Options) checkCertificates() error {
	if len(o.Certificates) == 0 {
		return nil
	}
	leaf := o.Certificates[0]
	if public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(o.Key.signer.Public()) {
		return errors.New("the first certificate is not that of the key\nhint: give the key's certificate first, then its issuers")
	}
	if o.Now.Before(leaf.NotBefore) || o.Now.After(leaf.NotAfter) {
		return fmt.Errorf("the certificate is valid from %s to %s, and not now", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	for _, usage := range leaf.ExtKeyUsage {
		if usage == x509.ExtKeyUsageCodeSigning || usage == x509.ExtKeyUsageAny {
			return nil
		}
	}
	return errors.New("the certificate is not for code signing: no verifier would take it\nhint: issue it with the extended key usage codeSigning")
}

// File signs a file's content.
func File(ctx context.Context, content io.Reader, o Options) ([]byte, error) {
	return o.sign(ctx, true, func(pair *keypair) (upstream.Content, error) {
		h := pair.details.GetHashType().New()
		if _, err := io.Copy(h, content); err != nil {
			return nil, err
		}
		return &upstream.PlainData{Data: h.Sum(nil)}, nil
	})
}

// Image signs an image, in the form of cosign's newer signatures: a statement about the
// digest, with an empty predicate.
func Image(ctx context.Context, a trust.Artifact, o Options) ([]byte, error) {
	return Attest(ctx, a.Repository, a.Digest, trust.PredicateSignature, []byte("{}"), o)
}

// Attest signs a statement about an artifact, which bears this name.
func Attest(ctx context.Context, name, digest, predicateType string, predicate []byte, o Options) ([]byte, error) {
	statement, err := Statement(name, digest, predicateType, predicate)
	if err != nil {
		return nil, err
	}
	return o.sign(ctx, false, func(*keypair) (upstream.Content, error) {
		return &upstream.DSSEData{Data: statement, PayloadType: "application/vnd.in-toto+json"}, nil
	})
}

// Statement is an in-toto statement, version 1.
func Statement(name, digest, predicateType string, predicate []byte) ([]byte, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return nil, err
	}
	if len(predicate) > PredicateLimit {
		return nil, fmt.Errorf("the predicate is larger than %d MiB", PredicateLimit>>20)
	}
	if !json.Valid(predicate) || !bytes.HasPrefix(bytes.TrimSpace(predicate), []byte("{")) {
		return nil, errors.New("the predicate is no JSON object\nhint: SBOMs in other formats can be converted to SPDX or CycloneDX JSON")
	}
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	return json.Marshal(struct {
		Type          string          `json:"_type"`
		Subject       []subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{"https://in-toto.io/Statement/v1", []subject{{name, map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}}}, predicateType, predicate})
}

// sign makes the bundle.
func (o Options) sign(ctx context.Context, digest bool, content func(*keypair) (upstream.Content, error)) ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	keyless := o.Key == nil
	if keyless {
		var err error
		if o.Key, err = GenerateKey(); err != nil {
			return nil, err
		}
	}
	pair, err := o.Key.keypair(digest)
	if err != nil {
		return nil, err
	}
	c, err := content(pair)
	if err != nil {
		return nil, err
	}
	transport := &contextTransport{ctx, o.Transport}
	bundling := upstream.BundleOptions{Context: ctx}
	if err := o.certify(&bundling, transport, keyless); err != nil {
		return nil, err
	}
	if o.Timestamp != "" {
		bundling.TimestampAuthorities = []*upstream.TimestampAuthority{upstream.NewTimestampAuthority(&upstream.TimestampAuthorityOptions{
			URL: o.Timestamp, Timeout: serviceTimeout, Transport: transport,
		})}
	}
	if o.Rekor != "" {
		bundling.TransparencyLogs = []upstream.Transparency{upstream.NewRekor(&upstream.RekorOptions{
			BaseURL: strings.TrimSuffix(o.Rekor, "/"), Timeout: serviceTimeout, Version: o.RekorVersion,
		})}
	}
	made, err := upstream.Bundle(c, pair, bundling)
	if err != nil {
		return nil, o.failure(err)
	}
	return o.encode(made)
}

// certify says where the certificate comes from.
func (o *Options) certify(b *upstream.BundleOptions, transport http.RoundTripper, keyless bool) error {
	switch {
	case keyless:
		plain, err := o.Key.keypair(false)
		if err != nil {
			return err
		}
		fulcio := upstream.NewFulcio(&upstream.FulcioOptions{BaseURL: strings.TrimSuffix(o.Fulcio, "/"), Timeout: serviceTimeout, Transport: transport})
		b.CertificateProvider = &withKeypair{fulcio, plain}
		b.CertificateProviderOptions = &upstream.CertificateProviderOptions{IDToken: o.IdentityToken}
	case len(o.Certificates) > 0:
		var chain [][]byte
		for i, c := range o.Certificates {
			if i == 0 || !bytes.Equal(c.RawIssuer, c.RawSubject) { // the verifier has the root
				chain = append(chain, c.Raw)
			}
		}
		if len(chain) > 1 {
			b.CertificateChainProvider = given(chain)
		} else {
			b.CertificateProvider = given(chain)
		}
	}
	return nil
}

// encode writes the bundle as JSON, once it was read back.
func (o *Options) encode(made *protobundle.Bundle) ([]byte, error) {
	text, err := protojson.Marshal(made)
	if err != nil {
		return nil, err
	}
	var tidy bytes.Buffer // protojson spaces its output at random
	if err := json.Compact(&tidy, text); err != nil {
		return nil, err
	}
	if problem := trust.ParseBundle("the new bundle", tidy.Bytes()).Problem(); problem != nil {
		return nil, fmt.Errorf("what came back from the services makes no valid bundle: %s", problem.Message)
	}
	return tidy.Bytes(), nil
}

// failure is a service's error without the identity token, should one have sent it back.
func (o *Options) failure(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if o.IdentityToken != "" {
		for _, part := range append(strings.Split(o.IdentityToken, "."), o.IdentityToken) {
			if len(part) >= 8 {
				text = strings.ReplaceAll(text, part, "(token)")
			}
		}
	}
	if len(text) > 600 {
		text = strings.ToValidUTF8(text[:600], "") + " ..."
	}
	return fmt.Errorf("it could not be signed: %s", text)
}

// withKeypair asks for the certificate with a keypair that hashes, whatever the content
// is signed with: the proof of possession is over a name.
type withKeypair struct {
	upstream.CertificateProvider
	pair *keypair
}

func (w *withKeypair) GetCertificate(ctx context.Context, _ upstream.Keypair, o *upstream.CertificateProviderOptions) ([]byte, error) {
	return w.CertificateProvider.GetCertificate(ctx, w.pair, o)
}

// given are certificates that are there already, leaf first.
type given [][]byte

func (g given) GetCertificate(context.Context, upstream.Keypair, *upstream.CertificateProviderOptions) ([]byte, error) {
	return g[0], nil
}

func (g given) GetCertificateChain(context.Context, upstream.Keypair, *upstream.CertificateProviderOptions) ([][]byte, error) {
	return g, nil
}

// contextTransport ends requests with the context: sigstore-go's clients do not.
type contextTransport struct {
	ctx   context.Context
	inner http.RoundTripper
}

func (t *contextTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := t.inner
	if inner == nil {
		inner = http.DefaultTransport
	}
	return inner.RoundTrip(r.WithContext(t.ctx))
}
