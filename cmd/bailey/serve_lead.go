package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// part is something that goes on until ctx ends.
type part func(ctx context.Context) error

// parts are what one process at a time may run: what writes history, and what acts on the
// cluster. They write with the store that they are given.
func (s *serving) parts(kept *store.Store) []part {
	raiser := s.raiser(kept)
	recorder := &server.Recorder{Store: kept, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now, Raiser: raiser}
	if s.book != nil {
		recorder.LedgerIndex = s.book.Index
	}
	runner := &server.Runner{Store: kept, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now, Every: s.flags.every, Controls: s.flags.scheduled, Acts: s.acts, Prove: s.prove}
	if s.flags.path != "" {
		runner.Every = 0
	}
	watchBook := func(ctx context.Context) error { return raiser.WatchBook(ctx, s.book) }
	parts := slices.Concat([]part{recorder.Run, runner.Run, raiser.Run, s.keepBook, watchBook}, s.guards(kept), s.tend(kept), s.detecting(kept))
	if s.flags.replicate {
		parts = append(parts, (&server.Answers{Ask: kept.InTerm}).Run)
	}
	if s.pusher != nil {
		parts = append(parts, s.pushing(kept))
	}
	return parts
}

func (s *serving) raiser(kept *store.Store) *server.Raiser {
	return &server.Raiser{Store: kept, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now, Worth: s.flags.tend.worth}
}

// lead runs the parts. All end when ctx does, and with the first that ends: also when another
// process has taken the history over (store.ErrFenced).
func (s *serving) lead(ctx context.Context) error {
	kept, err := s.takeOver(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range s.parts(kept) {
		group.Go(func() error { return ended(ctx, run(ctx)) })
	}
	err = group.Wait()
	s.restBook() // not before: runs record what they showed until they were ended
	if errors.Is(err, store.ErrFenced) {
		err = fmt.Errorf("%w\nhint: one server watches a cluster; several take turns with --replicate", err)
	}
	return err
}

const (
	// takeOverWait is the wait between two tries to reach the store, and between two looks whether
	// the cluster is known.
	takeOverWait = time.Second
	seenWait     = 50 * time.Millisecond
	// storeWait is how long one try may take.
	storeWait = 5 * time.Second
)

// takeOver begins a term of writing the history, once it is known of which cluster.
func (s *serving) takeOver(ctx context.Context) (*store.Store, error) {
	if err := s.awaitCluster(ctx); err != nil {
		return nil, err
	}
	begun := time.Now()
	for {
		tried, cancel := context.WithTimeout(ctx, storeWait)
		kept, err := s.store.TakeOver(tried, s.loop.Cluster(), s.app.now())
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return kept, err
		case !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		case errors.Is(err, context.DeadlineExceeded) && s.answers(ctx) == nil: // it is another's transaction that is waited for
			begun = time.Now()
		case s.flags.replicate && time.Since(begun) > server.SilentMost:
			return nil, fmt.Errorf("%w: %w", server.ErrSilent, err)
		}
		s.log.Error("the store does not answer, and will be tried again", "error", err)
		if err := rested(ctx, takeOverWait); err != nil {
			return nil, err
		}
	}
}

// awaitCluster waits until the cluster was seen, and which it is. The log has when it was seen and that
// is not known.
func (s *serving) awaitCluster(ctx context.Context) error {
	said := false
	for s.loop.Cluster() == "" {
		if err := s.loop.Nameless(); err != nil && !said {
			s.log.Error("nothing is kept, proven or shown", "error", err)
			said = true
		}
		if err := rested(ctx, seenWait); err != nil {
			return err
		}
	}
	return nil
}

func rested(ctx context.Context, wait time.Duration) error {
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended gives the error of a part that ended: all others end with it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
