package gate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// BenchmarkReview answers a review of a pod whose image was verified before.
func BenchmarkReview(b *testing.B) {
	book := &book{good: map[string]bool{digest("a"): true}}
	s := NewServer(newGate(b, Options{Trust: book.trust("1")}), ServerOptions{})
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": podOf(b, good+digest("a"))})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, imagegate.ImagesPath+"?timeout=10s", bytes.NewReader(body)))
		if !bytes.Contains(w.Body.Bytes(), []byte(`"allowed":true`)) {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkServe answers the same over HTTP/2 and TLS, as the API server asks, with the
// client's part of the work.
func BenchmarkServe(b *testing.B) {
	book := &book{good: map[string]bool{digest("a"): true}}
	s := NewServer(newGate(b, Options{Trust: book.trust("1")}), ServerOptions{})
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": podOf(b, good+digest("a"))})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	b.ReportAllocs()
	for b.Loop() {
		answer, err := server.Client().Post(server.URL+imagegate.ImagesPath+"?timeout=10s", "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if text, err := io.ReadAll(answer.Body); err != nil || !bytes.Contains(text, []byte(`"allowed":true`)) {
			b.Fatal(string(text), err)
		}
		answer.Body.Close()
	}
}
