package server

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/baileyhq/bailey/internal/keypair"
)

// Front stands before every page and endpoint: who asks, how often, and which headers the
// answer bears.
type Front struct {
	Sessions *Sessions
	// Tokens says whose bearer tokens are; nil takes none.
	Tokens Tokens
	// APIServer tells the one that is asked whose tokens are apart from others (APIServerIdentity).
	APIServer string
	// OIDC logs people in by an identity provider; nil where there is none.
	OIDC *OIDC
	// Secure tells that the connection is TLS; only then cookies bear the prefix __Host-.
	Secure bool
	Log    *slog.Logger
	Now    func() time.Time

	limits    limits
	strangers strangers
}

type askerKey struct{}

// asker is who a request is from.
type asker struct {
	who   Who
	again func(ctx context.Context) (Who, error) // tells it anew
}

// WhoAsks gives who a request is from.
func WhoAsks(ctx context.Context) Who {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a.who
}

// askedAnew gives the context of a request that lasts, with who it is from by now.
func askedAnew(ctx context.Context) (context.Context, error) {
	a, known := ctx.Value(askerKey{}).(asker)
	if !known {
		return ctx, nil
	}
	var err error
	a.who, err = a.again(ctx)
	return context.WithValue(ctx, askerKey{}, a), err
}

const (
	// LogInPath is where people log in, as is all below it, and LogOutPath where they log out.
	LogInPath, LogOutPath = "/login", "/logout"
	// StaticPath is above what is the same for everybody.
	StaticPath = "/static/"
)

// forAnybody reports whether a path is answered even if who asks cannot be told: whoever has an old
// session must be able to leave it for another.
func forAnybody(path string) bool {
	return path == LogInPath || path == LogOutPath || strings.HasPrefix(path, LogInPath+"/") || strings.HasPrefix(path, StaticPath)
}

const (
	// maxRequest bounds the body of a request in bytes; a spoke's push has its own bound.
	maxRequest = 1 << 20
	// Requests a second of one address, and how many at once after a pause.
	perAddress, addressBurst = 100, 300
	// failedLogins is how many wrong tokens or links one address may try at once, and
	// failedEvery how often one more. Over that, none of its that is not known is looked at.
	failedLogins, failedEvery = 10, 6 * time.Second
	// addressesMost bounds the addresses that are remembered.
	addressesMost = 100_000
)

