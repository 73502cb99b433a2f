package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// TestRequestLimit: of a flood from one address as many requests are answered as there may be at once, and
// after a second as many as there may be a second. It takes nothing from other addresses.
func TestRequestLimit(t *testing.T) {
	for name, c := range map[string]struct {
		from   func(i int) string
		secret func() string // of a session; empty: none
	}{
		"of nobody":                   {func(i int) string { return "203.0.113.7:" + strconv.Itoa(1024+i) }, func() string { return "" }},
		"with sessions that are none": {func(i int) string { return "203.0.113.7:" + strconv.Itoa(1024+i) }, newSecret},
		"of a host's IPv6 network":    {func(i int) string { return "[2001:db8::" + strconv.FormatInt(int64(i), 16) + "]:1024" }, newSecret},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &clock{}
			front := &Front{Sessions: &Sessions{Now: clock.now}, Log: slog.New(slog.DiscardHandler), Now: clock.now}
			h := front.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			ask := func(from string) *httptest.ResponseRecorder {
				r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
				r.RemoteAddr = from
				if secret := c.secret(); secret != "" {
					r.AddCookie(&http.Cookie{Name: front.cookieName(), Value: secret})
				}
				h.ServeHTTP(w, r)
				return w
			}
			flood := func(answered int) {
				t.Helper()
				for i := range 2 * addressBurst {
					want := http.StatusNoContent
					if i >= answered {
						want = http.StatusTooManyRequests
					}
					if w := ask(c.from(i)); w.Code != want || (w.Header().Get("Retry-After") == "1") != (want == http.StatusTooManyRequests) {
						t.Fatalf("request %d: %d, want %d; Retry-After %q", i+1, w.Code, want, w.Header().Get("Retry-After"))
					}
				}
			}
			flood(addressBurst)
			for _, other := range []string{"203.0.113.8:1024", "[2001:db8:0:1::1]:1024"} {
				if w := ask(other); w.Code != http.StatusNoContent {
					t.Errorf("%s: %d", other, w.Code)
				}
			}
			clock.pass(time.Second)
			flood(perAddress)
		})
	}
}
