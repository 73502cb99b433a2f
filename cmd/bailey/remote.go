package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// remoteFlags name the server that is asked in the place of reading the target here.
type remoteFlags struct {
	server, tokenFile, ca string
}

func (f *remoteFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.server, "server", "", "ask bailey serve at this URL in the place of reading a target (default: $BAILEY_SERVER, unless a target is named)")
	flags.StringVar(&f.tokenFile, "token-file", "", "with --server: a file that holds the token (default: $BAILEY_TOKEN_FILE, or the local server's own)")
	flags.StringVar(&f.ca, "server-ca", "", "with --server: PEM file of the authorities of its certificate (default: $BAILEY_SERVER_CA, or the system's)")
}

// on reports whether a server is asked. What is set in the environment gives way to a target
// that is named; a flag does not go together with one.
func (f *remoteFlags) on(named string) (bool, error) {
	switch {
	case f.server != "" && named != "":
		return false, usageError("--server asks a server, and %s names what to read here\nhint: leave out one of the two", named)
	case f.server == "" && named == "":
		f.server = os.Getenv("BAILEY_SERVER")
	}
	if f.server == "" {
		if f.tokenFile != "" || f.ca != "" {
			return false, usageError("--token-file and --server-ca are for a server\nhint: --server URL names it")
		}
		return false, nil
	}
	for flag, name := range map[*string]string{&f.tokenFile: "BAILEY_TOKEN_FILE", &f.ca: "BAILEY_SERVER_CA"} {
		if *flag == "" {
			*flag = os.Getenv(name)
		}
	}
	return true, nil
}

// named gives the flags of a target that are set, as words for an error; empty if none is.
func (t *targetFlags) named(targets []string) string {
	switch {
	case len(targets) > 0:
		return targets[0]
	case t.kubeconfig != "":
		return "--kubeconfig"
	case t.context != "":
		return "--context"
	case len(t.namespaces) > 0:
		return "--namespace"
	case len(t.hosts) > 0:
		return "--hosts"
	case t.configz:
		return "--kubelet-configz"
	case t.images.policy != "" || len(t.images.try) > 0:
		return "--trust-policy or --try-image"
	}
	return ""
}

// What bounds a question to a server.
const (
	remoteDial   = 10 * time.Second
	remoteHeader = time.Minute
	remoteWhole  = 10 * time.Minute
	// remoteSmall bounds every answer but the report, in bytes.
	remoteSmall = 4 << 20
	// remoteSaid bounds what is shown of a refusal.
	remoteSaid = 2 << 10
)

// remoteServer is a server that is asked.
type remoteServer struct {
	base   *url.URL
	token  string
	client *http.Client
}

