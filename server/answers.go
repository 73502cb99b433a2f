package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/baileyhq/bailey/store"
)

// ErrSilent tells that the store has not answered for too long: another replica may reach it.
var ErrSilent = errors.New("the store does not answer here")

// Answers ends once the store has not answered for a while. A replica that leads, and that alone has
// lost its database, would keep the others from writing.
type Answers struct {
	// Ask asks the store.
	Ask func(ctx context.Context) error
}

const (
	// answersEvery is how often the store is asked, and how long it may take.
	answersEvery = 5 * time.Second
	// SilentMost is how long the store may leave whoever leads without an answer: that it is restarted, or
	// slow for a while, is no reason to change who leads. answersLost is how many times it must have been asked.
	SilentMost  = 30 * time.Second
	answersLost = 3
)

// Run asks until ctx ends, the store has not answered for too long (ErrSilent), or another has taken
// over (store.ErrFenced).
func (a *Answers) Run(ctx context.Context) error {
	last, lost := time.Now(), 0
	for pause(ctx, answersEvery) {
		asked, cancel := context.WithTimeout(ctx, answersEvery)
		err := a.Ask(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			return err
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			lost++
			if silent := time.Since(last); silent >= SilentMost && lost >= answersLost {
				return fmt.Errorf("%w for %s: %w", ErrSilent, silent.Round(time.Second), err)
			}
		default:
			last, lost = time.Now(), 0
		}
	}
	return ctx.Err()
}
