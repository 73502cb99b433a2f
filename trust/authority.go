package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// form is how an authority proves who it is.
type form int

const (
	byKey     form = iota // managed keys
	byCA                  // certificates of one's own CA
	byKeyless             // short-lived certificates for identities that an OIDC issuer vouches for
)

// authority is somebody who may sign.
type authority struct {
	name string
	form form

	keys       []publicKey
	ca         *ownCA
	trusted    *root.TrustedRoot // nil: no log, no timestamp authority, no keyless CA
	identities []identity

	// The least numbers of transparency log entries, signed timestamps and certificate
	// transparency log entries.
	log, timestamps, sct int
}

// identity is whom a certificate must name.
type identity struct {
	subject, issuer *pattern // nil: any; a keyless identity has both
}

func (i identity) match(subject, issuer string) bool {
	return (i.subject == nil || i.subject.match(subject)) && (i.issuer == nil || i.issuer.match(issuer))
}

func (i identity) String() string {
	var parts []string
	if i.subject != nil {
		parts = append(parts, i.subject.text)
	}
	if i.issuer != nil {
		parts = append(parts, "vouched for by "+i.issuer.text)
	}
	return strings.Join(parts, " ")
}

func (a *authority) identityTexts() string {
	texts := make([]string, len(a.identities))
	for i, id := range a.identities {
		texts[i] = id.String()
	}
	return strings.Join(texts, "; ")
}

// authority resolves what the document says of one authority.
func (d *authorityDocument) authority(read func(string) ([]byte, error)) (*authority, error) {
	a := &authority{name: d.Name}
	if len(d.Keys) > listLimit || len(d.CA) > listLimit || len(d.Identities) > listLimit {
		return nil, fmt.Errorf("a list has at most %d entries", listLimit)
	}
	if d.TrustedRoot != "" {
		data, err := readNamed(d.TrustedRoot, "{", read)
		if err != nil {
			return nil, fmt.Errorf("trustedRoot: %w", err)
		}
		if a.trusted, err = parseTrustedRoot(data); err != nil {
			return nil, fmt.Errorf("trustedRoot: %w", err)
		}
	}
	var err error
	switch {
	case len(d.Keys) > 0 && len(d.CA) > 0:
		err = errors.New("it has both keys and a ca\nhint: make two authorities of it")
	case len(d.Keys) > 0:
		a.form = byKey
		err = a.setKeys(d.Keys, read)
		if a.trusted != nil && len(a.trusted.RekorLogs()) > 0 {
			a.log = 1
		}
		if err == nil && len(d.Identities) > 0 {
			err = errors.New("a key has no identities\nhint: leave them out")
		}
	case len(d.CA) > 0:
		a.form = byCA
		err = a.setCA(d.CA, read)
	case a.trusted != nil:
		a.form = byKeyless
		a.log, a.sct = 1, 1
	default:
		err = errors.New("it has neither keys, nor a ca, nor a trustedRoot\nhint: keys: [FILE] for a managed key, ca: [FILE] for certificates of one's own CA, trustedRoot: FILE with identities for keyless signatures")
	}
	if err != nil {
		return nil, err
	}
	for i := range d.Identities {
		id, err := d.Identities[i].identity(a.form)
		if err != nil {
			return nil, fmt.Errorf("identities[%d]: %w", i, err)
		}
		a.identities = append(a.identities, id)
	}
	if a.form != byKey && len(a.identities) == 0 {
		return nil, errors.New("it names no identities, so that everybody with a certificate could sign\nhint: add identities: with issuer and subject")
	}
	return a, a.setThresholds(d)
}

