package prove

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Key signs or verifies evidence: Ed25519 (RFC 8032).
type Key struct {
	private ed25519.PrivateKey // nil in one that only verifies
	public  ed25519.PublicKey
	// Custody says where the private key is kept.
	Custody string
}

// Sign is of dsse.Signer.
func (k *Key) Sign(_ context.Context, data []byte) ([]byte, error) {
	if k.private == nil {
		return nil, errors.New("this key only verifies")
	}
	return ed25519.Sign(k.private, data), nil
}

// Verify is of dsse.Verifier.
func (k *Key) Verify(_ context.Context, data, signature []byte) error {
	if !ed25519.Verify(k.public, data, signature) {
		return errors.New("the signature is not that of the key")
	}
	return nil
}

// KeyID is the SHA-256 of the public key's PKIX form, in hexadecimal digits.
func (k *Key) KeyID() (string, error) { return KeyID(k.public), nil }

// Public is the public key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// PublicKey is the public key, typed.
func (k *Key) PublicKey() ed25519.PublicKey { return k.public }

// KeyID is the SHA-256 of the key's PKIX form, in hexadecimal digits.
func KeyID(public ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "" // a key of another length; no signature verifies with it either
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// LoadKey reads a private key from a PEM file (PKCS #8), and refuses one that
// others may read.
func LoadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the signing key %s may be read by others (mode %04o)\nhint: chmod 600 %s, and make another key if somebody may have read it", path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the signing key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s holds no PRIVATE KEY in PEM\nhint: openssl genpkey -algorithm ed25519 makes one", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the signing key %s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the signing key %s is a %T; evidence is signed by Ed25519\nhint: openssl genpkey -algorithm ed25519 makes one", path, parsed)
	}
	return &Key{private: private, public: private.Public().(ed25519.PublicKey), Custody: "file"}, nil
}

// StateKey gives the key of a state folder, and makes it at first use: evidence.key,
// mode 0600, with the public half beside it in evidence.pub.
func StateKey(dir string) (*Key, error) {
	path := filepath.Join(dir, "evidence.key")
	key, err := LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Of several provers that make a key at once, the first one's stays.
		if err := makeKey(dir, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("the signing key could not be made: %w", err)
		}
		key, err = LoadKey(path)
	}
	if err != nil {
		return nil, err
	}
	key.Custody = "state folder, made at first use"
	return key, key.publish(filepath.Join(dir, "evidence.pub"))
}

func makeKey(dir, path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeWith(os.Link, path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// publish writes the public half beside the key, where it is not there already.
func (k *Key) publish(path string) error {
	pkix, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, text) {
		return nil
	}
	return writeNew(path, text)
}

// writeNew puts a file in place whole and durable, or not at all.
func writeNew(path string, data []byte) error { return writeWith(os.Rename, path, data) }

// writeWith is writeNew with the step that gives the file its name: os.Link fails
// where there is one already.
func writeWith(name func(from, to string) error, path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := name(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// ParsePublic reads a public key in PEM (PKIX).
func ParsePublic(data []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("no PUBLIC KEY in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T; evidence is signed by Ed25519", parsed)
	}
	return public, nil
}
