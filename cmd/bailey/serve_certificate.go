package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// selfSignedFor is how long a certificate of one's own is valid: pods live for less.
	selfSignedFor = 3 * 365 * 24 * time.Hour
	// selfSignedLeft is the time that a certificate has to be valid for at the start.
	selfSignedLeft = selfSignedFor / 3
)

// selfSigned gives the files of a certificate for these names in the folder, which it makes
// where there is none, or one that ends soon or is for other names; and the SHA-256 of the
// certificate, for clients to compare.
func selfSigned(dir string, names []string, now time.Time) (certFile, keyFile, fingerprint string, err error) {
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && now.Add(selfSignedLeft).Before(pair.Leaf.NotAfter) && certifies(pair.Leaf, names) {
		return certFile, keyFile, fmt.Sprintf("%x", sha256.Sum256(pair.Certificate[0])), nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", "", "", err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "bailey"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	for _, name := range slices.Concat(names, []string{"localhost", "127.0.0.1", "::1"}) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", "", "", fmt.Errorf("--tls-self-signed: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", "", err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return "", "", "", err
	}
	err = os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	return certFile, keyFile, fmt.Sprintf("%x", sha256.Sum256(der)), err
}

func certifies(c *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return c.VerifyHostname(name) != nil })
}
