package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// candidate is one bundle that is held to one key, or to one CA. Whether it counts is
// sigstore-go's verdict and the stricter rules of strict; why it does not is found by
// going through the same stages one by one.
type candidate struct {
	authority *authority
	material  *material
	bundle    *Bundle
	artifact  Artifact
	at        time.Time
	leaf      *x509.Certificate // nil for a key
	key       *publicKey        // nil for a certificate
}

// part is a bundle with some of its log entries and timestamps.
type part struct {
	verify.SignedEntity
	entries    []*tlog.Entry
	timestamps [][]byte
}

func (p *part) TlogEntries() ([]*tlog.Entry, error) { return p.entries, nil }
func (p *part) Timestamps() ([][]byte, error)       { return p.timestamps, nil }

func (c *candidate) judge() (Evidence, *Refusal) {
	if c.bundle.digest != "" && c.bundle.digest != c.artifact.Digest {
		return Evidence{}, refuse(ReasonDigest, "it is about %s", c.bundle.digest)
	}
	if s := c.bundle.statement; s != nil && !s.about(c.artifact.Digest) && (s.hashed() || c.artifact.Open == nil) {
		return Evidence{}, refuse(ReasonDigest, "its statement is about %s", s.subjects())
	}
	whole := *c.bundle.entity // reading it writes to it, and it may be read elsewhere
	entries, err := whole.TlogEntries()
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "%v", err)
	}
	timestamps, err := whole.Timestamps()
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "%v", err)
	}
	options, now := c.authority.demands(len(entries), len(timestamps))
	if c.material.ca != nil && now {
		c.material.ca.at = c.at
	}
	times, refusal := c.strict(&whole, entries, timestamps)
	if refusal != nil {
		return Evidence{}, refusal
	}
	verifier, err := verify.NewVerifier(c.material, options...)
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "%v", err)
	}
	artifact, done, err := c.artifactPolicy()
	defer done()
	if err != nil {
		return Evidence{}, refuse(ReasonMalformed, "the artifact could not be read: %v", err)
	}
	identities := verify.WithoutIdentitiesUnsafe() // c.identify does it, and names who it is
	if c.key != nil {
		identities = verify.WithKey()
	}
	result, err := verifier.Verify(&whole, verify.NewPolicy(artifact, identities))
	if err != nil {
		return Evidence{}, c.why(err, verifier, &whole, entries, timestamps, times, now)
	}
	return c.identify(result, now)
}

// strict holds each log entry and each timestamp of those who are trusted to what they
// must be, where sigstore-go is content with as many as are demanded. What others made
// counts for nothing.
func (c *candidate) strict(whole verify.SignedEntity, entries []*tlog.Entry, timestamps [][]byte) ([]time.Time, *Refusal) {
	var times []time.Time
	logs := c.material.RekorLogs()
	for _, entry := range entries {
		log := logs[hex.EncodeToString([]byte(entry.LogKeyID()))]
		if log == nil {
			continue
		}
		stamps, err := verify.VerifyTlogEntry(&part{SignedEntity: whole, entries: []*tlog.Entry{entry}}, c.material, 1, true)
		if err == nil {
			err = checkWhole(entry, log)
		}
		if err != nil {
			return nil, c.whyEntry(whole, entry, err)
		}
		for _, s := range stamps {
			times = append(times, s.Time)
		}
	}
	if len(c.material.TimestampingAuthorities()) > 0 && len(timestamps) > 0 {
		content, err := whole.SignatureContent()
		if err != nil {
			return nil, refuse(ReasonMalformed, "%v", err)
		}
		for _, stamp := range timestamps {
			t, refusal := c.checkTimestamp(whole, stamp, content.Signature())
			if refusal != nil {
				return nil, refusal
			}
			if !t.IsZero() {
				times = append(times, t)
			}
		}
	}
	if c.leaf != nil {
		for _, t := range times {
			if _, refusal := c.chain(t); refusal != nil {
				return nil, refusal
			}
		}
	}
	return times, nil
}

