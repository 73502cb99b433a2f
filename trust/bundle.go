package trust

import (
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
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
	if version != "v0.1" {
		for i, entry := range parsed.GetVerificationMaterial().GetTlogEntries() {
			if entry != nil && entry.GetInclusionProof() == nil {
				return &refusalError{refuse(ReasonNoProof, "its transparency log entry %d has no inclusion proof", i+1)}
			}
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
		return nil
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

// kind is what the bundle says.
func (b *Bundle) kind() Kind {
	if b.statement == nil {
		return KindSignature
	}
	return kindOf(b.statement.PredicateType)
}

// Problem says why the bundle could not be read; nil if it could.
func (b *Bundle) Problem() *Refusal { return b.problem }
