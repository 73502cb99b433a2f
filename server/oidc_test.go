package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// entrance is a server with a front that logs people in by the provider.
type entrance struct {
	*httptest.Server
	front *Front
}

func newEntrance(t *testing.T, c Claims) *entrance {
	e := &entrance{front: &Front{Sessions: &Sessions{Now: time.Now}, Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /begin", func(w http.ResponseWriter, r *http.Request) {
		if err := e.front.BeginOIDC(w, r, "/findings"); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET "+CallbackPath, func(w http.ResponseWriter, r *http.Request) {
		next, err := e.front.EndOIDC(w, r)
		if err != nil {
			code := http.StatusUnauthorized
			switch {
			case errors.Is(err, ErrFlow):
				code = http.StatusConflict
			case errors.Is(err, ErrProvider):
				code = http.StatusServiceUnavailable
			}
			http.Error(w, err.Error(), code)
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /findings", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(WhoAsks(r.Context())) })
	e.Server = httptest.NewServer(e.front.Wrap(mux))
	t.Cleanup(e.Close)
	external, _ := url.Parse(e.URL)
	e.front.OIDC = &OIDC{Claims: c, ClientID: "bailey", External: external, Client: &http.Client{Timeout: patience}, Now: time.Now}
	return e
}

// person is a browser: it keeps cookies, and follows redirects as far as stop lets it.
func person() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar}
}

// logIn logs in and gives who the server takes the browser for; what it said if it is refused.
func (e *entrance) logIn(t *testing.T, c *http.Client) (who Who, code int, said string) {
	t.Helper()
	answer, err := c.Get(e.URL + "/begin")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text [4 << 10]byte
	n, _ := answer.Body.Read(text[:])
	_ = json.Unmarshal(text[:n], &who)
	return who, answer.StatusCode, string(text[:n])
}

// TestOIDCNames: names and groups are those that an API server with the same flags gives, and
// what is the cluster's own, or unverified, logs nobody in.
func TestOIDCNames(t *testing.T) {
	h := newHostile(t)
	claim := func(name string, value any) func(map[string]any, map[string]string) {
		return func(c map[string]any, _ map[string]string) { c[name] = value }
	}
	for name, c := range map[string]struct {
		claims Claims
		lie    func(map[string]any, map[string]string)
		want   string // empty: refused
		groups []string
	}{
		"subject":              {Claims{}, nil, h.URL + "#ann", nil},
		"no prefix":            {Claims{UsernamePrefix: "-"}, nil, "ann", nil},
		"prefixes":             {Claims{UsernamePrefix: "sso:", Groups: "groups", GroupsPrefix: "sso:"}, nil, "sso:ann", []string{"sso:dev"}},
		"one group":            {Claims{Groups: "groups"}, claim("groups", "ops"), h.URL + "#ann", []string{"ops"}},
		"email":                {Claims{Username: "email"}, nil, "ann@example.com", nil},
		"unverified email":     {Claims{Username: "email"}, claim("email_verified", false), "", nil},
		"email of no standing": {Claims{Username: "email"}, claim("email_verified", nil), "", nil},
		"verified by a text":   {Claims{Username: "email"}, claim("email_verified", "true"), "", nil},
		"system name":          {Claims{UsernamePrefix: "-"}, claim("sub", "system:admin"), "", nil},
		"system group":         {Claims{Groups: "groups"}, claim("groups", []string{"dev", "system:masters"}), "", nil},
		"built system group":   {Claims{Groups: "groups", GroupsPrefix: "system:"}, claim("groups", []string{"masters"}), "", nil},
		"the administrator":    {Claims{UsernamePrefix: "-"}, claim("sub", localAdministrator.Name), "", nil},
		"no name":              {Claims{}, claim("sub", ""), "", nil},
		"control characters":   {Claims{}, claim("sub", "a\nb"), "", nil},
		"groups of numbers":    {Claims{Groups: "groups"}, claim("groups", []int{1}), "", nil},
		"too long":             {Claims{}, claim("sub", strings.Repeat("x", 600)), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h.mu.Lock()
			h.lie = c.lie
			h.mu.Unlock()
			c.claims.Issuer = h.URL
			e := newEntrance(t, c.claims)
			who, code, said := e.logIn(t, person())
			if c.want == "" {
				if code != http.StatusUnauthorized || who.Name != "" {
					t.Errorf("%d %+v: %s", code, who, said)
				}
				return
			}
			if who.Name != c.want || !slices.Equal(who.Groups, append(c.groups, "system:authenticated")) || who.Local {
				t.Errorf("%d %+v, want %q in %q: %s", code, who, c.want, c.groups, said)
			}
		})
	}
}

