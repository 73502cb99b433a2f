package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestServeTraces: requests and the server's own work are spans at a collector, below the caller's
// where it sends a trace context; they name routes, and never objects, who asked, or the token.
func TestServeTraces(t *testing.T) {
	var mu sync.Mutex
	var spans []*otlp.Span
	var all strings.Builder
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		all.WriteString(in.String())
		for _, resource := range in.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	}))
	defer s.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	state := t.TempDir()
	p, token := servedFolder(t, state)
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/findings?name=secretname", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("traceparent", "00-"+trace+"-"+parent+"-01")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	for _, path := range []string{"/", "/namespaces/secretspace", "/api/v1/nothing/secretpath"} {
		p.get(t, path, token)
	}
	if code, said := p.end(t); code != exitOK {
		t.Fatalf("exit %d: %s", code, said)
	}
	mu.Lock()
	defer mu.Unlock()
	names := map[string]*otlp.Span{}
	for _, span := range spans {
		names[span.Name] = span
	}
	for _, want := range []string{"GET /api/v1/findings", "judge the cluster", "join a report", "keep a report"} {
		if names[want] == nil {
			t.Errorf("there is no span %q", want)
		}
	}
	if span := names["GET /api/v1/findings"]; span != nil && (hex.EncodeToString(span.TraceId) != trace || hex.EncodeToString(span.ParentSpanId) != parent) {
		t.Errorf("the span of the request is of trace %x below %x", span.TraceId, span.ParentSpanId)
	}
	for _, secret := range []string{"secretname", "secretspace", "secretpath", token, state} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("spans hold %q", secret)
		}
	}
}

// TestServeTracesNowhere: a collector that is away costs spans, is told of once, and its address is
// in no log.
func TestServeTracesNowhere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.Listener.Addr().String()
	s.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	p, token := servedFolder(t, t.TempDir())
	for range 20 {
		if code, body := p.get(t, "/api/v1/findings", token); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	code, said := p.end(t)
	if code != exitOK || strings.Count(said, "traces could not be sent") != 1 || strings.Contains(said, address) {
		t.Errorf("exit %d: %s", code, said)
	}
}

// servedFolder serves a folder of one object.
func servedFolder(t *testing.T, state string) (p *servedProcess, token string) {
	t.Helper()
	folder, data := filepath.Join(state, "manifests"), filepath.Join(state, "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	object := "apiVersion: v1\nkind: Pod\nmetadata: {name: secretname, namespace: secretspace}\nspec: {hostNetwork: true, containers: [{name: c, image: x}]}\n"
	if err := os.WriteFile(filepath.Join(folder, "pod.yaml"), []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startServed(t, state, "serve", "--data", data, "--target", folder)
	token = tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings", "secretname")
	return p, token
}
