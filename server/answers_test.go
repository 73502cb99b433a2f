package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/baileyhq/bailey/store"
)

// TestAnswersSilent: a store that hangs or is away for too long is told of, and no hiccup; nor is an answer that is
// an error, but that another has taken over.
func TestAnswersSilent(t *testing.T) {
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	says := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	var asked atomic.Int32
	for name, trial := range map[string]struct {
		ask  func(context.Context) error
		want error
	}{
		"hangs":   {hangs, ErrSilent},
		"is away": {says(fmt.Errorf("x: %w", store.ErrUnavailable)), ErrSilent},
		"taken":   {says(store.ErrFenced), store.ErrFenced},
		"answers": {says(nil), context.DeadlineExceeded},
		"refuses": {says(store.ErrNotFound), context.DeadlineExceeded},
		"a hiccup": {func(ctx context.Context) error {
			if asked.Add(1)%3 == 0 {
				return nil
			}
			return hangs(ctx)
		}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				a := &Answers{Ask: trial.ask}
				if err := a.Run(ctx); !errors.Is(err, trial.want) || trial.want == context.DeadlineExceeded && errors.Is(err, ErrSilent) {
					t.Errorf("it ended with %v, want %v", err, trial.want)
				}
			})
		})
	}
}
