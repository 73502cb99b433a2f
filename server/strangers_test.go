package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// showing asks a server who a program with a token is, from an address of this machine.
func showing(t *testing.T, from, at, token string) int {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// TestStrangers: of a flood of wrong tokens few are asked about, and neither who was there before
// nor who comes from elsewhere is kept out by it.
func TestStrangers(t *testing.T) {
	const here, there = "127.0.0.2", "127.0.0.3"
	clock, tokens, browser := &clock{}, &issued{of: map[string]Who{"old": {Name: "ann"}, "new": {Name: "bob"}}}, person()
	_, at := lobby(t, tokens, clock)
	enter(t, browser, at, "old")
	if code := showing(t, here, at, "old"); code != http.StatusOK {
		t.Fatalf("at first: %d", code)
	}
	tokens.set(func() { tokens.asked = 0 })
	var flood sync.WaitGroup
	for i := range 100 {
		flood.Go(func() { showing(t, here, at, fmt.Sprintf("wrong-%d", i)) })
	}
	flood.Wait()
	tokens.set(func() {
		if tokens.asked != failedLogins {
			t.Errorf("100 wrong tokens of one address were asked about %d times", tokens.asked)
		}
	})
	clock.pass(sessionChecked / 60)
	for _, c := range []struct {
		what, from, token string
		want              int
	}{
		{"another wrong token", here, "wrong", http.StatusTooManyRequests},
		{"who was known before", here, "old", http.StatusOK},
		{"who comes from elsewhere", there, "new", http.StatusOK},
	} {
		if code := showing(t, c.from, at, c.token); code != c.want {
			t.Errorf("%s: %d, want %d", c.what, code, c.want)
		}
	}
	clock.pass(sessionChecked)
	if who, code := me(t, browser, at); who.Name != "ann" {
		t.Errorf("who had logged in: %d %+v", code, who)
	}

	// A program that tries one wrong token again and again is asked about once in a while, and does
	// not use up what others behind the same address may get wrong.
	clock.pass(10 * time.Minute)
	tokens.set(func() { tokens.asked = 0 })
	for range 50 {
		if code := showing(t, here, at, "expired"); code != http.StatusUnauthorized {
			t.Fatalf("a wrong token: %d", code)
		}
	}
	if code := showing(t, here, at, "new"); code != http.StatusOK || tokens.asked != 2 {
		t.Errorf("after one wrong token: %d, and %d were asked about", code, tokens.asked)
	}
}

// TestStrangersWait: tokens that nobody knows are asked about a few at a time, and whoever was
// known before does not wait for that.
func TestStrangersWait(t *testing.T) {
	tokens := &slowTokens{issued: issued{of: map[string]Who{"old": {Name: "ann"}}}, held: make(chan struct{})}
	_, at := lobby(t, tokens, &clock{})
	if code := showing(t, "127.0.0.2", at, "old"); code != http.StatusOK {
		t.Fatal(code)
	}
	var flood sync.WaitGroup
	defer flood.Wait()
	defer close(tokens.held)
	for i := range 20 {
		flood.Go(func() { showing(t, fmt.Sprintf("127.0.1.%d", i), at, fmt.Sprintf("wrong-%d", i)) })
	}
	await(t, "the flood", patience, func() bool { return tokens.waiting() == strangersAtOnce })
	if code := showing(t, "127.0.0.2", at, "old"); code != http.StatusOK {
		t.Errorf("who was known before: %d", code)
	}
	if code := showing(t, "127.0.0.4", at, "wrong"); code != http.StatusServiceUnavailable || tokens.waiting() != strangersAtOnce {
		t.Errorf("one more: %d, and %d are asked about", code, tokens.waiting())
	}
}

// slowTokens answers about wrong tokens late.
type slowTokens struct {
	issued
	held chan struct{}
	now  int
}

func (s *slowTokens) waiting() (n int) {
	s.set(func() { n = s.now })
	return n
}

func (s *slowTokens) Whose(ctx context.Context, token string) (Who, error) {
	who, err := s.issued.Whose(ctx, token)
	if err != nil {
		s.set(func() { s.now++ })
		<-s.held
	}
	return who, err
}