// setThresholds takes the demands, and refuses those that nothing could meet.
func (a *authority) setThresholds(d *authorityDocument) error {
	for _, t := range []struct {
		name  string
		value *int
		field *int
	}{{"transparencyLog", d.TransparencyLog, &a.log}, {"timestamps", d.Timestamps, &a.timestamps}, {"certificateTransparency", d.CertificateTransparency, &a.sct}} {
		if t.value == nil {
			continue
		}
		if *t.value < 0 || *t.value > 32 {
			return fmt.Errorf("%s: wants a number from 0 to 32", t.name)
		}
		*t.field = *t.value
	}
	if a.form == byKeyless && a.log == 0 && a.timestamps == 0 {
		return errors.New("a keyless certificate lives for minutes: somebody must say when it was used\nhint: transparencyLog: 1, or timestamps: 1")
	}
	if a.form == byKey && a.sct > 0 {
		return errors.New("certificateTransparency: keys have no certificates")
	}
	logs, authorities, ctLogs := 0, 0, 0
	if a.trusted != nil {
		logs, authorities, ctLogs = len(a.trusted.RekorLogs()), len(a.trusted.TimestampingAuthorities()), len(a.trusted.CTLogs())
	}
	for _, t := range []struct {
		want, have int
		name, what string
	}{{a.log, logs, "transparencyLog", "transparency log"}, {a.timestamps, authorities, "timestamps", "timestamp authority"}, {a.sct, ctLogs, "certificateTransparency", "certificate transparency log"}} {
		if t.want > t.have {
			return fmt.Errorf("%s: %d is wanted, and the trusted root knows %d of a %s\nhint: name a trustedRoot that holds it, or ask for less", t.name, t.want, t.have, t.what)
		}
	}
	if a.form == byKeyless && len(a.trusted.FulcioCertificateAuthorities()) == 0 {
		return errors.New("the trusted root knows no certificate authority")
	}
	return nil
}

func (d *identityDocument) identity(f form) (identity, error) {
	var id identity
	one := func(what, exact, expression string) (*pattern, error) {
		switch {
		case exact != "" && expression != "":
			return nil, fmt.Errorf("it has both %s and %sRegexp", what, what)
		case exact != "":
			return &pattern{text: exact}, nil
		case expression != "":
			p, err := anchored(expression, expression)
			return &p, err
		}
		return nil, nil
	}
	var err error
	if id.subject, err = one("subject", d.Subject, d.SubjectRegexp); err != nil {
		return id, err
	}
	if id.issuer, err = one("issuer", d.Issuer, d.IssuerRegexp); err != nil {
		return id, err
	}
	if id.subject == nil {
		return id, errors.New("it names no subject\nhint: add subject: or subjectRegexp: to it")
	}
	if f == byKeyless && id.issuer == nil {
		return id, errors.New("it names no issuer: another one could vouch for the same subject\nhint: issuer: URL of the OIDC issuer")
	}
	if f == byCA && id.issuer != nil {
		return id, errors.New("certificates of one's own CA name no OIDC issuer\nhint: leave issuer out")
	}
	return id, nil
}

// readNamed gives the content of a file, or the text itself if it begins as such content does.
func readNamed(text, begin string, read func(string) ([]byte, error)) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(text), begin) {
		return []byte(text), nil
	}
	return read(text)
}

func parseTrustedRoot(data []byte) (trusted *root.TrustedRoot, err error) {
	if len(data) > policyLimit {
		return nil, fmt.Errorf("a trusted root has at most %d KiB", policyLimit>>10)
	}
	defer catch(&err)
	trusted, err = root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("it is no trusted root: %w", err)
	}
	return trusted, nil
}

// catch turns a panic of a library over a stranger's bytes into an error: what cannot
// be read is refused, and the process that reads it goes on.
func catch(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("it could not be read: %v", r)
	}
}

func (a *authority) setKeys(names []string, read func(string) ([]byte, error)) error {
	for i, name := range names {
		data, err := readNamed(name, "-----BEGIN", read)
		if err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
		key, err := parsePublicKey(data)
		if err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
		a.keys = append(a.keys, key)
	}
	return nil
}

func (a *authority) setCA(names []string, read func(string) ([]byte, error)) error {
	a.ca = &ownCA{}
	for i, name := range names {
		data, err := readNamed(name, "-----BEGIN", read)
		if err != nil {
			return fmt.Errorf("ca[%d]: %w", i, err)
		}
		certificates, err := ParseCertificates(data)
		if err != nil {
			return fmt.Errorf("ca[%d]: %w", i, err)
		}
		for _, c := range certificates {
			switch {
			case !c.IsCA:
				return fmt.Errorf("ca[%d]: the certificate of %s is not one of a CA", i, c.Subject)
			case bytes.Equal(c.RawIssuer, c.RawSubject):
				a.ca.roots = append(a.ca.roots, c)
			default:
				a.ca.intermediates = append(a.ca.intermediates, c)
			}
		}
	}
	if len(a.ca.roots) == 0 {
		return errors.New("ca: there is no root certificate in it, only intermediate ones\nhint: add the root's file")
	}
	return nil
}

