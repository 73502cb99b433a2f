package sign_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/trust/sign"
)

// privateKeys are PEM keys of every kind that is taken.
func privateKeys(t testing.TB) map[string][]byte {
	t.Helper()
	keys := map[string]any{}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	keys["Ed25519"] = ed
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		keys[name], err = ecdsa.GenerateKey(curve, rand.Reader)
		must(t, err)
	}
	keys["RSA"], err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	out := map[string][]byte{}
	for name, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		out[name] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return out
}

func TestEncryptedKey(t *testing.T) {
	key, err := sign.GenerateKey()
	must(t, err)
	sealed, err := key.PrivatePEM([]byte("phrase"))
	must(t, err)
	public, err := key.PublicPEM()
	must(t, err)
	again, err := sign.ParseKey(sealed, func() ([]byte, error) { return []byte("phrase"), nil })
	must(t, err)
	if text, err := again.PublicPEM(); err != nil || string(text) != string(public) {
		t.Errorf("another key came out: %v", err)
	}
	if _, err := sign.ParseKey(sealed, func() ([]byte, error) { return []byte("wrong"), nil }); err == nil || !strings.Contains(err.Error(), "passphrase is wrong") {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err == nil {
		if _, err := sign.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(weak)}), nil); err == nil || !strings.Contains(err.Error(), "1024 bits") {
			t.Errorf("a weak key: %v", err)
		}
	}
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := sign.ParseKey([]byte(text), nil); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}
