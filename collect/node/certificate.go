package node

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/baileyhq/bailey"
)

const maxCertificates = 500 // in one file

var (
	errTooMany      = errors.New("more files than are looked at")
	errNoKubeconfig = errors.New("it is no kubeconfig")
)

// certificates notes the certificates in a file. It keeps the lines of certificates alone:
// of a key that stands beside one, not even a line.
func (c *collector) certificates(shown, where, use string) {
	f, err := openRegular(where)
	if err != nil {
		c.skip(shown, err)
		return
	}
	defer f.Close()
	var text []byte
	inside := false
	lines := bufio.NewScanner(io.LimitReader(f, maxDocument))
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		inside = inside || bytes.Equal(line, []byte("-----BEGIN CERTIFICATE-----"))
		if inside {
			text = append(append(text, line...), '\n')
		}
		inside = inside && !bytes.Equal(line, []byte("-----END CERTIFICATE-----"))
	}
	if err := lines.Err(); err != nil {
		c.skip(shown, err)
		return
	}
	c.pem(shown, text, use)
}

// pem notes the certificates of a PEM text. Blocks of other types are passed over.
func (c *collector) pem(shown string, text []byte, use string) {
	for n := 0; n < maxCertificates; {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return
		}
		if block.Type != "CERTIFICATE" {
			clear(block.Bytes)
			continue
		}
		n++
		key := shown
		if n > 1 {
			key = fmt.Sprintf("%s#%d", shown, n)
		}
		if known := c.certs[key]; known != nil {
			known.Uses = append(known.Uses, use)
			continue
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			c.skip(key, err)
			continue
		}
		cert := describe(parsed)
		cert.Node, cert.Path, cert.Uses = c.node, shown, []string{use}
		c.certs[key] = cert
	}
}

// describe says of a certificate what rules ask for.
func describe(x *x509.Certificate) *bailey.HostCertificate {
	c := &bailey.HostCertificate{
		Subject: x.Subject.String(), CommonName: x.Subject.CommonName, Organizations: x.Subject.Organization, Issuer: x.Issuer.String(),
		DNSNames: x.DNSNames, NotBefore: x.NotBefore.UTC(), NotAfter: x.NotAfter.UTC(),
		Signature: x.SignatureAlgorithm.String(), CA: x.IsCA, KeyType: x.PublicKeyAlgorithm.String(), Key: sum(x.RawSubjectPublicKeyInfo),
		Client: slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny),
		Server: slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny),
	}
	for _, ip := range x.IPAddresses {
		c.Addresses = append(c.Addresses, ip.String())
	}
	switch key := x.PublicKey.(type) {
	case *rsa.PublicKey:
		c.KeyBits = key.N.BitLen()
	case *ecdsa.PublicKey:
		c.KeyBits = key.Curve.Params().BitSize
	case ed25519.PublicKey:
		c.KeyBits = 8 * len(key)
	}
	return c
}
