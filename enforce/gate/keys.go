package gate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// The entries of the Secret that the replicas share.
const (
	caCerts   = "ca.crt"    // those that are trusted, the newest first
	caKey     = "ca.key"    // of the newest
	tlsCert   = "tls.crt"   // serving
	tlsKey    = "tls.key"   //
	grantsKey = "grant.key" // seals break-glass grants
)

const (
	caLife      = 365 * 24 * time.Hour
	servingLife = 30 * 24 * time.Hour
	// backdate lets a certificate be used by clocks that are behind.
	backdate = 24 * time.Hour
	// overlap is how long a new CA is trusted before it signs: every API server and
	// replica must have heard of it.
	overlap = 10 * time.Minute
)

// ErrConflict is what a KeyStore's Write wraps when somebody wrote in between.
var ErrConflict = errors.New("somebody else wrote in between")

// KeyStore is where the replicas share their keys.
type KeyStore struct {
	Read  func(ctx context.Context) (data map[string][]byte, version string, err error)
	Write func(ctx context.Context, data map[string][]byte, version string) error
}

// MemoryStore keeps the keys of a gate without replicas, which makes new ones at its next start.
func MemoryStore() KeyStore {
	var kept map[string][]byte
	return KeyStore{
		Read:  func(context.Context) (map[string][]byte, string, error) { return kept, "", nil },
		Write: func(_ context.Context, data map[string][]byte, _ string) error { kept = data; return nil },
	}
}

// Keys are the serving certificate, its CA, and the key of the seals, which the gate
// makes, shares and renews by itself.
type Keys struct {
	store KeyStore
	hosts []string // names and addresses of the certificate
	now   func() time.Time
	log   *slog.Logger
	held  atomic.Pointer[held]
}

type held struct {
	certificate *tls.Certificate
	bundle      []byte
	grants      []byte
}

// NewKeys gives keys that are empty until Renew.
func NewKeys(store KeyStore, hosts []string, now func() time.Time, log *slog.Logger) *Keys {
	return &Keys{store: store, hosts: hosts, now: now, log: log}
}

// Certificate is the serving certificate; nil before the first Renew.
func (k *Keys) Certificate() *tls.Certificate {
	if h := k.held.Load(); h != nil {
		return h.certificate
	}
	return nil
}

// Bundle is the PEM of the CAs to trust.
func (k *Keys) Bundle() []byte {
	if h := k.held.Load(); h != nil {
		return h.bundle
	}
	return nil
}

// GrantKey is the key of the seals.
func (k *Keys) GrantKey() []byte {
	if h := k.held.Load(); h != nil {
		return h.grants
	}
	return nil
}

// Renew reads the keys, makes what is lacking or ends soon, and uses what is there. Of
// several replicas that do so at once, one wins, and the others read again.
func (k *Keys) Renew(ctx context.Context) error {
	const tries = 5
	for try := 1; ; try++ {
		data, version, err := k.store.Read(ctx)
		if err != nil {
			return fmt.Errorf("the gate's keys: %w", err)
		}
		renewed, changes, err := renew(data, k.hosts, k.now())
		if err != nil {
			return fmt.Errorf("the gate's keys: %w", err)
		}
		if len(changes) > 0 {
			err = k.store.Write(ctx, renewed, version)
			if errors.Is(err, ErrConflict) && try < tries {
				continue
			}
			if err != nil {
				return fmt.Errorf("the gate's keys: %w", err)
			}
			k.log.Info("keys were made", "what", changes)
		}
		pair, err := tls.X509KeyPair(renewed[tlsCert], renewed[tlsKey])
		if err != nil {
			return fmt.Errorf("the gate's keys: %w", err)
		}
		k.held.Store(&held{&pair, renewed[caCerts], renewed[grantsKey]})
		return nil
	}
}

// renew gives the keys with what is lacking, what cannot be read and what ends soon made
// anew, and says what that was.
func renew(data map[string][]byte, hosts []string, now time.Time) (map[string][]byte, []string, error) {
	data = maps.Clone(data)
	if data == nil {
		data = map[string][]byte{}
	}
	var changes []string
	authorities := slices.DeleteFunc(certificates(data[caCerts]), func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) })
	key, err := privateKey(data[caKey])
	if err != nil || len(authorities) == 0 || !authorities[0].PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) || old(authorities[0], now) {
		fresh, freshKey, err := issue(nil, nil, nil, now, caLife)
		if err != nil {
			return nil, nil, err
		}
		authorities, key = slices.Insert(authorities, 0, fresh), freshKey
		if data[caKey], err = keyPEM(key); err != nil {
			return nil, nil, err
		}
		changes = append(changes, "CA")
	}
	bundle := certPEM(authorities...)
	if !bytes.Equal(bundle, data[caCerts]) && len(changes) == 0 {
		changes = append(changes, "CA that ended, removed")
	}
	data[caCerts] = bundle
	if why := unfit(data, authorities, hosts, now); why != "" {
		// The newest CA signs once everybody has heard of it, or where no other's
		// certificate is in use.
		cert, certKey, err := issue(authorities[0], key, hosts, now, servingLife)
		if err != nil {
			return nil, nil, err
		}
		data[tlsCert] = certPEM(cert)
		if data[tlsKey], err = keyPEM(certKey); err != nil {
			return nil, nil, err
		}
		changes = append(changes, "serving certificate: "+why)
	}
	if len(data[grantsKey]) < 32 {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		data[grantsKey] = secret
		changes = append(changes, "key of the grants")
	}
	return data, changes, nil
}

// unfit says why there has to be another serving certificate; "" if it may stay.
func unfit(data map[string][]byte, authorities []*x509.Certificate, hosts []string, now time.Time) string {
	pair, err := tls.X509KeyPair(data[tlsCert], data[tlsKey])
	if err != nil {
		return "there is none"
	}
	leaf := pair.Leaf
	pool := x509.NewCertPool()
	for _, c := range authorities {
		pool.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now}); err != nil {
		return "it is not valid"
	}
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			return "it is not for " + host
		}
	}
	newest := authorities[0]
	signs := now.Sub(newest.NotBefore) > backdate+overlap
	switch {
	case old(leaf, now) && (signs || leaf.CheckSignatureFrom(newest) == nil):
		return "it ends soon"
	case signs && leaf.CheckSignatureFrom(newest) != nil:
		return "there is a new CA"
	}
	return ""
}

// old reports whether two thirds of a certificate's life are over.
func old(c *x509.Certificate, now time.Time) bool {
	begin := c.NotBefore.Add(backdate)
	return now.Sub(begin) > c.NotAfter.Sub(begin)*2/3
}

// issue makes a CA (of itself), or a serving certificate for hosts.
func issue(parent *x509.Certificate, parentKey *ecdsa.PrivateKey, hosts []string, now time.Time, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "bailey gate"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if parent == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage, template.MaxPathLenZero = true, x509.KeyUsageCertSign, nil, true
		// CAs of one name would be told apart by their keys only.
		template.Subject.CommonName = "bailey gate CA " + now.UTC().Format("2006-01-02T15:04:05")
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // to memory
	}
	return b.Bytes()
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// certificates reads those with ECDSA keys, which the gate's own are.
func certificates(data []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if _, ok := c.PublicKey.(*ecdsa.PublicKey); ok && len(all) < 8 {
			all = append(all, c)
		}
	}
	return all
}

func privateKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("a key of another kind")
	}
	return key, nil
}
