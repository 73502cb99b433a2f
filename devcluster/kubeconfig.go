package devcluster

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// KubeconfigFor writes a kubeconfig for any user and groups, with a new client
// certificate inside, and returns its path, in the state folder. Such a certificate
// cannot be withdrawn; it is good until the cluster's CA goes.
func (c *Cluster) KubeconfigFor(user string, groups ...string) (string, error) {
	pair, err := c.clientCertificate(user, groups)
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(c.Kubeconfig), fileName(user, groups)+".kubeconfig")
	if err := c.writeKubeconfig(path, c.RESTHost, user, pair); err != nil {
		return "", fmt.Errorf("devcluster: kubeconfig for %q: %w", user, err)
	}
	return path, nil
}

// HTTPClientFor returns a client that is that user, in those groups, to the API
// server. It sets no time limit: bound each request by its context.
func (c *Cluster) HTTPClientFor(user string, groups ...string) (*http.Client, error) {
	pair, err := c.clientCertificate(user, groups)
	if err != nil {
		return nil, err
	}
	return c.httpClient("ca", pair)
}

func (c *Cluster) clientCertificate(user string, groups []string) (*keyPair, error) {
	if user == "" {
		return nil, fmt.Errorf("devcluster: a client certificate needs a user name")
	}
	ca, err := readPair(c.PKI, "ca")
	if err != nil {
		return nil, fmt.Errorf("devcluster: the cluster's CA: %w", err)
	}
	pair, err := ca.issue(subject{name: user, groups: groups, client: true})
	if err != nil {
		return nil, fmt.Errorf("devcluster: certificate for %q: %w", user, err)
	}
	return pair, nil
}

// fileName makes a readable file name that differs for different identities.
func fileName(user string, groups []string) string {
	readable := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, user)
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", user, groups))
	return fmt.Sprintf("%.60s-%x", strings.TrimLeft(readable, "."), sum[:4])
}

// writeKubeconfig writes a kubeconfig that holds the CA, certificate and key itself.
func (c *Cluster) writeKubeconfig(path, server, user string, pair *keyPair) error {
	ca, err := os.ReadFile(filepath.Join(c.PKI, "ca.crt"))
	if err != nil {
		return err
	}
	key, err := pair.keyPEM()
	if err != nil {
		return err
	}
	quoted, err := json.Marshal(user) // a JSON string is a YAML string
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	return writeFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: devcluster
contexts:
- name: devcluster
  context:
    cluster: devcluster
    user: %[1]s
clusters:
- name: devcluster
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
`, quoted, server, b64(ca), b64(pair.certPEM()), b64(key)))
}

// pool returns the certificate of one of the cluster's CAs.
func (c *Cluster) pool(ca string) (*x509.CertPool, error) {
	b, err := os.ReadFile(filepath.Join(c.PKI, ca+".crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s.crt holds no certificate", ca)
	}
	return pool, nil
}
