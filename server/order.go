package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Orders takes orders of runs: it keeps them, and the Runner of whichever process leads does them.
type Orders struct {
	Store *store.Store
	Own   func() string // the cluster's UID
	News  *News
	Now   func() time.Time
}

// ErrBusy tells that a run is under way.
var ErrBusy = fmt.Errorf("%w: a run is under way; the next can begin when it has ended", ErrBadInput)

// Stop stops a run that waits or is under way: its Runner ends it, and what it made is removed.
func (o *Orders) Stop(ctx context.Context, by, id string) error {
	uid := o.Own()
	if uid == "" {
		return ErrNoCluster
	}
	run, err := o.Store.Run(ctx, store.Everything(), uid, id)
	if err != nil {
		return err
	}
	now := o.Now()
	if run.State == store.RunPlanned || run.State == store.RunRunning {
		run.State, run.Ended, run.Error = store.RunStopped, now, "stopped by "+by
		err = o.Store.PutRun(ctx, uid, now, run)
	} else {
		err = store.ErrConflict
	}
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%w: the run has ended", ErrBadInput)
	}
	if err != nil {
		return err
	}
	o.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
	return o.Store.Audit(ctx, uid, now, store.Action{At: now, Who: by, Action: "stop run", Target: id, Outcome: "done"})
}

// Order keeps a run that somebody asked for, and gives its ID.
func (o *Orders) Order(ctx context.Context, by string, order RunOrder) (string, error) {
	uid := o.Own()
	if uid == "" {
		return "", fmt.Errorf("%w: no cluster was seen yet", ErrBadInput)
	}
	now := o.Now()
	run := store.Run{ID: newSecret()[:12], Planned: now, Trigger: store.TriggerAPI, By: by, State: store.RunPlanned, Controls: order.Controls, Danger: bailey.DangerDryRun}
	if order.Isolated {
		run.Danger = bailey.DangerIsolated
	}
	err := o.Store.PlanRun(ctx, uid, now, run)
	if errors.Is(err, store.ErrConflict) {
		return "", ErrBusy
	}
	if err != nil {
		return "", err
	}
	o.News.Tell(Item{Kind: NewsRun, Data: runOf(&run)})
	return run.ID, nil
}
