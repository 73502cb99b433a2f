package trust

import "fmt"

// Reason is a stable code of why evidence does not count.
type Reason string

// The reasons, from the farthest from what is wanted to the nearest. Of several pieces
// of evidence that fail, the nearest is told.
const (
	ReasonUnnamed        Reason = "unnamed"         // no rule names the image
	ReasonMissing        Reason = "missing"         // nothing of the wanted kind is there
	ReasonMalformed      Reason = "malformed"       // it cannot be read
	ReasonOtherKind      Reason = "other-kind"      // a signature where an SBOM is wanted, or such
	ReasonOtherMaterial  Reason = "other-material"  // signed by a certificate where a key is wanted, or the other way round
	ReasonDigest         Reason = "digest"          // it is about another artifact
	ReasonUntrusted      Reason = "untrusted"       // its certificate is of a CA that is not trusted
	ReasonWrongKey       Reason = "wrong-key"       // signed by another key
	ReasonSignature      Reason = "signature"       // the signature is not one of its key over this artifact
	ReasonNoLogEntry     Reason = "no-log-entry"    // it is in no transparency log
	ReasonUnknownLog     Reason = "unknown-log"     // it is in a log that is not trusted
	ReasonNoProof        Reason = "no-proof"        // its log entry has no inclusion proof
	ReasonLogEntry       Reason = "log-entry"       // its log entry does not verify, or is another's
	ReasonNoTime         Reason = "no-time"         // nobody says when it was signed
	ReasonTimestamp      Reason = "timestamp"       // its timestamp does not verify
	ReasonExpired        Reason = "expired"         // its certificate was not valid then
	ReasonNotTransparent Reason = "not-transparent" // its certificate is in no certificate transparency log
	ReasonStatement      Reason = "statement"       // it is no statement of in-toto's
	ReasonIdentity       Reason = "identity"        // signed by somebody else
	ReasonCondition      Reason = "condition"       // its builder or source is another
	ReasonThreshold      Reason = "threshold"       // too few of those who must sign did
)

// order is the constants above.
var order = []Reason{
	ReasonUnnamed, ReasonMissing, ReasonMalformed, ReasonOtherKind, ReasonOtherMaterial, ReasonDigest, ReasonUntrusted, ReasonWrongKey,
	ReasonSignature, ReasonNoLogEntry, ReasonUnknownLog, ReasonNoProof, ReasonLogEntry, ReasonNoTime, ReasonTimestamp, ReasonExpired,
	ReasonNotTransparent, ReasonStatement, ReasonIdentity, ReasonCondition, ReasonThreshold,
}

// Refusal says why one wanted piece of evidence does not count.
type Refusal struct {
	Rule    string `json:"rule,omitempty"`
	Kind    Kind   `json:"kind,omitempty"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Source is where the evidence was found that came nearest.
	Source string `json:"source,omitempty"`
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), Hint: hints[reason]}
}

// hints say what to do about a reason.
var hints = map[Reason]string{
	ReasonUnnamed:        "add a rule for this repository to the trust policy, or unmatched: admit",
	ReasonMissing:        "make it with bailey sign or bailey attest, or cosign, after the image was pushed",
	ReasonMalformed:      "sign again; what was attached is no sigstore bundle or was damaged",
	ReasonOtherMaterial:  "sign in the way that the policy names: with its key, or with a certificate",
	ReasonDigest:         "sign what is there now: the file was changed, or the tag was moved",
	ReasonUntrusted:      "sign with a certificate of the policy's CA, or add the CA to the policy",
	ReasonWrongKey:       "sign with the private key of the policy's public key",
	ReasonSignature:      "sign again; artifact or signature were changed",
	ReasonNoLogEntry:     "sign with --rekor-url, or set transparencyLog: 0 for this authority if no log is meant to be asked for",
	ReasonUnknownLog:     "use a trusted root that holds this log, or sign with --rekor-url of one that it holds",
	ReasonNoProof:        "sign again with a client that keeps the inclusion proof in the bundle",
	ReasonLogEntry:       "sign again; the bundle was changed, or its log entry is another signature's",
	ReasonNoTime:         "sign with --timestamp-url, or with a transparency log that signs its time",
	ReasonTimestamp:      "sign again with a timestamp authority that the trusted root holds",
	ReasonExpired:        "sign again with a certificate that is valid, and with --timestamp-url so that the signature outlives it",
	ReasonNotTransparent: "set certificateTransparency: 0 for this authority if its CA writes to no such log",
	ReasonStatement:      "attest again with bailey attest or cosign attest",
	ReasonIdentity:       "let the policy's identity sign, or add this one to the policy",
	ReasonCondition:      "build with the builder and from the source that the policy names",
	ReasonThreshold:      "let the others sign too",
}
