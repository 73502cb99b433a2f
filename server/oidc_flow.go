package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// begun is a login that was begun and has not come back. It is in a cookie of the browser's: each login has its own,
// so that several tabs can log in at once, and any replica ends it.
type begun struct {
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Until    time.Time `json:"until"`
}

const (
	loginLife = 10 * time.Minute
	// clocksDiffer is by how much the clock of the replica at which a login ends may be behind that at which it began.
	clocksDiffer = time.Minute
	// loginsMost bounds the cookies of logins that one browser keeps, and nextMost the address of the
	// page to show afterwards: a browser drops a cookie above 4 KiB.
	loginsMost, nextMost = 8, 1 << 10
	// usedMost bounds the logins that are remembered as used: more than one address can begin in
	// their time.
	usedMost = perAddress*int(loginLife/time.Second) + addressBurst + 1
)

// logins remembers which logins came back to this process. To another one none comes back again either: the
// provider takes a code once.
type logins struct {
	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time // by the hash of the state, until when it would be good
}

// cookie gives a cookie's value, and the state that is good with it only: its hash, from which nobody who sees
// the state comes back to the cookie.
func (b begun) cookie() (value, state string) {
	data, err := json.Marshal(b)
	if err != nil {
		panic(err) // texts and a time
	}
	value = base64.RawURLEncoding.EncodeToString(data)
	return value, stateOf(value)
}

func stateOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// take opens the cookie of a login that came back with a state, once.
func (l *logins) take(state, cookie string, now time.Time) (b begun, found bool) {
	if state != stateOf(cookie) {
		return b, false
	}
	data, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || json.Unmarshal(data, &b) != nil || !now.Before(b.Until) || b.Until.After(now.Add(loginLife+clocksDiffer)) {
		return begun{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := sha256.Sum256([]byte(state))
	if _, was := l.used[k]; was {
		return b, false
	}
	if l.used == nil {
		l.used = map[[sha256.Size]byte]time.Time{}
	}
	if len(l.used) >= usedMost {
		for k, until := range l.used {
			if !now.Before(until) {
				delete(l.used, k)
			}
		}
		for k := range l.used { // any: the provider takes a code once too
			if len(l.used) < usedMost {
				break
			}
			delete(l.used, k)
		}
	}
	l.used[k] = b.Until
	return b, true
}

// loginCookie is the cookie of one login.
type loginCookie struct{ name, value string }

// loginName is what the cookie of a state is called, after the prefix.
func loginName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func (f *Front) loginPrefix() string { return f.cookieName() + "-login-" }

// BeginOIDC sends the browser to the provider. next is the page to show afterwards, of this
// server.
func (f *Front) BeginOIDC(w http.ResponseWriter, r *http.Request, next string) error {
	to, cookie, err := f.OIDC.begin(next)
	if err != nil {
		return err
	}
	var others []string // the oldest first, as browsers send them
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, f.loginPrefix()) {
			others = append(others, c.Name)
		}
	}
	for _, name := range others[:max(0, len(others)-loginsMost+1)] {
		f.setLogin(w, name, "", -1)
	}
	f.setLogin(w, f.loginPrefix()+cookie.name, cookie.value, int(loginLife/time.Second))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// EndOIDC logs in whoever the provider sent back, and gives the page to show.
func (f *Front) EndOIDC(w http.ResponseWriter, r *http.Request) (next string, err error) {
	name, value := f.loginPrefix()+loginName(r.URL.Query().Get("state")), ""
	if c, err := r.Cookie(name); err == nil {
		value = c.Value
		f.setLogin(w, name, "", -1)
	}
	// No failure is counted: a state cannot be guessed, and behind a proxy all have one address.
	l, next, err := f.OIDC.end(r.Context(), r.URL.Query(), value)
	if err != nil {
		return next, err
	}
	return next, f.logIn(w, r, l)
}

// setLogin sets the cookie of a login. It is lax: the provider's page leads back here.
func (f *Front) setLogin(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: f.Secure, SameSite: http.SameSiteLaxMode, MaxAge: age})
}
