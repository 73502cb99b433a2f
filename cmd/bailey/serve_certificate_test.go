package main

import (
	"crypto/tls"
	"testing"
	"time"
)

// TestSelfSigned: a certificate is kept from start to start, and made anew where it ends soon or
// names somebody else.
func TestSelfSigned(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var last string
	for _, c := range []struct {
		name  string
		names []string
		at    time.Time
		same  bool
	}{
		{"first", []string{"bailey.bailey.svc"}, now, false},
		{"again", []string{"bailey.bailey.svc"}, now.Add(time.Hour), true},
		{"another name", []string{"bailey.other.svc", "10.0.0.1"}, now.Add(time.Hour), false},
		{"ends soon", []string{"bailey.other.svc", "10.0.0.1"}, now.Add(selfSignedFor - selfSignedLeft + 2*time.Hour), false},
	} {
		certFile, keyFile, fingerprint, err := selfSigned(dir, c.names, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if (fingerprint == last) != c.same {
			t.Errorf("%s: the certificate is %s after %s", c.name, fingerprint, last)
		}
		last = fingerprint
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(c.names, "localhost", "127.0.0.1") {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if c.at.After(pair.Leaf.NotAfter) || c.at.Before(pair.Leaf.NotBefore) {
			t.Errorf("%s: not valid at %s", c.name, c.at)
		}
	}
}
