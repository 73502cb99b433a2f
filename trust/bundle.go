package trust

import (
	"encoding/json"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"
)

// BundleLimit bounds a bundle and a cosign payload, in bytes. SBOMs are the large ones.
const BundleLimit = 16 << 20

// Bundle is one signature or attestation as it was found. One that cannot be read keeps
// its problem, and fails alone.
type Bundle struct {
	// Source says where it was found.
	Source string

	problem   *Refusal
	entity    *bundle.Bundle
	chained   bool       // it brings intermediate certificates, as only one's own CA may
	statement *statement // of an envelope
	payload   []byte     // what was signed instead of the artifact, in cosign's older layout
	digest    string     // the artifact that the payload names
}

// ParseBundle reads a sigstore bundle (versions 0.1 to 0.3) in JSON.
func ParseBundle(source string, data []byte) *Bundle {
	b := &Bundle{Source: source}
	if len(data) > BundleLimit {
		return b.fail(refuse(ReasonMalformed, "it is larger than %d MiB", BundleLimit>>20))
	}
	parsed := &protobundle.Bundle{}
	if err := protojson.Unmarshal(data, parsed); err != nil {
		return b.fail(refuse(ReasonMalformed, "it is no sigstore bundle: %v", err))
	}
	return b.take(parsed)
}

// Unreadable is what was found in the place of a signature and is none.
func Unreadable(source string, err error) *Bundle {
	return (&Bundle{Source: source}).fail(refuse(ReasonMalformed, "%s", oneLine(err)))
}

func (b *Bundle) fail(r *Refusal) *Bundle {
	r.Source = b.Source
	b.problem = r
	return b
}

// take checks the bundle's form.
func (b *Bundle) take(parsed *protobundle.Bundle) *Bundle {
	var err error
	func() {
		defer catch(&err)
		err = b.takeEntity(parsed)
	}()
	if err != nil {
		var refusal *refusalError
		if errors.As(err, &refusal) {
			return b.fail(refusal.Refusal)
		}
		return b.fail(refuse(ReasonMalformed, "it is no valid sigstore bundle: %v", err))
	}
	return b
}

// refusalError carries a refusal through code that returns errors.
type refusalError struct{ *Refusal }

func (e *refusalError) Error() string { return e.Message }

func (b *Bundle) takeEntity(parsed *protobundle.Bundle) error {
	version, err := (&bundle.Bundle{Bundle: parsed}).Version()
	if err != nil {
		return err
	}
	for i, entry := range parsed.GetVerificationMaterial().GetTlogEntries() {
		if entry != nil && entry.GetInclusionProof() == nil && version != "v0.1" {
			return &refusalError{refuse(ReasonNoProof, "its transparency log entry %d has no inclusion proof", i+1)}
		}
		if err := checkEntry(entry); err != nil {
			return fmt.Errorf("its transparency log entry %d: %w", i+1, err)
		}
	}
	var options []bundle.Option
	if chain := parsed.GetVerificationMaterial().GetX509CertificateChain(); chain != nil && version != "v0.1" && version != "v0.2" {
		options = append(options, bundle.AllowCertificateChain())
		b.chained = true
	}
	if b.entity, err = bundle.NewBundle(parsed, options...); err != nil {
		return err
	}
	if _, err := b.entity.VerificationContent(); err != nil {
		return err
	}
	if _, err := b.entity.SignatureContent(); err != nil {
		return err
	}
	envelope := parsed.GetDsseEnvelope()
	if envelope == nil {
		return checkHash(parsed.GetMessageSignature().GetMessageDigest())
	}
	if len(envelope.GetSignatures()) != 1 {
		return fmt.Errorf("its envelope has %d signatures, and one is wanted", len(envelope.GetSignatures()))
	}
	if envelope.GetPayloadType() != bundle.IntotoMediaType {
		return &refusalError{refuse(ReasonStatement, "its payload is of type %q, not an in-toto statement", envelope.GetPayloadType())}
	}
	if b.statement, err = parseStatement(envelope.GetPayload()); err != nil {
		return &refusalError{refuse(ReasonStatement, "%v", err)}
	}
	return nil
}

// checkHash wants a digest to be of the kind that it says.
func checkHash(h *protocommon.HashOutput) error {
	length := map[protocommon.HashAlgorithm]int{protocommon.HashAlgorithm_SHA2_256: 32, protocommon.HashAlgorithm_SHA2_384: 48, protocommon.HashAlgorithm_SHA2_512: 64}[h.GetAlgorithm()]
	if length == 0 || length != len(h.GetDigest()) {
		return fmt.Errorf("its digest of %d bytes is no %s that is taken", len(h.GetDigest()), h.GetAlgorithm())
	}
	return nil
}

// checkEntry holds what an entry says of itself, unsigned, to what is signed.
func checkEntry(entry *protorekor.TransparencyLogEntry) error {
	var body struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
		return fmt.Errorf("its body is no JSON: %w", err)
	}
	if kind := entry.GetKindVersion(); kind.GetKind() != body.Kind || kind.GetVersion() != body.Version {
		return fmt.Errorf("it is of kind %s %s, and says %s %s", body.Kind, body.Version, kind.GetKind(), kind.GetVersion())
	}
	// A log of version 2 has one index, and signs no time.
	if proof := entry.GetInclusionProof(); body.Version == "0.0.2" && body.Kind == "hashedrekord" {
		if proof != nil && proof.GetLogIndex() != entry.GetLogIndex() || entry.GetIntegratedTime() != 0 {
			return errors.New("its index or time is not the log's")
		}
	}
	return nil
}

// kind is what the bundle says.
func (b *Bundle) kind() Kind {
	if b.statement == nil {
		return KindSignature
	}
	return kindOf(b.statement.PredicateType)
}

// Problem says why the bundle could not be read; nil if it could.
func (b *Bundle) Problem() *Refusal { return b.problem }
