package prove

import (
	"context"
	"errors"
	"fmt"

	"github.com/baileyhq/bailey"
)

// debt is what must be put back of a probe, whatever becomes of the run. Its steps are
// expanded. They are done once more where it is not known that they were.
type debt struct {
	Number int           `json:"number"` // from 1, in its run
	Danger bailey.Danger `json:"danger"`
	Steps  []bailey.Step `json:"steps"`
}

// check refuses a debt that could not be paid by requests for the run's own objects.
func (d *debt) check(run string) error {
	if !acts(d.Danger) {
		return fmt.Errorf("an experiment that says %s changes nothing", d.Danger)
	}
	for i := range d.Steps {
		step := &d.Steps[i]
		if step.Request == nil {
			return errors.New("only a request can put back what was changed")
		}
		if err := harmless(d.Danger, step, run); err != nil {
			return err
		}
	}
	return nil
}

// owe notes what must be put back of a probe, before anything is done.
func (r *run) owe(record *Record, t *trial) error {
	d := &debt{Danger: record.Unit.Experiment.Danger, Steps: make([]bailey.Step, len(t.probe.Undo))}
	for k, step := range t.probe.Undo {
		expanded, err := expand(step, t.bound)
		if err != nil {
			return fmt.Errorf("what is to be undone cannot be told beforehand: %w", err)
		}
		d.Steps[k] = expanded
	}
	if err := d.check(r.id); err != nil {
		return fmt.Errorf("it could not be undone: %w", err)
	}
	r.debts++
	d.Number = r.debts
	if err := r.journal.write(entry{Owe: d}); err != nil {
		return err
	}
	t.owed = d
	return nil
}

// undo puts back what removing the made objects does not. What it cannot stays owed: the
// journal is kept for the reaper.
func (r *run) undo(ctx context.Context, record *Record, t *trial) {
	if t == nil || t.owed == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for k := range t.owed.Steps {
		a := r.perform(ctx, record, t.index, "undo", k, &t.owed.Steps[k])
		if !a.accepted && a.code != 404 {
			err := fmt.Errorf("not undone: %s: %s", a.said, a)
			record.LeftBehind = append(record.LeftBehind, err.Error())
			r.unpaid = append(r.unpaid, err)
			return
		}
	}
	if err := r.journal.write(entry{Paid: t.owed.Number}); err != nil {
		r.unpaid = append(r.unpaid, err)
		r.cancel(err)
	}
}

// pay does what a run that was killed owed.
func (d *debt) pay(ctx context.Context, clients *clients, run string) error {
	if err := d.check(run); err != nil {
		return err
	}
	for _, step := range d.Steps {
		if a := clients.do(ctx, step.Request); !a.accepted && a.code != 404 {
			return fmt.Errorf("%s: %s", a.said, a)
		}
	}
	return nil
}
