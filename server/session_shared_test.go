package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// shelf is a store of sessions that goes and comes back as a test has it.
type shelf struct {
	SessionStore
	mu   sync.Mutex
	away error
	// only is of reading and writing what fails while the store is away; empty for both.
	only   string
	failed int           // times
	hang   chan struct{} // until it is closed nothing fails
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	return &shelf{SessionStore: kept}
}

func (s *shelf) set(away error, only string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.only = away, only
}

func (s *shelf) fails(what string) error {
	s.mu.Lock()
	if s.away == nil || s.only != "" && s.only != what {
		s.mu.Unlock()
		return nil
	}
	s.failed++
	away, hang := s.away, s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return away
}

func (s *shelf) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *shelf) AddSession(ctx context.Context, one store.Session, most int) error {
	if err := s.fails("write"); err != nil {
		return err
	}
	return s.SessionStore.AddSession(ctx, one, most)
}

func (s *shelf) Session(ctx context.Context, id string) (store.Session, error) {
	if err := s.fails("read"); err != nil {
		return store.Session{}, err
	}
	return s.SessionStore.Session(ctx, id)
}

func (s *shelf) SwapSession(ctx context.Context, one store.Session) error {
	if err := s.fails("write"); err != nil {
		return err
	}
	return s.SessionStore.SwapSession(ctx, one)
}

func (s *shelf) EndSession(ctx context.Context, id string) error {
	if err := s.fails("write"); err != nil {
		return err
	}
	return s.SessionStore.EndSession(ctx, id)
}

// alike has a second replica of a front, which shares its store, at the same address.
func alike(front *Front, kept SessionStore) *Front {
	front.Sessions.Store = kept
	other := &Front{Sessions: &Sessions{Store: kept, Now: front.Now}, Tokens: front.Tokens, APIServer: front.APIServer, Log: front.Log, Now: front.Now}
	if o := front.OIDC; o != nil {
		other.OIDC = &OIDC{Claims: o.Claims, ClientID: o.ClientID, External: o.External, Client: o.Client, Now: o.Now}
	}
	return other
}

// as gives who a front takes a browser's request for.
func as(t *testing.T, f *Front, secret string) (who Who, code int) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/me", nil)
	r.AddCookie(&http.Cookie{Name: f.cookieName(), Value: secret})
	w := httptest.NewRecorder()
	f.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(WhoAsks(r.Context())) })).ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &who)
	return who, w.Code
}

// secretOf gives the secret of a browser's session.
func secretOf(t *testing.T, browser *http.Client, at string) string {
	t.Helper()
	home, _ := url.Parse(at)
	for _, c := range browser.Jar.Cookies(home) {
		if c.Name == "bailey" {
			return c.Value
		}
	}
	t.Fatal("no session")
	return ""
}

// TestSessionSealed: the store gives away neither who has logged in nor by what, and the memory of the process not by
// what; the browser's secret opens it.
func TestSessionSealed(t *testing.T) {
	kept := newShelf(t)
	s := &Sessions{Store: kept, Now: time.Now}
	secret, _, err := s.Begin(t.Context(), login{who: Who{Name: "ann the administrator"}, basis: basis{Token: "sEcReT"}})
	if err != nil {
		t.Fatal(err)
	}
	row, err := kept.Session(t.Context(), store.HashToken(secret))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v %s", row, row.Sealed); strings.Contains(text, "sEcReT") || strings.Contains(text, "ann the") || strings.Contains(text, secret) {
		t.Errorf("the store gives away %s", text)
	}
	for _, o := range s.open {
		if text := fmt.Sprintf("%+v %+v %s", o.who, o.row, o.row.Sealed); strings.Contains(text, "sEcReT") || strings.Contains(text, secret) {
			t.Errorf("memory gives away %s", text)
		}
	}
	for _, other := range []string{newSecret(), "", row.ID} {
		if d, err := open(other, row.Sealed); err == nil {
			t.Errorf("another secret opens it: %+v", d)
		}
	}
	if data, err := sealing(secret, "another purpose").open(row.Sealed); err == nil {
		t.Errorf("it is good for another purpose: %s", data)
	}
	if d, err := open(secret, row.Sealed); err != nil || d.Basis.Token != "sEcReT" || d.Who.Name != "ann the administrator" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestSessionAtReplicas: a session is the same at each replica, and after a restart, with nothing that was known
