package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// testTerms: once another has taken a cluster over, whoever wrote it before writes nothing of it
// any more, in any way, through a connection of its own either; and other clusters as before.
func testTerms(t *testing.T, p Place) {
	b := open(t, p)
	second, err := p.Open(t.Context())
	b.ok(err)
	t.Cleanup(func() { second.Close() })
	first, err := b.s.TakeOver(b.ctx, uid, at(1))
	b.ok(err)
	ref := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"}
	found := store.Delta{Findings: []bailey.Finding{{ID: "f1", Control: "c/one", Rule: "c/one/r", Severity: bailey.SeverityHigh, Object: ref, Message: "m"}}}
	b.ok(first.Apply(b.ctx, uid, at(2), found))
	b.ok(first.PutRun(b.ctx, uid, at(2), store.Run{ID: "r1", Trigger: store.TriggerSchedule, State: store.RunRunning}))

	later, err := second.TakeOver(b.ctx, uid, at(3))
	b.ok(err)
	before, err := b.s.Cluster(b.ctx, uid)
	b.ok(err)
	for name, write := range map[string]func(ctx context.Context) error{
		"Apply": func(ctx context.Context) error {
			return first.Apply(ctx, uid, at(4), store.Delta{Gone: []bailey.Ref{ref}})
		},
		"Replace":    func(ctx context.Context) error { return first.Replace(ctx, uid, at(4), store.Delta{}) },
		"InTerm":     func(ctx context.Context) error { return first.InTerm(ctx) },
		"Watching":   func(ctx context.Context) error { return first.Watching(ctx, uid, at(4)) },
		"Heard":      func(ctx context.Context) error { return first.Heard(ctx, uid, at(4)) },
		"PutCluster": func(ctx context.Context) error { return first.PutCluster(ctx, uid, "other name", at(4)) },
		"PutRun": func(ctx context.Context) error {
			return first.PutRun(ctx, uid, at(4), store.Run{ID: "r1", Trigger: store.TriggerSchedule, State: store.RunDone})
		},
		"Raise": func(ctx context.Context) error {
			return first.Raise(ctx, uid, at(4), store.Alert{Key: "a", Kind: store.AlertRung, Title: "t"})
		},
		"Audit": func(ctx context.Context) error {
			return first.Audit(ctx, uid, at(4), store.Action{Who: "w", Action: "a"})
		},
	} {
		if err := write(b.ctx); !errors.Is(err, store.ErrFenced) {
			t.Errorf("%s in a term that has ended: %v", name, err)
		}
	}
	after, err := b.s.Cluster(b.ctx, uid)
	b.ok(err)
	if after != before {
		t.Errorf("it was %+v, and is %+v", before, after)
	}
	b.ok(first.Heard(b.ctx, other, at(4)))
	b.ok(later.InTerm(b.ctx))
	b.ok(later.Apply(b.ctx, uid, at(4), store.Delta{Gone: []bailey.Ref{ref}}))
	b.ok(b.s.Heard(b.ctx, uid, at(5))) // in no term
	b.ok(later.InTerm(b.ctx))

	// Of those that read the same, one succeeds whoever is silent; whoever says something is not succeeded.
	was, err := b.s.Tenure(b.ctx, uid)
	b.ok(err)
	if !was.Heard.Equal(at(5)) {
		t.Errorf("it was heard of at %s", was.Heard)
	}
	b.ok(later.Watching(b.ctx, uid, at(6)))
	if _, err := second.Succeed(b.ctx, uid, was); !errors.Is(err, store.ErrConflict) {
		t.Errorf("one who watches was succeeded: %v", err)
	}
	is, err := b.s.Tenure(b.ctx, uid)
	b.ok(err)
	next, err := b.s.Succeed(b.ctx, uid, is)
	b.ok(err)
	if _, err := second.Succeed(b.ctx, uid, is); !errors.Is(err, store.ErrConflict) {
		t.Errorf("two succeeded: %v", err)
	}
	b.ok(next.InTerm(b.ctx))
	if err := later.InTerm(b.ctx); !errors.Is(err, store.ErrFenced) {
		t.Errorf("whoever was succeeded writes on: %v", err)
	}
	if _, err := b.s.Succeed(b.ctx, "unknown", is); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cluster that is not there: %v", err)
	}
	added, err := first.TakeOver(b.ctx, "new", at(5))
	b.ok(err)
	b.ok(added.Heard(b.ctx, "new", at(6)))
	b.check()
}

// testPassed: what counts as now comes near to a clock that is ahead by as much as is given, and another process
// goes on from there. A clock that is behind counts as it is, and is gone on from only where that is asked for.
func testPassed(t *testing.T, p Place) {
	b := open(t, p)
	second, err := p.Open(t.Context())
	b.ok(err)
	t.Cleanup(func() { second.Close() })
	const year = 365 * 24 * time.Hour
	for i, step := range []struct {
		clock, most time.Duration
		back        bool
		want        time.Duration
		behind      bool
	}{
		{0, 0, false, 0, false},
		{time.Hour, 2 * time.Hour, false, time.Hour, false},
		{year, time.Hour, false, 2 * time.Hour, false},
		{year, time.Hour, true, 3 * time.Hour, false},
		{-5 * year, time.Hour, false, -5 * year, true},
		{4 * time.Hour, time.Hour, false, 4 * time.Hour, false},
		{time.Minute, time.Hour, true, time.Minute, true},
		{year, time.Hour, false, time.Minute + time.Hour, false},
	} {
		s := b.s
		if i%2 == 1 {
			s = second
		}
		now, behind, err := s.Passed(b.ctx, at(0).Add(step.clock), step.most, step.back)
		b.ok(err)
		if got := now.Sub(at(0)); got != step.want || behind != step.behind {
			t.Errorf("by a clock that shows %s, and at most %s later, %s have passed (behind: %v), want %s", step.clock, step.most, got, behind, step.want)
		}
	}
}
