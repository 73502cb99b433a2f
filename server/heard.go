package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/baileyhq/bailey/store"
)

// Heard knows when the store was last told of the cluster that is watched here, by this process or
// another: pages are read from there, and are as old as that.
type Heard struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time

	mu   sync.Mutex
	at   time.Time // zero while it is not known
	from time.Time // since when there is something to keep: not while the cluster is out of sight, or was not judged yet
	late bool      // it was too long ago at the last look
}

const (
	// heardLook is how often the store is asked.
	heardLook = heardEvery / 6
	// heardLate is how old what is kept may be: whoever leads says every heardEvery that it is current.
	heardLate = 2*heardEvery + 30*time.Second
)

// Run looks at the store until ctx ends.
func (h *Heard) Run(ctx context.Context) error {
	failed := false
	for pause(ctx, heardLook) {
		err := h.look(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			h.Log.Error("how current the history is could not be read, and will be asked again", "error", err)
		}
		failed = err != nil
	}
	return ctx.Err()
}

// look asks the store, and tells listeners where that changes how current pages are.
func (h *Heard) look(ctx context.Context) error {
	uid := h.Loop.Cluster()
	if uid == "" {
		return nil
	}
	c, err := h.Store.Cluster(ctx, uid)
	sight, now := h.Loop.Sight(), h.Now()
	h.mu.Lock()
	if err == nil {
		h.at = c.Heard
	}
	if h.from.IsZero() || !sight.Ready || sight.Lost != nil {
		h.from = now
	}
	was, is := h.late, h.isLate(now)
	h.late = is
	h.mu.Unlock()
	if is != was {
		if is {
			h.Log.Error("what is found is not kept: pages show what was kept before", "since", h.At())
		} else if sight.Ready && sight.Lost == nil {
			h.Log.Info("what is found is kept again")
		}
		h.News.Tell(Item{Kind: NewsSight, Data: h.Sight()})
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil // nobody has led yet
	}
	return err
}

// At is when the store was last told; zero while that is not known.
func (h *Heard) At() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

// isLate reports whether what there was to keep was not kept for too long. h.mu is held.
func (h *Heard) isLate(now time.Time) bool {
	return !h.at.IsZero() && !h.from.IsZero() && late(h.at, now, heardLate) && late(h.from, now, heardLate)
}

// Sight says how current pages are: what the loop sees, and whether somebody keeps it.
func (h *Heard) Sight() Sight {
	s := h.Loop.Sight()
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Lost == nil && h.isLate(h.Now()) {
		at := h.at
		s.Kept = &at
	}
	return s
}

// late reports whether a moment is longer ago than it may be. One as far ahead is of a clock that
// was wrong, and says nothing of now.
func late(at, now time.Time, most time.Duration) bool {
	return now.Sub(at).Abs() > most
}
