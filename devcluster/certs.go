package devcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetimes. CAs live as long as the state folder may; what they sign is made again
// at each Start.
const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	clockSkew    = 5 * time.Minute
)

// The user that the API server is to a kubelet.
const kubeletClientUser = "kube-apiserver-kubelet-client"

// keyPair is a certificate and its key, in memory.
type keyPair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// subject is whom a certificate is for: a user and its groups, for a client.
type subject struct {
	name   string
	groups []string
	hosts  []string // names and IP addresses, for a server
	client bool
}

// makePKI fills the folder dir. What lasts (the CAs and the service account key) is
// kept if it is there; the rest is issued anew. address is the API server's.
func makePKI(dir, address string) error {
	cluster, err := authority(dir, "ca", "bailey-devcluster-ca")
	if err != nil {
		return err
	}
	etcd, err := authority(dir, "etcd-ca", "bailey-devcluster-etcd-ca")
	if err != nil {
		return err
	}
	front, err := authority(dir, "front-proxy-ca", "bailey-devcluster-front-proxy-ca")
	if err != nil {
		return err
	}
	local := []string{"localhost", "127.0.0.1"}
	api := append([]string{address, serviceIP, networkIP,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, local...)
	for _, leaf := range []struct {
		file string
		ca   *keyPair
		subject
	}{
		{"apiserver", cluster, subject{name: "kube-apiserver", hosts: api}},
		{"apiserver-kubelet-client", cluster, subject{name: kubeletClientUser, client: true}},
		{"admin", cluster, subject{name: "admin", groups: []string{"system:masters"}, client: true}},
		{"controller-manager", cluster, subject{name: "system:kube-controller-manager", hosts: local, client: true}},
		{"scheduler", cluster, subject{name: "system:kube-scheduler", hosts: local, client: true}},
		{"proxy", cluster, subject{name: "system:kube-proxy", client: true}},
		{"front-proxy", front, subject{name: "front-proxy-client", client: true}},
		{"etcd", etcd, subject{name: "etcd", hosts: local, client: true}}, // its gateway and its peers are clients of it
		{"etcd-client", etcd, subject{name: "kube-apiserver-etcd-client", client: true}},
	} {
		pair, err := leaf.ca.issue(leaf.subject)
		if err != nil {
			return fmt.Errorf("certificate %s: %w", leaf.file, err)
		}
		if err := pair.write(dir, leaf.file); err != nil {
			return err
		}
	}
	return serviceAccountKey(dir)
}

// authority reads the CA of that file name, or makes it.
func authority(dir, file, name string) (*keyPair, error) {
	pair, err := readPair(dir, file)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return pair, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := template(name, caLifetime)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	pair, err = sign(template, key, &keyPair{cert: template, key: key})
	if err != nil {
		return nil, err
	}
	return pair, pair.write(dir, file)
}

// issue signs a certificate with a new key.
func (ca *keyPair) issue(s subject) (*keyPair, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := template(s.name, leafLifetime)
	template.Subject.Organization = s.groups
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if s.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if len(s.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range s.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return sign(template, key, ca)
}

func template(name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSkew),
		NotAfter:  now.Add(life),
	}
}

// sign fills in the serial number and signs for key with the CA.
func sign(template *x509.Certificate, key *ecdsa.PrivateKey, ca *keyPair) (*keyPair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &keyPair{cert: cert, key: key}, err
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func (p *keyPair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p *keyPair) keyPEM() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// tls returns the pair as a TLS certificate.
func (p *keyPair) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}
}

// write stores the pair as file.crt and file.key; the key first, so that a
// certificate on disk always has its key.
func (p *keyPair) write(dir, file string) error {
	key, err := p.keyPEM()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, file+".key"), key); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, file+".crt"), p.certPEM())
}

// readPair reads file.crt and file.key. The error is os.ErrNotExist, wrapped, when
// there is no certificate.
func readPair(dir, file string) (*keyPair, error) {
	path := filepath.Join(dir, file+".crt")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(path, filepath.Join(dir, file+".key"))
	if err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: its key is not ECDSA", path)
	}
	return &keyPair{cert: pair.Leaf, key: key}, nil
}

// serviceAccountKey makes the key that signs the tokens of ServiceAccounts, if it is
// not there.
func serviceAccountKey(dir string) error {
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if _, err := os.Stat(public); err == nil {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	b, err := (&keyPair{key: key}).keyPEM()
	if err != nil {
		return err
	}
	if err := writeFile(private, b); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writeFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
