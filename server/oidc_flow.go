package server

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// flow is a login that was begun and has not come back.
type flow struct {
	browser         [sha256.Size]byte // of the cookie
	nonce, verifier string
	next            string
	until           time.Time
}

const (
	flowLife = 10 * time.Minute
	// flowsMost bounds the logins under way: more than one address can begin in their time.
	flowsMost = perAddress*int(flowLife/time.Second) + addressBurst + 1
)

// flows are the logins under way, by the hash of their state.
type flows struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]flow
}

func (f *flows) put(state string, one flow, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[[sha256.Size]byte]flow{}
	}
	if len(f.open) >= flowsMost {
		for k, o := range f.open {
			if now.After(o.until) {
				delete(f.open, k)
			}
		}
		for k := range f.open { // any: they are all young
			if len(f.open) < flowsMost {
				break
			}
			delete(f.open, k)
		}
	}
	f.open[sha256.Sum256([]byte(state))] = one
}

// take gives a login and forgets it.
func (f *flows) take(state string, now time.Time) (flow, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := sha256.Sum256([]byte(state))
	one, found := f.open[k]
	delete(f.open, k)
	return one, found && now.Before(one.until)
}

func (f *Front) flowCookie() string { return f.cookieName() + "-login" }

// BeginOIDC sends the browser to the provider. next is the page to show afterwards, of this
// server.
func (f *Front) BeginOIDC(w http.ResponseWriter, r *http.Request, next string) error {
	to, browser, err := f.OIDC.begin(next)
	if err != nil {
		return err
	}
	http.SetCookie(w, f.loginCookie(browser, int(flowLife/time.Second)))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// EndOIDC logs in whoever the provider sent back, and gives the page to show. A login that
// is refused counts against its address.
func (f *Front) EndOIDC(w http.ResponseWriter, r *http.Request) (next string, err error) {
	browser := ""
	if c, err := r.Cookie(f.flowCookie()); err == nil {
		browser = c.Value
	}
	http.SetCookie(w, f.loginCookie("", -1))
	// No failure is counted: a state cannot be guessed, and behind a proxy all have one address.
	l, next, err := f.OIDC.end(r.Context(), r.URL.Query(), browser)
	if err != nil {
		return next, err
	}
	f.logIn(w, r, l)
	return next, nil
}

// loginCookie binds a login to its browser. It is lax: the provider's page leads back here.
func (f *Front) loginCookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: f.flowCookie(), Value: value, Path: "/", HttpOnly: true, Secure: f.Secure, SameSite: http.SameSiteLaxMode, MaxAge: age}
}