// connect checks what the flags name. Nothing is sent yet.
func (f *remoteFlags) connect() (*remoteServer, error) {
	base, err := url.Parse(f.server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, usageError("--server wants a URL, like https://bailey.example.com: %s\nhint: the token goes into a file, --token-file", printable(redactedURL(f.server)))
	}
	base.Path = strings.TrimRight(base.Path, "/")
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, usageError("%s is neither https nor on this machine: whoever is on the way would read the token\nhint: https://, with --server-ca FILE if its certificate is not of a public authority", base.Host)
	}
	r := &remoteServer{base: base}
	if r.token, err = f.token(base); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: remoteDial}
	transport := &http.Transport{DialContext: dialer.DialContext, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: remoteDial, ResponseHeaderTimeout: remoteHeader,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true}
	if base.Scheme == "http" {
		transport.Proxy = nil
		// Whatever a name resolves to, the token stays on this machine.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().Unmap().IsLoopback() {
				return fmt.Errorf("%s is not on this machine", address)
			}
			return nil
		}
	}
	if f.ca != "" {
		data, err := readBounded(f.ca, 1<<20)
		if err != nil {
			return nil, usageError("--server-ca: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(data) {
			return nil, usageError("--server-ca: %s holds no certificate in PEM\nhint: a server with --tls-self-signed keeps its own in tls.crt of its data folder", f.ca)
		}
	}
	r.client = &http.Client{Transport: transport, Timeout: remoteWhole, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r, nil
}

// redactedURL leaves a password out of an error.
func redactedURL(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return "it is none"
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// addressFile, beside the token of the default data folder, says where the server answers
// that takes it: the token is shown to no other.
const addressFile = "address"

// token reads the token. Without a file it is the one of this machine's own server, if the URL
// is where that answers.
func (f *remoteFlags) token(base *url.URL) (string, error) {
	path := f.tokenFile
	if path == "" {
		if !loopback(base.Hostname()) {
			return "", usageError("%s wants to know who asks\nhint: --token-file FILE, made by: kubectl create token NAME --audience bailey", base.Host)
		}
		home, err := stateHome()
		if err != nil {
			return "", err
		}
		at, err := readBounded(filepath.Join(home, "server", addressFile), 4<<10)
		if err != nil || !pinTo(strings.TrimSpace(string(at)), base) {
			return "", usageError("no token for %s: the default data folder is not that server's\nhint: --token-file DIR/token, where DIR is what bailey serve was given as --data", base.Host)
		}
		path = filepath.Join(home, "server", tokenFile)
	}
	data, err := readBounded(path, 64<<10)
	if err != nil {
		return "", usageError("the token could not be read: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageError("%s holds no token: it wants one line of printable ASCII", path)
	}
	return token, nil
}

// pinTo reports whether the base names the server at an address of this machine, and makes it name
// exactly that: another user's process may listen at the same port of another loopback address, and
// localhost is several.
func pinTo(address string, base *url.URL) bool {
	at, err := url.Parse(address)
	if err != nil || at.Scheme != base.Scheme || at.Port() != base.Port() {
		return false
	}
	ip, err := netip.ParseAddr(at.Hostname())
	if err != nil {
		return false
	}
	if ip.IsUnspecified() { // it listens at every address
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if !ip.IsLoopback() {
		return false
	}
	if named, err := netip.ParseAddr(base.Hostname()); base.Hostname() != "localhost" && (err != nil || named != ip) {
		return false
	}
	base.Host = net.JoinHostPort(ip.String(), cmp.Or(at.Port(), map[string]string{"http": "80", "https": "443"}[at.Scheme]))
	return true
}

// ask does one request. The caller closes the body of an answer that is no error.
func (r *remoteServer) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base.String()+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("User-Agent", "bailey/"+version)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := r.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, r.unreachable(err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		defer answer.Body.Close()
		return nil, r.refused(answer)
	}
	if kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";"); kind != "application/json" {
		answer.Body.Close()
		return nil, r.failure("%s answers %q, which is no answer of Bailey\nhint: is it the address that `bailey serve` printed?", path, printable(kind))
	}
	return answer, nil
}

// get decodes a small answer.
func (r *remoteServer) get(ctx context.Context, method, path string, body, into any) error {
	answer, err := r.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, remoteSmall+1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return r.cut(err)
	case len(data) > remoteSmall:
		return r.failure("%s answers more than %d MiB", path, remoteSmall>>20)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return r.failure("%s answers no JSON of Bailey: %w\nhint: %s", path, err, sameVersion)
	}
	return nil
}

const sameVersion = "compare `bailey --version` here with the version that the server's pages show"

func (r *remoteServer) failure(format string, args ...any) error {
	return fmt.Errorf(r.base.Host+": "+format, args...)
}

func (r *remoteServer) cut(err error) error {
	return r.failure("the answer ended early: %w\nhint: try again; a proxy on the way may bound the size or time of answers", err)
}

// unreachable says why there is no answer.
func (r *remoteServer) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // it repeats the address
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var network net.Error
	switch {
	case errors.As(err, &certificate):
		return r.failure("its certificate is not trusted: %w\nhint: --server-ca FILE names its authority", err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return r.failure("it does not speak TLS\nhint: is it http://, and the right port?")
	case errors.As(err, &network) && network.Timeout():
		return r.failure("it does not answer in time\nhint: is it the right address, and does a firewall let it through?")
	}
	return r.failure("it cannot be reached: %w\nhint: does `bailey serve` run there?", err)
}

// refused says why an answer is none.
func (r *remoteServer) refused(answer *http.Response) error {
	said := r.said(answer)
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return r.failure("it sends on to %s, and the token is not carried there\nhint: give --server the address itself", printable(redactedURL(answer.Header.Get("Location"))))
	case answer.StatusCode == http.StatusBadRequest && strings.Contains(said, "HTTP request to an HTTPS server"):
		return r.failure("it speaks TLS\nhint: --server https://%s", r.base.Host)
	case answer.StatusCode == http.StatusUnauthorized:
		return r.failure("the token is not accepted\nhint: it may have expired, or be another server's: kubectl create token NAME --audience bailey, or the file token of the server's data folder")
	case answer.StatusCode == http.StatusForbidden:
		return r.failure("forbidden: %s\nhint: the whole report wants `get` on reports.bailey.dev by a ClusterRoleBinding, an order of a run `create` on experiments.bailey.dev", said)
	case answer.StatusCode == http.StatusNotFound:
		return r.failure("not found: %s\nhint: an older server, a hub, or no server of Bailey; %s", said, sameVersion)
	case answer.StatusCode == http.StatusServiceUnavailable, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusBadGateway:
		return r.failure("not now (%s): %s\nhint: try again in a moment", answer.Status, said)
	}
	return r.failure("%s: %s", answer.Status, said)
}

// said is the first line of what a refusal says, as RFC 9457 or as text.
func (r *remoteServer) said(answer *http.Response) string {
	data, _ := io.ReadAll(io.LimitReader(answer.Body, remoteSaid))
	var problem struct {
		Title, Detail string
		Errors        []struct{ Message string }
	}
	text := string(data)
	if json.Unmarshal(data, &problem) == nil && problem.Detail+problem.Title != "" {
		if text = problem.Detail; text == "" {
			text = problem.Title
		}
		if len(problem.Errors) > 0 {
			text += ": " + problem.Errors[0].Message
		}
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return printable(strings.ReplaceAll(text, r.token, "[token]"))
}
