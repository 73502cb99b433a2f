package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Keeper is where reports are kept: *store.Store, and *Pusher.
type Keeper interface {
	PutCluster(ctx context.Context, uid, name string, at time.Time) error
	// Replace keeps the whole state of a cluster, Apply what changed, and Heard that nothing did.
	Replace(ctx context.Context, cluster string, at time.Time, d store.Delta) error
	Apply(ctx context.Context, cluster string, at time.Time, d store.Delta) error
	Heard(ctx context.Context, cluster string, at time.Time) error
}

// Recorder keeps the loop's reports in the store: of each what changed since the one before.
type Recorder struct {
	Store Keeper
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time
	// Elsewhere tells that what is kept is shown by another server: nobody is told here.
	Elsewhere bool
	// LedgerIndex gives the index of a piece of evidence in the ledger, if it has one; nil knows none.
	LedgerIndex func(evidence string) (uint64, bool)
	// Raiser is told of each report before it is kept; nil: no alert is raised.
	Raiser *Raiser
	// Alerts has the alerts of a cluster kept where its reports are; nil: they are.
	Alerts func(ctx context.Context, cluster string) error

	// last is the report that is known to be kept, by what a change is told by; nil if none is.
	last *keptReport
	// failed counts how often in a row alerts could not be kept, so that all was to be.
	failed int
}

const (
	// recordRetry is the longest wait between two tries to reach the store.
	recordRetry = 30 * time.Second
	// heardEvery is how often the store is told that nothing changed.
	heardEvery = time.Minute
	// alertsEvery is how often alerts are kept at most, while they change, and alertsRarely the longest wait where they
	// cannot be and all is to be kept anew before.
	alertsEvery, alertsRarely = 2 * time.Second, 2 * time.Minute
)

