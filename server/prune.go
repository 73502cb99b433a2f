package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/baileyhq/bailey/store"
)

// Pruner removes history that is older than is to be kept, of every cluster in the store, waivers too that
// were ended or expired so long ago, and sessions that are over. What is open, waivers that count, and the log of who did what stay.
type Pruner struct {
	Store *store.Store
	Log   *slog.Logger
	Now   func() time.Time
	// Keep is how long history is kept; zero: for ever.
	Keep time.Duration
	// Removed is told what was removed of each cluster; nil: nobody is.
	Removed func(store.Pruned)

	behind bool          // the clock was behind what counts as now
	since  time.Duration // for how long it has been
	held   bool          // the clock is far ahead of what counts as now
}

const (
	// pruneFirst is how long a server runs before it prunes: its first report comes before.
	pruneFirst = time.Minute
	pruneEvery = time.Hour
	// tidyEach is at how many prunings the store is tidied once, not at the first: a large report may still be being kept then.
	tidyEach = 24
)

// Run prunes until ctx ends, and tidies the store each day. What fails is tried again at the next time.
func (p *Pruner) Run(ctx context.Context) error {
	last := time.Now()
	wait := pruneFirst
	for n := 0; pause(ctx, wait); n++ {
		p.prune(ctx, time.Since(last))
		last, wait = time.Now(), pruneEvery
		if n%tidyEach == 1 {
			p.tidy(ctx)
		}
	}
	return ctx.Err()
}

// tidy brings the store's index of words together.
func (p *Pruner) tidy(ctx context.Context) {
	begun := time.Now()
	err := p.Store.Tidy(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.Log.Error("the index of words could not be tidied, and will be in a day: until then searches take longer", "error", err)
	default:
		p.Log.Debug("the index of words is tidy", "took", time.Since(begun).Round(time.Millisecond))
	}
}

// catchUp is how many times as fast as time itself what counts as now comes near to a clock that is
// ahead of it. That of a server that was off for months is ahead, and so is one that is wrong: of that an
// hour costs no more than these of the oldest history.
const catchUp = 4

const (
	// believed is for how long a clock must stay behind what counts as now to take that back: one look by a
	// clock that is years behind would keep all history for years, once it is right again.
	believed = 24 * time.Hour
	// heldBack is how far the clock may be ahead of what counts as now and nobody is told.
	heldBack = 24 * time.Hour
)

// prune removes what is over or too old now, when so much time has passed since it was called last, or since
// the start.
func (p *Pruner) prune(ctx context.Context, passed time.Duration) {
	var clusters []store.Cluster
	clock := p.Now()
	now, behind, err := p.Store.Passed(ctx, clock, catchUp*passed, p.behind && p.since+passed >= believed)
	if err == nil {
		p.looked(clock, now, behind, passed)
		err = p.Store.PruneSessions(ctx, now)
	}
	if err == nil && p.Keep > 0 {
		clusters, err = p.Store.Clusters(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.Log.Error("what is old could not be looked for, and will be later", "error", err)
		}
		return
	}
	before := now.Add(-p.Keep)
	for _, c := range clusters {
		removed, err := p.Store.Prune(ctx, c.UID, before)
		if ctx.Err() != nil {
			return
		}
		if p.Removed != nil {
			p.Removed(removed)
		}
		if err != nil {
			p.Log.Error("old history could not be removed, and will be later", "cluster", c.UID, "error", err)
			continue
		}
		if removed != (store.Pruned{}) {
			p.Log.Info("removed old history", "cluster", c.UID, "before", before.UTC().Format(time.RFC3339), "findings", removed.Findings, "rungs", removed.Rungs,
				"evidence", removed.Evidence, "runs", removed.Runs, "alerts", removed.Alerts, "waivers", removed.Waivers, "changes", removed.Changes)
		}
	}
}

// looked notes how the clock stands to what counts as now.
func (p *Pruner) looked(clock, now time.Time, behind bool, passed time.Duration) {
	if p.since += passed; !behind || !p.behind {
		p.since = 0
	}
	p.behind = behind
	was := p.held
	if p.held = clock.Sub(now) > heldBack; p.held && !was {
		p.Log.Warn("the clock is far ahead of the time that is known to have passed: what is old is removed by that, which catches up", "clock", clock.UTC().Format(time.RFC3339), "passed", now.Format(time.RFC3339), "pace", catchUp)
	}
}
