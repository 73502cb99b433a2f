package detect_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/devcluster"
)

// live is a control plane and the detections that read its audit log.
type live struct {
	*devcluster.Cluster
	set *detect.Set
	log *bufio.Reader
	// all counts the events that were read.
	all int
}

// startLive starts a control plane of its own: the log holds nobody else's work.
// It lets strangers in as far as authorization goes, as most clusters do.
func startLive(t *testing.T) *live {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		ExtraAPIServerArgs:         []string{"--anonymous-auth=true"},
		ExtraControllerManagerArgs: []string{"--controllers=*,-node-lifecycle-controller"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	f, err := os.Open(cluster.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &live{Cluster: cluster, set: newSet(t), log: bufio.NewReader(f)}
}

// events reads what was recorded up to now: a request of its own marks the end.
func (l *live) events(t *testing.T) []*detect.Event {
	t.Helper()
	mark := fmt.Sprintf("/api/v1/namespaces/default/configmaps/mark-%d", time.Now().UnixNano())
	_ = l.Do(t.Context(), http.MethodGet, mark, nil, nil)
	var events []*detect.Event
	var line []byte
	for end := time.Now().Add(20 * time.Second); ; {
		part, err := l.log.ReadBytes('\n')
		line = append(line, part...)
		if err != nil {
			if time.Now().After(end) {
				t.Fatal("the audit log does not hold the mark")
			}
			time.Sleep(20 * time.Millisecond)
			continue
		}
		e, err := detect.DecodeWhole(bytes.TrimSpace(line), detect.DefaultLimits)
		if err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		agrees(t, e, line)
		line = nil
		l.all++
		if e.RequestURI == mark {
			return events
		}
		events = append(events, e)
	}
}

// agrees compares the decoder with encoding/json.
func agrees(t *testing.T, got *detect.Event, line []byte) {
	t.Helper()
	want := &detect.Event{}
	if err := json.Unmarshal(line, want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("decoded as\n%s\nencoding/json says\n%s", a, b)
	}
}

func (l *live) alerts(t *testing.T) []detect.Alert {
	t.Helper()
	var alerts []detect.Alert
	for _, e := range l.events(t) {
		for _, a := range l.set.Match(e) {
			if a.User != "admin" || !strings.Contains(a.Name, "mark-") {
				alerts = append(alerts, a)
			}
		}
	}
	return alerts
}

// kubectl runs kubectl as somebody; admin if empty. Whether it succeeds is left
// to the caller.
func (l *live) kubectl(t *testing.T, as string, args ...string) error {
	t.Helper()
	user, groups, _ := strings.Cut(as, "|")
	if user != "" {
		var list []string
		if groups != "" {
			list = strings.Split(groups, ",")
		}
		path, err := l.KubeconfigFor(user, list...)
		if err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--kubeconfig", path}, args...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := l.Kubectl(ctx, args...)
	return err
}

// request is one request with curl's frankness.
type request struct {
	user, groups  string // of a client certificate; none if empty
	token         string
	agent         string
	from          string // the local address
	method, path  string
	contentType   string
	body          any
	impersonate   string
	impersonateIn string
}

func (l *live) send(t *testing.T, r request) int {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // the test's own server on loopback
	if r.user != "" {
		var groups []string
		if r.groups != "" {
			groups = strings.Split(r.groups, ",")
		}
		client, err := l.HTTPClientFor(r.user, groups...)
		if err != nil {
			t.Fatal(err)
		}
		config = client.Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	dialer := &net.Dialer{}
	if r.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.from)}
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, r.method, l.RESTHost+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "example/1.0")
	if r.agent != "" {
		req.Header.Set("User-Agent", r.agent)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if r.contentType != "" {
			req.Header.Set("Content-Type", r.contentType)
		}
	}
	if r.impersonate != "" {
		req.Header.Set("Impersonate-User", r.impersonate)
		if r.impersonateIn != "" {
			req.Header.Set("Impersonate-Group", r.impersonateIn)
		}
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Logf("%s %s: %v", r.method, r.path, err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode
}

// told are the names of different alerts, sorted.
func told(alerts []detect.Alert) []string {
	all := names(alerts)
	slices.Sort(all)
	return slices.Compact(all)
}

func show(alerts []detect.Alert) string {
	var b strings.Builder
	for _, a := range alerts {
		line, _ := json.Marshal(a)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// newCSR gives a certificate signing request as the API wants it.
func newCSR(t *testing.T, name string, organizations ...string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: organizations}}, key)
	must(t, err)
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// newNode registers a node whose kubelet would listen on a port of loopback that
// nobody has.
func (l *live) newNode(t *testing.T) string {
	t.Helper()
	names, err := l.RegisterNodes(t.Context(), 1, func(_ int, node map[string]any) {
		status := node["status"].(map[string]any)
		status["addresses"] = []any{map[string]any{"type": "InternalIP", "address": "127.0.0.1"}}
		status["daemonEndpoints"] = map[string]any{"kubeletEndpoint": map[string]any{"Port": 1}}
	})
	must(t, err)
	return names[0]
}