// TestOIDCLies: an ID token that is forged, old, or for another lets nobody in, neither by a
// login nor as a bearer token.
func TestOIDCLies(t *testing.T) {
	h := newHostile(t)
	for name, lie := range map[string]func(claims map[string]any, header map[string]string){
		"nonce":       func(c map[string]any, _ map[string]string) { c["nonce"] = "another" },
		"no nonce":    func(c map[string]any, _ map[string]string) { delete(c, "nonce") },
		"audience":    func(c map[string]any, _ map[string]string) { c["aud"] = "another" },
		"issuer":      func(c map[string]any, _ map[string]string) { c["iss"] = "https://another.example" },
		"expired":     func(c map[string]any, _ map[string]string) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"of tomorrow": func(c map[string]any, _ map[string]string) { c["iat"] = time.Now().Add(24 * time.Hour).Unix() },
		"none":        func(_ map[string]any, h map[string]string) { h["alg"] = "none" },
		"HMAC":        func(_ map[string]any, h map[string]string) { h["alg"] = "HS256" },
		"forged":      func(map[string]any, map[string]string) { h.forge = true },
	} {
		t.Run(name, func(t *testing.T) {
			h.mu.Lock()
			h.lie, h.forge = lie, false
			token := h.token("n")
			h.forge = false
			h.mu.Unlock()
			e := newEntrance(t, Claims{Issuer: h.URL})
			if who, code, said := e.logIn(t, person()); code != http.StatusUnauthorized || who.Name != "" {
				t.Errorf("%d %+v: %s", code, who, said)
			}
			if strings.Contains(name, "nonce") {
				return // of a login only
			}
			tokens := IDTokens{OIDC: e.front.OIDC, Next: NewLocalToken("another", nil)}
			if who, err := tokens.Whose(t.Context(), token); !errors.Is(err, ErrUnknownToken) {
				t.Errorf("as a bearer token: %+v, %v", who, err)
			}
		})
	}
	h.lie, h.forge = nil, false
	tokens := IDTokens{OIDC: newEntrance(t, Claims{Issuer: h.URL}).front.OIDC, Next: NewLocalToken("another", nil)}
	if who, err := tokens.Whose(t.Context(), h.token("n")); err != nil || who.Name != h.URL+"#ann" {
		t.Errorf("a true ID token as a bearer token: %+v, %v", who, err)
	}
}

