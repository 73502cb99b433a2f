package server

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
)

// both are two replicas at which somebody is logged in by a provider that gives refresh tokens.
type both struct {
	*renewal
	kept   *shelf
	second *Front
	secret string
}

func newBoth(t *testing.T) *both {
	t.Helper()
	b := &both{kept: newShelf(t)}
	b.renewal = newRenewal(t, func(*hostile, *OIDC) {})
	b.second = alike(b.front, b.kept)
	if who, code, said := b.logIn(t, b.browser); who.Name != "ann" {
		t.Fatalf("%d %+v: %s", code, who, said)
	}
	b.secret = secretOf(t, b.browser, b.entrance.URL)
	return b
}

// is fails unless the session is of a person at a replica, or nobody's, or answered so.
func (b *both) is(t *testing.T, when string, f *Front, name string, code int) {
	t.Helper()
	if who, got := as(t, f, b.secret); who.Name != name || got != code {
		t.Errorf("%s: %d %q, want %d %q", when, got, who.Name, code, name)
	}
}

// TestRefreshAtReplicas: however many replicas and requests ask at once, a refresh token is used once, and what the
// provider says counts for all, after a restart too.
func TestRefreshAtReplicas(t *testing.T) {
	b := newBoth(t)
	b.set(func(h *hostile) { h.refreshed = 0 })
	for round := range 3 {
		b.clock.pass(providerChecked)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { b.is(t, "at once", []*Front{b.front, b.second}[i%2], "ann", http.StatusOK) })
		}
		all.Wait()
		b.set(func(h *hostile) {
			if h.refreshed != round+1 {
				t.Errorf("it was asked %d times, want %d", h.refreshed, round+1)
			}
		})
		b.second = alike(b.front, b.kept)
		b.is(t, "after a restart", b.second, "ann", http.StatusOK)
	}
	b.set(func(h *hostile) { h.down = true })
	b.clock.pass(providerChecked)
	b.is(t, "while the provider is away", b.front, "", http.StatusServiceUnavailable)
	b.is(t, "while the provider is away, elsewhere", b.second, "", http.StatusServiceUnavailable)
	b.set(func(h *hostile) { h.down = false })
	b.clock.pass(providerPause)
	b.is(t, "once it is back", b.second, "ann", http.StatusOK)
	b.set(func(h *hostile) { h.good = "" })
	b.clock.pass(providerChecked)
	b.is(t, "once the account is closed", b.second, "", http.StatusOK)
	b.is(t, "and elsewhere", b.front, "", http.StatusOK)
	other := alike(b.front, b.kept)
	other.OIDC.Groups = "groups"
	if who, code, said := b.logIn(t, b.browser); who.Name != "ann" {
		t.Fatalf("%d %+v: %s", code, who, said)
	}
	b.secret = secretOf(t, b.browser, b.entrance.URL)
	b.is(t, "at a server that names people otherwise", other, "", http.StatusOK)
	other.OIDC = nil
	b.is(t, "at one without a provider", other, "", http.StatusOK)
	b.is(t, "at its own", b.second, "ann", http.StatusOK)
}

