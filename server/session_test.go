package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

const second = time.Second

// clock is one that stands still unless a test moves it, at a whole second as the times of tokens.
type clock struct {
	mu sync.Mutex
	at time.Time // the zero time: nobody has looked yet
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// read gives the time; c.mu is held.
func (c *clock) read() time.Time {
	if c.at.IsZero() {
		c.at = time.Now().Truncate(time.Second)
	}
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.read().Add(d)
}

// issued are tokens that a test gives and takes away.
type issued struct {
	mu    sync.Mutex
	of    map[string]Who
	away  error
	asked int
}

func (i *issued) Whose(_ context.Context, token string) (Who, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if i.away != nil {
		return Who{}, i.away
	}
	who, found := i.of[token]
	if !found {
		return Who{}, ErrUnknownToken
	}
	return who, nil
}

func (i *issued) set(do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do()
}

// lobby is a front with a page that says who asks, and the stream of events.
func lobby(t *testing.T, tokens Tokens, c *clock) (front *Front, at string) {
	t.Helper()
	front = &Front{Sessions: &Sessions{Now: c.now}, Tokens: tokens, Log: slog.New(slog.DiscardHandler), Now: c.now}
	desk := NewDesk(DeskOptions{Own: func() string { return "uid" }, Namespaces: func() []string { return nil }})
	api := &API{Desk: desk, Rights: everybodys{}, News: NewNews(), Log: front.Log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
		if err := front.LogInByToken(w, r, r.PostFormValue("token")); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST "+LogInPath, func(w http.ResponseWriter, r *http.Request) {
		if err := front.LogInByLink(w, r, r.PostFormValue("link")); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST "+LogOutPath, func(w http.ResponseWriter, r *http.Request) {
		if err := front.LogOut(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(WhoAsks(r.Context())) })
	mux.Handle("/api/", api.Handler())
	s := httptest.NewServer(front.Wrap(mux))
	t.Cleanup(s.Close)
	return front, s.URL
}

// everybodys are rights that whoever has logged in has.
type everybodys struct{}

func (everybodys) May(_ context.Context, who Who, _ Right, _ string) (bool, error) {
	return !who.Anonymous(), nil
}

func (everybodys) Sees(_ context.Context, who Who, _ []string) (Namespaces, error) {
	return Namespaces{All: !who.Anonymous()}, nil
}

func enter(t *testing.T, c *http.Client, at, token string) {
	t.Helper()
	answer, err := c.PostForm(at+"/in", url.Values{"token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the login: %d", answer.StatusCode)
	}
}

// me gives who the server takes a browser for.
func me(t *testing.T, c *http.Client, at string) (who Who, code int) {
	t.Helper()
	answer, err := c.Get(at + "/me")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_ = json.NewDecoder(answer.Body).Decode(&who)
	return who, answer.StatusCode
}

// TestSessionOfToken: a session by a token asks about it every minute and ends with it, is whose the token is,
// and answers nothing while that cannot be told.
func TestSessionOfToken(t *testing.T) {
	ann := Who{Name: "ann", UID: "1", Groups: []string{"dev"}}
	for name, c := range map[string]struct {
		do     func(i *issued)
		code   int
		who    string
		groups []string
	}{
		"nothing happened": {func(*issued) {}, http.StatusOK, "ann", []string{"dev"}},
		"revoked":          {func(i *issued) { delete(i.of, "t") }, http.StatusOK, "", nil},
		"another group":    {func(i *issued) { i.of["t"] = Who{Name: "ann", UID: "1", Groups: []string{"ops"}} }, http.StatusOK, "ann", []string{"ops"}},
		"made anew":        {func(i *issued) { i.of["t"] = Who{Name: "ann", UID: "2"} }, http.StatusOK, "", nil},
		"another's":        {func(i *issued) { i.of["t"] = Who{Name: "bob", UID: "1"} }, http.StatusOK, "", nil},
		"away":             {func(i *issued) { i.away = errors.New("no answer") }, http.StatusServiceUnavailable, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			time, tokens, browser := &clock{}, &issued{of: map[string]Who{"t": ann}}, person()
			_, at := lobby(t, tokens, time)
			enter(t, browser, at, "t")
			tokens.set(func() { c.do(tokens); tokens.asked = 0 })
			if who, code := me(t, browser, at); who.Name != "ann" || code != http.StatusOK || tokens.asked != 0 {
				t.Errorf("at once: %d %+v, asked %d times", code, who, tokens.asked)
			}
			time.pass(sessionChecked)
			for range 3 {
				if who, code := me(t, browser, at); code != c.code || who.Name != c.who || !slices.Equal(who.Groups, c.groups) {
					t.Errorf("%d %+v, want %d %q %q", code, who, c.code, c.who, c.groups)
				}
			}
			if tokens.asked != 1 {
				t.Errorf("it was asked %d times", tokens.asked)
			}
			if c.code == http.StatusOK {
				return
			}
			tokens.set(func() { tokens.away = nil })
			time.pass(sessionPause)
			if who, code := me(t, browser, at); code != http.StatusOK || who.Name != "ann" {
				t.Errorf("once it answers: %d %+v", code, who)
			}
		})
	}
}

