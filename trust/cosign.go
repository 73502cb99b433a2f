package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// The media types of the layers under cosign's tags, and their annotations
// (cosign's specs/SIGNATURE_SPEC.md and ATTESTATION_SPEC.md).
const (
	CosignSignatureType   = "application/vnd.dev.cosign.simplesigning.v1+json"
	CosignAttestationType = "application/vnd.dsse.envelope.v1+json"

	cosignSignature   = "dev.cosignproject.cosign/signature"
	cosignCertificate = "dev.sigstore.cosign/certificate"
	cosignChain       = "dev.sigstore.cosign/chain"
	cosignLogEntry    = "dev.sigstore.cosign/bundle"
	cosignTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// annotationLimit bounds one annotation, in bytes.
const annotationLimit = 1 << 20

// FromCosign makes a bundle of a layer in cosign's older layout: the simple-signing
// payload or the DSSE envelope, and the annotations beside it.
func FromCosign(source, mediaType string, layer []byte, annotations map[string]string) *Bundle {
	b := &Bundle{Source: source}
	if len(layer) > BundleLimit {
		return b.fail(refuse(ReasonMalformed, "it is larger than %d MiB", BundleLimit>>20))
	}
	parsed, err := b.convert(mediaType, layer, annotations)
	if err != nil {
		return b.fail(refuse(ReasonMalformed, "it is no signature of cosign's: %v", err))
	}
	return b.take(parsed)
}

func (b *Bundle) convert(mediaType string, layer []byte, annotations map[string]string) (*protobundle.Bundle, error) {
	for name, value := range annotations {
		if len(value) > annotationLimit {
			return nil, fmt.Errorf("its annotation %s is larger than %d KiB", name, annotationLimit>>10)
		}
	}
	parsed := &protobundle.Bundle{VerificationMaterial: &protobundle.VerificationMaterial{}}
	var err error
	switch mediaType {
	case CosignSignatureType:
		err = b.convertPayload(parsed, layer, annotations[cosignSignature])
	case CosignAttestationType:
		err = convertEnvelope(parsed, layer)
	default:
		err = fmt.Errorf("its layer is of type %q", mediaType)
	}
	if err != nil {
		return nil, err
	}
	chained, err := convertCertificate(parsed, annotations[cosignCertificate], annotations[cosignChain])
	if err != nil {
		return nil, err
	}
	if text := annotations[cosignTimestamp]; text != "" {
		var stamp struct{ SignedRFC3161Timestamp []byte }
		if err := json.Unmarshal([]byte(text), &stamp); err != nil {
			return nil, fmt.Errorf("its timestamp cannot be read: %w", err)
		}
		parsed.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp.SignedRFC3161Timestamp}},
		}
	}
	// Version 0.1 takes a log's promise without a proof, which is all that this layout
	// has; only 0.3 takes intermediate certificates.
	parsed.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	if text := annotations[cosignLogEntry]; text != "" {
		entry, err := convertLogEntry(text)
		if err != nil {
			return nil, fmt.Errorf("its transparency log entry cannot be read: %w", err)
		}
		parsed.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	} else if chained {
		parsed.MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	}
	return parsed, nil
}

// convertPayload takes a payload in the simple-signing format (containers/image's
// containers-signature.5).
func (b *Bundle) convertPayload(parsed *protobundle.Bundle, payload []byte, signature string) error {
	var p struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("its payload is no JSON: %w", err)
	}
	if p.Critical.Type != "cosign container image signature" {
		return fmt.Errorf("its payload is of type %q", p.Critical.Type)
	}
	if err := CheckDigest(p.Critical.Image.Digest); err != nil {
		return fmt.Errorf("its payload names no image: %w", err)
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(sig) == 0 {
		return errors.New("its annotation " + cosignSignature + " holds no signature")
	}
	digest := sha256.Sum256(payload)
	parsed.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]},
		Signature:     sig,
	}}
	b.payload, b.digest = payload, p.Critical.Image.Digest
	return nil
}

func convertEnvelope(parsed *protobundle.Bundle, layer []byte) error {
	var e struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
			Sig   []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(layer, &e); err != nil {
		return fmt.Errorf("its envelope is no JSON: %w", err)
	}
	envelope := &protodsse.Envelope{Payload: e.Payload, PayloadType: e.PayloadType}
	for _, s := range e.Signatures {
		envelope.Signatures = append(envelope.Signatures, &protodsse.Signature{Sig: s.Sig, Keyid: s.KeyID})
	}
	parsed.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope}
	return nil
}

// convertCertificate takes the certificate with its chain, without the root, or says
// that a key signed. It tells whether there are intermediate certificates.
func convertCertificate(parsed *protobundle.Bundle, certificate, chain string) (chained bool, err error) {
	material := parsed.VerificationMaterial
	if certificate == "" {
		material.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}
		return false, nil
	}
	leaf, _ := pem.Decode([]byte(certificate))
	if leaf == nil || leaf.Type != "CERTIFICATE" {
		return false, errors.New("its annotation " + cosignCertificate + " holds no PEM certificate")
	}
	certificates := []*protocommon.X509Certificate{{RawBytes: leaf.Bytes}}
	if chain != "" {
		parents, err := ParseCertificates([]byte(chain))
		if err != nil {
			return false, fmt.Errorf("its certificate chain: %w", err)
		}
		for _, c := range parents {
			if !bytes.Equal(c.RawIssuer, c.RawSubject) {
				certificates = append(certificates, &protocommon.X509Certificate{RawBytes: c.Raw})
			}
		}
	}
	material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{Certificates: certificates}}
	return len(certificates) > 1, nil
}

// convertLogEntry takes the annotation that holds an entry of a log of Rekor's first
// version with the log's signed promise.
func convertLogEntry(text string) (*protorekor.TransparencyLogEntry, error) {
	var l struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(l.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("its log ID is not in hex: %w", err)
	}
	var body struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(l.Payload.Body, &body); err != nil {
		return nil, fmt.Errorf("its body is no JSON: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: l.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, IntegratedTime: l.Payload.IntegratedTime,
		KindVersion:       &protorekor.KindVersion{Kind: body.Kind, Version: body.Version},
		CanonicalizedBody: l.Payload.Body,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: l.SignedEntryTimestamp},
	}, nil
}

// CheckDigest wants a digest as images have it: sha256: and 64 lower-case hex digits.
func CheckDigest(digest string) error {
	text, ok := bytes.CutPrefix([]byte(digest), []byte("sha256:"))
	if raw, err := hex.DecodeString(string(text)); !ok || err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != string(text) {
		return fmt.Errorf("%q is no digest\nhint: it is written sha256: and 64 hex digits", digest)
	}
	return nil
}