// before; who has another token there, or none, is asked about there.
func TestSessionAtReplicas(t *testing.T) {
	time, tokens, browser := &clock{}, &issued{of: map[string]Who{"t": {Name: "ann", UID: "1", Groups: []string{"dev"}, Extra: map[string][]string{"a": {"b"}}}}}, person()
	front, at := lobby(t, tokens, time)
	other := alike(front, newShelf(t))
	enter(t, browser, at, "t")
	secret := secretOf(t, browser, at)
	for range 2 {
		if who, code := as(t, other, secret); code != http.StatusOK || fmt.Sprint(who) != fmt.Sprint(tokens.of["t"]) {
			t.Errorf("at another replica: %d %+v", code, who)
		}
	}
	if tokens.asked != 2 {
		t.Errorf("the token was asked about %d times, want once by each replica", tokens.asked)
	}
	if who, _ := as(t, other, newSecret()); !who.Anonymous() {
		t.Errorf("a secret that was made up is of %+v", who)
	}
	tokens.set(func() { delete(tokens.of, "t") })
	third := alike(front, front.Sessions.Store)
	if who, code := as(t, third, secret); code != http.StatusOK || !who.Anonymous() {
		t.Errorf("with a token that was revoked, after a restart: %d %+v", code, who)
	}
	time.pass(sessionRead)
	for _, f := range []*Front{front, other} {
		if who, _ := as(t, f, secret); !who.Anonymous() {
			t.Errorf("once it has ended at another replica: %+v", who)
		}
	}
}

// TestSessionOfMachine: the local administrator's session outlives the process where the token of the machine is the
// same, and is nobody's at a server with another.
func TestSessionOfMachine(t *testing.T) {
	time, kept, browser := &clock{}, newShelf(t), person()
	front, at := lobby(t, NewLocalToken("the token", nil), time)
	front.Sessions.Store = kept
	for name, form := range map[string]url.Values{"/in": {"token": {"the token"}}, LogInPath: {"link": {front.Sessions.NewLink()}}} {
		answer, err := browser.PostForm(at+name, form)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		secret := secretOf(t, browser, at)
		for token, want := range map[string]bool{"the token": true, "another": false} {
			again := alike(front, kept)
			again.Tokens = NewLocalToken(token, nil)
			if who, code := as(t, again, secret); who.Local != want || code != http.StatusOK {
				t.Errorf("by %s, at a server with %s: %d %+v", name, token, code, who)
			}
		}
	}
}

// TestSessionOfCluster: a session by a token is nobody's at a server of another cluster, which is not shown the token and
// does not end it.
func TestSessionOfCluster(t *testing.T) {
	browser := person()
	front, at := lobby(t, &issued{of: map[string]Who{"t": {Name: "ann"}}}, &clock{})
	front.APIServer = "one"
	elsewhere := &issued{}
	other := alike(front, newShelf(t))
	other.APIServer, other.Tokens = "two", elsewhere
	enter(t, browser, at, "t")
	secret := secretOf(t, browser, at)
	if who, code := as(t, other, secret); !who.Anonymous() || code != http.StatusOK || elsewhere.asked > 0 {
		t.Errorf("at a server of another cluster: %d %+v, which was asked %d times", code, who, elsewhere.asked)
	}
	if who, code := as(t, alike(front, front.Sessions.Store), secret); who.Name != "ann" {
		t.Errorf("at a replica, afterwards: %d %+v", code, who)
	}
}

// TestAPIServerIdentity: clusters at one address have each their own authority, and those of one each their own address.
func TestAPIServerIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, c := range []struct {
		host string
		tls  rest.TLSClientConfig
		is   string
	}{
		{"https://10.0.0.1", rest.TLSClientConfig{CAData: []byte("one")}, "a"},
		{"https://10.0.0.1", rest.TLSClientConfig{CAFile: file}, "a"},
		{"https://10.0.0.1", rest.TLSClientConfig{CAData: []byte("two")}, "b"},
		{"https://10.0.0.2", rest.TLSClientConfig{CAData: []byte("one")}, "c"},
	} {
		id, err := APIServerIdentity(&rest.Config{Host: c.host, TLSClientConfig: c.tls})
		if err != nil {
			t.Fatal(err)
		}
		if was, found := seen[id]; found && was != c.is {
			t.Errorf("%s and %s are told for one", was, c.is)
		}
		seen[id] = c.is
	}
	if len(seen) != 3 {
		t.Errorf("identities: %v", seen)
	}
	if _, err := APIServerIdentity(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAFile: file + "no"}}); err == nil {
		t.Error("a file that is not there is an identity")
	}
}

// TestLogOutElsewhere: who logs out at one replica is out at all, with what is under way there.
func TestLogOutElsewhere(t *testing.T) {
	browser := person()
	front, at := lobby(t, &issued{of: map[string]Who{"t": {Name: "ann"}}}, &clock{})
	front.Now, front.Sessions.Now = time.Now, time.Now
	other := alike(front, newShelf(t))
	enter(t, browser, at, "t")
	stream, err := browser.Get(at + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	in := bufio.NewReader(stream.Body)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "retry") {
		t.Fatalf("no stream: %q, %v", line, err)
	}
	secret := secretOf(t, browser, at)
	if who, _ := as(t, other, secret); who.Name != "ann" {
		t.Fatalf("at the other replica: %+v", who)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, LogOutPath, nil)
	r.AddCookie(&http.Cookie{Name: "bailey", Value: secret})
	if err := other.LogOut(httptest.NewRecorder(), r); err != nil {
		t.Fatal(err)
	}
	if who, _ := as(t, other, secret); !who.Anonymous() {
		t.Errorf("where they logged out: %+v", who)
	}
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, in); ended <- err }()
	began := time.Now()
	if err := within(ended); err != nil || time.Since(began) > sessionLook+sessionRead+2*second {
		t.Errorf("the stream of the other replica went on for %s: %v", time.Since(began), err)
	}
	if who, _ := as(t, front, secret); !who.Anonymous() {
		t.Errorf("elsewhere: %+v", who)
	}
}

