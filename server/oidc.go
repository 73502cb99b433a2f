package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC logs people in by an OpenID Connect provider: the authorization code flow with PKCE,
// state and nonce, which are bound to the browser that began it. Whom an ID token names is
// told as an API server with the same settings tells it (Claims), so that the cluster's RBAC
// rules apply to the same names.
type OIDC struct {
	Claims
	ClientID string
	// Secret gives the client's secret; nil for a public client.
	Secret func() (string, error)
	// External is the URL at which browsers reach the server: scheme and host, no path.
	External *url.URL
	// Client asks the provider. What it answers is bounded here.
	Client *http.Client
	Now    func() time.Time

	asking   sync.Mutex // held while the provider is asked
	mu       sync.Mutex
	provider *provider
	failed   error
	again    time.Time // when a provider that failed is asked again

	logins logins
}

// The errors of a login; what else is wrong with one is in the log.
var (
	// ErrProvider tells that the provider does not answer, or with what is none of its own.
	ErrProvider = errors.New("the identity provider does not answer")
	// ErrFlow tells that a login was not begun by this browser, took too long, or was ended before.
	ErrFlow = errors.New("this login was not begun here, took too long, or was used before")
	// ErrRefused tells that the provider, or what it says of the person, lets nobody in.
	ErrRefused = errors.New("the login is refused")
)

const (
	// CallbackPath is where the provider sends browsers back to.
	CallbackPath = LogInPath + "/oidc/callback"
	// providerPause is how long a provider that did not answer is left alone, and how long its keys count
	// as all that there are.
	providerPause = 5 * time.Second
	// providerChecked is how long a provider's word counts where it can be asked to say it anew, and
	// providerLife how long a session lasts where it cannot: at most, for ID tokens expire too.
	providerChecked, providerLife = 15 * time.Minute, time.Hour
	// providerAnswer bounds an answer of the provider, in bytes.
	providerAnswer = 1 << 20
)

// signingAlgorithms are those by which ID tokens may be signed: none that shares a secret.
var signingAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// Name is how the provider is called on pages.
func (o *OIDC) Name() string {
	if u, err := url.Parse(o.Issuer); err == nil && u.Host != "" {
		return u.Host
	}
	return o.Issuer
}

// Failed tells why the provider could not be asked the last time; nil if it could, or was not yet.
func (o *OIDC) Failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// bounded cuts answers off that are larger than a provider's should be.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, providerAnswer), answer.Body}
	}
	return answer, err
}

// with gives a context in which the provider is asked by the client.
func (o *OIDC) with(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, o.client())
}

// client asks the provider, and bounds what it answers.
func (o *OIDC) client() *http.Client {
	client := *o.Client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = bounded{next}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Discover asks the provider for its endpoints, unless they are known, or that failed just now.
func (o *OIDC) Discover() error {
	_, err := o.discovered()
	return err
}

func (o *OIDC) discovered() (*provider, error) {
	o.asking.Lock()
	defer o.asking.Unlock()
	o.mu.Lock()
	p, err, known := o.provider, o.failed, o.provider != nil || o.Now().Before(o.again)
	o.mu.Unlock()
	if known {
		return p, err
	}
	if p, err = o.ask(); err != nil {
		p, err = nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.provider, o.failed, o.again = p, err, o.Now().Add(providerPause)
	return p, err
}

func (o *OIDC) config(p *provider) (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: o.ClientID, Endpoint: p.endpoint, RedirectURL: o.External.Scheme + "://" + o.External.Host + CallbackPath, Scopes: o.scopes()}
	if o.Secret != nil {
		secret, err := o.Secret()
		if err != nil {
			return nil, fmt.Errorf("%w: the client's secret could not be read: %w", ErrProvider, err)
		}
		c.ClientSecret = secret
	}
	return c, nil
}

// begin gives where to send the browser, and what it is to bring back in the cookie of this login.
func (o *OIDC) begin(next string) (to string, cookie loginCookie, err error) {
	p, err := o.discovered()
	if err != nil {
		return "", cookie, err
	}
	c, err := o.config(p)
	if err != nil {
		return "", cookie, err
	}
	if len(next) > nextMost {
		next = "/"
	}
	b := begun{Nonce: newSecret(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: o.Now().Add(loginLife)}
	value, state := b.cookie()
	cookie = loginCookie{loginName(state), value}
	return c.AuthCodeURL(state, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)), cookie, nil
}

// end takes what the provider sent the browser back with, and the cookie of this login. It is good
// once, whatever comes of it.
func (o *OIDC) end(ctx context.Context, query url.Values, cookie string) (l login, next string, err error) {
	b, found := o.logins.take(query.Get("state"), cookie, o.Now())
	if !found {
		return l, "", ErrFlow
	}
	if from := query.Get("iss"); from != "" && from != o.Issuer { // RFC 9207
		return l, b.Next, fmt.Errorf("%w: the answer is of another issuer, %q", ErrRefused, from)
	}
	if code := query.Get("error"); code != "" {
		return l, b.Next, fmt.Errorf("%w: the provider says %.100q: %.300q", ErrRefused, code, query.Get("error_description"))
	}
	p, err := o.discovered()
	if err != nil {
		return l, b.Next, err
	}
	c, err := o.config(p)
	if err != nil {
		return l, b.Next, err
	}
	token, err := c.Exchange(o.with(ctx), query.Get("code"), oauth2.VerifierOption(b.Verifier))
	if err != nil {
		return l, b.Next, notGiven(err, func(said *oauth2.RetrieveError) bool {
			return said.Response.StatusCode < 500 && said.Response.StatusCode != http.StatusTooManyRequests
		})
	}
	id, err := o.idToken(ctx, p, token)
	if err != nil {
		return l, b.Next, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.Nonce)) != 1 {
		return l, b.Next, fmt.Errorf("%w: the ID token is for another login (nonce)", ErrRefused)
	}
	l, err = o.login(id, token)
	return l, b.Next, err
}

