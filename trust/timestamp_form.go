package trust

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
)

// The form of a timestamp authority's response (RFC 3161, section 2.4.2) around a signed
// message (RFC 5652, section 5.1), as far as it is not signed.
type (
	stampResponse struct {
		Status struct {
			Status int
			Rest   []asn1.RawValue `asn1:"optional,omitempty"`
		}
		Token struct {
			Type    asn1.ObjectIdentifier
			Content stampSigned `asn1:"explicit,tag:0"`
		}
	}
	stampSigned struct {
		Version int
		Digests []pkix.AlgorithmIdentifier `asn1:"set"`
		Content struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revoked      asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []stampSigner `asn1:"set"`
	}
	stampSigner struct {
		Version int
		ID      struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}
		Digest     pkix.AlgorithmIdentifier
		Attributes []stampAttribute `asn1:"optional,omitempty,tag:0,set"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
		Unsigned   []stampAttribute `asn1:"optional,omitempty,tag:1,set"`
	}
	stampAttribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

var (
	contentSigned    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	contentTimestamp = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// checkResponse holds what a response says unsigned to what it must be. The libraries
// that verify it read past much of that, so that one timestamp could be written in many ways.
func checkResponse(stamp []byte) error {
	var r stampResponse
	rest, err := asn1.Unmarshal(stamp, &r)
	if err != nil || len(rest) > 0 {
		return errors.New("it has another form than a timestamp authority's answer")
	}
	signed := r.Token.Content
	switch {
	case r.Status.Status != 0:
		return errors.New("the authority did not grant it as it was asked for")
	case !r.Token.Type.Equal(contentSigned) || !signed.Content.Type.Equal(contentTimestamp) || signed.Version != 3:
		return errors.New("what it signs is no timestamp")
	case len(signed.Signers) != 1 || signed.Signers[0].Version != 1:
		return errors.New("it wants one signer, named by its certificate's issuer and number")
	}
	used := signed.Signers[0].Digest
	for _, digest := range append(slices.Clone(signed.Digests), used) {
		if !digest.Algorithm.Equal(used.Algorithm) {
			return errors.New("it names a digest that its signer does not use")
		}
		if p := digest.Parameters.FullBytes; len(p) > 0 && !bytes.Equal(p, asn1.NullBytes) {
			return errors.New("it names a digest with parameters")
		}
	}
	again, err := asn1.Marshal(r)
	if err != nil || !bytes.Equal(again, stamp) {
		return errors.New("it is not in DER, in which there is one way to write it")
	}
	return nil
}
