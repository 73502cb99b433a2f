package probe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/baileyhq/bailey"
)

const (
	dialLimit   = 3 * time.Second
	waitLimit   = 30 * time.Second
	retryEvery  = 200 * time.Millisecond
	answerLimit = 64 << 10
	tokenFile   = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// dial opens the connection, makes the handshake and, if asked, one request.
func dial(ctx context.Context, d *bailey.Dial) Report {
	select {
	case <-time.After(min(d.After, waitLimit)):
	case <-ctx.Done():
		return failed("%v", ctx.Err())
	}
	if d.First != "" {
		if err := reach(ctx, d.First); err != nil {
			return failed("no network to try it from: %v", err)
		}
	}
	limit := d.Timeout
	if limit <= 0 {
		limit = dialLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", bracketed(d.Address))
	if err != nil {
		return unreached(err)
	}
	defer plain.Close()
	deadline, _ := ctx.Deadline()
	_ = plain.SetDeadline(deadline)
	conn, said := plain, "connected to "+d.Address
	if d.TLS != nil {
		config, err := tlsConfig(d.TLS, d.Address)
		if err != nil {
			return failed("%v", err)
		}
		met := false
		if d.TLS.Met {
			config.VerifyPeerCertificate = func(chain [][]byte, _ [][]*x509.Certificate) error { met = len(chain) > 0; return nil }
		}
		secure := tls.Client(plain, config)
		err = secure.HandshakeContext(ctx)
		if met {
			return accepted("%s, which showed a certificate", said)
		}
		if d.TLS.VersionOnly {
			return spoken(secure, err)
		}
		if err != nil {
			return unshaken(err)
		}
		if d.TLS.Invalid {
			return validity(secure.ConnectionState().PeerCertificates, config)
		}
		if err := asked(secure, d); err != nil {
			return unshaken(err)
		}
		conn, said = secure, said+" by "+tls.VersionName(secure.ConnectionState().Version)
	}
	if d.Plain {
		return options(ctx, conn, d)
	}
	if d.HTTP == "" {
		return accepted("%s", said)
	}
	return get(ctx, conn, d)
}

// reach connects to an address, again and again until that works once.
func reach(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for {
		conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", bracketed(address))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryEvery):
		}
	}
}

// bracketed puts an IPv6 address, as an object's status gives it, into brackets.
func bracketed(address string) string {
	i := strings.LastIndexByte(address, ':')
	if i < 0 || address[0] == '[' || !strings.Contains(address[:i], ":") {
		return address
	}
	return net.JoinHostPort(address[:i], address[i+1:])
}

// unreached tells who kept the connection from being made. A refused
// connection is an answer of the other end, which nobody listens at, or of the
// network plugin; silence is the network's. A name that does not resolve or an
// interface that is down shows nothing.
func unreached(err error) Report {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return failed("%v", err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPERM), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return refused(bailey.RefuserNetwork, "%v", err)
	}
	return failed("%v", err)
}

// cutOff tells that the other end closed the connection without an answer, as
// some servers do that expect a handshake.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// unshaken tells a handshake that the other end, or our own verification,
// turned down in so many words from one that came to nothing: one who hangs up, or
// who speaks no TLS, has refused nobody.
func unshaken(err error) Report {
	var ours *tls.CertificateVerificationError
	switch {
	case isAlert(err, ""), errors.As(err, &ours):
		return refused(bailey.RefuserTLS, "%v", err)
	case isTimeout(err):
		return failed("the handshake came to no end: %v", err)
	case cutOff(err):
		return failed("the other end hung up in the handshake: %v", err)
	}
	return failed("the other end does not speak TLS as it should: %v", err)
}

// spoken tells whether the server speaks a version that was offered. What it says
// once it has shown its certificate is about the client's.
func spoken(c *tls.Conn, err error) Report {
	state := c.ConnectionState()
	switch {
	case err == nil, isAlert(err, "") && len(state.PeerCertificates) > 0:
		return accepted("%s is spoken", tls.VersionName(state.Version))
	case isAlert(err, "protocol version not supported"):
		return refused(bailey.RefuserTLS, "%v", err)
	}
	return failed("whether the version is spoken cannot be told: %v", err)
}

// isAlert tells an alert of the other end from our own errors and from the
// network's; of those with a text only that one. crypto/tls does not export the
// type of alerts that come over TCP.
func isAlert(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), "remote error: tls: "+text)
}

// speaksTLS reports whether the address answers a handshake as a server does,
// whatever it wants of the client.
func speaksTLS(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", bracketed(address))
	if err != nil {
		return false
	}
	defer conn.Close()
	config, err := tlsConfig(&bailey.TLS{}, address)
	if err != nil {
		return false
	}
	secure := tls.Client(conn, config)
	err = secure.HandshakeContext(ctx)
	return err == nil || isAlert(err, "")
}

// validity tells a certificate that is over, or that is another's, from a valid one.
// Whether an authority is known depends on where the prober runs, and shows nothing.
func validity(chain []*x509.Certificate, config *tls.Config) Report {
	options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: config.ServerName, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case err == nil:
		return refused(bailey.RefuserTLS, "the certificate is valid for %s until %s", config.ServerName, chain[0].NotAfter.UTC().Format(time.DateOnly))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired, errors.As(err, &name):
		return accepted("the certificate is not valid: %v", err)
	}
	return failed("whether the certificate is valid cannot be told here: %v", err)
}

