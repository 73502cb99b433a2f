package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Orders takes orders of runs: it keeps them, and the Runner of whichever process leads does them.
type Orders struct {
	Store *store.Store
	Own   func() string // the cluster's UID
	News  *News
	Deeds *Deeds
	// Controls is the catalogue.
	Controls []*bailey.Control
	// Isolated tells that runs may make namespaces and objects of their own here.
	Isolated bool
	Now      func() time.Time
}

// ErrBusy tells that a run is under way.
var ErrBusy = fmt.Errorf("%w: a run is under way; the next can begin when it has ended", ErrBadInput)

// HowIsolated says how a server comes to let runs make objects of their own.
const HowIsolated = "bailey serve --isolated --context NAME, bailey up --isolated, or the chart's with prober.isolated=true"

// ErrNotIsolated tells that no run makes objects of its own here.
var ErrNotIsolated = fmt.Errorf("%w: this server lets no run make namespaces and objects of its own; start it as %s", ErrBadInput, HowIsolated)

// Stop stops a run that waits or is under way: its Runner ends it, and what it made is removed.
func (o *Orders) Stop(ctx context.Context, by, id string) error {
	uid := o.Own()
	if uid == "" {
		return ErrNoCluster
	}
	err := o.stop(ctx, uid, by, id)
	o.Deeds.Did(ctx, uid, by, ActStopRun, id, err)
	return err
}

func (o *Orders) stop(ctx context.Context, uid, by, id string) error {
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
	return nil
}

// Order keeps a run that somebody asked for, and gives its ID.
func (o *Orders) Order(ctx context.Context, by string, order RunOrder) (string, error) {
	uid := o.Own()
	if uid == "" {
		return "", fmt.Errorf("%w: no cluster was seen yet", ErrBadInput)
	}
	id, err := o.order(ctx, uid, by, order)
	target := order.String()
	if id != "" {
		target = id + ": " + target
	}
	o.Deeds.Did(ctx, uid, by, ActOrderRun, target, err)
	return id, err
}

func (o *Orders) order(ctx context.Context, uid, by string, order RunOrder) (string, error) {
	if err := o.check(order); err != nil {
		return "", err
	}
	now := o.Now()
	run := store.Run{ID: newSecret()[:12], Planned: now, Trigger: store.TriggerAPI, By: by, State: store.RunPlanned, Controls: order.Controls, Danger: bailey.DangerDryRun}
	if order.Isolated {
		run.Danger = bailey.DangerIsolated
	}
	if order.Experiment != "" {
		run.Doc, _ = json.Marshal(runDoc{Only: order.Experiment}) // a name can be marshalled
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

// check says what is wrong with an order, before it waits for its turn.
func (o *Orders) check(order RunOrder) error {
	if order.Isolated && !o.Isolated {
		return ErrNotIsolated
	}
	var last *bailey.Control
	for _, id := range order.Controls {
		at := slices.IndexFunc(o.Controls, func(c *bailey.Control) bool { return c.ID == id })
		if at < 0 {
			return fmt.Errorf("%w: there is no control %q", ErrBadInput, id)
		}
		last = o.Controls[at]
	}
	if order.Experiment == "" {
		return nil
	}
	if len(order.Controls) != 1 {
		return fmt.Errorf("%w: an experiment is ordered with the one control that it is of", ErrBadInput)
	}
	x := last.Experiment(order.Experiment)
	switch {
	case x == nil:
		return fmt.Errorf("%w: %s has no experiment %q", ErrBadInput, last.ID, order.Experiment)
	case x.Danger == bailey.DangerIsolated && !order.Isolated:
		return fmt.Errorf("%w: the experiment %s makes objects of its own, which the order does not allow (isolated)", ErrBadInput, x.Name)
	case x.Danger == bailey.DangerDisruptive:
		return fmt.Errorf("%w: the experiment %s may disturb what runs, and is run by hand only: bailey prove %s --allow-disruptive", ErrBadInput, x.Name, last.ID)
	}
	return nil
}

// String says what is to be run.
func (o RunOrder) String() string {
	what := "all controls"
	if len(o.Controls) > 0 {
		what = strings.Join(o.Controls, ", ")
	}
	if o.Experiment != "" {
		what += " " + o.Experiment
	}
	if o.Isolated {
		what += ", isolated"
	}
	return what
}
