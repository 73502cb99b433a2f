package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestHeard: once nothing was kept for minutes, whatever the loop sees, pages are said to be old, and
// so they are where it was kept by a clock that was ahead; listeners are told.
func TestHeard(t *testing.T) {
	kept := openStore(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	if err := kept.PutCluster(t.Context(), "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	loop := NewLoop(LoopOptions{}, NewNews())
	loop.version = 1
	loop.snap = bailey.NewBuilder(bailey.Meta{ClusterUID: "c"}).Snapshot()
	h := &Heard{Store: kept, Loop: loop, News: NewNews(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	for _, step := range []struct {
		what        string
		now, heard  time.Duration
		late, tells bool
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
		if s := h.Sight(); s.Lost != nil || (s.Kept != nil) != step.late || step.late && !s.Kept.Equal(begin.Add(step.heard)) {
			t.Errorf("%s: %+v", step.what, s)
		}
		if told := h.News.Last() != before; told != step.tells {
			t.Errorf("%s: listeners are told: %v", step.what, told)
		}
	}
}

// TestHeardAfter: what a process before it kept long ago is no sign that nothing is kept: there is something to keep once the cluster
// was judged, and is in sight.
func TestHeardAfter(t *testing.T) {
	kept := openStore(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := kept.PutCluster(t.Context(), "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	now := begin
	loop := NewLoop(LoopOptions{}, NewNews())
	loop.snap = bailey.NewBuilder(bailey.Meta{ClusterUID: "c"}).Snapshot()
	h := &Heard{Store: kept, Loop: loop, News: NewNews(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	for _, step := range []struct {
		what   string
		now    time.Duration
		judged bool
		lost   bool
		late   bool
	}{
		{"it begins an hour later", time.Hour, false, false, false},
		{"the first report takes long", time.Hour + 5*time.Minute, false, false, false},
		{"it was judged", time.Hour + 6*time.Minute, true, false, false},
		{"nothing is kept", time.Hour + 8*time.Minute, true, false, true},
		{"it is out of sight", time.Hour + 9*time.Minute, true, true, false},
		{"it is back", time.Hour + 10*time.Minute, true, false, false},
		{"nothing is kept after that", time.Hour + 12*time.Minute, true, false, true},
	} {
		now = begin.Add(step.now)
		loop.version, loop.contact.Lost = 0, time.Time{}
		if step.judged {
			loop.version = 1
		}
		if step.lost {
			loop.contact.Lost = now
		}
		if err := h.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []Sight{h.Sight(), h.Sight().within(Namespaces{Names: []string{"mine"}})} {
			if (s.Kept != nil) != step.late || step.late && !s.Kept.Equal(begin) || (s.Lost != nil) != step.lost {
				t.Errorf("%s: %+v", step.what, s)
			}
		}
	}
}