// Wrap puts the front before a handler.
func (f *Front) Wrap(next http.Handler) http.Handler {
	// A page of another site must not act with this one's cookie.
	guarded := http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ended, err := f.who(r.Context(), r)
		switch {
		case err != nil && forAnybody(r.URL.Path) && !errors.Is(err, ErrUnknownToken) && !errors.Is(err, ErrTooMany): // as nobody
		case errors.Is(err, ErrTooMany):
			tooMany(w)
			return
		case errors.Is(err, ErrUnknownToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="bailey"`)
			http.Error(w, "the token is not accepted\nhint: kubectl create token NAME --audience "+Audience, http.StatusUnauthorized)
			return
		case errors.Is(err, ErrCrowded): // no line of the log for each of a flood
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error()+"\nhint: try again in a moment", http.StatusServiceUnavailable)
			return
		case err != nil:
			if !errors.Is(err, errStillAway) {
				f.Log.Error("who asks could not be told", "error", err)
			}
			http.Error(w, "who asks could not be told: the cluster, the identity provider or the database does not answer\nhint: try again in a moment", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), askerKey{}, asker{who, func(ctx context.Context) (Who, error) {
			who, _, err := f.who(ctx, r)
			return who, err
		}}))
		defer cancel()
		if ended != nil { // what is under way ends with the session
			go func() {
				for {
					select {
					case <-ended:
						cancel()
						return
					case <-ctx.Done():
						return
					case <-time.After(sessionLook): // if another replica ended it, ended is closed now
						_, _, _ = f.who(ctx, r)
					}
				}
			}()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.headers(w.Header())
		if !f.limits.allow(address(r), f.Now()) {
			tooMany(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		guarded.ServeHTTP(w, r)
	})
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many requests\nhint: wait a second", http.StatusTooManyRequests)
}

// headers are those of every answer. Scripts, styles and pictures come from here and nowhere
// else, nothing is inline, and no page is framed.
func (f *Front) headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if f.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// who tells who a request is from; of a session also what is closed when it ends.
func (f *Front) who(ctx context.Context, r *http.Request) (who Who, ended <-chan struct{}, err error) {
	if token, found := bearer(r); found {
		if r.URL.Path == MetricsPath {
			ctx = scraping(ctx)
		}
		who, err = f.whose(ctx, address(r), token)
		return who, nil, err
	}
	if c, err := r.Cookie(f.cookieName()); err == nil {
		return f.Sessions.Whose(ctx, c.Value, f)
	}
	return Who{}, nil, nil
}

// here reports whether what a session rests on is anything that counts at this server.
func (f *Front) here(b basis) bool {
	switch {
	case b.Token != "":
		return f.Tokens != nil && f.APIServer == b.APIServer
	case b.Provider != "":
		return f.OIDC != nil && f.OIDC.identity() == b.Provider
	}
	return b.Machine == f.machine()
}

// machine tells the administrators of machines apart, by their tokens.
func (f *Front) machine() string {
	if l, ok := f.Tokens.(*LocalToken); ok {
		return hex.EncodeToString(l.sum[:])
	}
	return ""
}

// renew asks whether what a session rests on still is what it was; ErrUnknownToken or ErrRefused if not.
func (f *Front) renew(ctx context.Context, who Who, b basis) (login, error) {
	if b.Refresh != "" {
		return f.OIDC.refresh(ctx, who, b)
	}
	is, err := f.Tokens.Whose(ctx, b.Token)
	switch {
	case err != nil:
		return login{}, err
	case is.Name != who.Name || is.UID != who.UID:
		return login{}, ErrUnknownToken
	}
	return login{who: is, basis: b, checked: f.Now().Add(sessionChecked)}, nil
}

func (f *Front) cookieName() string {
	if f.Secure {
		return "__Host-bailey"
	}
	return "bailey"
}

// logIn begins a session and gives the answer its cookie. Whoever was logged in by this browser
// before is no more. ErrUnkept if that could not be kept.
func (f *Front) logIn(w http.ResponseWriter, r *http.Request, l login) error {
	if c, err := r.Cookie(f.cookieName()); err == nil {
		if err := f.Sessions.End(r.Context(), c.Value); err != nil {
			f.Log.Error("a session before a login could not be ended; its browser forgets it", "error", err)
		}
	}
	secret, life, err := f.Sessions.Begin(r.Context(), l)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: f.cookieName(), Value: secret, Path: "/", HttpOnly: true, Secure: f.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: max(1, int(life/time.Second))})
	return nil
}

// LogOut ends the session of the request. ErrUnkept if that could not be kept: the browser has its cookie then,
// to try again.
func (f *Front) LogOut(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(f.cookieName()); err == nil {
		if err := f.Sessions.End(r.Context(), c.Value); err != nil {
			return err
		}
	}
	http.SetCookie(w, &http.Cookie{Name: f.cookieName(), Path: "/", HttpOnly: true, Secure: f.Secure, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	return nil
}

// LogInByLink logs the local administrator in, if the link's secret is good. A false one
// counts against its address.
func (f *Front) LogInByLink(w http.ResponseWriter, r *http.Request, secret string) error {
	try, err := f.limits.try(address(r), f.Now())
	if err != nil {
		return err
	}
	err = f.Sessions.UseLink(secret, func() error {
		return f.logIn(w, r, login{who: localAdministrator, basis: basis{Machine: f.machine()}})
	})
	try.end(errors.Is(err, ErrUnknownToken), f.Now())
	return err
}

// LogInByToken logs the owner of a token in.
func (f *Front) LogInByToken(w http.ResponseWriter, r *http.Request, token string) error {
	who, err := f.whose(r.Context(), address(r), token)
	if err != nil {
		return err
	}
	l := login{who: who, basis: basis{Machine: f.machine()}}
	if !who.Local { // whose token is not kept, sealed or not
		l.basis, l.checked = basis{Token: token, APIServer: f.APIServer}, f.Now().Add(sessionChecked)
	}
	return f.logIn(w, r, l)
}

// address is where a request comes from: of IPv6 the network of 64 bits, which is one host's.
func address(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	ip := at.Addr().Unmap()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// limits counts requests and failed logins by address.
type limits struct {
	mu   sync.Mutex
	from map[netip.Prefix]*limit
}

type limit struct {
	requests, failures *rate.Limiter
	trying             int           // tokens and links that may turn out to be wrong
	turns              chan struct{} // of the tokens that are asked about
	seen               time.Time
}

func (l *limits) of(a netip.Prefix, now time.Time) *limit {
	if l.from == nil {
		l.from = map[netip.Prefix]*limit{}
	}
	one := l.from[a]
	if one == nil {
		if len(l.from) >= addressesMost {
			for k, o := range l.from {
				if now.Sub(o.seen) > time.Minute {
					delete(l.from, k)
				}
			}
			if len(l.from) >= addressesMost {
				clear(l.from)
			}
		}
		one = &limit{requests: rate.NewLimiter(perAddress, addressBurst), failures: rate.NewLimiter(rate.Every(failedEvery), failedLogins), turns: make(chan struct{}, strangersEach)}
		l.from[a] = one
	}
	one.seen = now
	return one
}

func (l *limits) allow(a netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(a, now).requests.AllowN(now, 1)
}

// try is a token or a link of an address that is looked at.
type try struct {
	turns chan struct{}                   // of its address
	end   func(wrong bool, now time.Time) // is called when it is known whether it was wrong
}

// try begins to look at a token or a link: ErrTooMany if the address has sent too many that were
// wrong, and ErrCrowded if it would have, were all wrong that are looked at now.
func (l *limits) try(a netip.Prefix, now time.Time) (try, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.of(a, now)
	switch left := one.failures.TokensAt(now); {
	case left < 1:
		return try{}, ErrTooMany
	case left < float64(one.trying+1):
		return try{}, ErrCrowded
	}
	one.trying++
	return try{one.turns, func(wrong bool, now time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		one.trying--
		if wrong {
			one.failures.AllowN(now, 1)
		}
	}}, nil
}

// fail counts a wrong token, and reports whether it was borne.
func (l *limits) fail(a netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(a, now).failures.AllowN(now, 1)
}

// Listen opens the address. Without a certificate only loopback is served: what is readable
// on the way must not leave the machine. The certificate is read again while the server
// runs; the log has when that fails.
func Listen(address, certFile, keyFile string, log *slog.Logger) (net.Listener, bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, false, fmt.Errorf("--listen wants host:port: %w", err)
	}
	if certFile == "" && keyFile == "" {
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return nil, false, fmt.Errorf("%s is no loopback address, and without TLS whoever is on the way reads along\nhint: --tls-cert and --tls-key, or --listen 127.0.0.1:8443", host)
		}
		l, err := net.Listen("tcp", address)
		return l, false, err
	}
	pair := keypair.New(certFile, keyFile, log)
	if err := pair.Renew(); err != nil {
		return nil, false, fmt.Errorf("the certificate could not be read: %w\nhint: --tls-cert and --tls-key want PEM files", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, false, err
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: pair.Get, NextProtos: []string{"h2", "http/1.1"}}), true, nil
}
