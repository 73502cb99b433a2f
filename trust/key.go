package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
)

// publicKey is a managed key.
type publicKey struct {
	key       crypto.PublicKey
	digest    [sha256.Size]byte // of its PKIX form
	verifiers []*keyVerifier
}

// keyVerifier is one way in which a key signs.
type keyVerifier struct {
	signature.Verifier
}

// fingerprint names a key to people.
func (k *publicKey) fingerprint() string { return "key sha256:" + hex.EncodeToString(k.digest[:]) }

// hint names a key in a bundle.
func (k *publicKey) hint() string { return base64.StdEncoding.EncodeToString(k.digest[:]) }

// parsePublicKey reads a PEM public key: Ed25519, ECDSA on P-256, P-384 or P-521, RSA
// of 2048 bits or more.
func parsePublicKey(data []byte) (publicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return publicKey{}, errors.New("it is no PEM public key")
	}
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		return publicKey{}, errors.New("it is a certificate, not a public key\nhint: trust its CA instead, or take the key out of it with openssl x509 -pubkey")
	default:
		return publicKey{}, fmt.Errorf("it holds a %s where a public key is wanted", block.Type)
	}
	if err != nil {
		return publicKey{}, fmt.Errorf("it is no public key: %w", err)
	}
	return newPublicKey(key)
}

func newPublicKey(key crypto.PublicKey) (publicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return publicKey{}, fmt.Errorf("it is no public key: %w", err)
	}
	k := publicKey{key: key, digest: sha256.Sum256(der)}
	add := func(v signature.Verifier, err error) error {
		if err == nil {
			k.verifiers = append(k.verifiers, &keyVerifier{v})
		}
		return err
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		// Envelopes and whole files are signed as they are, what goes into a transparency
		// log by its hash (Ed25519ph).
		err = add(signature.LoadED25519Verifier(key))
		if err == nil {
			err = add(signature.LoadED25519phVerifier(key))
		}
	case *ecdsa.PublicKey:
		hash := crypto.SHA256
		switch key.Curve {
		case elliptic.P256():
		case elliptic.P384():
			hash = crypto.SHA384
		case elliptic.P521():
			hash = crypto.SHA512
		default:
			return publicKey{}, fmt.Errorf("its curve %s is not taken\nhint: use P-256, P-384 or P-521", key.Params().Name)
		}
		err = add(signature.LoadECDSAVerifier(key, hash))
		if err == nil && hash != crypto.SHA256 {
			err = add(signature.LoadECDSAVerifier(key, crypto.SHA256)) // as cosign did for a long time
		}
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return publicKey{}, fmt.Errorf("its RSA key has %d bits, and 2048 are the least", key.N.BitLen())
		}
		err = add(signature.LoadRSAPKCS1v15Verifier(key, crypto.SHA256))
	default:
		return publicKey{}, fmt.Errorf("keys of type %T are not taken\nhint: use Ed25519, ECDSA or RSA", key)
	}
	return k, err
}
