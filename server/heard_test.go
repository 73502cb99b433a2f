package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestHeard: once nothing was kept for minutes, whatever the loop sees, pages are said to be old, and
// so they are where it was kept by a clock that was ahead; listeners are told.
func TestHeard(t *testing.T) {
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	if err := kept.PutCluster(t.Context(), "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	loop := NewLoop(LoopOptions{}, NewNews())
	loop.snap = bailey.NewBuilder(bailey.Meta{ClusterUID: "c"}).Snapshot()
	h := &Heard{Store: kept, Loop: loop, News: NewNews(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	for _, step := range []struct {
		what        string
		now, heard  time.Duration
		lost, tells bool
	}{
		{"at first", 0, 0, false, false},
		{"a minute was missed", 2 * time.Minute, 0, false, false},
		{"nothing is kept", 3 * time.Minute, 0, true, true},
		{"nothing is kept on", 4 * time.Minute, 0, true, false},
		{"it is kept again", 4 * time.Minute, 4 * time.Minute, false, true},
		{"the clock was a year ahead", 5 * time.Minute, 365 * 24 * time.Hour, true, true},
	} {
		now = begin.Add(step.now)
		if err := kept.Heard(t.Context(), "c", begin.Add(step.heard)); err != nil {
			t.Fatal(err)
		}
		before := h.News.Last()
		if err := h.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := h.Sight(); (s.Lost != nil) != step.lost || step.lost && !s.Lost.Equal(begin.Add(step.heard)) {
			t.Errorf("%s: %+v", step.what, s)
		}
		if told := h.News.Last() != before; told != step.tells {
			t.Errorf("%s: listeners are told: %v", step.what, told)
		}
	}
}
