package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// ran is a Runner over an empty cluster and a store of its own.
type ran struct {
	*Runner
	orders *Orders
	store  *store.Store // in no term
	proved atomic.Int32
	begun  chan struct{} // has something when a run begins
	end    chan error    // what a run waits for
}

const ranUID = "files-of-a-test"

func newRan(t *testing.T) *ran {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	log, news := slog.New(slog.DiscardHandler), NewNews()
	loop := NewLoop(LoopOptions{Log: log, Identity: ranUID, Source: func(ctx context.Context, f kube.Follower) error {
		f.Whole(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot())
		<-ctx.Done()
		return ctx.Err()
	}}, news)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = loop.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	awaitNews(t, news, 0, func(i Item) bool { return i.Kind == NewsReport })
	term, err := kept.TakeOver(t.Context(), ranUID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &ran{store: kept, begun: make(chan struct{}, 10), end: make(chan error, 10), orders: &Orders{Store: kept, Own: loop.Cluster, News: news, Now: time.Now, Deeds: &Deeds{Store: kept, Log: log, Now: time.Now}, Controls: controls.All(), Isolated: true}}
	r.Runner = &Runner{Store: term, Loop: loop, News: news, Log: log, Now: time.Now, Prove: func(ctx context.Context, _ RunOrder, p Progress) ([]bailey.Evidence, error) {
		r.proved.Add(1)
		r.begun <- struct{}{}
		select {
		case err := <-r.end:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	return r
}

// start runs it; the function given ends it and gives what it said.
func (r *ran) start(t *testing.T) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan error, 1)
	go func() { said <- r.Run(ctx) }()
	return func() error { cancel(); return <-said }
}

func (r *ran) await(t *testing.T, id string, state store.RunState) store.Run {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		run, err := r.store.Run(t.Context(), store.Everything(), ranUID, id)
		if err != nil {
			t.Fatal(err)
		}
		if run.State == state {
			return run
		}
		if time.Now().After(end) {
			t.Fatalf("the run is %s, and not %s", run.State, state)
		}
	}
}

// TestRunner: an order is done once; while it waits or is done there is no second; what was under
// way when its process ended has failed and is not done again; what waited for too long is not done.
func TestRunner(t *testing.T) {
	r := newRan(t)
	now := time.Now()
	for _, run := range []store.Run{
		{ID: "left", Planned: now, Started: now, Trigger: store.TriggerAPI, State: store.RunRunning},
		{ID: "late", Planned: now.Add(-2 * orderLife), Trigger: store.TriggerAPI, State: store.RunPlanned},
	} {
		if err := r.store.PutRun(t.Context(), ranUID, now, run); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.orders.Order(t.Context(), "me", RunOrder{}); !errors.Is(err, ErrBusy) {
		t.Errorf("an order beside another: %v", err)
	}
	end := r.start(t)
	if run := r.await(t, "left", store.RunFailed); run.Error == "" || run.Ended.IsZero() {
		t.Errorf("%+v", run)
	}
	if run := r.await(t, "late", store.RunStopped); run.Error == "" || run.Ended.IsZero() {
		t.Errorf("%+v", run)
	}
	id, err := r.orders.Order(t.Context(), "me", RunOrder{Controls: []string{"compute/pod-security"}, Isolated: true})
	if err != nil {
		t.Fatal(err)
	}
	<-r.begun
	if run := r.await(t, id, store.RunRunning); run.By != "me" || run.Danger != bailey.DangerIsolated || run.Started.IsZero() {
		t.Errorf("%+v", run)
	}
	if _, err := r.orders.Order(t.Context(), "me", RunOrder{}); !errors.Is(err, ErrBusy) {
		t.Errorf("an order beside another: %v", err)
	}
	r.end <- errors.New("broken off")
	if run := r.await(t, id, store.RunFailed); run.Error != "broken off" {
		t.Errorf("%+v", run)
	}
	if id, err = r.orders.Order(t.Context(), "me", RunOrder{}); err != nil {
		t.Fatal(err)
	}
	<-r.begun
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	r.await(t, id, store.RunStopped)
	if n := r.proved.Load(); n != 2 {
		t.Errorf("%d runs were done", n)
	}
}

// TestRunnerSchedule: the schedule runs once in its time, in whichever process, and one that
// another has taken over from begins nothing, and ends.
func TestRunnerSchedule(t *testing.T) {
	r := newRan(t)
	r.Every = time.Hour
	r.end <- nil
	end := r.start(t)
	<-r.begun
	for stop := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		page, err := r.store.Runs(t.Context(), store.RunQuery{Cluster: ranUID, Access: store.Everything(), State: store.RunDone})
		if err == nil && len(page.Items) == 1 {
			break
		}
		if time.Now().After(stop) {
			t.Fatalf("%+v %v", page, err)
		}
	}
	_ = end()
	term, err := r.store.TakeOver(t.Context(), ranUID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := r.Runner.Store
	r.Runner.Store = term
	end = r.start(t)
	id, err := r.orders.Order(t.Context(), "me", RunOrder{})
	if err != nil {
		t.Fatal(err)
	}
	<-r.begun // the order, and not the schedule
	r.end <- nil
	r.await(t, id, store.RunDone)
	_ = end()

	r.Runner.Store = before
	if id, err = r.orders.Order(t.Context(), "me", RunOrder{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, store.ErrFenced) {
		t.Errorf("another leads: %v", err)
	}
	r.await(t, id, store.RunPlanned)
	if n := r.proved.Load(); n != 2 {
		t.Errorf("%d runs were done", n)
	}
}

// TestRunnerByAJumpingClock: a run that began by a clock that was years ahead does not stop the schedule
// for as long; one that another replica's clock has a little ahead counts.
func TestRunnerByAJumpingClock(t *testing.T) {
	r := newRan(t)
	r.Every = time.Hour
	for _, step := range []struct {
		ahead time.Duration
		due   bool
	}{{3 * 365 * 24 * time.Hour, true}, {startedAhead / 2, false}, {-r.Every / 2, false}, {-r.Every, true}} {
		run := store.Run{ID: step.ahead.String(), Started: time.Now().Add(step.ahead), Ended: time.Now(), Trigger: store.TriggerSchedule, State: store.RunDone}
		if err := r.store.PutRun(t.Context(), ranUID, time.Now(), run); err != nil {
			t.Fatal(err)
		}
		if due, err := r.due(t.Context(), ranUID); err != nil || (due != "") != step.due {
			t.Errorf("the last run began %s ahead: due %q, %v", step.ahead, due, err)
		}
	}
}

// TestRunnerActs: while the schedule may make objects of its own, that is tried as often as dry-runs are otherwise, and these with it.
func TestRunnerActs(t *testing.T) {
	r := newRan(t)
	r.Every = time.Hour
	const minute, hour, dry, acts, none = time.Minute, time.Hour, bailey.DangerDryRun, bailey.DangerIsolated, bailey.Danger("")
	open := false
	for _, step := range []struct {
		trigger store.RunTrigger
		danger  bailey.Danger // of a run that began
		ago     time.Duration // so long ago
		// shut and within are what is due outside of the window and within it.
		shut, within bailey.Danger
	}{
		{store.TriggerSchedule, dry, 3 * hour, dry, acts},
		{store.TriggerSchedule, acts, 2 * hour, dry, acts},
		{store.TriggerSchedule, dry, 50 * minute, none, acts},
		{store.TriggerPerson, acts, 45 * minute, none, acts}, // an order is none of the schedule's
		{store.TriggerSchedule, acts, 40 * minute, none, none},
		{store.TriggerSchedule, dry, 20 * minute, none, none},
	} {
		if err := r.store.PutRun(t.Context(), ranUID, time.Now(), store.Run{ID: step.ago.String(), Started: time.Now().Add(-step.ago), Ended: time.Now(), Trigger: step.trigger, Danger: step.danger, State: store.RunDone}); err != nil {
			t.Fatal(err)
		}
		r.Acts = nil
		never, err := r.due(t.Context(), ranUID)
		r.Acts = func() bool { return open }
		open = false
		shut, more := r.due(t.Context(), ranUID)
		open = true
		within, most := r.due(t.Context(), ranUID)
		if err := errors.Join(err, more, most); err != nil || never != step.shut || shut != step.shut || within != step.within {
			t.Errorf("after %s %s ago: due %q, %q outside of the window and %q within, want %q and %q: %v", step.danger, step.ago, never, shut, within, step.shut, step.within, err)
		}
	}
	// What it does is told apart from an order.
	r.Runner.Prove = func(_ context.Context, o RunOrder, _ Progress) ([]bailey.Evidence, error) {
		if !o.Isolated || !o.Scheduled {
			t.Errorf("done as %+v", o)
		}
		r.begun <- struct{}{}
		return nil, nil
	}
	r.Every = 30 * minute
	end := r.start(t)
	<-r.begun
	_ = end()
}

// TestRunnerTells: how far a run is is told to listeners, not too often, and kept; who stops a run
// ends it, and what it showed until then counts.
func TestRunnerTells(t *testing.T) {
	r := newRan(t)
	e := bailey.Evidence{Control: "compute/pod-security", Experiment: "privileged-pods", Paths: []bailey.Tally{{Path: "create", Tried: 4, Held: 3, Broken: 1}}}
	r.Prove = func(ctx context.Context, _ RunOrder, p Progress) ([]bailey.Evidence, error) {
		for i := range 2000 {
			p.Step(i+1, 4000)
			if i%1000 == 0 {
				p.Showed(e)
			}
			time.Sleep(time.Millisecond)
		}
		<-ctx.Done()
		return []bailey.Evidence{e, e}, context.Cause(ctx)
	}
	end := r.start(t)
	defer end()
	before := r.News.Last()
	id, err := r.orders.Order(t.Context(), "me", RunOrder{})
	if err != nil {
		t.Fatal(err)
	}
	for stop := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		run, err := r.store.Run(t.Context(), store.Everything(), ranUID, id)
		if err != nil {
			t.Fatal(err)
		}
		if shown := runOf(&run); shown.Done == 2000 && shown.Total == 4000 && shown.Broken == 2 && len(shown.Experiments) == 1 &&
			shown.Experiments[0] == (RunExperiment{Control: e.Control, Experiment: e.Experiment, Scopes: 2, Held: 6, Tried: 8, Broken: 2}) {
			break
		}
		if time.Now().After(stop) {
			t.Fatalf("what is kept of the run is %+v", run)
		}
	}
	items, _, _ := r.News.After(before)
	told := 0
	for _, i := range items {
		if run, is := i.Data.(Run); is && run.State == string(store.RunRunning) {
			told++
		}
	}
	if told < 4 || told > 60 {
		t.Errorf("it was told %d times", told)
	}
	if err := r.orders.Stop(t.Context(), "somebody", id); err != nil {
		t.Fatal(err)
	}
	for stop := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if run := r.await(t, id, store.RunStopped); run.Tried == 8 && run.Broken == 2 && run.Error == "stopped by somebody" {
			break
		}
		if time.Now().After(stop) {
			t.Fatal("what it showed does not count")
		}
	}
	if err := r.orders.Stop(t.Context(), "me", id); !errors.Is(err, ErrBadInput) {
		t.Errorf("what has ended is stopped: %v", err)
	}
	if err := r.orders.Stop(t.Context(), "me", "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not there is stopped: %v", err)
	}
}

// TestRunnerWhileTheStoreHangs: how a run ended is kept once a database answers that hung for longer than one
// try takes.
func TestRunnerWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	r := newRan(t)
	end := r.start(t)
	ordered, err := r.orders.Order(t.Context(), "me", RunOrder{})
	if err != nil {
		t.Fatal(err)
	}
	<-r.begun
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	holds := store.WithTrace(t.Context(), func(string, []any) { once.Do(func() { close(held); <-release }) })
	done := make(chan error, 1)
	go func() { done <- r.store.Heard(holds, ranUID, time.Now()) }() // a transaction that keeps others waiting
	<-held
	r.end <- nil
	time.Sleep(endLimit + 500*time.Millisecond)
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.await(t, ordered, store.RunDone)
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
