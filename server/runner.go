package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Runner runs experiments: on a schedule, and those that were ordered. One run is under way at a
// time. A run begins once at most, whatever ends the process that does it: that it has begun is
// kept before it does.
type Runner struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time
	// Every is how often the schedule runs; zero: never.
	Every time.Duration
	// Controls are those that the schedule tries, as an order names them; none stands for all.
	Controls []string
	// Acts tells whether the schedule may make objects of its own now; nil: never.
	Acts func() bool
	// Prove does one run and gives what it showed, also where it was ended before. It heeds ctx, and
	// takes its own switch to stop.
	Prove func(ctx context.Context, o RunOrder, p Progress) ([]bailey.Evidence, error)
}

const (
	// scheduleStep is how often the schedule is looked at.
	scheduleStep = 10 * time.Second
	// orderLife is how long an order waits for somebody to do it: a run that comes as a surprise
	// hours later is none that was asked for.
	orderLife = 15 * time.Minute
	// startedAhead is how far ahead of this clock a run may have begun, by that of another replica.
	startedAhead = time.Minute
	// endLimit is how long one try to keep how a run ended may take.
	endLimit = 10 * time.Second
)

// Run does runs until ctx ends, and ends when the run under way has.
func (r *Runner) Run(ctx context.Context) error {
	after := r.News.Last()
	cleared := false
	for {
		err := r.step(ctx, &cleared)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil:
			// Whether a run is kept as under way is not known.
			cleared = false
			r.Log.Error("runs of experiments could not be kept or read, and will be tried again", "error", err)
		}
		if after, err = r.wait(ctx, after); err != nil {
			return err
		}
	}
}

// wait waits until a run is told of, or the schedule is to be looked at.
func (r *Runner) wait(ctx context.Context, after uint64) (uint64, error) {
	step := time.NewTimer(scheduleStep)
	defer step.Stop()
	for {
		items, _, more := r.News.After(after)
		for _, item := range items {
			after = item.Number
		}
		if slices.ContainsFunc(items, func(i Item) bool { return i.Kind == NewsRun }) {
			return after, nil
		}
		select {
		case <-more:
		case <-step.C:
			return after, nil
		case <-ctx.Done():
			return after, ctx.Err()
		}
	}
}

// step does what is to be done now: first what was left by whoever ran experiments before, then
// what was ordered, then the schedule.
func (r *Runner) step(ctx context.Context, cleared *bool) error {
	uid := r.Loop.Cluster()
	if sight := r.Loop.Sight(); uid == "" || !sight.Ready || sight.Lost != nil {
		return nil
	}
	if !*cleared {
		if err := r.clear(ctx, uid); err != nil {
			return err
		}
		*cleared = true
	}
	ordered, err := r.runs(ctx, uid, store.RunPlanned)
	if err != nil {
		return err
	}
	for _, run := range slices.Backward(ordered) { // the oldest first
		if r.Now().After(run.Planned.Add(orderLife)) {
			run.State, run.Ended, run.Error = store.RunStopped, r.Now(), "nobody was there to do it in time"
			if err := r.put(ctx, uid, run); err != nil {
				return err
			}
			continue
		}
		if err := r.do(ctx, uid, run); err != nil {
			return err
		}
	}
	danger, err := r.due(ctx, uid)
	if err != nil || danger == "" {
		return err
	}
	return r.do(ctx, uid, store.Run{ID: newSecret()[:12], Planned: r.Now(), Trigger: store.TriggerSchedule, Danger: danger, Controls: r.Controls})
}

// clear says of the runs that seem to be under way that they ended with the process that did
// them: this one has begun none yet, and nobody else does any.
func (r *Runner) clear(ctx context.Context, uid string) error {
	left, err := r.runs(ctx, uid, store.RunRunning)
	for _, run := range left {
		run.State, run.Ended, run.Error = store.RunFailed, r.Now(), "it was not seen to end: the server that ran it ended, or the store was away"
		err = errors.Join(err, r.put(ctx, uid, run))
	}
	return err
}

