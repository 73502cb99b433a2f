package keypair_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/baileyhq/bailey/internal/keypair"
)

// TestRenewals changes the files, and asks as handshakes do which certificate is served
// and what was told.
func TestRenewals(t *testing.T) {
	const bad, well = "the one before is served", "could be read again"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, f files)
		why    string // what the log says; "" if the change is taken
	}{
		{"renewed", func(t *testing.T, f files) { f.issue(t, 2, time.Hour) }, ""},
		{"PEM that ends early", func(t *testing.T, f files) { f.write(t, f.cert, []byte("-----BEGIN CERTIFICATE-----\nsecret")) }, "cert.pem"},
		{"empty key", func(t *testing.T, f files) { f.write(t, f.key, nil) }, "key.pem"},
		{"key of another", func(t *testing.T, f files) { f.issueCert(t, 2, time.Hour) }, "private key does not match"},
		{"ended", func(t *testing.T, f files) { f.issue(t, 2, -time.Minute) }, "cert.pem ended at "},
		{"missing", func(t *testing.T, f files) {
			if err := os.Remove(f.cert); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"endless", func(t *testing.T, f files) { f.write(t, f.key, make([]byte, 2<<20)) }, "more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFiles(t)
			synctest.Test(t, func(t *testing.T) {
				f.issue(t, 1, 24*time.Hour)
				var log bytes.Buffer
				p := keypair.New(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
				served := func(want int64) {
					t.Helper()
					got, err := p.Get(nil)
					if err != nil {
						t.Fatal(err)
					}
					if got.Leaf.SerialNumber.Int64() != want || p.Current() != got {
						t.Fatalf("certificate %s is served, want %d", got.Leaf.SerialNumber, want)
					}
				}
				served(1)
				c.change(t, f)
				time.Sleep(keypair.Every - time.Second)
				served(1) // not read again yet
				time.Sleep(time.Second)
				if c.why == "" {
					served(2)
					if log.Len() > 0 {
						t.Fatalf("told:\n%s", log.String())
					}
					return
				}
				for range 3 {
					served(1)
					time.Sleep(keypair.Every)
				}
				if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, bad) || !strings.Contains(said, c.why) || !strings.Contains(said, "valid until\"=2000-01-02T00:00:00Z") || strings.Contains(said, "secret") {
					t.Fatalf("told, want once %q:\n%s", c.why, said)
				}
				// Another failure is another change.
				log.Reset()
				f.write(t, f.cert, []byte("nothing"))
				served(1)
				time.Sleep(keypair.Every)
				served(1)
				if said := log.String(); strings.Count(said, bad) != 1 {
					t.Fatalf("told of the second change:\n%s", said)
				}
				log.Reset()
				f.issue(t, 3, time.Hour)
				for range 3 {
					time.Sleep(keypair.Every)
					served(3)
				}
				if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, well) {
					t.Fatalf("told when well again:\n%s", said)
				}
			})
		})
	}
}

// TestFirst fails until there is something to serve, and then serves it, ended or not:
// there is nothing better.
func TestFirst(t *testing.T) {
	f := newFiles(t)
	var log bytes.Buffer
	p := keypair.New(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	for range 2 {
		if _, err := p.Get(nil); err == nil || !strings.Contains(err.Error(), f.cert) || !strings.Contains(err.Error(), f.key) {
			t.Fatalf("without files: %v", err)
		}
	}
	if p.Renew() == nil || p.Current() != nil {
		t.Fatal("something is served without files")
	}
	f.issue(t, 1, -time.Minute)
	if err := p.Renew(); err != nil || p.Current() == nil {
		t.Fatalf("the first certificate: %v", err)
	}
	if log.Len() > 0 {
		t.Fatalf("told beside the errors:\n%s", log.String())
	}
}

type files struct{ cert, key string }

func newFiles(t *testing.T) files {
	dir := t.TempDir()
	return files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

func (f files) write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate of that serial number and life, and its key.
func (f files) issue(t *testing.T, serial int64, life time.Duration) {
	t.Helper()
	key := f.issueCert(t, serial, life)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (f files) issueCert(t *testing.T, serial int64, life time.Duration) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return key
}
