package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/baileyhq/bailey"
)

// selfMade writes a certificate of its own for loopback, and its key, and gives their paths.
func selfMade(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	made, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	writeText(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})))
	writeText(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return cert, key
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSender: a receiver that wants credentials and a client's certificate gets them out of the files,
// which are read again when they change; one of another authority gets nothing.
func TestSender(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfMade(t, dir, "receiver")
	clientCert, clientKey := selfMade(t, dir, "client")
	selfMade(t, dir, "another")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	pemOf, err := os.ReadFile(clientCert)
	if err != nil {
		t.Fatal(err)
	}
	clients.AppendCertsFromPEM(pemOf)
	var seen http.Header
	calls := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header; calls++ }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	defer s.Close()
	n := &Notifier{Store: openStore(t), Now: time.Now}
	send := func(client *http.Client) error {
		return n.post(t.Context(), client, Endpoint{URL: s.URL}, "", []byte("{}"))
	}
	tlsConfig := func(ca string) string {
		return fmt.Sprintf("tls_config: {ca_file: %s.crt, cert_file: %s, key_file: %s}\n", ca, filepath.Base(clientCert), filepath.Base(clientKey))
	}
	path, token := filepath.Join(dir, "http.yaml"), filepath.Join(dir, "token")
	for kind, text := range map[string]string{"Bearer ": "authorization: {credentials_file: token}\n", "Basic ": "basic_auth: {username: bailey, password_file: token}\n"} {
		writeText(t, path, text+tlsConfig("receiver"))
		writeText(t, token, "first")
		client, err := NewSender(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(client); err != nil || !strings.HasPrefix(seen.Get("Authorization"), kind) {
			t.Errorf("%s: %v %q", kind, err, seen)
		}
		first := seen.Get("Authorization")
		writeText(t, token, "second\n")
		if err := send(client); err != nil || seen.Get("Authorization") == first || strings.HasSuffix(seen.Get("Authorization"), "\n") {
			t.Errorf("%s: after the file changed: %v %q", kind, err, seen)
		}
	}
	writeText(t, path, "authorization: {credentials_file: token}\n"+tlsConfig("another"))
	client, err := NewSender(path)
	if err != nil {
		t.Fatal(err)
	}
	before := calls
	if err := send(client); err == nil || calls != before {
		t.Errorf("who is of another authority was told: %v", err)
	}
	if err := send(nil); err == nil || calls != before {
		t.Errorf("whom the system does not trust was told: %v", err)
	}
}

// TestSenderFiles: what cannot be used is said, and no secret with it.
func TestSenderFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.yaml")
	for text, want := range map[string]string{
		"":                               "is empty",
		"sEcReT":                         "cannot unmarshal",
		"basic_auth: sEcReT":             "cannot unmarshal",
		"bearer: x":                      "field bearer not found",
		"tls_config: {ca_file: none}":    "none: no such file",
		"authorization: {type: Basic}":   "basic_auth",
		strings.Repeat("# much\n", 9999): "larger than 64 KiB",
	} {
		writeText(t, path, text)
		if _, err := NewSender(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sEcReT") {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// TestAlertmanagerWithPassword: a real Alertmanager that speaks TLS and wants a password is told.
func TestAlertmanagerWithPassword(t *testing.T) {
	if _, err := exec.LookPath("prometheus-alertmanager"); err != nil {
		t.Skip("no Alertmanager is here: make packages")
	}
	dir := t.TempDir()
	selfMade(t, dir, "manager")
	hash, err := bcrypt.GenerateFromPassword([]byte("the password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "web.yml"), fmt.Sprintf("tls_server_config: {cert_file: manager.crt, key_file: manager.key}\nbasic_auth_users: {bailey: %q}\n", hash))
	writeText(t, filepath.Join(dir, "alertmanager.yml"), "route: {receiver: none}\nreceivers: [{name: none}]\n")
	writeText(t, filepath.Join(dir, "password"), "the password\n")
	writeText(t, filepath.Join(dir, "http.yaml"), "basic_auth: {username: bailey, password_file: password}\ntls_config: {ca_file: manager.crt}\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command("prometheus-alertmanager", "--config.file="+filepath.Join(dir, "alertmanager.yml"), "--storage.path="+filepath.Join(dir, "data"),
		"--web.config.file="+filepath.Join(dir, "web.yml"), "--web.listen-address="+address, "--cluster.listen-address=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	client, err := NewSender(filepath.Join(dir, "http.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (code int, body string) {
		answer, err := client.Get("https://" + address + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		var text [64 << 10]byte
		n, _ := answer.Body.Read(text[:])
		return answer.StatusCode, string(text[:n])
	}
	await(t, "Alertmanager", patience, func() bool { code, _ := get("/-/ready"); return code == http.StatusOK })
	w := newTelling(t)
	w.Alertmanagers, w.AlertmanagerClient = []string{"https://" + address}, client
	w.External = &url.URL{Scheme: "https", Host: "bailey.example.com"}
	w.raise(t, "finding/a/b/c/shop", "a/b", bailey.SeverityHigh)
	w.run(t)
	await(t, "the alert", patience, func() bool { _, body := get("/api/v2/alerts"); return strings.Contains(body, "finding/a/b/c/shop") })
	if _, body := get("/api/v2/alerts"); !strings.Contains(body, `"generatorURL":"https://bailey.example.com/`) {
		t.Errorf("it names no page: %s", body)
	}
	if strings.Contains(w.log.String(), "the password") {
		t.Errorf("the log holds the password: %s", w.log)
	}
}
