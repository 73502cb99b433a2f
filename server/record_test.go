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
			again := func(i Item) bool {
				p, ok := i.Data.(Published)
				return i.Kind == NewsReport && ok && p.Version > first
			}
			l.Refresh(t.Context())
			if elsewhere {
				awaitNews(t, news, 0, again)
				close(k.end)
				return
			}
			time.Sleep(20 * reportSoon)
			if _, version := l.Report(); version != first {
				t.Errorf("report %d was made while %d was written", version, first)
			}
			close(k.end)
			awaitNews(t, news, 0, again)
		})
	}
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
