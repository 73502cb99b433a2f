package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// renewal is a session by a hostile provider that gives refresh tokens.
type renewal struct {
	*hostile
	*entrance
	clock   *clock
	browser *http.Client
}

func newRenewal(t *testing.T, prepare func(h *hostile, o *OIDC)) *renewal {
	t.Helper()
	r := &renewal{hostile: newHostile(t), clock: &clock{}, browser: person()}
	r.refresh, r.hostile.now = true, r.clock.now
	r.entrance = newEntrance(t, Claims{Issuer: r.hostile.URL, UsernamePrefix: "-"})
	r.front.Now, r.front.Sessions.Now, r.front.OIDC.Now = r.clock.now, r.clock.now, r.clock.now
	if prepare != nil {
		prepare(r.hostile, r.front.OIDC)
	}
	if who, code, said := r.logIn(t, r.browser); who.Name != "ann" {
		t.Fatalf("%d %+v: %s", code, who, said)
	}
	return r
}

// set changes the provider.
func (r *renewal) set(do func(h *hostile)) {
	r.hostile.mu.Lock()
	defer r.hostile.mu.Unlock()
	do(r.hostile)
}

// is fails unless the session is of a person, or nobody's, or answered so.
func (r *renewal) is(t *testing.T, when, name string, code int) {
	t.Helper()
	answer, err := r.browser.Get(r.entrance.URL + "/findings")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var who Who
	_ = json.NewDecoder(answer.Body).Decode(&who)
	if who.Name != name || answer.StatusCode != code {
		t.Errorf("%s: %d %q, want %d %q", when, answer.StatusCode, who.Name, code, name)
	}
}

// TestOIDCPresentsOnce: a grant comes to the provider once, whatever it answers, since one that
// comes twice is taken for stolen; the client says who it is as the provider wants it.
func TestOIDCPresentsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		public  bool
		methods []string
		want    string
	}{
		"nothing said": {false, nil, "header bailey secret"},
		"the header":   {false, []string{"client_secret_basic"}, "header bailey secret"},
		"the body":     {false, []string{"private_key_jwt", "client_secret_post"}, "body bailey secret"},
		"either":       {false, []string{"client_secret_post", "client_secret_basic"}, "header bailey secret"},
		"public":       {true, []string{"client_secret_basic"}, "public bailey"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenewal(t, func(h *hostile, o *OIDC) {
				h.methods = c.methods
				if !c.public {
					o.Secret = func() (string, error) { return "secret", nil }
				}
			})
			r.set(func(h *hostile) { h.down = true })
			r.clock.pass(providerChecked)
			r.is(t, "while the provider is away", "", http.StatusServiceUnavailable)
			r.set(func(h *hostile) { h.down = false })
			r.clock.pass(sessionPause)
			r.is(t, "once it is back", "ann", http.StatusOK)
			r.set(func(h *hostile) {
				if want := []string{c.want, c.want, c.want}; !slices.Equal(h.presented, want) {
					t.Errorf("%q, want %q", h.presented, want)
				}
			})
		})
	}
}

// rotate gives the provider a new key to sign by; its mutex is held.
func (h *hostile) rotate() { h.key, h.other, h.kid = h.other, h.key, h.kid+"1" }

// TestOIDCKeysAway: while the provider's keys cannot be had, nobody is let in or out by what they
// sign, and nothing is lost that the provider gave; keys that are known are not asked for.
func TestOIDCKeysAway(t *testing.T) {
	r := newRenewal(t, nil)
	r.set(func(h *hostile) { h.keyless = true })
	for range 3 {
		r.clock.pass(providerChecked)
		r.is(t, "with keys that are known", "ann", http.StatusOK)
	}
	r.set(func(h *hostile) {
		if h.keyed != 1 {
			t.Errorf("the keys were asked for %d times", h.keyed)
		}
		h.rotate()
	})
	r.clock.pass(providerChecked)
	for range 3 { // each takes a refresh token, which is good once
		r.is(t, "with a key that is not known", "", http.StatusServiceUnavailable)
		r.clock.pass(providerPause)
	}
	var token string
	r.set(func(h *hostile) { token = h.token("") })
	tokens := IDTokens{OIDC: r.front.OIDC, Next: NewLocalToken("another", nil)}
	for range 2 {
		if who, err := tokens.Whose(t.Context(), token); !errors.Is(err, ErrProvider) {
			t.Errorf("as a bearer token: %+v, %v", who, err)
		}
	}
	r.set(func(h *hostile) { h.refresh = false })
	if who, code, said := r.logIn(t, person()); code != http.StatusServiceUnavailable {
		t.Errorf("a login: %d %+v %s", code, who, said)
	}
	r.clock.pass(providerPause)
	r.set(func(h *hostile) { h.keyless = false })
	r.is(t, "once the keys are back", "ann", http.StatusOK)
}

