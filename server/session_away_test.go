package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestMadeUpSessions: while the store is away whoever makes secrets up neither asks it each time nor fills the log, which is told again after each pause.
func TestMadeUpSessions(t *testing.T) {
	clock, kept, told := &clock{}, newShelf(t), &bytes.Buffer{}
	front, _ := lobby(t, &issued{}, clock)
	front.Sessions.Store, front.Log = kept, slog.New(slog.NewTextHandler(told, nil))
	for pauses := range 4 {
		kept.set(errors.New("away"), "")
		for range 20 {
			if who, code := as(t, front, newSecret()); code != http.StatusServiceUnavailable || !who.Anonymous() {
				t.Errorf("while the store is away: %d %+v", code, who)
			}
		}
		if lines := strings.Count(told.String(), "\n"); kept.failed != pauses+1 || lines != pauses+1 {
			t.Errorf("in %d pauses it was asked %d times, and the log has\n%s", pauses+1, kept.failed, told)
		}
		clock.pass(sessionPause)
		if pauses%2 == 0 {
			continue // it stays away
		}
		kept.set(nil, "")
		if who, code := as(t, front, newSecret()); code != http.StatusOK || !who.Anonymous() {
			t.Errorf("once it is back: %d %+v", code, who)
		}
	}
}

// TestAskedForAll: where the store hangs, one asks it whether it is back, and the others are answered meanwhile.
func TestAskedForAll(t *testing.T) {
	clock, kept := &clock{}, newShelf(t)
	front, _ := lobby(t, &issued{}, clock)
	front.Sessions.Store = kept
	kept.set(errors.New("away"), "")
	if _, code := as(t, front, newSecret()); code != http.StatusServiceUnavailable {
		t.Errorf("while the store is away: %d", code)
	}
	clock.pass(sessionPause)
	kept.hang = make(chan struct{})
	const others = 5
	codes := make(chan int, others+1)
	ask := func() {
		_, code := as(t, front, newSecret())
		codes <- code
	}
	go ask()
	await(t, "one asks", patience, func() bool { return kept.failures() == 2 })
	for range others {
		go ask()
	}
	for range others {
		select {
		case code := <-codes:
			if code != http.StatusServiceUnavailable {
				t.Errorf("while one asks: %d", code)
			}
		case <-time.After(patience):
			t.Fatal("all wait for a store that hangs")
		}
	}
	close(kept.hang)
	if code := <-codes; code != http.StatusServiceUnavailable || kept.failures() != 2 {
		t.Errorf("who asked: %d; it was asked %d times", code, kept.failures())
	}
}
