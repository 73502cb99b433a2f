package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
)

// TestCrowded: where pages hold all connections, and more wait for one, whoever leads still learns at once that it
// does, and that it does no more.
func TestCrowded(t *testing.T) {
	address := database(t)
	s, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	term, err := s.TakeOver(t.Context(), "c", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var held atomic.Int32
	slow := store.WithTrace(ctx, func(string, []any) {
		held.Add(1)
		<-ctx.Done()
	})
	done := make(chan bool)
	const readers = 4 * connections
	for range readers {
		go func() {
			_, _ = s.Cluster(slow, "c")
			done <- true
		}()
	}
	defer func() {
		end()
		for range readers {
			<-done
		}
	}()
	for i := 0; held.Load() < connections; i++ {
		if i > 600 {
			t.Fatalf("%d connections are held", held.Load())
		}
		time.Sleep(50 * time.Millisecond)
	}
	asked, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := term.InTerm(asked); err != nil {
		t.Errorf("the term: %v", err)
	}
	if err := s.Writable(asked); err != nil {
		t.Errorf("whether it can be written: %v", err)
	}
	if _, err := other.TakeOver(t.Context(), "c", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := term.InTerm(asked); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the term after another began: %v", err)
	}
}
