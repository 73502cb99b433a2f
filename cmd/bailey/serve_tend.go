package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// tendFlags say what the server does with history beside keeping it.
type tendFlags struct {
	keep time.Duration
}

// leastKept is the shortest time that history is kept.
const leastKept = 24 * time.Hour

func (f *tendFlags) register(c *cobra.Command) {
	c.Flags().DurationVar(&f.keep, "keep", 90*24*time.Hour, "how long history is kept of what is over; 0: for ever")
}

func (f *tendFlags) check() error {
	if f.keep != 0 && f.keep < leastKept {
		return usageError("--keep wants a day (24h) or more, or 0 for ever")
	}
	return nil
}

// tend gives what the writer of the history does beside recording.
func (s *serving) tend(kept *store.Store) []part {
	pruner := &server.Pruner{Store: kept, Log: s.log, Now: s.app.now, Keep: s.flags.tend.keep, Removed: s.metrics.CountPruned}
	return []part{pruner.Run}
}