// whyEntry says what is wrong with a log entry of a log that is trusted.
func (c *candidate) whyEntry(whole verify.SignedEntity, entry *tlog.Entry, err error) *Refusal {
	if content, err := whole.VerificationContent(); err == nil && c.key != nil && !content.CompareKey(entry.PublicKey(), c.material) {
		return refuse(ReasonWrongKey, "its log entry is by another key than %s", c.key.fingerprint())
	}
	if t := entry.IntegratedTime(); c.leaf != nil && !t.IsZero() && (t.Before(c.leaf.NotBefore) || t.After(c.leaf.NotAfter)) {
		return c.expired(t)
	}
	if !entry.HasInclusionProof() && (!entry.HasInclusionPromise() || entry.IsRekorV2()) {
		return refuse(ReasonNoProof, "its log entry %d has no inclusion proof", entry.LogIndex())
	}
	if strings.Contains(err.Error(), "not enough verified log entries") {
		return refuse(ReasonLogEntry, "the log's promise for its entry %d is not signed by the log, or was when the log's key was not valid", entry.LogIndex())
	}
	return refuse(ReasonLogEntry, "its log entry %d does not verify: %s", entry.LogIndex(), oneLine(err))
}

// strangers counts the entries in logs that are not trusted.
func (c *candidate) strangers(entries []*tlog.Entry) int {
	n := 0
	for _, entry := range entries {
		if c.material.RekorLogs()[hex.EncodeToString([]byte(entry.LogKeyID()))] == nil {
			n++
		}
	}
	return n
}

// chain builds the certificate's chain to a trusted CA at a time.
func (c *candidate) chain(at time.Time) ([][]*x509.Certificate, *Refusal) {
	// sigstore-go does the same, to a certificate of its own parsing: a subject that is
	// no URI, address or name is read by it, not by crypto/x509.
	leaf := *c.leaf
	leaf.UnhandledCriticalExtensions = nil
	for _, oid := range c.leaf.UnhandledCriticalExtensions {
		if oid.String() != "2.5.29.17" {
			leaf.UnhandledCriticalExtensions = append(leaf.UnhandledCriticalExtensions, oid)
		}
	}
	chains, err := verify.VerifyLeafCertificate(at, &leaf, c.material)
	if err == nil {
		return chains, nil
	}
	if c.material.ca != nil && !c.material.ca.at.IsZero() {
		at = c.material.ca.at
	}
	if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
		return nil, c.expired(at)
	}
	message := fmt.Sprintf("its certificate, issued by %q, leads to no CA that is trusted for %s", leaf.Issuer, c.authority.name)
	if c.material.ca != nil {
		if _, err := c.material.ca.Verify(&leaf, at); err != nil {
			message += ": " + oneLine(err)
		}
	}
	return nil, refuse(ReasonUntrusted, "%s", message)
}

