package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/baileyhq/bailey/store/internal/limits"
)

// EvidenceRun is what the evidence adds up to that one run gave of an experiment.
type EvidenceRun struct {
	// Run is empty for evidence that names none: what is of one moment counts as of one run then.
	Run                               string
	At                                time.Time // of the newest of it
	Scopes                            int       // pieces of evidence: a run gives one for each scope
	Held, Tried, Broken, Inconclusive int
	// Unheld counts the scopes in which something was tried and nothing held, on all paths together, or that were interrupted.
	Unheld int
	// Cut tells that more was kept of the run than was looked at, and is added up here.
	Cut bool
}

const (
	// runColumns are what is added up of evidence, e, by oneRun.
	runColumns = "e.run, max(e.at), count(*), sum(e.held), sum(e.tried), sum(e.broken), sum(e.inconclusive), sum(CASE WHEN e.interrupted = 1 OR e.tried > 0 AND e.held = 0 THEN 1 ELSE 0 END)"
	// oneRun groups the evidence of an experiment, e, by run.
	oneRun = "e.run, CASE WHEN e.run = '' THEN e.at ELSE 0 END"
)

// scan reads the runColumns, behind what is before them.
func (e *EvidenceRun) scan(rows *sql.Rows, before ...any) error {
	var at int64
	err := rows.Scan(append(before, &e.Run, &at, &e.Scopes, &e.Held, &e.Tried, &e.Broken, &e.Inconclusive, &e.Unheld)...)
	e.At = moment(at)
	return err
}

// NewestRuns adds up the newest run of each of the experiments of which any evidence may be seen, whole, or cut after
// limits.Pieces pieces of the experiment.
func (s *Store) NewestRuns(ctx context.Context, access Access, cluster string, of []ExperimentName) (map[ExperimentName]EvidenceRun, error) {
	runs := map[ExperimentName]EvidenceRun{}
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		for window := limits.Scopes; len(of) > 0; window = min(8*window, limits.Pieces) { // few runs are larger
			var cut []ExperimentName
			for some := range slices.Chunk(of, newestAtOnce) {
				if err := r.newestRuns(access, n, some, window, func(x ExperimentName, run EvidenceRun) {
					if runs[x] = run; run.Cut && window < limits.Pieces {
						cut = append(cut, x)
					}
				}); err != nil {
					return err
				}
			}
			of = cut
		}
		return nil
	})
	return runs, err
}

// newestRuns adds up the newest run of experiments among so many pieces of each, which end with the newest that may be seen.
func (r *reader) newestRuns(access Access, cluster int64, of []ExperimentName, window int, take func(ExperimentName, EvidenceRun)) error {
	where, whereArgs := access.limit("e.namespace", nil)
	var args []any
	for _, x := range of {
		args = append(args, clean(x.Control), clean(x.Experiment))
	}
	const pieces = " FROM evidence e WHERE e.cluster = ? AND e.control = x.control AND e.experiment = x.experiment"
	return r.each(func(rows *sql.Rows) error {
		var x ExperimentName
		var run EvidenceRun
		err := run.scan(rows, &x.Control, &x.Experiment, &run.Cut)
		take(x, run)
		return err
	}, "WITH x (control, experiment) AS (VALUES "+tuples(len(of), 2)+"),"+
		" part AS MATERIALIZED (SELECT x.control, x.experiment, (SELECT max(e.seq)"+pieces+where+") AS last FROM x),"+
		" whole AS MATERIALIZED (SELECT x.control, x.experiment, x.last, coalesce((SELECT e.seq"+pieces+" AND e.seq <= x.last ORDER BY e.seq DESC LIMIT 1 OFFSET ?), 0) AS beyond FROM part x),"+
		" newest AS MATERIALIZED (SELECT x.control, x.experiment, x.last, x.beyond, (SELECT e.seq"+pieces+" AND e.seq > x.beyond AND e.seq <= x.last"+where+
		" ORDER BY e.at DESC, e.seq DESC LIMIT 1) AS seq FROM whole x)"+
		// f is of the run, e all of it, and g the first piece that is too much: if it is of the run, the run is cut.
		" SELECT e.control, e.experiment, max(CASE WHEN g.run = f.run AND (g.run <> '' OR g.at = f.at) THEN 1 ELSE 0 END) = 1, "+runColumns+
		" FROM newest x CROSS JOIN evidence f CROSS JOIN evidence e"+
		" LEFT JOIN evidence g ON g.cluster = f.cluster AND g.control = f.control AND g.experiment = f.experiment AND g.seq = x.beyond"+
		" WHERE f.cluster = ? AND f.control = x.control AND f.experiment = x.experiment AND f.seq = x.seq"+
		" AND e.cluster = f.cluster AND e.control = f.control AND e.experiment = f.experiment AND e.seq > x.beyond AND e.seq <= x.last"+
		" AND e.run = f.run AND (e.run <> '' OR e.at = f.at)"+where+
		" GROUP BY e.control, e.experiment, "+oneRun,
		slices.Concat(args, []any{cluster}, whereArgs, []any{cluster, window, cluster}, whereArgs, []any{cluster}, whereArgs)...)
}

// EvidenceRuns adds up the newest evidence of an experiment that may be seen by run, the newest first, and gives the
// newest runs, at most so many. It looks at limits.Pieces pieces and no more: a run that is not among them as a whole
// is left out. Older tells that there are others.
func (s *Store) EvidenceRuns(ctx context.Context, access Access, cluster string, of ExperimentName, most int) (runs []EvidenceRun, older bool, err error) {
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		const experiment = " FROM evidence e WHERE e.cluster = ? AND e.control = ? AND e.experiment = ?"
		args := []any{n, clean(of.Control), clean(of.Experiment)}
		// The first piece that is too much, whoever may see it: all are shown the same stretch of time.
		var beyond, cutAt int64
		var cutRun string
		err = r.row("SELECT e.seq, e.run, e.at"+experiment+" AND e.seq = (SELECT e.seq"+experiment+" ORDER BY e.seq DESC LIMIT 1 OFFSET ?)", slices.Concat(args, args, []any{limits.Pieces})...).Scan(&beyond, &cutRun, &cutAt)
		switch {
		case err == nil:
			older = true
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		where, whereArgs := access.limit("e.namespace", nil)
		args = append(args, beyond)
		if older {
			where, whereArgs = " AND (e.run <> ? OR e.run = '' AND e.at <> ?)"+where, append([]any{cutRun, cutAt}, whereArgs...)
		}
		return r.each(func(rows *sql.Rows) error {
			if len(runs) == most {
				older = true
				return nil
			}
			var run EvidenceRun
			err := run.scan(rows)
			runs = append(runs, run)
			return err
		}, "SELECT "+runColumns+experiment+" AND e.seq > ?"+where+" GROUP BY "+oneRun+" ORDER BY max(e.at) DESC, max(e.seq) DESC LIMIT ?", slices.Concat(args, whereArgs, []any{most + 1})...)
	})
	return runs, older, err
}
