package trust

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Artifact is what is to be verified.
type Artifact struct {
	// Repository is the image's, in its normal form; empty for a file.
	Repository string
	// Digest is sha256: and the hex digits.
	Digest string
	// Open gives the content of a file; nil for an image. Without it, signatures that
	// were made over the whole content cannot be verified.
	Open func() (io.ReadCloser, error)
}

func (a Artifact) String() string {
	if a.Repository == "" {
		return a.Digest
	}
	return a.Repository + "@" + a.Digest
}

// Evidence is one piece that was found good.
type Evidence struct {
	Rule      string `json:"rule,omitempty"`
	Kind      Kind   `json:"kind"`
	Authority string `json:"authority"`
	// Signer is the key's fingerprint, or the subject of the certificate.
	Signer string `json:"signer"`
	// Issuer is the OIDC issuer that vouched for the signer, or the CA.
	Issuer        string    `json:"issuer,omitempty"`
	PredicateType string    `json:"predicateType,omitempty"`
	Time          time.Time `json:"time,omitzero"` // when it was signed, if somebody trusted says so
	Source        string    `json:"source"`

	until time.Time
}

// Decision is what came out.
type Decision struct {
	Verified bool       `json:"verified"`
	Evidence []Evidence `json:"evidence"`
	Refusals []Refusal  `json:"refusals"`
	// Until is when a certificate that was judged by the clock expires; zero if none was.
	Until time.Time `json:"until,omitzero"`
}

// Reason is why the artifact was refused, on one line; empty if it was not.
func (d Decision) Reason() string {
	texts := make([]string, len(d.Refusals))
	for i, r := range d.Refusals {
		texts[i] = r.Message
		if r.Rule != "" {
			texts[i] = "rule " + r.Rule + ": " + r.Message
		}
	}
	return strings.Join(texts, "; ")
}

// Hint is what to do about the first refusal.
func (d Decision) Hint() string {
	if len(d.Refusals) == 0 {
		return ""
	}
	return d.Refusals[0].Hint
}

// Verify decides about an artifact by what was found for it, at a time. It opens
// nothing, and never panics: what cannot be judged is refused.
func (r Requirements) Verify(a Artifact, bundles []*Bundle, at time.Time) Decision {
	d := Decision{Evidence: []Evidence{}, Refusals: []Refusal{}}
	if err := CheckDigest(a.Digest); err != nil {
		d.Refusals = append(d.Refusals, *refuse(ReasonMalformed, "%v", err))
		return d
	}
	if len(r.rules) == 0 {
		return r.Unmatched()
	}
	for _, rule := range r.rules {
		for i := range rule.wants {
			good, refusal := rule.wants[i].find(a, bundles, at)
			for _, e := range good {
				e.Rule = rule.name
				if !e.until.IsZero() && (d.Until.IsZero() || e.until.Before(d.Until)) {
					d.Until = e.until
				}
				d.Evidence = append(d.Evidence, e)
			}
			if refusal != nil {
				refusal.Rule, refusal.Kind = rule.name, rule.wants[i].kind
				d.Refusals = append(d.Refusals, *refusal)
			}
		}
	}
	d.Verified = len(d.Refusals) == 0
	return d
}

// Unmatched decides about an image that no rule names (Named). It takes neither a digest
// nor a registry.
func (r Requirements) Unmatched() Decision {
	d := Decision{Verified: r.admit && !r.Named(), Evidence: []Evidence{}, Refusals: []Refusal{}}
	if !d.Verified {
		d.Refusals = append(d.Refusals, *refuse(ReasonUnnamed, "no rule of the trust policy names %s", r.repository))
	}
	return d
}

// find looks for evidence from as many authorities as are wanted. Without it, the
// refusal is that of the bundle that came nearest.
func (w *want) find(a Artifact, bundles []*Bundle, at time.Time) ([]Evidence, *Refusal) {
	var good []Evidence
	var nearest *Refusal
	candidates := 0
	signers := newMatching()
	for i, authority := range w.by {
		if len(good) >= w.threshold {
			break
		}
		for _, b := range bundles {
			if !w.concerns(b) {
				continue
			}
			candidates++
			e, refusal := w.judge(authority, a, b, at)
			if refusal == nil {
				signers.add(i, e)
				if w.threshold == 1 {
					break
				}
				continue
			}
			if nearest == nil || refusal.nearer(nearest) {
				refusal.Source = b.Source
				nearest = refusal
			}
		}
		good = signers.evidence()
	}
	switch {
	case len(good) >= w.threshold:
		return good, nil
	case candidates == 0:
		return good, w.missing(bundles)
	case len(good) > 0 || w.threshold > 1 && nearest == nil:
		names := make([]string, len(good))
		for i, e := range good {
			names[i] = e.Authority
		}
		return good, refuse(ReasonThreshold, "%s by %d of %s, each by another signer, is wanted, and only %s gave one", w.what(), w.threshold, w.who(), strings.Join(names, ", "))
	}
	nearest.Message = fmt.Sprintf("%s by %s is wanted, and the one from %s does not count: %s", w.what(), w.who(), nearest.Source, nearest.Message)
	return good, nearest
}

// concerns reports whether a bundle is one of what is wanted, or could not be read, so
// that it may have been meant to be.
func (w *want) concerns(b *Bundle) bool {
	return b.problem != nil || w.isWanted(b)
}

