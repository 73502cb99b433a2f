package prove

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/baileyhq/bailey"
)

// forge makes a credential that the platform did not give out.
func forge(f *bailey.Forge, now time.Time) answer {
	a := answer{at: now.UTC(), said: "forge a credential: " + f.What, message: "made: " + f.What}
	a.output, a.failure = forged(f, now)
	a.accepted = a.failure == nil
	return a
}

func forged(f *bailey.Forge, now time.Time) (map[string]any, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	subject := pkix.Name{CommonName: f.CommonName, Organization: f.Organizations}
	switch f.What {
	case "self-signed", "expired":
		from, to := now.Add(-time.Hour), now.Add(time.Hour)
		if f.What == "expired" {
			from, to = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
		}
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: from, NotAfter: to,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		return map[string]any{"certificate": certificate, "key": keyPEM}, nil
	case "request":
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
		if err != nil {
			return nil, err
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		return map[string]any{"request": base64.StdEncoding.EncodeToString(request), "key": keyPEM}, nil
	case "token":
		token, err := forgedToken(key, f.CommonName, now)
		return map[string]any{"token": token}, err
	}
	return nil, fmt.Errorf("nobody knows how to forge %q", f.What)
}

// forgedToken is a ServiceAccount token (JWT, RFC 7519) in form, signed by a key
// that the API server does not know.
func forgedToken(key *ecdsa.PrivateKey, subject string, now time.Time) (string, error) {
	part := func(v any) string {
		data, _ := json.Marshal(v) // maps of strings and numbers always marshal
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "bailey-forged"}) + "." + part(map[string]any{
		"iss": "https://kubernetes.default.svc.cluster.local", "aud": []string{"https://kubernetes.default.svc.cluster.local"},
		"sub": subject, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