// asked waits for the server's word where a client certificate may be
// demanded: in TLS 1.3 the client's handshake is over before the server has seen
// its certificate, so that the refusal comes with the first read.
func asked(c *tls.Conn, d *bailey.Dial) error {
	if c.ConnectionState().Version < tls.VersionTLS13 || d.HTTP != "" {
		return nil
	}
	const patience = 500 * time.Millisecond
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := c.Read(make([]byte, 1))
	if err != nil && !isTimeout(err) {
		return err
	}
	return nil // silence or data: the server took the handshake
}

func tlsConfig(t *bailey.TLS, address string) (*tls.Config, error) {
	versions := map[string]uint16{"": tls.VersionTLS13, "1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12, "1.1": tls.VersionTLS11, "1.0": tls.VersionTLS10}
	most, known := versions[t.MaxVersion]
	if !known {
		return nil, fmt.Errorf("no TLS version %q", t.MaxVersion)
	}
	// What is tried is how the server treats the client, so that without a CA its
	// certificate is not looked at; nothing is sent that would be worth stealing.
	c := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: most, ServerName: t.ServerName, InsecureSkipVerify: t.CA == "" || t.Invalid,
		NextProtos: t.Protocols}
	if c.ServerName == "" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			c.ServerName = host
		}
	}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("the CA given holds no certificate")
		}
	}
	if most < tls.VersionTLS12 {
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			c.CipherSuites = append(c.CipherSuites, suite.ID) // an old server may speak nothing else
		}
	}
	if t.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
		if err != nil {
			return nil, fmt.Errorf("the client certificate: %w", err)
		}
		// Sent whatever CAs the server names: whether it is taken is the question.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c, nil
}

// get sends one GET and judges by the status. Nothing of the body is kept.
func get(ctx context.Context, conn net.Conn, d *bailey.Dial) Report {
	target, err := url.Parse(d.HTTP)
	if err != nil {
		return failed("%v", err)
	}
	request := &http.Request{Method: http.MethodGet, URL: target, Host: d.Address, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {agentOf(ctx)}, "Connection": {"close"}}}
	switch {
	case d.Host != "":
		request.Host = d.Host
	case d.TLS != nil && d.TLS.ServerName != "":
		request.Host = d.TLS.ServerName
	}
	token := d.Token
	if d.OwnToken {
		data, err := os.ReadFile(tokenFile)
		if err != nil {
			return failed("the pod has no token: %v", err)
		}
		token = strings.TrimSpace(string(data))
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if err := request.Write(conn); err != nil {
		return noAnswer(ctx, d, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, answerLimit)), request)
	if err != nil {
		return noAnswer(ctx, d, err)
	}
	defer response.Body.Close()
	said := fmt.Sprintf("GET %s: %s", target.Path, response.Status)
	switch {
	case response.StatusCode == http.StatusBadRequest && d.TLS == nil && wantsTLS(response.Body):
		return refused(bailey.RefuserTLS, "%s: plain text was turned down", said)
	case d.TLS == nil && response.StatusCode/100 == 3 && strings.HasPrefix(strings.ToLower(response.Header.Get("Location")), "https://"):
		return refused(bailey.RefuserRedirect, "%s", said)
	case response.StatusCode == http.StatusUnauthorized:
		return refused(bailey.RefuserAuthentication, "%s", said)
	case response.StatusCode == http.StatusForbidden:
		return refused(bailey.RefuserAuthorization, "%s", said)
	case response.StatusCode < 400:
		return accepted("%s", said)
	}
	return failed("%s", said)
}

// noAnswer tells what it means that no answer came to a request. Where plain
// text was cut off by one who speaks TLS at the same address, or at that of his own, it was turned down;
// one who does not speak TLS may have hung up for any reason.
func noAnswer(ctx context.Context, d *bailey.Dial, err error) Report {
	switch {
	case isAlert(err, ""):
		return refused(bailey.RefuserTLS, "%v", err)
	case d.TLS == nil && !isTimeout(err) && cutOff(err) && speaksTLS(ctx, cmp.Or(d.TLSAt, d.Address)):
		return refused(bailey.RefuserTLS, "the connection was closed on plain text, and TLS is spoken at %s: %v", cmp.Or(d.TLSAt, d.Address), err)
	}
	return failed("no answer: %v", err)
}

// wantsTLS reports whether the body of a 400 says that plain text was sent to a
// port for TLS, as Go's server, nginx, Apache httpd and Tomcat say it. An API says
// 400 to much else.
func wantsTLS(body io.Reader) bool {
	data, _ := io.ReadAll(io.LimitReader(body, answerLimit)) // what came of it decides
	for _, text := range []string{
		"Client sent an HTTP request to an HTTPS server",
		"The plain HTTP request was sent to HTTPS port",
		"speaking plain HTTP to an SSL-enabled server port",
		"This combination of host and port requires TLS",
	} {
		if strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}
