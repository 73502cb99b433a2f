package server

import (
	"context"
	"testing"
	"time"
)

// TestPlannerAwaitsReport: no news tells a planner that a report was kept, however much of it there is or is
// of other clusters; that one was kept does.
func TestPlannerAwaitsReport(t *testing.T) {
	news := NewNews()
	p := &Planner{Loop: NewLoop(LoopOptions{}, news), News: news}
	for range newsKept + 1 { // the first of them is no longer known
		news.Tell(Item{Kind: NewsKept, Data: Published{}})
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.awaitKept(soon); err == nil {
		t.Error("no report was kept, and it plans")
	}
	p.Loop.Release(7)
	if err := p.awaitKept(t.Context()); err != nil {
		t.Error(err)
	}
}
