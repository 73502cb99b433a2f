package web_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/internal/providertest"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/web"
)

// TestLogInByProvider logs in by a real provider in a browser, and is back at the page that was
// asked for. While the provider is away, the page says so and still takes tokens.
func TestLogInByProvider(t *testing.T) {
	b := newBrowser(t)
	d := &dashboard{log: &logged{}}
	logger := slog.New(slog.NewTextHandler(d.log, nil))
	front := &server.Front{Sessions: &server.Sessions{Now: time.Now}, Tokens: tokens{}, Log: logger, Now: time.Now}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://" + l.Addr().String()
	external, _ := url.Parse(d.url)
	d.jar, _ = cookiejar.New(nil)
	p := providertest.Start(t, d.url+server.CallbackPath)
	front.OIDC = &server.OIDC{Claims: server.Claims{Issuer: p.Issuer, UsernamePrefix: "-"}, ClientID: providertest.Client, External: external,
		Secret: func() (string, error) { return providertest.Secret, nil }, Client: &http.Client{Timeout: 10 * time.Second}, Now: time.Now}
	f := newFixture()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: front.Wrap(web.New(web.Options{Desk: f, Controls: controls.All(), Rights: rules{}, Front: front, Version: "test",
		Log: logger, Now: func() time.Time { return now }, Ask: askAnybody}))}}
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })

	x := b.open(t, d, look{width: 1280, height: 800})
	x.Visit(t, d.url+"/login?next=/waivers")
	x.Until(t, `document.getElementById("oidc")?.textContent.includes("Log in by localhost")`)
	b.accessible(t, x)
	x.Do(t, chromedp.Click("#oidc"))
	x.Arrive(t, `document.getElementById("username") !== null`)
	x.Do(t, chromedp.SendKeys("#username", providertest.Person))
	x.Do(t, chromedp.SendKeys("#password", providertest.Password))
	x.Do(t, chromedp.Click("button"))
	x.Arrive(t, `location.pathname === "/waivers" && document.body.textContent.includes("`+providertest.Subject+`")`)
	for _, problem := range x.Heard(t) {
		if !strings.Contains(problem, "/favicon.ico") && !strings.Contains(problem, "events") { // of the provider; no stream is served here
			t.Error(problem)
		}
	}

	front.OIDC = &server.OIDC{Claims: server.Claims{Issuer: "http://127.0.0.1:1/"}, ClientID: "x", External: external, Client: &http.Client{Timeout: time.Second}, Now: time.Now}
	answer, err := http.Get(d.url + "/login/oidc")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if code, body := d.get(t, "/login"); answer.StatusCode != http.StatusServiceUnavailable || code != http.StatusOK || !strings.Contains(body, "does not answer") || !strings.Contains(body, `name="token"`) {
		t.Errorf("%d, %d: %s", answer.StatusCode, code, body)
	}
	if strings.Contains(d.log.String(), "code=") {
		t.Errorf("the log holds a code: %s", d.log)
	}
}

// TestProviderFails: a provider that answers no more once somebody comes back from it is said to
// be away.
func TestProviderFails(t *testing.T) {
	var p *httptest.Server
	providers := http.NewServeMux()
	providers.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys"})
	})
	providers.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?code=x&state="+url.QueryEscape(r.FormValue("state")), http.StatusFound)
	})
	providers.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
	p = httptest.NewServer(providers)
	t.Cleanup(p.Close)
	logger := slog.New(slog.DiscardHandler)
	front := &server.Front{Sessions: &server.Sessions{Now: time.Now}, Tokens: tokens{}, Log: logger, Now: time.Now}
	front.OIDC = &server.OIDC{Claims: server.Claims{Issuer: p.URL}, ClientID: "bailey", Client: http.DefaultClient, Now: time.Now}
	s := httptest.NewServer(front.Wrap(web.New(web.Options{Desk: newFixture(), Controls: controls.All(), Rights: rules{}, Front: front, Version: "test", Log: logger, Ask: askAnybody})))
	t.Cleanup(s.Close)
	front.OIDC.External, _ = url.Parse(s.URL)
	jar, _ := cookiejar.New(nil)
	answer, err := (&http.Client{Jar: jar}).Get(s.URL + "/login/oidc")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if answer.Request.URL.Path != server.CallbackPath || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "does not answer") {
		t.Errorf("%s: %d %s", answer.Request.URL.Path, answer.StatusCode, body)
	}
}