// runs gives the runs in a state, the newest first.
func (r *Runner) runs(ctx context.Context, uid string, state store.RunState) ([]store.Run, error) {
	page, err := r.Store.Runs(ctx, store.RunQuery{Cluster: uid, Access: store.Everything(), State: state, Limit: store.RunsMost})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // the recorder makes the cluster first
	}
	return page.Items, err
}

// due gives the danger of the run that the schedule wants now; empty for none. It is due where the newest scheduled run is as long ago
// as the schedule says, or began by a clock that was ahead, which would keep the next from its time; where the schedule may act, where the
// newest that did is. A process that was restarted goes on where the one before was.
func (r *Runner) due(ctx context.Context, uid string) (bailey.Danger, error) {
	if r.Every <= 0 {
		return "", nil
	}
	wanted := bailey.DangerDryRun
	if r.Acts != nil && r.Acts() {
		wanted = bailey.DangerIsolated // with which the others are run
	}
	after := ""
	for {
		page, err := r.Store.Runs(ctx, store.RunQuery{Cluster: uid, Access: store.Everything(), After: after})
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		for _, run := range page.Items {
			if run.Trigger != store.TriggerSchedule {
				continue
			}
			if since := r.Now().Sub(run.Started); since >= r.Every || since < -startedAhead {
				return wanted, nil // and those before it are older
			}
			if wanted == bailey.DangerDryRun || run.Danger == wanted {
				return "", nil
			}
		}
		if after = page.Next; after == "" {
			return wanted, nil
		}
	}
}

// put keeps how far a run is, and tells it.
func (r *Runner) put(ctx context.Context, uid string, run store.Run) error {
	if err := r.Store.PutRun(ctx, uid, r.Now(), run); err != nil {
		return err
	}
	r.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
	return nil
}

// do does a run and keeps how it ended.
func (r *Runner) do(ctx context.Context, uid string, run store.Run) error {
	run.State, run.Started = store.RunRunning, r.Now()
	if err := r.put(ctx, uid, run); err != nil {
		return err
	}
	going, stop := context.WithCancelCause(ctx)
	only := runOf(&run).Experiment
	live := &liveRun{runner: r, uid: uid, run: run, only: only, begun: time.Now()}
	followed := make(chan struct{})
	go func() { live.follow(going, stop); close(followed) }()
	proving, span := spanOf(going, "run experiments")
	evidence, err := r.Prove(proving, RunOrder{Controls: run.Controls, Experiment: only, Isolated: run.Danger == bailey.DangerIsolated, Scheduled: run.Trigger == store.TriggerSchedule}, live)
	stop(nil)
	<-followed
	run = live.now()
	run.Tried, run.Held, run.Broken, run.Inconclusive = 0, 0, 0, 0
	for i := range evidence {
		total := evidence[i].Total()
		run.Tried += total.Tried
		run.Held += total.Held
		run.Broken += total.Broken
		run.Inconclusive += total.Inconclusive
	}
	span.SetAttributes(count("tried", run.Tried), count("held", run.Held), count("broken", run.Broken))
	endSpan(span, err)
	run.Ended = r.Now()
	switch {
	case ctx.Err() != nil:
		run.State, run.Error = store.RunStopped, "the server ended"
	case errors.Is(context.Cause(going), errStopped):
		run.State = store.RunStopped
	case err != nil:
		run.State, run.Error = store.RunFailed, err.Error()
	default:
		run.State = store.RunDone
	}
	err = r.end(ctx, uid, run)
	r.Loop.Refresh(ctx)
	return err
}

// end keeps how a run ended, even where the server ends with it. A store that is away is waited
// for: else the run would count as one that was not seen to end.
func (r *Runner) end(ctx context.Context, uid string, run store.Run) error {
	for {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
		err := r.put(last, uid, run)
		if errors.Is(err, store.ErrConflict) { // somebody stopped it as it ended
			var stopped store.Run
			if stopped, err = r.Store.Run(last, store.Everything(), uid, run.ID); err == nil {
				run.State, run.Error = stopped.State, stopped.Error
				err = r.put(last, uid, run)
			}
		}
		cancel()
		away := errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) // it is down, or hangs
		if !away || !pause(ctx, scheduleStep) {
			return err
		}
		r.Log.Error("how a run ended could not be kept, and will be tried again", "run", run.ID, "error", err)
	}
}