// TestSessionStoreAway: while the store is away who is logged in goes on for a minute, and is then told to try again,
// not to log in; nobody is logged in or out by what was not kept, and a link is good still.
func TestSessionStoreAway(t *testing.T) {
	time, kept, browser := &clock{}, newShelf(t), person()
	front, at := lobby(t, &issued{of: map[string]Who{"t": {Name: "ann"}}}, time)
	other := alike(front, kept)
	enter(t, browser, at, "t")
	secret, link := secretOf(t, browser, at), front.Sessions.NewLink()
	kept.set(errors.New("no answer"), "")
	is := func(when string, f *Front, name string, code int) {
		t.Helper()
		if who, got := as(t, f, secret); who.Name != name || got != code {
			t.Errorf("%s: %d %q, want %d %q", when, got, who.Name, code, name)
		}
	}
	is("at once", front, "ann", http.StatusOK)
	is("where it was not known", other, "", http.StatusServiceUnavailable)
	time.pass(sessionChecked - second)
	is("after almost a minute", front, "ann", http.StatusOK)
	time.pass(second)
	is("after a minute", front, "", http.StatusServiceUnavailable)
	post := func(path string, form url.Values) int {
		t.Helper()
		answer, err := browser.PostForm(at+path, form)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if code := post(LogInPath, url.Values{"link": {link}}); code != http.StatusUnauthorized {
		t.Errorf("a login: %d", code)
	}
	if code := post(LogOutPath, nil); code != http.StatusServiceUnavailable || secretOf(t, browser, at) != secret {
		t.Errorf("a logout: %d", code)
	}
	kept.set(nil, "")
	time.pass(sessionPause)
	is("once it is back", front, "ann", http.StatusOK)
	is("elsewhere", other, "ann", http.StatusOK)
	kept.set(errors.New("disk full"), "write")
	time.pass(sessionChecked)
	is("while it can be read only", front, "ann", http.StatusOK)
	kept.set(nil, "")
	if code := post(LogInPath, url.Values{"link": {link}}); code != http.StatusOK {
		t.Errorf("by the link of before: %d", code)
	}
	if code := post(LogInPath, url.Values{"link": {link}}); code != http.StatusUnauthorized {
		t.Errorf("by the link again: %d", code)
	}
	is("the session of before", front, "", http.StatusOK)
}

// TestLogInAtReplicas: a login by a provider that was begun at one replica ends at another.
func TestLogInAtReplicas(t *testing.T) {
	b := newBoth(t)
	var callback *http.Request
	browser := person()
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == CallbackPath {
			callback = r
			return http.ErrUseLastResponse
		}
		return nil
	}
	answer, err := browser.Get(b.entrance.URL + "/begin")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, callback.URL.RequestURI(), nil)
	for _, c := range browser.Jar.Cookies(callback.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	if next, err := b.second.EndOIDC(w, r); err != nil || next != "/findings" {
		t.Fatalf("%q, %v", next, err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Name == "bailey" {
			b.secret = c.Value
		}
	}
	b.is(t, "where it was begun", b.front, "ann", http.StatusOK)
	if _, err := b.second.EndOIDC(w, r); !errors.Is(err, ErrFlow) {
		t.Errorf("the same answer again: %v", err)
	}
	if _, err := b.front.EndOIDC(w, r); !errors.Is(err, ErrRefused) {
		t.Errorf("the same answer again, elsewhere: %v", err)
	}
}

// TestLogInOnFullDisk: where no session can be written somebody logs in all the same, at the one replica, and out again.
func TestLogInOnFullDisk(t *testing.T) {
	time, kept, browser := &clock{}, newShelf(t), person()
	front, at := lobby(t, &issued{of: map[string]Who{"t": {Name: "ann"}}}, time)
	other := alike(front, kept)
	var said strings.Builder
	front.Sessions.Alone, front.Sessions.Log = true, slog.New(slog.NewTextHandler(&said, nil))
	enter(t, browser, at, "t") // whose session cannot be ended by the next
	kept.set(errors.New("disk full"), "write")
	enter(t, browser, at, "t")
	secret := secretOf(t, browser, at)
	if !strings.Contains(said.String(), "disk full") || strings.Contains(said.String(), secret) {
		t.Errorf("the log says %q", said.String())
	}
	is := func(when string, f *Front, name string) {
		t.Helper()
		if who, code := as(t, f, secret); who.Name != name || code != http.StatusOK {
			t.Errorf("%s: %d %q, want %q", when, code, who.Name, name)
		}
	}
	is("at once", front, "ann")
	is("elsewhere", other, "")
	time.pass(sessionChecked)
	is("later", front, "ann")
	kept.set(nil, "")
	time.pass(sessionChecked)
	is("once there is room", front, "ann")
	answer, err := browser.PostForm(at+LogOutPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	is("after the logout", front, "")
}
