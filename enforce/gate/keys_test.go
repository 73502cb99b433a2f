package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"
)

// shared is a KeyStore in memory.
type shared struct {
	mu      sync.Mutex
	data    map[string][]byte
	version int
	writes  int
}

func (s *shared) store() KeyStore {
	return KeyStore{
		Read: func(context.Context) (map[string][]byte, string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return maps.Clone(s.data), strconv.Itoa(s.version), nil
		},
		Write: func(_ context.Context, data map[string][]byte, version string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if version != strconv.Itoa(s.version) {
				return fmt.Errorf("%w: version %s", ErrConflict, version)
			}
			s.data, s.version, s.writes = maps.Clone(data), s.version+1, s.writes+1
			return nil
		},
	}
}

const host = "bailey-gate.bailey.svc"

// accepts reports whether a client that trusts the bundle accepts the certificate.
func accepts(c *tls.Certificate, bundle []byte, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: now})
	return err
}

// TestKeysOverTwoYears lets two replicas renew every five minutes, and an API server
// that hears of the CA five minutes late, by a clock that is an hour wrong: it accepts
// every replica's certificate all the time.
func TestKeysOverTwoYears(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s := &shared{}
	a, b := NewKeys(s.store(), []string{host}, clock, discard), NewKeys(s.store(), []string{host}, clock, discard)
	var late []byte
	grants := ""
	leaves, authorities := map[string]bool{}, map[string]bool{}
	end := now.AddDate(2, 0, 0)
	for now.Before(end) {
		for _, k := range []*Keys{a, b} {
			if err := k.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			if late == nil {
				late = a.Bundle()
			}
			for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
				if err := accepts(k.Certificate(), late, now.Add(skew)); err != nil {
					t.Fatalf("%s: %v", now, err)
				}
			}
		}
		late = b.Bundle()
		leaves[a.Certificate().Leaf.SerialNumber.String()] = true
		authorities[string(a.Bundle()[:200])] = true
		if grants == "" {
			grants = string(a.GrantKey())
		}
		// Large steps while nothing happens, small ones while the CA changes.
		step, newest := 12*time.Hour, certificates(a.Bundle())[0]
		if old(newest, now.Add(step)) || a.Certificate().Leaf.CheckSignatureFrom(newest) != nil {
			step = 5 * time.Minute
		}
		now = now.Add(step)
	}
	if len(leaves) < 30 || len(authorities) < 3 || len(certificates(a.Bundle())) > 2 {
		t.Errorf("in two years there were %d certificates of %d CAs, %d of which are trusted", len(leaves), len(authorities), len(certificates(a.Bundle())))
	}
	if string(a.GrantKey()) != grants || grants != string(b.GrantKey()) || len(grants) != 32 {
		t.Error("the key of the grants changed")
	}
}

// TestKeysRace starts many replicas at once: they end with the same keys.
func TestKeysRace(t *testing.T) {
	s := &shared{}
	var group sync.WaitGroup
	all := make([]*Keys, 8)
	for i := range all {
		all[i] = NewKeys(s.store(), []string{host}, time.Now, discard)
		group.Go(func() {
			if err := all[i].Renew(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, k := range all {
		if k.Certificate().Leaf.SerialNumber.Cmp(all[0].Certificate().Leaf.SerialNumber) != 0 || s.writes != 1 {
			t.Errorf("different keys after %d writes", s.writes)
		}
	}
}

// TestKeysDamaged: what cannot be read or does not fit is made anew.
func TestKeysDamaged(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	whole, _, err := renew(nil, []string{host}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, changes, _ := renew(whole, []string{host}, now); len(changes) != 0 {
		t.Fatalf("what is whole is changed: %v", changes)
	}
	for _, entry := range []string{caCerts, caKey, tlsCert, tlsKey, grantsKey} {
		for _, value := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", string(whole[tlsCert]), string(whole[caKey])} {
			data := maps.Clone(whole)
			data[entry] = []byte(value)
			mended, _, err := renew(data, []string{host}, now)
			if err != nil {
				t.Errorf("%s = %.20q: %v", entry, value, err)
				continue
			}
			pair, err := tls.X509KeyPair(mended[tlsCert], mended[tlsKey])
			if err != nil {
				t.Errorf("%s = %.20q: %v", entry, value, err)
				continue
			}
			if err := accepts(&pair, mended[caCerts], now); err != nil {
				t.Errorf("%s = %.20q: %v", entry, value, err)
			}
		}
	}
	other, changes, err := renew(whole, []string{host, "127.0.0.1"}, now)
	if err != nil || len(changes) != 1 {
		t.Fatal(changes, err)
	}
	pair, _ := tls.X509KeyPair(other[tlsCert], other[tlsKey])
	if err := pair.Leaf.VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
}
