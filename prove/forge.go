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
	"errors"
	"fmt"
	"math/big"
	"strings"
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
	case bailey.ForgeSelfSigned, bailey.ForgeExpired, bailey.ForgeAuthority:
		from, to := now.Add(-time.Hour), now.Add(time.Hour)
		if f.What == bailey.ForgeExpired {
			from, to = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
		}
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: from, NotAfter: to,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if f.What == bailey.ForgeAuthority {
			template.IsCA, template.BasicConstraintsValid, template.KeyUsage, template.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		return map[string]any{"certificate": string(certificate), "encoded": base64.StdEncoding.EncodeToString(certificate), "key": keyPEM}, nil
	case bailey.ForgeRequest:
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
		if err != nil {
			return nil, err
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		return map[string]any{"request": base64.StdEncoding.EncodeToString(request), "key": keyPEM}, nil
	case bailey.ForgeToken, bailey.ForgeUnsignedToken:
		token, err := forgedToken(key, f, now)
		return map[string]any{"token": token}, err
	case bailey.ForgeAlteredToken:
		token, err := alteredToken(f.Token, f.CommonName)
		return map[string]any{"token": token}, err
	}
	return nil, fmt.Errorf("nobody knows how to forge %q", f.What)
}

// forgedToken is a ServiceAccount token (JWT, RFC 7519) in form, signed by a key
// that the API server does not know, or without a signature.
func forgedToken(key *ecdsa.PrivateKey, f *bailey.Forge, now time.Time) (string, error) {
	issuer := f.Issuer
	if issuer == "" {
		issuer = "https://kubernetes.default.svc.cluster.local"
	}
	header := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "bailey-forged"}
	if f.What == bailey.ForgeUnsignedToken {
		header = map[string]any{"alg": "none", "typ": "JWT"}
	}
	signed := tokenPart(header) + "." + tokenPart(map[string]any{
		"iss": issuer, "aud": []string{issuer},
		"sub": f.CommonName, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if f.What == bailey.ForgeUnsignedToken {
		return signed + ".", nil
	}
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

func tokenPart(v any) string {
	data, _ := json.Marshal(v) // maps of strings and numbers always marshal
	return base64.RawURLEncoding.EncodeToString(data)
}

// alteredToken gives a real token another subject, and leaves the signature as it
// was.
func alteredToken(token, subject string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("what was to be altered is no JSON Web Token")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("the payload of the token to be altered is not base64")
	}
	var payload map[string]any
	if err := json.Unmarshal(data, &payload); err != nil {
		return "", errors.New("the payload of the token to be altered is not JSON")
	}
	payload["sub"] = subject
	if own, ok := payload["kubernetes.io"].(map[string]any); ok {
		if namespace, name, found := strings.Cut(strings.TrimPrefix(subject, "system:serviceaccount:"), ":"); found {
			own["namespace"] = namespace
			if account, ok := own["serviceaccount"].(map[string]any); ok {
				account["name"] = name
			}
		}
	}
	return parts[0] + "." + tokenPart(payload) + "." + parts[2], nil
}