// TestRefreshDies: whoever meets a session that another replica asks about waits for the answer; if that dies, they ask
// once its claim has run out.
func TestRefreshDies(t *testing.T) {
	b := newBoth(t)
	b.is(t, "at the other", b.second, "ann", http.StatusOK)
	b.clock.pass(providerChecked)
	row, err := b.kept.Session(t.Context(), store.HashToken(b.secret))
	if err != nil {
		t.Fatal(err)
	}
	row.Claimed = b.clock.now().Add(sessionClaim)
	if err := b.kept.SwapSession(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	var answered atomic.Bool
	var all sync.WaitGroup
	all.Go(func() { b.is(t, "in the end", b.second, "ann", http.StatusOK); answered.Store(true) })
	time.Sleep(5 * sessionWait)
	if asked := b.asked(); answered.Load() || asked != 0 {
		t.Errorf("while another has it to itself, it was answered: %v, and the provider asked %d times", answered.Load(), asked)
	}
	b.clock.pass(sessionClaim)
	all.Wait()
	if asked := b.asked(); asked != 1 {
		t.Errorf("the provider was asked %d times", asked)
	}
}

func (b *both) asked() (n int) {
	b.set(func(h *hostile) { n = h.refreshed })
	return n
}

// TestRefreshUnkept: nothing that is good once is used where that could not be kept; and what the provider gave as the store
// went away is kept by the next time.
func TestRefreshUnkept(t *testing.T) {
	b := newBoth(t)
	b.clock.pass(providerChecked)
	b.kept.set(errors.New("disk full"), "write")
	b.is(t, "while it can be read only", b.front, "", http.StatusServiceUnavailable)
	if asked := b.asked(); asked != 0 {
		t.Errorf("the provider was asked %d times", asked)
	}
	b.kept.set(nil, "")
	b.clock.pass(sessionPause)
	b.set(func(h *hostile) {
		h.lie = func(map[string]any, map[string]string) { b.kept.set(errors.New("disk full"), "write") }
	})
	b.is(t, "as it goes away", b.front, "ann", http.StatusOK)
	b.kept.set(nil, "")
	b.set(func(h *hostile) { h.lie = nil })
	b.clock.pass(providerChecked)
	b.is(t, "once it is back", b.front, "ann", http.StatusOK)
	if asked := b.asked(); asked != 2 {
		t.Errorf("the provider was asked %d times", asked)
	}
	b.is(t, "elsewhere", b.second, "ann", http.StatusOK)
}

// TestLogOutMeanwhile: who logs out while the provider is asked is out.
func TestLogOutMeanwhile(t *testing.T) {
	b := newBoth(t)
	b.clock.pass(providerChecked)
	b.set(func(h *hostile) {
		h.lie = func(map[string]any, map[string]string) {
			if err := b.second.Sessions.End(t.Context(), b.secret); err != nil {
				t.Error(err)
			}
		}
	})
	b.is(t, "who logged out meanwhile", b.front, "", http.StatusOK)
	b.is(t, "elsewhere", b.second, "", http.StatusOK)
}

// TestRefreshUnwritten: what the provider gave while the store took nothing is written as soon as that is back: another replica
// does not use the token of before.
func TestRefreshUnwritten(t *testing.T) {
	b := newBoth(t)
	b.is(t, "at the other", b.second, "ann", http.StatusOK)
	b.clock.pass(providerChecked)
	b.set(func(h *hostile) {
		h.lie = func(map[string]any, map[string]string) { b.kept.set(errors.New("disk full"), "write") }
	})
	b.is(t, "as the store goes away", b.front, "ann", http.StatusOK)
	b.set(func(h *hostile) { h.lie = nil })
	b.clock.pass(sessionPause)
	b.is(t, "while it is away", b.front, "ann", http.StatusOK)
	b.kept.set(nil, "")
	b.clock.pass(sessionPause)
	b.is(t, "once it is back", b.front, "ann", http.StatusOK)
	b.clock.pass(sessionClaim)
	b.is(t, "elsewhere, when the claim would have run out", b.second, "ann", http.StatusOK)
	if asked := b.asked(); asked != 1 {
		t.Errorf("the provider was asked %d times", asked)
	}
}

// TestRefreshUnclaimed: while no session can be claimed, whoever waits for their turn does not wait for it anew.
func TestRefreshUnclaimed(t *testing.T) {
	b := newBoth(t)
	b.clock.pass(providerChecked)
	b.kept.set(errors.New("away"), "write")
	for range 5 {
		b.is(t, "while nothing can be written", b.front, "", http.StatusServiceUnavailable)
	}
	if b.kept.failed != 1 {
		t.Errorf("it was tried %d times in a pause", b.kept.failed)
	}
	b.kept.set(nil, "")
	b.clock.pass(sessionPause)
	b.is(t, "once it can", b.front, "ann", http.StatusOK)
}