func (c *candidate) expired(at time.Time) *Refusal {
	what := "when it was signed"
	if c.material.ca != nil && !c.material.ca.at.IsZero() {
		what = "now, and no trusted timestamp says that it was signed before"
	}
	state := "expired"
	if at.Before(c.leaf.NotBefore) {
		state = "not valid yet"
	}
	return refuse(ReasonExpired, "its certificate was %s %s: it is valid from %s to %s, and the time is %s", state, what,
		c.leaf.NotBefore.UTC().Format(time.RFC3339), c.leaf.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
}

// why finds the stage at which sigstore-go refused.
func (c *candidate) why(err error, verifier *verify.Verifier, whole verify.SignedEntity, entries []*tlog.Entry, timestamps [][]byte, times []time.Time, now bool) *Refusal {
	logged, stage := verifier.VerifyTransparencyLogInclusion(whole)
	switch {
	case stage != nil && len(entries) == 0:
		return refuse(ReasonNoLogEntry, "it is in no transparency log")
	case stage != nil && c.strangers(entries) > 0:
		return refuse(ReasonUnknownLog, "%d of its %d log entries are in a log that is not trusted", c.strangers(entries), len(entries))
	case stage != nil:
		return refuse(ReasonLogEntry, "its transparency log entries do not verify: %s", oneLine(stage))
	}
	if _, stage = verifier.VerifyObserverTimestamps(whole, logged); stage != nil {
		if len(timestamps) == 0 {
			return refuse(ReasonNoTime, "nothing in it that is trusted says when it was signed")
		}
		return refuse(ReasonTimestamp, "its timestamps do not suffice: %s", oneLine(stage))
	}
	if c.leaf != nil {
		if now {
			times = append(times, c.at)
		}
		for _, t := range times {
			chains, refusal := c.chain(t)
			if refusal != nil {
				return refusal
			}
			if c.authority.sct > 0 {
				if stage := verify.VerifySignedCertificateTimestamp(chains, c.authority.sct, c.material); stage != nil {
					return refuse(ReasonNotTransparent, "its certificate is in no trusted certificate transparency log: %s", oneLine(stage))
				}
			}
		}
		if _, stage := certificate.SummarizeCertificate(c.leaf); stage != nil {
			return refuse(ReasonIdentity, "its certificate names nobody: %s", oneLine(stage))
		}
	}
	if content, stage := whole.SignatureContent(); stage == nil && c.bundle.payload == nil {
		if m := content.MessageSignatureContent(); m != nil && m.DigestAlgorithm() == "SHA2_256" {
			if digest := "sha256:" + hex.EncodeToString(m.Digest()); digest != c.artifact.Digest {
				return refuse(ReasonDigest, "it is about %s", digest)
			}
		}
	}
	return refuse(ReasonSignature, "its signature does not verify: %s", oneLine(err))
}

// identify names who signed, and refuses those who may not.
func (c *candidate) identify(result *verify.VerificationResult, now bool) (Evidence, *Refusal) {
	e := Evidence{Authority: c.authority.name, Source: c.bundle.Source}
	for _, t := range result.VerifiedTimestamps {
		if t.Type != "CurrentTime" && (e.Time.IsZero() || t.Timestamp.Before(e.Time)) {
			e.Time = t.Timestamp.UTC()
		}
	}
	if c.key != nil {
		e.Signer = c.key.fingerprint()
		return e, nil
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return Evidence{}, refuse(ReasonMalformed, "its signer is not known")
	}
	summary := result.Signature.Certificate
	e.Signer, e.Issuer = summary.SubjectAlternativeName, summary.Issuer
	if c.authority.form == byCA {
		e.Issuer = summary.CertificateIssuer
	}
	if now {
		chains, refusal := c.chain(c.at)
		if refusal != nil {
			return Evidence{}, refusal
		}
		for _, link := range chains[0] {
			if e.until.IsZero() || link.NotAfter.Before(e.until) {
				e.until = link.NotAfter
			}
		}
	}
	for _, id := range c.authority.identities {
		if id.match(e.Signer, summary.Issuer) {
			return e, nil
		}
	}
	who := fmt.Sprintf("it is signed by %s", e.Signer)
	if summary.Issuer != "" {
		who += ", for whom " + summary.Issuer + " vouched"
	}
	return Evidence{}, refuse(ReasonIdentity, "%s, and %s is %s", who, c.authority.name, c.authority.identityTexts())
}

// about reports whether the statement is about the artifact of a SHA-256 digest.
func (s *statement) about(digest string) bool {
	want, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil {
		return false
	}
	for _, subject := range s.Subject {
		got, err := hex.DecodeString(subject.Digest["sha256"])
		if err == nil && bytes.Equal(got, want) {
			return true
		}
	}
	return false
}

// hashed reports whether the statement names a SHA-256 digest. One that does not may name
// others of a file, which sigstore-go makes from the content.
func (s *statement) hashed() bool {
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] != "" {
			return true
		}
	}
	return false
}

// subjects names the first of what the statement is about.
func (s *statement) subjects() string {
	const shown = 2
	var texts []string
	for i, subject := range s.Subject {
		if i == shown {
			texts = append(texts, fmt.Sprintf("%d more", len(s.Subject)-shown))
			break
		}
		texts = append(texts, "sha256:"+subject.Digest["sha256"])
	}
	return strings.Join(texts, ", ")
}

// oneLine is an error's text without line breaks, cut where it is long.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " ..."
	}
	return text
}
