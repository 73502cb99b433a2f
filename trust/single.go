package trust

import (
	"errors"
	"fmt"
)

// Signer is one authority, as the flags of a command line name it.
type Signer struct {
	Key         string // a PEM public key
	CA          string // PEM certificates of one's own CA
	TrustedRoot string // a trusted root, in JSON

	Subject, SubjectRegexp string
	Issuer, IssuerRegexp   string

	// The demands; nil is the default: for a certificate of the trusted root's CA one log
	// entry and one certificate transparency log entry, for a key the log entry if the
	// trusted root knows a log.
	TransparencyLog, Timestamps, CertificateTransparency *int
}

// Single is a policy with one rule for every artifact: signed by this signer. Without a
// predicate type a signature is wanted; with "" for one, any evidence will do.
func Single(s Signer, predicateTypes ...string) (*Policy, error) {
	if s.TrustedRoot == "" && s.Key == "" && s.CA == "" {
		return nil, errors.New("nothing is named that could be trusted")
	}
	d := authorityDocument{
		Name: "the signer", TrustedRoot: s.TrustedRoot,
		TransparencyLog: s.TransparencyLog, Timestamps: s.Timestamps, CertificateTransparency: s.CertificateTransparency,
	}
	if s.Key != "" {
		d.Keys = []string{s.Key}
	}
	if s.CA != "" {
		d.CA = []string{s.CA}
	}
	if s.Subject != "" || s.SubjectRegexp != "" || s.Issuer != "" || s.IssuerRegexp != "" {
		d.Identities = []identityDocument{{Issuer: s.Issuer, IssuerRegexp: s.IssuerRegexp, Subject: s.Subject, SubjectRegexp: s.SubjectRegexp}}
	}
	a, err := d.authority(func(string) ([]byte, error) { return nil, errors.New("it is no PEM and no JSON") })
	if err != nil {
		return nil, err
	}
	w := want{kind: KindSignature, by: []*authority{a}, threshold: 1}
	for _, t := range predicateTypes {
		if t == "" {
			w.kind = ""
			break
		}
		uri, err := PredicateType(t)
		if err != nil {
			return nil, fmt.Errorf("--type: %w", err)
		}
		w.kind, w.types = KindAttestation, append(w.types, uri)
	}
	every, err := glob("**")
	if err != nil {
		return nil, err
	}
	return &Policy{rules: []*rule{{name: "", images: []pattern{every}, wants: []want{w}}}}, nil
}
