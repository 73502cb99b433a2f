package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Runner runs experiments: on a schedule, and when somebody asks. One run is under way at a time.
type Runner struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time
	// Every is how often the schedule runs; zero: never.
	Every time.Duration
	// Prove does one run and gives what it showed. It heeds ctx, and takes its own switch to stop.
	Prove func(ctx context.Context, o RunOrder) ([]bailey.Evidence, error)

	ctx   context.Context // of Run; nil before it
	group sync.WaitGroup
	mu    sync.Mutex
	busy  string // the ID of the run under way
}

// ErrBusy tells that a run is under way.
var ErrBusy = fmt.Errorf("%w: a run is under way; the next can begin when it has ended", ErrBadInput)

// Run keeps the schedule until ctx ends, and then waits for the run under way to end.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	defer r.group.Wait()
	if r.Every <= 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	for {
		if r.Loop.Sight().Ready && r.Loop.Sight().Lost == nil && r.due(ctx) {
			if _, err := r.begin(store.TriggerSchedule, "", RunOrder{}); err != nil && !errors.Is(err, ErrBusy) {
				r.Log.Error("a scheduled run could not begin", "error", err)
			}
		}
		if !pause(ctx, min(r.Every, scheduleStep)) {
			return ctx.Err()
		}
	}
}

// scheduleStep is how often the schedule is looked at.
const scheduleStep = 10 * time.Second

// due reports whether the newest scheduled run is as long ago as the schedule says. A process
// that was restarted goes on where the one before was.
func (r *Runner) due(ctx context.Context) bool {
	uid := r.Loop.Cluster()
	after := ""
	for {
		page, err := r.Store.Runs(ctx, store.RunQuery{Cluster: uid, Access: store.Everything(), After: after})
		if errors.Is(err, store.ErrNotFound) {
			return false // the recorder makes the cluster first
		}
		if err != nil {
			r.Log.Error("the runs could not be read", "error", err)
			return false
		}
		for _, run := range page.Items {
			if run.Trigger == store.TriggerSchedule {
				return !r.Now().Before(run.Started.Add(r.Every))
			}
		}
		if after = page.Next; after == "" {
			return true
		}
	}
}

// Order begins a run that somebody asked for, and gives its ID.
func (r *Runner) Order(_ context.Context, by string, o RunOrder) (string, error) {
	return r.begin(store.TriggerAPI, by, o)
}

func (r *Runner) begin(trigger store.RunTrigger, by string, o RunOrder) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	uid := r.Loop.Cluster()
	switch {
	case r.ctx == nil || r.ctx.Err() != nil || uid == "":
		return "", fmt.Errorf("%w: no cluster was seen yet", ErrBadInput)
	case r.busy != "":
		return "", ErrBusy
	}
	now := r.Now()
	run := store.Run{ID: newSecret()[:12], Planned: now, Started: now, Trigger: trigger, By: by, State: store.RunRunning, Controls: o.Controls, Danger: bailey.DangerDryRun}
	if o.Isolated {
		run.Danger = bailey.DangerIsolated
	}
	if err := r.Store.PutRun(r.ctx, uid, now, run); err != nil {
		return "", err
	}
	r.busy = run.ID
	r.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
	r.group.Go(func() { r.work(r.ctx, uid, run, o) })
	return run.ID, nil
}

// work does a run and keeps how it ended.
func (r *Runner) work(ctx context.Context, uid string, run store.Run, o RunOrder) {
	evidence, err := r.Prove(ctx, o)
	for i := range evidence {
		total := evidence[i].Total()
		run.Tried += total.Tried
		run.Held += total.Held
		run.Broken += total.Broken
		run.Inconclusive += total.Inconclusive
	}
	run.Ended = r.Now()
	switch {
	case ctx.Err() != nil:
		run.State, run.Error = store.RunStopped, "the server ended"
	case err != nil:
		run.State, run.Error = store.RunFailed, err.Error()
	default:
		run.State = store.RunDone
	}
	// The end of a run is kept even where the server ends with it.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.Store.PutRun(last, uid, run.Ended, run); err != nil {
		r.Log.Error("how a run ended could not be kept", "run", run.ID, "error", err)
	}
	r.mu.Lock()
	r.busy = ""
	r.mu.Unlock()
	r.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
	r.Loop.Refresh(ctx)
}
