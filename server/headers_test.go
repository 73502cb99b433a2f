package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestHeaders: whatever is answered runs no script but the server's own, is framed by nobody and kept by no cache, and the
// cookie of a session is read by no script, sent by no form of another site, and by TLS alone where there is TLS.
func TestHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		front, at := lobby(t, &issued{of: map[string]Who{"the token": {Name: "ann"}}}, &clock{})
		front.Secure = secure
		within, err := http.PostForm(at+"/in", url.Values{"token": {"the token"}})
		if err != nil {
			t.Fatal(err)
		}
		within.Body.Close()
		refused, err := http.PostForm(at+"/in", url.Values{"token": {"another"}})
		if err != nil {
			t.Fatal(err)
		}
		refused.Body.Close()
		api, err := http.Get(at + "/api/v1/none")
		if err != nil {
			t.Fatal(err)
		}
		api.Body.Close()
		for name, r := range map[string]*http.Response{"a login": within, "a login that is refused": refused, "the API": api} {
			policy := strings.Split(r.Header.Get("Content-Security-Policy"), "; ")
			for _, want := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
				if !slices.Contains(policy, want) {
					t.Errorf("%s lacks %s: %q", name, want, policy)
				}
			}
			for _, d := range policy {
				source, from, _ := strings.Cut(d, " ")
				if from != "'none'" && from != "'self'" {
					t.Errorf("%s takes %s from %s", name, source, from)
				}
			}
			want := map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": ""}
			if secure {
				want["Strict-Transport-Security"] = "max-age=31536000"
			}
			for header, value := range want {
				if got := r.Header.Get(header); got != value {
					t.Errorf("with TLS %t the %s of %s is %q, not %q", secure, header, name, got, value)
				}
			}
		}
		cookies := within.Cookies()
		if len(cookies) != 1 || len(refused.Cookies()) != 0 {
			t.Fatalf("%d cookies of a login, and %d of one that is refused", len(cookies), len(refused.Cookies()))
		}
		if c := cookies[0]; !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
			c.MaxAge <= 0 || strings.HasPrefix(c.Name, "__Host-") != secure {
			t.Errorf("with TLS %t the cookie is %v", secure, c)
		}
	}
}