// ParseCertificates reads PEM certificates, one or more.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for len(certificates) < 100 {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s where certificates are wanted", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("it holds a certificate that cannot be read: %w", err)
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		return nil, errors.New("it holds no PEM certificate")
	}
	return certificates, nil
}

// ownCA is a CA that is not sigstore's. Its certificates live long, so that a signature
// without a timestamp is judged at the time that the caller gives.
type ownCA struct {
	roots, intermediates []*x509.Certificate
	at                   time.Time // zero: at the time of the signature
}

var _ root.CertificateAuthority = (*ownCA)(nil)

// Verify implements root.CertificateAuthority.
func (c *ownCA) Verify(leaf *x509.Certificate, observed time.Time) ([][]*x509.Certificate, error) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range c.roots {
		roots.AddCert(r)
	}
	for _, i := range c.intermediates {
		intermediates.AddCert(i)
	}
	if !c.at.IsZero() {
		observed = c.at
	}
	return leaf.Verify(x509.VerifyOptions{
		CurrentTime: observed, Roots: roots, Intermediates: intermediates,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
}

// material is what one authority trusts, in the form that sigstore-go takes.
type material struct {
	root.BaseTrustedMaterial
	trusted *root.TrustedRoot
	ca      *ownCA
	key     *keyVerifier
}

var _ root.TrustedMaterial = (*material)(nil)

func (m *material) TimestampingAuthorities() []root.TimestampingAuthority {
	if m.trusted == nil {
		return nil
	}
	return m.trusted.TimestampingAuthorities()
}

func (m *material) FulcioCertificateAuthorities() []root.CertificateAuthority {
	switch {
	case m.ca != nil:
		return []root.CertificateAuthority{m.ca}
	case m.key != nil || m.trusted == nil:
		return nil
	}
	return m.trusted.FulcioCertificateAuthorities()
}

func (m *material) RekorLogs() map[string]*root.TransparencyLog {
	if m.trusted == nil {
		return nil
	}
	return m.trusted.RekorLogs()
}

func (m *material) CTLogs() map[string]*root.TransparencyLog {
	if m.trusted == nil {
		return nil
	}
	return m.trusted.CTLogs()
}

// PublicKeyVerifier gives the authority's key whatever the hint says: a hint is not signed.
func (m *material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	if m.key == nil {
		return nil, errors.New("no key is trusted here")
	}
	return root.NewExpiringKey(m.key.Verifier, time.Time{}, time.Time{}), nil
}

// demands are what sigstore-go is to insist on for a bundle with so many log entries and
// signed timestamps. A certificate of one's own CA is judged at the time of the
// signature where somebody trusted says it, and now otherwise.
func (a *authority) demands(entries, timestamps int) (options []verify.VerifierOption, now bool) {
	options = []verify.VerifierOption{verify.WithoutStatementPredicate()}
	log, observed := a.log, a.form == byKeyless
	if a.form == byCA && a.trusted != nil {
		if entries > 0 && len(a.trusted.RekorLogs()) > 0 {
			log, observed = max(log, 1), true
		}
		if timestamps > 0 && len(a.trusted.TimestampingAuthorities()) > 0 {
			observed = true
		}
	}
	if log > 0 {
		options = append(options, verify.WithTransparencyLog(log))
	}
	if a.sct > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(a.sct))
	}
	switch {
	case a.timestamps > 0:
		return append(options, verify.WithSignedTimestamps(a.timestamps)), false
	case a.form == byKey:
		return append(options, verify.WithNoObserverTimestamps()), false
	case observed:
		return append(options, verify.WithObserverTimestamps(1)), false
	}
	return append(options, verify.WithCurrentTime()), true
}