// TestOIDCFlow: a login is its browser's, good once, and gives a new session.
func TestOIDCFlow(t *testing.T) {
	h := newHostile(t)
	e := newEntrance(t, Claims{Issuer: h.URL})
	ann := person()
	var last *url.URL // the newest callback
	ann.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == CallbackPath {
			last = r.URL
		}
		return nil
	}
	planted, _, err := e.front.Sessions.Begin(t.Context(), login{who: Who{Name: "mallory"}})
	if err != nil {
		t.Fatal(err)
	}
	home, _ := url.Parse(e.URL)
	ann.Jar.SetCookies(home, []*http.Cookie{{Name: "bailey", Value: planted, Path: "/"}})
	if who, code, said := e.logIn(t, ann); who.Name != h.URL+"#ann" {
		t.Fatalf("%d %+v: %s", code, who, said)
	}
	if _, ended, _ := e.front.Sessions.Whose(t.Context(), planted, e.front); ended != nil {
		t.Error("the session of before lives on")
	}
	for _, c := range ann.Jar.Cookies(home) {
		if c.Name == "bailey" && c.Value == planted || strings.Contains(c.Name, "-login") {
			t.Errorf("the browser still has %s", c.Name)
		}
	}
	try := func(c *http.Client, to string) int {
		t.Helper()
		answer, err := c.Get(to)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	if code := try(ann, last.String()); code != http.StatusConflict {
		t.Errorf("the same answer again: %d", code)
	}
	// An answer that another browser began: nobody is logged in by whoever sent the link.
	stopped := person()
	stopped.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == CallbackPath {
			last = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	try(stopped, e.URL+"/begin")
	if code := try(person(), last.String()); code != http.StatusConflict {
		t.Errorf("another browser's answer: %d", code)
	}
	other := *last
	try(stopped, e.URL+"/begin")
	if code := try(stopped, other.String()); code != http.StatusOK {
		t.Errorf("an answer that another browser tried, after another login was begun: %d", code)
	}
	// A code that was used, with a state that is good.
	used := last.Query().Get("code")
	try(stopped, e.URL+"/begin")
	q := last.Query()
	q.Set("code", used)
	last.RawQuery = q.Encode()
	if code := try(stopped, last.String()); code != http.StatusUnauthorized {
		t.Errorf("another login's code: %d", code)
	}
	try(stopped, e.URL+"/begin")
	if code := try(stopped, last.String()+"&iss=https://another.example"); code != http.StatusUnauthorized {
		t.Errorf("another issuer's answer: %d", code)
	}
}

// TestOIDCTabs: logins that were begun in several tabs end in any order, each at its own page; a cookie
// that was changed, is another login's, or too old, ends none; and a browser keeps few.
func TestOIDCTabs(t *testing.T) {
	h := newHostile(t)
	e, c := newEntrance(t, Claims{Issuer: h.URL}), &clock{}
	e.front.OIDC.Now = c.now
	begin := func(browser *http.Client) (callback string) {
		t.Helper()
		browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == CallbackPath {
				callback = r.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		}
		answer, err := browser.Get(e.URL + "/begin")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return callback
	}
	end := func(browser *http.Client, callback string) int {
		t.Helper()
		answer, err := browser.Get(callback)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	home, _ := url.Parse(e.URL)
	kept := func(browser *http.Client) (all []*http.Cookie) {
		for _, c := range browser.Jar.Cookies(home) {
			if strings.Contains(c.Name, "-login-") {
				all = append(all, c)
			}
		}
		return all
	}
	tabs := person()
	first, second, third := begin(tabs), begin(tabs), begin(tabs)
	for _, callback := range []string{second, third, first} {
		if code := end(tabs, callback); code != http.StatusOK {
			t.Errorf("a tab's login: %d", code)
		}
	}
	if n := len(kept(tabs)); n > 0 {
		t.Errorf("%d cookies are left", n)
	}
	for range 3 * loginsMost {
		begin(tabs)
	}
	if n := len(kept(tabs)); n > loginsMost {
		t.Errorf("%d cookies are kept", n)
	}
	for name, change := range map[string]func(browser *http.Client, mine *http.Cookie){
		"too old": func(*http.Client, *http.Cookie) { c.pass(loginLife) },
		"changed": func(_ *http.Client, mine *http.Cookie) {
			mine.Value = strings.Map(func(r rune) rune {
				if r == 'A' {
					return 'B'
				}
				return 'A'
			}, mine.Value)
		},
		"another login's": func(browser *http.Client, mine *http.Cookie) {
			begin(browser)
			for _, other := range kept(browser) {
				if other.Name != mine.Name {
					mine.Value = other.Value
				}
			}
		},
		"gone": func(_ *http.Client, mine *http.Cookie) { mine.Value = "" },
	} {
		browser := person()
		callback := begin(browser)
		mine := kept(browser)[0]
		change(browser, mine)
		mine.Path = "/"
		browser.Jar.SetCookies(home, []*http.Cookie{mine})
		if code := end(browser, callback); code != http.StatusConflict {
			t.Errorf("a cookie that is %s: %d", name, code)
		}
	}
}

// FuzzLogin: a state takes no other cookie than its own, as it was made, and that once.
func FuzzLogin(f *testing.F) {
	now := time.Now()
	good, state := begun{Nonce: "n", Until: now.Add(time.Minute)}.cookie()
	f.Add(state, good)
	f.Add(state, good[1:])
	f.Add(state, good+"A")
	f.Add("", good)
	f.Add(state, "")
	f.Fuzz(func(t *testing.T, with, cookie string) {
		l := &logins{}
		b, found := l.take(with, cookie, now)
		if mine := with == state && cookie == good; found != mine || found == (b == begun{}) {
			t.Errorf("%q opened %+v of %q", cookie, b, with)
		}
		if _, again := l.take(with, cookie, now); again {
			t.Errorf("%q opened again", cookie)
		}
	})
}

// TestOIDCAway: a provider that is down logs nobody in, is said to be down, and is asked again.
func TestOIDCAway(t *testing.T) {
	h := newHostile(t)
	h.down = true
	e := newEntrance(t, Claims{Issuer: h.URL})
	now := time.Now()
	e.front.OIDC.Now = func() time.Time { return now }
	if _, code, said := e.logIn(t, person()); code != http.StatusServiceUnavailable || !errors.Is(e.front.OIDC.Failed(), ErrProvider) {
		t.Errorf("%d: %s", code, said)
	}
	h.mu.Lock()
	h.down = false
	h.mu.Unlock()
	now = now.Add(2 * providerPause)
	if who, code, said := e.logIn(t, person()); who.Name != h.URL+"#ann" || e.front.OIDC.Failed() != nil {
		t.Errorf("%d %+v: %s", code, who, said)
	}
}

func FuzzClaims(f *testing.F) {
	for _, text := range []string{`{"sub":"a","groups":["b"],"email":"c","email_verified":true}`, `{"sub":1,"groups":{}}`, `{"sub":"system:masters"}`} {
		f.Add([]byte(text), "sub", "-")
	}
	f.Fuzz(func(t *testing.T, data []byte, username, prefix string) {
		var claims map[string]any
		if json.Unmarshal(data, &claims) != nil {
			return
		}
		c := Claims{Issuer: "https://i.example", Username: username, UsernamePrefix: prefix, Groups: "groups"}
		who, err := c.Who(claims)
		if err != nil {
			return
		}
		for _, name := range append([]string{who.Name}, who.Groups[:len(who.Groups)-1]...) {
			if name == "" || strings.HasPrefix(name, reserved) || name == localAdministrator.Name {
				t.Fatalf("%q was let through", name)
			}
		}
		if who.Local {
			t.Fatal("local")
		}
	})
}
