package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
)

// TestProposer: what takes long is planned once, whoever waits for it; what nobody could try is said to be; and
// who asks for what is not there is told.
func TestProposer(t *testing.T) {
	now := time.Now()
	began, goes := make(chan struct{}, 10), make(chan struct{})
	slow := &bailey.Experiment{Name: "slow", Danger: bailey.DangerDryRun, Scope: bailey.ScopeCluster, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		began <- struct{}{}
		<-goes
		step := bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: "shop"}}
		return []bailey.Probe{{Name: "one", Path: "create", Given: &step, Twin: step, Try: step}, {Name: "two", Path: "create", Twin: step, Try: step}}
	}}
	own := &bailey.Experiment{Name: "own", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster, Places: []bailey.Place{bailey.PlaceNode}, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		return []bailey.Probe{{Name: "one", Path: "a pod"}}
	}}
	none := &bailey.Experiment{Name: "none", Danger: bailey.DangerNone, Scope: bailey.ScopeCluster, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return nil }}
	var snapshot *bailey.Snapshot
	read, unread := 0, error(nil)
	p := NewProposer(ProposerOptions{Rate: 200, Snapshot: func() *bailey.Snapshot { return snapshot }, Now: func() time.Time { return now },
		Controls: append(controls.All(), &bailey.Control{ID: "a/b", Experiments: []*bailey.Experiment{slow, own, none}}),
		Evidence: func(context.Context) ([]bailey.Evidence, error) { read++; return nil, unread }})
	if _, err := p.Propose(t.Context(), "a/b", "slow"); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrPlanning) {
		t.Errorf("before the cluster is read: %v", err)
	}
	snapshot = bailey.NewBuilder(bailey.Meta{At: now}).Snapshot()
	if _, err := p.Propose(t.Context(), "a/b", "no-such"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of what is not there: %v", err)
	}
	for range 3 {
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := p.Propose(short, "a/b", "slow"); !errors.Is(err, ErrPlanning) {
			t.Errorf("a plan that takes long: %v", err)
		}
		cancel()
	}
	close(goes)
	for range 2 {
		plan, err := p.Propose(t.Context(), "a/b", "slow")
		if err != nil || plan.Refused != "" || plan.Scopes != 1 || plan.Probes != 2 || plan.Repeat != 16 || plan.Requests != 67 || len(plan.Paths) != 1 || plan.Paths[0].Probes != 2 || len(plan.Rights) == 0 {
			t.Errorf("%v: %+v", err, plan)
		}
	}
	if len(began) != 1 || read != 1 {
		t.Errorf("it was planned %d times, and evidence read %d times", len(began), read)
	}
	now = now.Add(2 * proposalKept)
	if _, err := p.Propose(t.Context(), "a/b", "slow"); err != nil || len(began) != 2 {
		t.Errorf("an old plan is shown: %v", err)
	}
	unread = errors.New("the disk does not answer")
	if _, err := p.Propose(t.Context(), "a/b", "own"); !errors.Is(err, unread) {
		t.Errorf("a plan without the evidence: %v", err)
	}
	unread = nil
	if plan, err := p.Propose(t.Context(), "a/b", "own"); err != nil || plan.Refused == "" || plan.Probes != 1 {
		t.Errorf("what the server lets nobody do: %v %+v", err, plan)
	}
	if plan, err := p.Propose(t.Context(), "a/b", "none"); err != nil || plan.Refused == "" || plan.Probes != 0 {
		t.Errorf("what finds nothing to try: %v %+v", err, plan)
	}
}