// Run keeps reports until ctx ends, or until somebody else does. A store that is away is waited
// for: what it missed is in the next report.
func (r *Recorder) Run(ctx context.Context) error {
	r.Loop.attend(1)
	defer r.Loop.attend(-1)
	var done, released uint64
	after := uint64(0)
	try := 0
	heard := time.NewTicker(heardEvery)
	defer heard.Stop()
	var alerts <-chan time.Time
	if r.Alerts != nil {
		every := time.NewTicker(alertsEvery)
		defer every.Stop()
		alerts = every.C
	}
	changed := false // alerts may have
	for {
		if _, version := r.Loop.Report(); version > done {
			version, findings, err := r.keepNewest(ctx)
			switch {
			case errors.Is(err, errNoReport):
				if !pause(ctx, time.Second) {
					return ctx.Err()
				}
				continue
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, store.ErrFenced):
				return err
			case err != nil:
				if !errors.Is(err, errNotTaken) {
					r.last = nil // what was written is not known: the next time all is compared
				}
				r.Log.Error("the report could not be kept, and will be tried again", "error", err)
				if !pause(ctx, min(time.Second<<min(try, 6), recordRetry)) {
					return ctx.Err()
				}
				try++
				continue
			}
			done, try, changed = version, 0, true
			if version > released {
				r.Loop.Release(version)
				released = version
			}
			if !r.Elsewhere {
				r.News.Tell(Item{Kind: NewsKept, Data: Published{Version: version, Findings: findings}})
			}
		}
		items, missed, more := r.News.After(after)
		if n := len(items); n > 0 {
			after = items[n-1].Number
			changed = changed || missed || slices.ContainsFunc(items, func(i Item) bool { return i.Kind == NewsAlert })
			continue // the report may be one of them
		}
		select {
		case <-more:
		case <-alerts:
			if !changed || r.last == nil {
				continue
			}
			changed = false
			if err := r.keepAlerts(ctx); err != nil {
				return err
			}
			if r.last == nil {
				done = 0
			}
		case <-heard.C:
			changed = true // if it was not told
			if r.last != nil && r.Loop.Sight().Lost == nil {
				switch err := r.Store.Heard(ctx, r.last.cluster, r.Now()); {
				case errors.Is(err, store.ErrFenced):
					return err
				case errors.Is(err, errNotTaken): // the next minute is soon enough
				case err != nil && ctx.Err() == nil:
					r.last, done = nil, 0 // as after a report that could not be kept
					r.Log.Error("that nothing changed could not be kept", "error", err)
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keepAlerts has the alerts that changed kept. Where that fails so that the whole must begin anew, which is large, no last
// report is known afterwards, and it waits.
func (r *Recorder) keepAlerts(ctx context.Context) error {
	switch err := r.Alerts(ctx, r.last.cluster); {
	case err == nil || ctx.Err() != nil:
		r.failed = 0
		return ctx.Err()
	case errors.Is(err, store.ErrFenced):
		return err
	case errors.Is(err, errNotTaken), errors.Is(err, errRefused): // the next minute is soon enough
		r.Log.Error("alerts could not be kept, and will be tried again", "error", err)
		return nil
	default:
		r.last = nil
		r.Log.Error("alerts could not be kept, and all will be tried again", "error", err)
		pause(ctx, min(alertsEvery<<min(r.failed, 6), alertsRarely))
		r.failed++
		return ctx.Err()
	}
}

func pause(ctx context.Context, wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// errNoReport tells that the cluster is being read anew.
var errNoReport = errors.New("there is no report")

// keepNewest writes the newest report, and gives its version and how many findings it has. Where it is kept for this server no
// other is made meanwhile; a hub may be slow, and what is shown here does not wait for it.
func (r *Recorder) keepNewest(ctx context.Context) (version uint64, findings int, err error) {
	if !r.Elsewhere {
		letGo := r.Loop.hold()
		defer letGo()
	}
	report, version := r.Loop.Report()
	if report == nil { // all who were there when it was made have kept it
		if report = r.Loop.Join(ctx); report == nil {
			return 0, 0, errNoReport
		}
	}
	return version, len(report.Findings), r.keep(ctx, report)
}

// keep writes one report.
func (r *Recorder) keep(ctx context.Context, report *bailey.Report) (err error) {
	ctx, span := spanOf(ctx, "keep a report")
	defer func() { endSpan(span, err) }()
	span.SetAttributes(count("findings", len(report.Findings)))
	uid := r.Loop.Cluster()
	if uid == "" {
		return errNameless
	}
	next := indexReport(report, uid)
	now := r.Now()
	if r.last == nil || r.last.cluster != uid {
		name := report.Meta.Context
		if len(report.Meta.Targets) > 0 {
			name = report.Meta.Targets[0].Name
		}
		if err := r.Store.PutCluster(ctx, uid, name, now); err != nil {
			return err
		}
		if r.Raiser != nil {
			r.Raiser.Forget()
		}
		if err := r.raise(ctx, uid, report, now); err != nil {
			return err
		}
		d := store.Delta{Findings: report.Findings, FixOf: report.FixOf, Verdicts: report.Verdicts, Evidence: r.evidence(report, next, nil)}
		if err := r.Store.Replace(ctx, uid, now, d); err != nil {
			return err
		}
		r.last = next
		return nil
	}
	if err := r.raise(ctx, uid, report, now); err != nil {
		return err
	}
	if err := r.Store.Apply(ctx, uid, now, r.difference(report, next)); err != nil {
		return err
	}
	r.last = next
	return nil
}

func (r *Recorder) raise(ctx context.Context, uid string, report *bailey.Report, at time.Time) error {
	if r.Raiser == nil {
		return nil
	}
	if err := r.Raiser.Take(ctx, uid, report, at); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}

// difference is what a report says that the last did not.
func (r *Recorder) difference(report *bailey.Report, next *keptReport) store.Delta {
	d := store.Delta{FixOf: report.FixOf}
	judged := map[bailey.Ref]bool{}
	for id, f := range next.findings {
		if old, known := r.last.findings[id]; !known || old.hash != f.hash {
			judged[f.object] = true
		}
	}
	for id, f := range r.last.findings {
		if _, stays := next.findings[id]; !stays {
			judged[f.object] = true
		}
	}
	for ref := range judged {
		d.Judged = append(d.Judged, ref)
	}
	for i := range report.Findings {
		if judged[report.Findings[i].Object] {
			d.Findings = append(d.Findings, report.Findings[i])
		}
	}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		place := hashPlace(v)
		if old, known := r.last.verdicts[place]; !known || old != next.verdicts[place] {
			d.Verdicts = append(d.Verdicts, *v)
		}
	}
	for ref := range r.last.objects {
		if !next.objects[ref] {
			d.Gone = append(d.Gone, ref)
		}
	}
	d.Evidence = r.evidence(report, next, r.last.evidence)
	return d
}

// evidence gives what a report rests on, but for what is known to be kept, and notes in next
// what is. What is not in the ledger yet is given again once it is.
func (r *Recorder) evidence(report *bailey.Report, next *keptReport, known map[string]bool) []store.Evidence {
	var all []store.Evidence
	for _, e := range report.Evidence {
		settled, kept := known[e.ID]
		if e.ID == "" || settled {
			next.evidence[e.ID] = settled
			continue
		}
		one := store.Evidence{Evidence: e}
		if r.LedgerIndex == nil {
			settled = true
		} else if index, found := r.LedgerIndex(e.ID); found {
			one.Ledger, settled = &index, true
		}
		next.evidence[e.ID] = settled
		if !kept || one.Ledger != nil {
			all = append(all, one)
		}
	}
	return all
}
