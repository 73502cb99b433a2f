package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baileyhq/bailey/store"
)

// Lookout has alerts raised and delivered where no replica sees the cluster, and so none leads: one of the
// replicas, by the store that they share, until one leads again.
type Lookout struct {
	Store *store.Store
	Loop  *Loop
	Log   *slog.Logger
	Now   func() time.Time
	// Leads reports whether this process writes the history.
	Leads func() bool
	// Alert raises and delivers alerts with a store until ctx ends, or somebody else writes the history.
	Alert func(ctx context.Context, kept *store.Store) error

	// What follows belongs to Run.
	was   store.Tenure // what the store last said
	since time.Time    // since when it says so; zero before
}

// lookoutWait is how long nobody was there, by the store, before one of the replicas steps in. Whoever leads, or
// stepped in, says every sightEvery that it is there while it does not see the cluster.
const lookoutWait = 3 * sightEvery

// Run looks until ctx ends.
func (l *Lookout) Run(ctx context.Context) error {
	failed := false
	for pause(ctx, sightEvery) {
		err := l.look(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			l.Log.Error("whether somebody tells that the cluster is out of sight could not be seen, and will be looked at again", "error", err)
		}
		failed = err != nil
	}
	return ctx.Err()
}

// look steps in where nobody else does, and returns once it is over.
func (l *Lookout) look(ctx context.Context) error {
	uid, sight := l.Loop.Cluster(), l.Loop.Sight()
	if uid == "" || sight.Lost == nil || l.Leads() {
		l.since = time.Time{}
		return nil
	}
	is, err := l.Store.Tenure(ctx, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nobody has led yet
	}
	if err != nil {
		return err
	}
	if is != l.was || l.since.IsZero() {
		l.was, l.since = is, time.Now()
	}
	now := l.Now()
	if time.Since(l.since) < lookoutWait || now.Sub(*sight.Lost) < sightHold || !late(is.Heard, now, sightHold) {
		return nil
	}
	l.since = time.Time{}
	tried, cancel := context.WithTimeout(ctx, sightEvery)
	kept, err := l.Store.Succeed(tried, uid, is)
	cancel()
	if errors.Is(err, store.ErrConflict) {
		return nil // another was faster
	}
	if err != nil {
		return err
	}
	l.Log.Warn("no replica sees the cluster, and none leads: this one raises and delivers alerts meanwhile")
	err = l.standIn(ctx, kept)
	l.Log.Info("this replica raises and delivers no more alerts", "why", err)
	return nil
}

var (
	errInSight = errors.New("the cluster is in sight")
	errLeads   = errors.New("this replica leads")
)

// standIn raises and delivers alerts until this replica sees the cluster, or somebody else writes the history.
func (l *Lookout) standIn(ctx context.Context, kept *store.Store) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.Alert(ctx, kept) })
	group.Go(func() error {
		for pause(ctx, time.Second) {
			switch {
			case l.Leads():
				return errLeads
			case l.Loop.Sight().Lost == nil:
				return errInSight
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}
