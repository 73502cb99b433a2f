package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// Reaped is what was cleaned up after one run that did not end by itself.
type Reaped struct {
	Run     string
	Removed []string
	// Interrupted is the evidence of the experiments that were cut off. It shows
	// nothing but that.
	Interrupted []bailey.Evidence
}

// Reap removes what runs left that were killed: only what their journals list,
// each with its UID as precondition. Runs that live are left alone.
// At most so many requests a second are made. Keep, unless nil, is told of each before its journal goes. A journal stays where
// something of it could not be removed, or not be kept.
func Reap(ctx context.Context, config *rest.Config, dir, cluster string, perSecond int, now func() time.Time, keep func(Reaped) error) ([]Reaped, error) {
	paths, err := journals(dir)
	if err != nil {
		return nil, err
	}
	var all []Reaped
	var failures []error
	for _, path := range paths {
		r, err := reap(ctx, config, path, cluster, perSecond, now, keep)
		if err != nil && !errors.Is(err, errBusy) {
			failures = append(failures, err)
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	return all, errors.Join(failures...)
}

func reap(ctx context.Context, config *rest.Config, path, cluster string, perSecond int, now func() time.Time, keep func(Reaped) error) (*Reaped, error) {
	j, entries, err := openJournal(path, now)
	if err != nil {
		return nil, err
	}
	defer j.close()
	if len(entries) == 0 || entries[0].Begin == nil {
		return nil, j.finish() // killed before it did anything
	}
	begin := entries[0].Begin
	if begin.Cluster != cluster {
		return nil, fmt.Errorf("%s is of another cluster (%s)\nhint: run `bailey prove --reap` against that one", path, begin.Cluster)
	}
	clients, err := newClients(config, userAgent(begin.Version, begin.Run), perSecond)
	if err != nil {
		return nil, err
	}
	o := &objects{clients: clients, journal: j, run: begin.Run}
	r := &Reaped{Run: begin.Run}
	var unit *journalUnit
	var owed []*debt
	for _, e := range entries {
		switch {
		case e.Unit != nil:
			unit = e.Unit
		case e.Done:
			unit = nil
		case e.Intend != nil:
			o.held = append(o.held, *e.Intend)
		case e.Made != nil:
			o.release(*e.Made)
			o.held = append(o.held, *e.Made)
		case e.Refused != nil:
			o.release(*e.Refused)
		case e.Gone != nil:
			o.release(*e.Gone)
		case e.Owe != nil:
			owed = append(owed, e.Owe)
		case e.Paid > 0:
			owed = slices.DeleteFunc(owed, func(d *debt) bool { return d.Number == e.Paid })
		}
	}
	before := slices.Clone(o.held)
	slices.Reverse(owed)
	for _, d := range owed {
		if err := d.pay(ctx, clients, begin.Run); err != nil {
			return r, fmt.Errorf("run %s changed something that could not be put back: %w\nhint: the journal %s says what; put it back by hand, then remove the file", begin.Run, err, path)
		}
		if err := j.write(entry{Paid: d.Number}); err != nil {
			return r, err
		}
	}
	err = o.sweep(ctx, 0)
	for _, m := range before {
		if !slices.ContainsFunc(o.held, m.same) {
			r.Removed = append(r.Removed, m.String())
		}
	}
	if err != nil {
		return r, fmt.Errorf("run %s was cut off, and not all of it could be removed: %w\nhint: the journal %s lists it; give the prober the right to delete, and run `bailey prove --reap`", begin.Run, err, path)
	}
	if unit != nil {
		r.Interrupted = append(r.Interrupted, bailey.Evidence{Run: begin.Run, Control: unit.Control, Experiment: unit.Experiment,
			Danger: unit.Danger, Scope: unit.Scope, At: now().UTC(), Interrupted: true, Paths: []bailey.Tally{}})
	}
	if keep != nil {
		if err := keep(*r); err != nil {
			return r, err
		}
	}
	return r, j.finish()
}
