package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Progress is told how far a run is. It may be called by several goroutines.
type Progress interface {
	// Step tells how many of all planned tries are done.
	Step(done, total int)
	// Showed tells what an experiment showed that has ended.
	Showed(e bailey.Evidence)
}

const (
	// tellEvery is how often listeners are told how far a run is.
	tellEvery = 250 * time.Millisecond
	// stopLook is how often it is looked whether somebody has stopped the run.
	stopLook = time.Second
	// keepShare is which part of the time that a run has taken may pass before how far it is is
	// kept again, up to keepMost: a long run writes no more history than some short ones.
	keepShare = 20
	keepMost  = 5 * time.Second
)

// errStopped is the cause of a run's end that somebody stopped.
var errStopped = errors.New("the run was stopped")

// liveRun is a run under way.
type liveRun struct {
	runner *Runner
	uid    string
	begun  time.Time

	mu      sync.Mutex
	run     store.Run
	only    string // the one experiment that was ordered
	shown   []RunExperiment
	changed bool // since listeners were told
	unkept  bool
}

// Step is of Progress.
func (l *liveRun) Step(done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done > l.run.Done || total != l.run.Probes {
		l.run.Done, l.run.Probes = max(done, l.run.Done), total
		l.changed, l.unkept = true, true
	}
}

// Showed is of Progress.
func (l *liveRun) Showed(e bailey.Evidence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.shown, func(x RunExperiment) bool { return x.Control == e.Control && x.Experiment == e.Experiment })
	if at < 0 {
		at = len(l.shown)
		l.shown = append(l.shown, RunExperiment{Control: e.Control, Experiment: e.Experiment})
	}
	x, t := &l.shown[at], e.Total()
	x.Scopes++
	x.Held, x.Tried, x.Broken, x.Inconclusive = x.Held+t.Held, x.Tried+t.Tried, x.Broken+t.Broken, x.Inconclusive+t.Inconclusive
	r := &l.run
	r.Held, r.Tried, r.Broken, r.Inconclusive = r.Held+t.Held, r.Tried+t.Tried, r.Broken+t.Broken, r.Inconclusive+t.Inconclusive
	l.changed, l.unkept = true, true
}

// now gives the run as it stands.
func (l *liveRun) now() store.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	run := l.run
	if len(l.shown) > 0 {
		run.Doc, _ = json.Marshal(runDoc{Only: l.only, Experiments: l.shown}) // names and numbers can be marshalled
	}
	return run
}

// due reports whether something happened that is to be told or kept, and takes note that it is.
func (l *liveRun) due(what *bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := *what
	*what = false
	return is
}

// follow tells and keeps how far the run is until ctx ends, and stops it once somebody has said so.
func (l *liveRun) follow(ctx context.Context, stop context.CancelCauseFunc) {
	tell, look := time.NewTicker(tellEvery), time.NewTicker(stopLook)
	defer tell.Stop()
	defer look.Stop()
	kept := l.begun
	for {
		select {
		case <-ctx.Done():
			return
		case <-tell.C:
			if l.due(&l.changed) {
				run := l.now()
				l.runner.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
			}
		case <-look.C:
			known, err := l.runner.Store.Run(ctx, store.Everything(), l.uid, l.run.ID)
			if err == nil && known.State == store.RunStopped {
				l.mu.Lock()
				l.run.Error = known.Error
				l.mu.Unlock()
				stop(errStopped)
				return
			}
			if now := time.Now(); now.Sub(kept) >= min(keepMost, now.Sub(l.begun)/keepShare) && l.due(&l.unkept) {
				kept = now
				if err := l.runner.Store.PutRun(ctx, l.uid, l.runner.Now(), l.now()); err != nil && ctx.Err() == nil {
					l.runner.Log.Warn("how far a run is could not be kept", "run", l.run.ID, "error", err)
				}
			}
		}
	}
}