func (w *want) isWanted(b *Bundle) bool {
	switch {
	case w.kind == "":
		return true
	case b.statement == nil || w.kind == KindSignature:
		return b.kind() == w.kind
	}
	for _, t := range w.types {
		if isType(b.statement.PredicateType, t) {
			return true
		}
	}
	return false
}

// missing says that nothing of the wanted kind is there, and what is.
func (w *want) missing(bundles []*Bundle) *Refusal {
	if len(bundles) == 0 {
		return refuse(ReasonMissing, "%s by %s is wanted, and the artifact bears nothing", w.what(), w.who())
	}
	var found []string
	for _, b := range bundles {
		what := "a signature"
		if b.statement != nil && b.kind() != KindSignature {
			what = b.statement.PredicateType
		}
		if !contains(found, what) {
			found = append(found, what)
		}
	}
	return refuse(ReasonMissing, "%s by %s is wanted, and what the artifact bears is something else: %s", w.what(), w.who(), strings.Join(found, ", "))
}

func (w *want) what() string {
	switch w.kind {
	case KindSignature:
		return "a signature"
	case KindSBOM:
		return "an SBOM"
	case KindProvenance:
		return "provenance"
	case KindAttestation:
		return "an attestation of type " + strings.Join(w.types, " or ")
	}
	return "a signature or an attestation"
}

func (w *want) who() string {
	names := make([]string, len(w.by))
	for i, a := range w.by {
		names[i] = a.name
	}
	return strings.Join(names, " or ")
}

func (r *Refusal) nearer(than *Refusal) bool {
	place := func(reason Reason) int {
		for i, o := range order {
			if o == reason {
				return i
			}
		}
		return 0
	}
	return place(r.Reason) > place(than.Reason)
}

// judge holds one bundle to one authority, and to the conditions of what is wanted.
func (w *want) judge(authority *authority, a Artifact, b *Bundle, at time.Time) (e Evidence, refusal *Refusal) {
	var err error
	func() {
		defer catch(&err)
		e, refusal = authority.judge(a, b, at)
	}()
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "%v", err)
	}
	if refusal != nil {
		return Evidence{}, refusal
	}
	e.Kind = b.kind()
	if b.statement == nil {
		return e, nil
	}
	e.PredicateType = b.statement.PredicateType
	if w.kind == KindProvenance {
		p, err := parseProvenance(b.statement.PredicateType, b.statement.Predicate)
		if err != nil {
			return Evidence{}, refuse(ReasonStatement, "%v", err)
		}
		if unmet := w.unmet(p); unmet != "" {
			return Evidence{}, refuse(ReasonCondition, "%s", unmet)
		}
	}
	return e, nil
}

// judge tries the authority's keys, or its CA.
func (a *authority) judge(artifact Artifact, b *Bundle, at time.Time) (Evidence, *Refusal) {
	if b.problem != nil {
		again := *b.problem
		return Evidence{}, &again
	}
	content, err := b.entity.VerificationContent()
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "%v", err)
	}
	leaf := content.Certificate()
	if a.form == byKey {
		if leaf != nil {
			return Evidence{}, refuse(ReasonOtherMaterial, "it is signed with a certificate, and %s signs with a key", a.name)
		}
		return a.judgeKeys(artifact, b, content.PublicKey().Hint(), at)
	}
	if leaf == nil {
		return Evidence{}, refuse(ReasonOtherMaterial, "it is signed with a key, and %s signs with certificates", a.name)
	}
	m := &material{trusted: a.trusted}
	if a.form == byCA {
		m.ca = &ownCA{roots: a.ca.roots, intermediates: append(content.Intermediates(), a.ca.intermediates...)}
	} else if b.chained {
		return Evidence{}, refuse(ReasonMalformed, "it brings a certificate chain, which a keyless signature of its version may not")
	}
	c := &candidate{authority: a, material: m, bundle: b, artifact: artifact, at: at, leaf: leaf}
	return c.judge()
}

func (a *authority) judgeKeys(artifact Artifact, b *Bundle, hint string, at time.Time) (Evidence, *Refusal) {
	var nearest *Refusal
	for i := range a.keys {
		k := &a.keys[i]
		for _, v := range k.verifiers {
			c := &candidate{authority: a, material: &material{trusted: a.trusted, key: v}, bundle: b, artifact: artifact, at: at, key: k}
			e, refusal := c.judge()
			if refusal == nil {
				return e, nil
			}
			if refusal.Reason == ReasonSignature && hint != k.hint() {
				refusal = refuse(ReasonWrongKey, "it is not signed by %s", k.fingerprint())
				if len(a.keys) > 1 {
					refusal = refuse(ReasonWrongKey, "it is signed by none of the %d keys of %s", len(a.keys), a.name)
				}
			}
			if nearest == nil || refusal.nearer(nearest) {
				nearest = refusal
			}
		}
	}
	return Evidence{}, nearest
}

// artifactPolicy is what the signature must be over.
func (c *candidate) artifactPolicy() (verify.ArtifactPolicyOption, func(), error) {
	done := func() {}
	if c.bundle.payload != nil {
		return verify.WithArtifact(bytes.NewReader(c.bundle.payload)), done, nil
	}
	// A statement names digests, so that the content need not be read again.
	if c.artifact.Open != nil && (c.bundle.statement == nil || !c.bundle.statement.hashed()) {
		f, err := c.artifact.Open()
		if err != nil {
			return nil, done, err
		}
		return verify.WithArtifact(f), func() { f.Close() }, nil
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(c.artifact.Digest, "sha256:"))
	return verify.WithArtifactDigest("sha256", digest), done, err
}
