package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// checkTimestamp verifies one signed timestamp over a signature. Beside a certificate each
// must verify. A key has no time, unless it is asked for one: there, one by an authority
// that nobody trusts counts for nothing, if only it is about this signature.
func (c *candidate) checkTimestamp(whole verify.SignedEntity, stamp, signature []byte) (time.Time, *Refusal) {
	known, err := c.byKnownAuthority(stamp, signature)
	if err != nil {
		return time.Time{}, refuse(ReasonTimestamp, "its timestamp does not verify: %s", oneLine(err))
	}
	times, wrong, err := verify.VerifySignedTimestamp(&part{SignedEntity: whole, timestamps: [][]byte{stamp}}, c.material)
	if err == nil {
		err = errors.Join(wrong...)
	}
	switch {
	case err == nil && len(times) == 1:
		return times[0].Time, nil
	case err == nil || !known && c.key != nil && c.authority.timestamps == 0:
		return time.Time{}, nil
	}
	return time.Time{}, refuse(ReasonTimestamp, "its timestamp does not verify: %s", oneLine(err))
}

// byKnownAuthority reports whether the timestamp says that it is by a trusted authority.
func (c *candidate) byKnownAuthority(stamp, signature []byte) (bool, error) {
	t, err := timestamp.ParseResponse(stamp)
	if err != nil {
		return false, err
	}
	hash := t.HashAlgorithm
	if !hash.Available() {
		return false, fmt.Errorf("it is made with %s, which is not taken", hash)
	}
	h := hash.New()
	h.Write(signature)
	if !bytes.Equal(h.Sum(nil), t.HashedMessage) {
		return false, errors.New("it is about another signature")
	}
	token, err := pkcs7.Parse(t.RawToken)
	if err != nil {
		return false, err
	}
	if err := checkResponse(stamp); err != nil {
		return false, err
	}
	for _, signer := range token.Signers {
		for _, a := range c.material.TimestampingAuthorities() {
			if authority, ok := a.(*root.SigstoreTimestampingAuthority); !ok || issued(authority, signer.IssuerAndSerialNumber.IssuerName.FullBytes) {
				return true, nil
			}
		}
	}
	return false, nil
}

// issued reports whether the authority's chain has a CA of this name, or its leaf is
// of one.
func issued(a *root.SigstoreTimestampingAuthority, issuer []byte) bool {
	if a.Leaf != nil && bytes.Equal(a.Leaf.RawIssuer, issuer) {
		return true
	}
	for _, ca := range append([]*x509.Certificate{a.Root}, a.Intermediates...) {
		if ca != nil && bytes.Equal(ca.RawSubject, issuer) {
			return true
		}
	}
	return false
}
