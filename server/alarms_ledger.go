package server

import (
	"context"
	"errors"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

const (
	ledgerKey = "ledger"
	// ledgerEvery is how often it is looked how the ledger is.
	ledgerEvery = 5 * time.Second
)

// WatchBook raises an alert while the ledger is damaged, or does not take what is to be recorded,
// until ctx ends. Where no ledger is kept (nil), what was raised about one ends.
func (r *Raiser) WatchBook(ctx context.Context, b *Book) error {
	w := &bookWatch{}
	for pause(ctx, ledgerEvery) {
		state := LedgerState{}
		if b != nil {
			state = b.State()
		}
		if err := r.watchBook(ctx, w, b != nil, state); err != nil && ctx.Err() == nil {
			r.Log.Error("the alert about the ledger could not be kept, and will be tried again", "error", err)
		}
	}
	return ctx.Err()
}

// bookWatch is what was told of the ledger.
type bookWatch struct {
	looked bool            // the store was asked
	told   bailey.Severity // of the alert that lasts
	raised bool
}

func (r *Raiser) watchBook(ctx context.Context, w *bookWatch, kept bool, state LedgerState) error {
	cluster, now := r.Loop.Cluster(), r.Now()
	if cluster == "" {
		return nil
	}
	if !w.looked {
		last, err := r.Store.Alert(ctx, store.Everything(), cluster, ledgerKey)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		w.looked, w.raised, w.told = true, err == nil && last.Resolved.IsZero(), last.Severity
	}
	alert := store.Alert{Key: ledgerKey, Kind: store.AlertLedger, Severity: bailey.SeverityHigh, Title: "Evidence is not recorded in the ledger"}
	why := "What is proven is kept in files, and recorded once that succeeds again: "
	if state.Damaged {
		alert.Severity, alert.Title = bailey.SeverityCritical, "The ledger is damaged"
		why = "Somebody changed it, or the disk did. Nothing more is recorded in it; keep it as it is, and look with bailey ledger verify: "
	}
	switch {
	case state.Problem != "" && (!w.raised || alert.Severity > w.told):
		alert.Text = clip(why+state.Problem, alertTextMost)
		doc := alertDoc{Since: now}
		alert.Doc = doc.text()
		if err := r.do(ctx, cluster, now, alertChange{alertRaise, alert}); err != nil {
			return err
		}
		w.raised, w.told = true, alert.Severity
	case w.raised && (!kept || w.well(state)):
		if err := r.do(ctx, cluster, now, alertChange{alertEnd, alert}); err != nil {
			return err
		}
		w.raised = false
	}
	return nil
}

// well reports whether a ledger is what an alert said that it is not: one that was damaged is whole again
// once it was verified whole.
func (w *bookWatch) well(state LedgerState) bool {
	return state.Problem == "" && state.Appending && (w.told < bailey.SeverityCritical || state.Verified != nil)
}
