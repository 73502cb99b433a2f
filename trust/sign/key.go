// Package sign makes signatures and attestations: sigstore bundles, by a managed key,
// by a key with a certificate of one's own CA, or keyless with a certificate that Fulcio
// gives for an identity token.
package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	upstream "github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Key is a private key that signs.
type Key struct {
	signer crypto.Signer
}

// The PEM types of keys that cosign encrypts.
var encryptedTypes = map[string]bool{"ENCRYPTED SIGSTORE PRIVATE KEY": true, "ENCRYPTED COSIGN PRIVATE KEY": true}

// ParseKey reads a PEM private key: PKCS#8, SEC 1, PKCS#1, or one that cosign made, for
// which the passphrase is asked. No error holds anything of the key.
func ParseKey(data []byte, passphrase func() ([]byte, error)) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is no PEM private key")
	}
	der := block.Bytes
	var key any
	var err error
	switch {
	case encryptedTypes[block.Type]:
		phrase, err := passphrase()
		if err != nil {
			return nil, err
		}
		if der, err = encrypted.Decrypt(der, phrase); err != nil {
			return nil, errors.New("it cannot be decrypted: the passphrase is wrong, or the file is damaged")
		}
		if key, err = x509.ParsePKCS8PrivateKey(der); err != nil {
			return nil, errors.New("what it holds is no PKCS#8 private key")
		}
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(der)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted in a way that is not taken\nhint: cosign import-key-pair encrypts it in cosign's way; openssl pkcs8 takes the encryption off")
	default:
		return nil, fmt.Errorf("it holds a %s where a private key is wanted", block.Type)
	}
	if err != nil {
		return nil, errors.New("it is no private key of a kind that is taken\nhint: use Ed25519, ECDSA or RSA in PKCS#8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its key cannot sign\nhint: use Ed25519, ECDSA or RSA")
	}
	k := &Key{signer}
	_, err = k.algorithm(false)
	return k, err
}

// GenerateKey makes an ECDSA key on P-256, which every verifier takes.
func GenerateKey() (*Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Key{key}, nil
}

// PrivatePEM is the key in PKCS#8, encrypted in cosign's way if there is a passphrase.
func (k *Key) PrivatePEM(passphrase []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, err
	}
	if len(passphrase) == 0 {
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	sealed, err := encrypted.Encrypt(der, passphrase)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}), nil
}

// PublicPEM is the public key.
func (k *Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// algorithm is how the key signs: what is prehashed by Ed25519ph where it is Ed25519,
// all else by the key's one algorithm.
func (k *Key) algorithm(prehashed bool) (signature.AlgorithmDetails, error) {
	switch key := k.signer.Public().(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return signature.AlgorithmDetails{}, fmt.Errorf("its RSA key has %d bits, and 2048 are the least", key.N.BitLen())
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return signature.AlgorithmDetails{}, fmt.Errorf("keys of type %T are not taken\nhint: use Ed25519, ECDSA or RSA", key)
	}
	var load []signature.LoadOption
	if prehashed {
		load = append(load, options.WithED25519ph())
	}
	details, err := signature.GetDefaultAlgorithmDetails(k.signer.Public(), load...)
	if err != nil {
		return details, fmt.Errorf("its key is of no kind that is taken: %w\nhint: use Ed25519, ECDSA on P-256, P-384 or P-521, or RSA of 2048, 3072 or 4096 bits", err)
	}
	return details, nil
}

// keypair is the key in the form that sigstore-go takes. A digest keypair is handed
// digests, so that a large file need not be in memory.
type keypair struct {
	key     *Key
	details signature.AlgorithmDetails
	digest  bool
}

var _ upstream.Keypair = (*keypair)(nil)

func (k *Key) keypair(digest bool) (*keypair, error) {
	details, err := k.algorithm(digest)
	return &keypair{k, details, digest}, err
}

func (p *keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return p.details.GetProtoHashType() }

func (p *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return p.details.GetSignatureAlgorithm()
}

func (p *keypair) GetHint() []byte {
	der, err := x509.MarshalPKIXPublicKey(p.key.signer.Public())
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(der)
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

func (p *keypair) GetKeyAlgorithm() string {
	switch p.key.signer.Public().(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	}
	return "ED25519"
}

func (p *keypair) GetPublicKey() crypto.PublicKey { return p.key.signer.Public() }

func (p *keypair) GetPublicKeyPem() (string, error) {
	text, err := p.key.PublicPEM()
	return string(text), err
}

// SignData gives the signature and what was signed.
func (p *keypair) SignData(_ context.Context, data []byte) ([]byte, []byte, error) {
	hash := p.details.GetHashType()
	if hash != crypto.Hash(0) && !p.digest {
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	sig, err := p.key.signer.Sign(rand.Reader, data, hash)
	return sig, data, err
}
