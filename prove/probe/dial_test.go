package probe

import (
	"bufio"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// inAWord is a report in a word.
func inAWord(r Report) string {
	switch {
	case r.Failed:
		return "failed"
	case r.Accepted:
		return "accepted"
	}
	return string(r.Refuser)
}

// tlsServer starts a server that speaks the versions from least on, and its address.
func tlsServer(t *testing.T, least uint16, client tls.ClientAuthType) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MinVersion: least, ClientAuth: client}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestVersions: a server turns a version down by saying so. That it wants a
// client certificate says nothing of versions.
func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		least  uint16
		client tls.ClientAuthType
		want   map[string]string
	}{
		"TLS 1.2 or newer":                     {tls.VersionTLS12, tls.NoClientCert, map[string]string{"1.0": "TLS", "1.1": "TLS", "1.2": "accepted", "1.3": "accepted"}},
		"any version":                          {tls.VersionTLS10, tls.NoClientCert, map[string]string{"1.0": "accepted", "1.1": "accepted", "1.3": "accepted"}},
		"TLS 1.2 or newer, and who you are":    {tls.VersionTLS12, tls.RequireAndVerifyClientCert, map[string]string{"1.0": "TLS", "1.1": "TLS", "1.2": "accepted", "1.3": "accepted"}},
		"any version, if it knows who you are": {tls.VersionTLS10, tls.RequireAndVerifyClientCert, map[string]string{"1.0": "accepted", "1.1": "accepted", "1.3": "accepted"}},
	} {
		address := tlsServer(t, c.least, c.client)
		for version, want := range c.want {
			r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: address, TLS: &bailey.TLS{MaxVersion: version, VersionOnly: true}}})
			if got := inAWord(r); got != want {
				t.Errorf("%s, TLS %s: %s, want %s: %s", name, version, got, want, r.Message)
			}
		}
	}
	// One that hangs up has said nothing of versions.
	address := hangsUp(t)
	if r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: address, TLS: &bailey.TLS{MaxVersion: "1.1", VersionOnly: true}}}); !r.Failed {
		t.Errorf("a server that hangs up has refused TLS 1.1: %+v", r)
	}
}

// hangsUp listens, reads a request or a handshake, and closes the connection.
func hangsUp(t *testing.T) string {
	t.Helper()
	return listens(t, func(c net.Conn) { _, _ = bufio.NewReader(c).ReadByte() })
}

// listens does something with each connection, and closes it.
func listens(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				do(c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// TestPlainText: a server for TLS turns plain text down in its own ways; an API
// that says 400 in clear, or a server that hangs up, has not.
func TestPlainText(t *testing.T) {
	says := func(body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	// A server for TLS that closes the connection on plain text without a word.
	silent, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: certificate(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = c.(*tls.Conn).HandshakeContext(t.Context())
				c.Close()
			}()
		}
	}()
	for name, c := range map[string]struct{ address, want string }{
		"Go's server":               {tlsServer(t, tls.VersionTLS12, tls.NoClientCert), "TLS"},
		"nginx":                     {says("<center>The plain HTTP request was sent to HTTPS port</center>"), "TLS"},
		"a server that closes":      {silent.Addr().String(), "TLS"},
		"an API that says 400":      {says(`{"error":"no version given"}`), "failed"},
		"a server that just closes": {hangsUp(t), "failed"},
	} {
		r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: c.address, HTTP: "/"}})
		if got := inAWord(r); got != c.want {
			t.Errorf("%s: %s, want %s: %s", name, got, c.want, r.Message)
		}
	}
	// The question of network/mesh is judged by the same rule.
	for address, want := range map[string]string{silent.Addr().String(): "TLS", hangsUp(t): "failed"} {
		r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: address, Plain: true}})
		if got := inAWord(r); got != want {
			t.Errorf("OPTIONS *: %s, want %s: %s", got, want, r.Message)
		}
	}
}

// TestHandshake: a server turns a client down by an alert, and so does a client whose
// verification fails. One that hangs up, or that speaks something else, has not.
func TestHandshake(t *testing.T) {
	clear := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(clear.Close)
	banner := listens(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-test\r\n") })
	taken := tlsServer(t, tls.VersionTLS13, tls.NoClientCert)
	certified := certificate(t)
	// It takes the handshake and hangs up: whether it wanted a certificate cannot be told.
	after := listens(t, func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{GetCertificate: certified}).HandshakeContext(t.Context())
	})
	for name, c := range map[string]struct {
		address string
		tls     bailey.TLS
		want    string
	}{
		"a server that takes all":               {taken, bailey.TLS{}, "accepted"},
		"a server that asks who":                {tlsServer(t, tls.VersionTLS13, tls.RequireAndVerifyClientCert), bailey.TLS{}, "TLS"},
		"a server that asks who, by TLS 1.2":    {tlsServer(t, tls.VersionTLS12, tls.RequireAndVerifyClientCert), bailey.TLS{MaxVersion: "1.2"}, "TLS"},
		"a certificate of an unknown authority": {taken, bailey.TLS{CA: someCA(t)}, "TLS"},
		"a server that hangs up":                {hangsUp(t), bailey.TLS{}, "failed"},
		"a server that hangs up afterwards":     {after, bailey.TLS{}, "failed"},
		"a server of HTTP in clear":             {clear.Listener.Addr().String(), bailey.TLS{}, "failed"},
		"a server that speaks something else":   {banner, bailey.TLS{}, "failed"},
	} {
		r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: c.address, TLS: &c.tls}})
		if got := inAWord(r); got != c.want {
			t.Errorf("%s: %s, want %s: %s", name, got, c.want, r.Message)
		}
	}
}

// someCA is a certificate, in PEM, that signed nothing else.
func someCA(t *testing.T) string {
	pair, err := certificate(t)(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: leaf.NotAfter, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, made, made, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// certificate gives that of a test server.
func certificate(t *testing.T) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	pair := s.TLS.Certificates[0]
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
}

// TestAgent: every request over HTTP says whose it is.
func TestAgent(t *testing.T) {
	seen := make(chan string, 2)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Method + " " + r.UserAgent() }))
	s.Config.DisableGeneralOptionsHandler = true // it would answer OPTIONS * itself
	s.Start()
	defer s.Close()
	ctx := AsAgent(t.Context(), "bailey-prober/1 (run x-001)\r\n")
	for want, d := range map[string]*bailey.Dial{
		"GET bailey-prober/1 (run x-001)":     {HTTP: "/"},
		"OPTIONS bailey-prober/1 (run x-001)": {Plain: true},
	} {
		d.Address = s.Listener.Addr().String()
		if r := Do(ctx, &bailey.Task{Dial: d}); !r.Accepted {
			t.Errorf("%+v", r)
		}
		if got := <-seen; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestTLSElsewhere: a proxy that takes TLS at a port of its own turns plain text down at others.
func TestTLSElsewhere(t *testing.T) {
	proxy := httptest.NewTLSServer(http.NotFoundHandler())
	defer proxy.Close()
	at := proxy.Listener.Addr().String()
	if r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: hangsUp(t), Plain: true, TLSAt: at}}); r.Refuser != bailey.RefuserTLS || !strings.Contains(r.Message, at) {
		t.Errorf("%+v", r)
	}
	if r := Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: hangsUp(t), Plain: true, TLSAt: hangsUp(t)}}); !r.Failed {
		t.Errorf("nobody speaks TLS: %+v", r)
	}
}