// TestSessionLife: a session ends after its time, whatever holds.
func TestSessionLife(t *testing.T) {
	time, browser := &clock{}, person()
	_, at := lobby(t, &issued{of: map[string]Who{"t": {Name: "ann"}}}, time)
	enter(t, browser, at, "t")
	time.pass(sessionLife - second)
	if who, code := me(t, browser, at); who.Name != "ann" {
		t.Errorf("before: %d %+v", code, who)
	}
	time.pass(second)
	if who, code := me(t, browser, at); who.Name != "" {
		t.Errorf("after: %d %+v", code, who)
	}
}

// TestLogOut: it ends the session in every tab at once, with what is under way there, and also while
// nobody can tell who asks.
func TestLogOut(t *testing.T) {
	for name, away := range map[string]error{"in peace": nil, "while the cluster is away": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			time, tokens, browser := &clock{}, &issued{of: map[string]Who{"t": {Name: "ann"}}}, person()
			front, at := lobby(t, tokens, time)
			enter(t, browser, at, "t")
			home, _ := url.Parse(at)
			secret := browser.Jar.Cookies(home)[0].Value
			stream, err := browser.Get(at + "/api/v1/events")
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Body.Close()
			in := bufio.NewReader(stream.Body)
			if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "retry") {
				t.Fatalf("no stream: %q, %v", line, err)
			}
			if away != nil {
				tokens.set(func() { tokens.away = away })
				time.pass(sessionChecked)
			}
			answer, err := browser.Post(at+LogOutPath, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			ended := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, in); ended <- err }()
			if err := within(ended); err != nil {
				t.Errorf("the stream of another tab: %v", err)
			}
			tokens.set(func() { tokens.away = nil })
			if _, alive, err := front.Sessions.Whose(t.Context(), secret, front); alive != nil || err != nil {
				t.Errorf("the session lives on: %v", err)
			}
		})
	}
}