// TestOIDCRefusesPerson: only the answer that is of the person's grant ends the session; what a
// proxy says, or the provider of the client, does not.
func TestOIDCRefusesPerson(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string // of OAuth; empty: a page
		ends   bool
	}{
		"the grant has ended":        {http.StatusBadRequest, "invalid_grant", true},
		"the client is unknown":      {http.StatusUnauthorized, "invalid_client", false},
		"the client may not do this": {http.StatusBadRequest, "unauthorized_client", false},
		"a proxy forbids it":         {http.StatusForbidden, "", false},
		"a proxy finds nothing":      {http.StatusNotFound, "", false},
		"a proxy lost patience":      {http.StatusRequestTimeout, "", false},
		"too many":                   {http.StatusTooManyRequests, "", false},
		"an error":                   {http.StatusInternalServerError, "", false},
		"a page":                     {http.StatusOK, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenewal(t, nil)
			r.set(func(h *hostile) {
				h.fault = func(w http.ResponseWriter, _ *http.Request) {
					if c.code != "" {
						refuse(w, c.status, c.code)
						return
					}
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, "<html>")
				}
			})
			r.clock.pass(providerChecked)
			if c.ends {
				r.is(t, "refused", "", http.StatusOK)
				return
			}
			r.is(t, "meanwhile", "", http.StatusServiceUnavailable)
			r.set(func(h *hostile) { h.fault = nil })
			r.clock.pass(sessionPause)
			r.is(t, "afterwards", "ann", http.StatusOK)
		})
	}
}

// TestOIDCQuiet: a provider that gives no ID token for a refresh token is taken at its last word, for
// as long as if it gave no refresh token.
func TestOIDCQuiet(t *testing.T) {
	for name, c := range map[string]struct{ token, lasts time.Duration }{
		"a short ID token": {5 * time.Minute, 5 * time.Minute},
		"a longer one":     {40 * time.Minute, 40 * time.Minute},
		"a long one":       {48 * time.Hour, providerLife},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenewal(t, func(h *hostile, _ *OIDC) {
				h.quiet = true
				h.lie = func(claims map[string]any, _ map[string]string) { claims["exp"] = h.now().Add(c.token).Unix() }
			})
			for passed := time.Duration(0); passed+time.Minute < c.lasts; passed += time.Minute {
				r.clock.pass(time.Minute)
				r.is(t, "before its end", "ann", http.StatusOK)
			}
			r.clock.pass(time.Minute - second)
			r.is(t, "just before its end", "ann", http.StatusOK)
			r.clock.pass(second)
			r.is(t, "at its end", "", http.StatusOK)
			r.set(func(h *hostile) {
				if h.refreshed > 1 {
					t.Errorf("the provider was asked %d times", h.refreshed)
				}
			})
		})
	}
}

// TestOIDCStrangers: tokens that strangers make up in the provider's name do not have its keys
// fetched all the time, and keep nobody out.
func TestOIDCStrangers(t *testing.T) {
	r := newRenewal(t, nil)
	r.front.Tokens = IDTokens{OIDC: r.front.OIDC, Next: NewLocalToken("another", nil)}
	try := func(token string) int {
		t.Helper()
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.entrance.URL+"/findings", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	made := func(forge bool) (token string) {
		r.set(func(h *hostile) { h.forge = forge; token = h.token(""); h.forge = false })
		return token
	}
	for pause := range 2 {
		for range 4 {
			if code := try(made(true)); code != http.StatusUnauthorized {
				t.Errorf("a token that was made up: %d", code)
			}
		}
		r.set(func(h *hostile) {
			if h.keyed > 1+pause {
				t.Errorf("the keys were asked for %d times", h.keyed)
			}
		})
		r.clock.pass(providerPause)
	}
	r.set(func(h *hostile) { h.rotate() })
	if code := try(made(false)); code != http.StatusOK {
		t.Errorf("a good token by a new key: %d", code)
	}
}
