package server

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// sealer encrypts and authenticates, by AES-256-GCM with a random nonce.
type sealer struct{ aead cipher.AEAD }

var errSeal = errors.New("this was sealed by another key, or changed")

// sealing gives the sealer of a secret of 256 random bits for one purpose.
func sealing(secret, purpose string) sealer {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, 32)
	if err != nil {
		panic(err) // it fails for longer keys only
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // it fails for other lengths only
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // it fails for other blocks only
	}
	return sealer{aead}
}

func (s sealer) seal(data []byte) []byte { return s.aead.Seal(nil, nil, data, nil) }

func (s sealer) open(sealed []byte) ([]byte, error) {
	data, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errSeal
	}
	return data, nil
}