// TestLogInWhileAway: whoever has a session that cannot be checked gets nothing by it, and can log in
// by what can be told.
func TestLogInWhileAway(t *testing.T) {
	time, tokens, browser := &clock{}, &issued{of: map[string]Who{"t": {Name: "ann"}}}, person()
	front, at := lobby(t, tokens, time)
	enter(t, browser, at, "t")
	tokens.set(func() { tokens.away = errors.New("no answer") })
	time.pass(sessionChecked)
	for path, want := range map[string]int{
		"/login": http.StatusOK, "/login/oidc": http.StatusOK, CallbackPath: http.StatusOK, "/static/style.css": http.StatusOK,
		"/": http.StatusServiceUnavailable, "/me": http.StatusServiceUnavailable, "/logins": http.StatusServiceUnavailable, "/me/login": http.StatusServiceUnavailable,
	} {
		answer, err := browser.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		var who Who
		_ = json.NewDecoder(answer.Body).Decode(&who)
		answer.Body.Close()
		if answer.StatusCode != want || who.Name != "" {
			t.Errorf("%s: %d %+v, want %d", path, answer.StatusCode, who, want)
		}
	}
	answer, err := browser.PostForm(at+LogInPath, url.Values{"link": {front.Sessions.NewLink()}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if who, code := me(t, browser, at); !who.Local {
		t.Errorf("by a link: %d, then %d %+v", answer.StatusCode, code, who)
	}
}

// within waits for an answer, with patience.
func within(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return errors.New("it goes on")
	}
}

// TestSessionOfProvider: a session by a provider ends with the ID token, after an hour at most, where
// the provider gives no refresh token; where it does, it is asked within a quarter of an hour, and
// its word counts.
func TestSessionOfProvider(t *testing.T) {
	expires := func(d time.Duration) func(map[string]any, map[string]string) {
		return func(c map[string]any, _ map[string]string) { c["exp"] = c["iat"].(int64) + int64(d/second) }
	}
	begin := func(t *testing.T, refresh bool, lie func(map[string]any, map[string]string)) (*hostile, *entrance, *clock, *http.Client) {
		t.Helper()
		h, c, browser := newHostile(t), &clock{}, person()
		h.refresh, h.lie, h.now = refresh, lie, c.now
		e := newEntrance(t, Claims{Issuer: h.URL, UsernamePrefix: "-", Groups: "groups"})
		e.front.Now, e.front.Sessions.Now, e.front.OIDC.Now = c.now, c.now, c.now
		if who, code, said := e.logIn(t, browser); who.Name != "ann" {
			t.Fatalf("%d %+v: %s", code, who, said)
		}
		return h, e, c, browser
	}
	now := func(e *entrance, browser *http.Client) (who Who, code int) {
		answer, err := browser.Get(e.URL + "/findings")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_ = json.NewDecoder(answer.Body).Decode(&who)
		return who, answer.StatusCode
	}
	for name, c := range map[string]struct{ token, lasts time.Duration }{
		"a short one": {10 * time.Minute, 10 * time.Minute},
		"a long one":  {24 * time.Hour, providerLife},
	} {
		t.Run(name, func(t *testing.T) {
			_, e, clock, browser := begin(t, false, expires(c.token))
			clock.pass(c.lasts - second)
			if who, code := now(e, browser); who.Name != "ann" {
				t.Errorf("before: %d %+v", code, who)
			}
			clock.pass(second)
			if who, code := now(e, browser); who.Name != "" {
				t.Errorf("after: %d %+v", code, who)
			}
		})
	}
	t.Run("refreshed", func(t *testing.T) {
		h, e, clock, browser := begin(t, true, expires(48*time.Hour))
		h.mu.Lock()
		h.lie = func(c map[string]any, h map[string]string) {
			expires(48*time.Hour)(c, h)
			c["groups"] = []string{"ops"}
		}
		h.mu.Unlock()
		if who, _ := now(e, browser); !slices.Contains(who.Groups, "dev") {
			t.Errorf("at once: %+v", who)
		}
		for range 3 { // each refresh token is good once, however many requests come at once
			clock.pass(providerChecked)
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					if who, code := now(e, browser); who.Name != "ann" || !slices.Contains(who.Groups, "ops") || slices.Contains(who.Groups, "dev") {
						t.Errorf("%d %+v", code, who)
					}
				})
			}
			all.Wait()
		}
		h.mu.Lock()
		if h.refreshed != 3 {
			t.Errorf("it was asked %d times", h.refreshed)
		}
		h.down = true
		h.mu.Unlock()
		clock.pass(providerChecked)
		if who, code := now(e, browser); code != http.StatusServiceUnavailable {
			t.Errorf("while the provider is away: %d %+v", code, who)
		}
		h.mu.Lock()
		h.down = false
		h.mu.Unlock()
		clock.pass(sessionPause)
		if who, code := now(e, browser); who.Name != "ann" {
			t.Errorf("once it is back: %d %+v", code, who)
		}
		clock.pass(sessionLife)
		if who, code := now(e, browser); who.Name != "" {
			t.Errorf("after %s: %d %+v", sessionLife, code, who)
		}
	})
	for name, lie := range map[string]func(h *hostile){
		"the account is closed": func(h *hostile) { h.good = "" },
		"another person": func(h *hostile) {
			h.lie = func(c map[string]any, _ map[string]string) { c["sub"] = "bob" }
		},
		"forged": func(h *hostile) { h.forge = true },
	} {
		t.Run(name, func(t *testing.T) {
			h, e, clock, browser := begin(t, true, nil)
			h.mu.Lock()
			lie(h)
			h.mu.Unlock()
			clock.pass(providerChecked)
			if who, code := now(e, browser); who.Name != "" || code != http.StatusOK {
				t.Errorf("%d %+v", code, who)
			}
		})
	}
}

// TestSessionOfAccount: once the account of a real cluster is gone whose token began a session, the
// session ends.
func TestSessionOfAccount(t *testing.T) {
	cluster := devclustertest.Shared(t)
	config, err := kube.RESTConfig(cluster.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	w, ns, c, browser := &world{cluster: cluster}, devclustertest.Namespace(t, nil), &clock{}, person()
	_, tokens, err := AskCluster(config, c.now)
	if err != nil {
		t.Fatal(err)
	}
	_, at := lobby(t, tokens, c)
	enter(t, browser, at, w.token(t, ns, "ann"))
	account := "system:serviceaccount:" + ns + ":ann"
	for range 3 {
		c.pass(sessionChecked)
		if who, code := me(t, browser, at); code != http.StatusOK || who.Name != account {
			t.Fatalf("while it is there: %d %+v", code, who)
		}
	}
	if err := cluster.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/"+ns+"/serviceaccounts/ann", nil, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the session", patience, func() bool { // the API server itself takes its time
		c.pass(sessionChecked)
		who, code := me(t, browser, at)
		return code == http.StatusOK && who.Anonymous()
	})
}
