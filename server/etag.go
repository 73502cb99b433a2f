package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// maxTagged is the size in bytes of the largest answer that is held back to be tagged.
const maxTagged = 4 << 20

// immutable is the Cache-Control of what never changes.
const immutable = "private, max-age=31536000, immutable"

// tagged gives the answers to GET requests an ETag of their content, and those who have them
// already the answer 304.
func tagged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") {
			next.ServeHTTP(w, r)
			return
		}
		h := &held{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(h, r)
		if h.passed {
			return
		}
		if h.status == http.StatusOK {
			sum := sha256.Sum256(h.body.Bytes())
			tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
			w.Header().Set("ETag", tag)
			if w.Header().Get("Cache-Control") != immutable {
				w.Header().Set("Cache-Control", "private, no-cache")
			}
			if matches(r.Header.Get("If-None-Match"), tag) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(h.status)
		_, _ = w.Write(h.body.Bytes())
	})
}

// matches reports whether If-None-Match names the tag (RFC 9110, 13.1.2).
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// held keeps an answer until it is whole, or larger than maxTagged: then it passes.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	passed bool
}

func (h *held) WriteHeader(status int) {
	if h.passed {
		return
	}
	h.status = status
}

func (h *held) Write(p []byte) (int, error) {
	if !h.passed && h.body.Len()+len(p) > maxTagged {
		h.pass()
	}
	if h.passed {
		return h.ResponseWriter.Write(p)
	}
	return h.body.Write(p)
}

func (h *held) pass() {
	h.passed = true
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.ResponseWriter.Write(h.body.Bytes())
	h.body = bytes.Buffer{}
}

// FlushError passes what there is: whoever flushes streams.
func (h *held) FlushError() error {
	if !h.passed {
		h.pass()
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

func (h *held) Unwrap() http.ResponseWriter { return h.ResponseWriter }
