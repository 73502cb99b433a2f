package server

import (
	"context"
	"errors"
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
	code, err := shown(t.Context(), from, at, token)
	if err != nil {
		t.Error(err)
	}
	return code
}

func shown(ctx context.Context, from, at, token string) (int, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/me", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
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

// TestStrangersHangUp: wrong tokens whose sender does not wait for the answer count as others do, those
// of one address take not every turn, and nobody is told of wrong tokens while none is known to be.
func TestStrangersHangUp(t *testing.T) {
	const here, there = "127.0.0.2", "127.0.0.3"
	tokens := &slowTokens{issued: issued{of: map[string]Who{"new": {Name: "bob"}}}, held: make(chan struct{})}
	_, at := lobby(t, tokens, &clock{})
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	ended := make(chan int, failedLogins)
	for i := range failedLogins {
		go func() {
			code, _ := shown(ctx, here, at, fmt.Sprintf("wrong-%d", i))
			ended <- code
		}()
	}
	await(t, "the questions", patience, func() bool { return tokens.waiting() == strangersEach })
	time.Sleep(200 * time.Millisecond) // the others wait for their turn by now
	if code := showing(t, here, at, "new"); code != http.StatusServiceUnavailable {
		t.Errorf("one more, while none was wrong: %d", code)
	}
	if code := showing(t, there, at, "new"); code != http.StatusOK {
		t.Errorf("who comes from elsewhere: %d", code)
	}
	for range failedLogins - strangersEach {
		if code := <-ended; code != http.StatusServiceUnavailable {
			t.Errorf("whose turn did not come: %d", code)
		}
	}
	hangUp()
	for range strangersEach {
		<-ended
	}
	time.Sleep(200 * time.Millisecond) // the server learns of it
	close(tokens.held)
	wrong := 0
	for i := range 2 * failedLogins {
		if showing(t, here, at, fmt.Sprintf("another-%d", i)) == http.StatusUnauthorized {
			wrong++
		}
	}
	if wrong != failedLogins-strangersEach {
		t.Errorf("after %d whose sender hung up, %d more were looked at", strangersEach, wrong)
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
		select {
		case <-s.held:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return who, ctx.Err()
			}
			<-s.held // rather than what slow machines make of it
		}
	}
	return who, err
}