// notGiven is the error of a provider that gives no token; refuses tells whether what it said refuses
// the login. The whole answer, which the error holds, may hold a token.
func notGiven(err error, refuses func(said *oauth2.RetrieveError) bool) error {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) {
		return fmt.Errorf("%w: %w", ErrProvider, err)
	}
	why := ErrProvider
	if refuses(said) {
		why = ErrRefused
	}
	return fmt.Errorf("%w: the provider does not give a token: %s %.100q", why, said.Response.Status, said.ErrorCode)
}

// idToken verifies the ID token that came with a token.
func (o *OIDC) idToken(ctx context.Context, p *provider, token *oauth2.Token) (*oidc.IDToken, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, fmt.Errorf("%w: the provider gives no ID token", ErrRefused)
	}
	return o.verify(ctx, p, raw)
}

// login is what the provider's word counts for: until the ID token expires, or the provider is to
// say it anew. Without a refresh token it cannot, and the session ends.
func (o *OIDC) login(id *oidc.IDToken, token *oauth2.Token) (login, error) {
	who, err := o.named(id)
	if err != nil {
		return login{}, err
	}
	l := login{who: who, basis: basis{Provider: o.identity()}}
	if token.RefreshToken == "" {
		l.until = earlier(id.Expiry, o.Now().Add(providerLife))
		return l, nil
	}
	l.basis.Refresh, l.basis.Subject, l.basis.Until = token.RefreshToken, id.Subject, earlier(id.Expiry, o.Now().Add(providerLife))
	l.checked = earlier(id.Expiry, o.Now().Add(providerChecked))
	return l, nil
}

// identity tells providers apart, and how they name people: what one told is taken by whoever asks the same.
func (o *OIDC) identity() string {
	return fmt.Sprintf("%q", []string{o.Issuer, o.ClientID, o.username(), o.prefix(), o.Groups, o.GroupsPrefix})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// refresh has the provider say anew who a session is of, and in which groups. Of a login that fails
// after all, the basis is to be kept unless it is zero: the refresh token of before is used up.
func (o *OIDC) refresh(ctx context.Context, who Who, b basis) (login, error) {
	p, err := o.discovered()
	if err != nil {
		return login{}, err
	}
	c, err := o.config(p)
	if err != nil {
		return login{}, err
	}
	token, err := c.TokenSource(o.with(ctx), &oauth2.Token{RefreshToken: b.Refresh}).Token()
	if err != nil {
		// Of the person nothing else speaks: another answer may be a proxy's, or of the client.
		return login{}, notGiven(err, func(said *oauth2.RetrieveError) bool { return said.ErrorCode == "invalid_grant" })
	}
	if raw, _ := token.Extra("id_token").(string); raw == "" {
		// It need not come again (OpenID Connect Core, 12.2): the last one counts for as long as without a refresh token.
		return login{who: who, basis: basis{Provider: b.Provider}, until: b.Until}, nil
	}
	id, err := o.idToken(ctx, p, token)
	if err != nil {
		b.Refresh = token.RefreshToken
		return login{basis: b}, err
	}
	l, err := o.login(id, token)
	if err == nil && (id.Subject != b.Subject || l.who.Name != who.Name) {
		err = fmt.Errorf("%w: the provider names another person by now", ErrRefused)
	}
	return l, err
}

func (o *OIDC) verify(ctx context.Context, p *provider, raw string) (*oidc.IDToken, error) {
	keys := &keySet{RemoteKeySet: p.keys}
	id, err := oidc.NewVerifier(o.Issuer, keys, &oidc.Config{ClientID: o.ClientID, SupportedSigningAlgs: signingAlgorithms, Now: o.Now}).Verify(o.with(ctx), raw)
	switch {
	case keys.away != nil:
		return nil, keys.away
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if id.IssuedAt.After(o.Now().Add(time.Minute)) {
		return nil, fmt.Errorf("%w: the ID token is of the future", ErrRefused)
	}
	return id, nil
}

func (o *OIDC) named(id *oidc.IDToken) (Who, error) {
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return Who{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return o.Who(claims)
}

// IDTokens takes ID tokens of the provider as bearer tokens, as the API server does, once Next
// does not know them.
type IDTokens struct {
	OIDC *OIDC
	Next Tokens
}

// Whose is of Tokens.
func (i IDTokens) Whose(ctx context.Context, token string) (Who, error) {
	who, err := i.Next.Whose(ctx, token)
	if !errors.Is(err, ErrUnknownToken) || len(token) > maxToken || !i.OIDC.issued(token) {
		return who, err
	}
	p, err := i.OIDC.discovered()
	if err != nil {
		return Who{}, err
	}
	id, err := i.OIDC.verify(ctx, p, token)
	switch {
	case errors.Is(err, ErrProvider) && !errors.Is(err, errKeysFresh):
		return Who{}, err
	case err != nil:
		return Who{}, ErrUnknownToken
	}
	if who, err = i.OIDC.named(id); err != nil {
		return Who{}, ErrUnknownToken
	}
	return who, nil
}
