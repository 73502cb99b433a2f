package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/baileyhq/bailey/store"
)

// Relay tells of what other processes wrote into the store: readers of pages that are served here
// hear of it, and waivers that were added elsewhere are taken in.
type Relay struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	// Leads reports whether this process writes the history: it tells its own news then.
	Leads func() bool

	// What follows belongs to Run.
	begun bool
	after int64 // the last change that was looked at
}

const (
	// relayEvery is how often the store is asked what changed.
	relayEvery = time.Second
	// relayMost is how many changes are looked at one by one; of more only that there are some is told.
	relayMost = 10_000
)

// Run looks at the store until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	failed := false
	for pause(ctx, relayEvery) {
		err := r.look(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			r.Log.Error("what others wrote could not be read, and will be tried again", "error", err)
		}
		failed = err != nil
	}
	return ctx.Err()
}

// errNotKept tells that there is nothing to show yet, as at every first start.
var errNotKept = errors.New("no report was kept yet")

// Kept fails until there is something to show.
func (r *Relay) Kept(ctx context.Context) error {
	c, err := r.Store.Cluster(ctx, r.Loop.Cluster())
	if errors.Is(err, store.ErrNotFound) || err == nil && c.Judged.IsZero() {
		return errNotKept
	}
	return err
}

func (r *Relay) look(ctx context.Context) error {
	uid := r.Loop.Cluster()
	if uid == "" {
		return nil
	}
	c, err := r.Store.Cluster(ctx, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nobody has led yet
	}
	if err != nil {
		return err
	}
	switch {
	case !r.begun:
		r.begun, r.after = true, c.Seq
		return nil
	case c.Seq == r.after:
		return nil
	case c.Seq-r.after > relayMost:
		r.skip(ctx, c.Seq)
		return nil
	}
	var new changed
	for next := r.after; next < c.Seq; {
		page, err := r.Store.Changes(ctx, store.Everything(), uid, next, 1000)
		if errors.Is(err, store.ErrTooOld) {
			r.skip(ctx, c.Seq)
			return nil
		}
		if err != nil {
			return err
		}
		for i := range page.Changes {
			new.add(&page.Changes[i])
		}
		next = page.Next
	}
	if err := r.tell(ctx, uid, &new); err != nil {
		return err
	}
	r.after = c.Seq
	return nil
}

// skip goes on behind changes that are too many or too old to be looked at.
func (r *Relay) skip(ctx context.Context, to int64) {
	r.after = to
	if !r.Leads() {
		r.News.Tell(Item{Kind: NewsKept, Data: r.published()})
	}
	r.Loop.Refresh(ctx)
}

// changed sums up changes.
type changed struct {
	kept, waivers, evidence bool
	runs, alerts            map[string]bool
}

func (c *changed) add(one *store.Change) {
	switch one.Subject {
	case "finding", "verdict":
		c.kept = true
	case "waiver":
		c.waivers = true
	case "evidence":
		c.evidence = true
	case "run":
		if c.runs == nil {
			c.runs = map[string]bool{}
		}
		c.runs[one.ID] = true
	case "alert":
		if c.alerts == nil {
			c.alerts = map[string]bool{}
		}
		c.alerts[one.ID] = true
	}
}

// tell tells what changed. Runs are told to whoever leads too: they may be orders.
func (r *Relay) tell(ctx context.Context, uid string, c *changed) error {
	leads := r.Leads()
	var items []Item
	for _, id := range slices.Sorted(maps.Keys(c.runs)) {
		run, err := r.Store.Run(ctx, store.Everything(), uid, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // it was too old to be kept on
		}
		if err != nil {
			return fmt.Errorf("a run that changed: %w", err)
		}
		if !leads || run.State == store.RunPlanned {
			items = append(items, Item{Kind: NewsRun, Data: runOf(&run)})
		}
	}
	if !leads {
		for _, key := range slices.Sorted(maps.Keys(c.alerts)) {
			alert, err := r.Store.Alert(ctx, store.Everything(), uid, key)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("an alert that changed: %w", err)
			}
			items = append(items, Item{Kind: NewsAlert, Namespace: homeOf(alert.Object), Data: alertOf(&alert)})
		}
		if c.kept {
			items = append(items, Item{Kind: NewsKept, Data: r.published()})
		}
	}
	r.News.Tell(items...)
	if c.waivers || c.evidence && !leads {
		r.Loop.Refresh(ctx)
	}
	return nil
}

func (r *Relay) published() Published {
	_, version := r.Loop.Report()
	return Published{Version: version, Findings: r.Loop.Summary().Total}
}
