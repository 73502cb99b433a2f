package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// slowKeeper says when it begins to write a whole state, and ends when it is told to.
type slowKeeper struct{ begun, end chan struct{} }

func (k *slowKeeper) PutCluster(context.Context, string, string, time.Time) error { return nil }

func (k *slowKeeper) Replace(context.Context, string, time.Time, store.Delta) error {
	k.begun <- struct{}{}
	<-k.end
	return nil
}

func (k *slowKeeper) Apply(context.Context, string, time.Time, store.Delta) error { return nil }
func (k *slowKeeper) Heard(context.Context, string, time.Time) error              { return nil }

// TestNoReportWhileOneIsKept: while a report is written no other is made, and what changed meanwhile is in the next. A hub
// that is slow holds nothing up.
func TestNoReportWhileOneIsKept(t *testing.T) {
	for name, elsewhere := range map[string]bool{"here": false, "at a hub": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := make(chan *bailey.Snapshot, 1)
				read <- bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot()
				l, news := startLoop(t, LoopOptions{Source: reading(read)})
				k := &slowKeeper{make(chan struct{}, 1), make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				r := &Recorder{Store: k, Loop: l, News: news, Log: slog.New(slog.DiscardHandler), Now: time.Now, Elsewhere: elsewhere}
				go func() { done <- r.Run(ctx) }()
				defer func() { cancel(); <-done }()
				<-k.begun
				_, first := l.Report()
				again := func() bool {
					_, version := l.Report()
					return version > first
				}
				l.Refresh(t.Context())
				time.Sleep(holdMost / 2)
				if again() != elsewhere {
					t.Errorf("another report was made while one is written: %v, want %v", again(), elsewhere)
				}
				time.Sleep(holdMost)
				if !again() {
					t.Error("a store that hangs holds reports up for ever")
				}
				close(k.end)
			})
		})
	}
}

// TestIdleLooksRarely: how rarely time itself is looked at depends on how long a report takes to be kept.
func TestIdleLooksRarely(t *testing.T) {
	for name, c := range map[string]struct{ takes, least, most time.Duration }{
		"at once":  {0, advanceEvery, advanceEvery + time.Second},
		"in 1.5 s": {1500 * time.Millisecond, 5 * time.Minute, 5*time.Minute + 5*time.Second},
		"in 90 s":  {90 * time.Second, advanceRarely, advanceRarely + 2*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := make(chan *bailey.Snapshot, 1)
				read <- bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot()
				l, news := startLoop(t, LoopOptions{Source: reading(read)})
				k := &unhurried{takes: c.takes}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				r := &Recorder{Store: k, Loop: l, News: news, Log: slog.New(slog.DiscardHandler), Now: time.Now}
				go func() { done <- r.Run(ctx) }()
				time.Sleep(time.Hour)
				cancel()
				<-done
				if len(k.at) < 3 {
					t.Fatalf("kept at %v", k.at)
				}
				if gap := k.at[2].Sub(k.at[1]); gap < c.least || gap > c.most {
					t.Errorf("looked at every %s, want %s to %s", gap, c.least, c.most)
				}
			})
		})
	}
}

// unhurried takes its time to keep a report, and notes when it was asked to.
type unhurried struct {
	slowKeeper
	takes time.Duration
	at    []time.Time
}

func (k *unhurried) Replace(context.Context, string, time.Time, store.Delta) error {
	k.at = append(k.at, time.Now())
	time.Sleep(k.takes)
	return nil
}

func (k *unhurried) Apply(ctx context.Context, cluster string, at time.Time, d store.Delta) error {
	return k.Replace(ctx, cluster, at, d)
}

// counting counts the whole states that it is given.
type counting struct {
	slowKeeper
	wholes int
}

func (k *counting) Replace(context.Context, string, time.Time, store.Delta) error {
	k.wholes++
	return nil
}

// TestAlertsInNoHaste: where alerts cannot be kept, the whole state that begins anew is not sent every other second.
func TestAlertsInNoHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan *bailey.Snapshot, 1)
		read <- bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot()
		l, news := startLoop(t, LoopOptions{Source: reading(read)})
		k := &counting{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		r := &Recorder{Store: k, Loop: l, News: news, Log: slog.New(slog.DiscardHandler), Now: time.Now, Elsewhere: true,
			Alerts: func(context.Context, string) error { return errors.New("403 Forbidden") }}
		go func() { done <- r.Run(ctx) }()
		time.Sleep(20 * time.Minute)
		cancel()
		<-done
		if k.wholes < 5 || k.wholes > 20 {
			t.Errorf("in 20 minutes the whole was sent %d times", k.wholes)
		}
	})
}
