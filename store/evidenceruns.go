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
		const experiment = " FROM evidence WHERE cluster = ? AND control = ? AND experiment = ?"
		args := []any{n, clean(of.Control), clean(of.Experiment)}
		// The first piece that is too much, whoever may see it: all are shown the same stretch of time.
		var beyond int64
		var cutRun string
		err = r.row("SELECT seq, run"+experiment+" AND seq = (SELECT seq"+experiment+" ORDER BY seq DESC LIMIT 1 OFFSET ?)", slices.Concat(args, args, []any{limits.Pieces})...).Scan(&beyond, &cutRun)
		switch {
		case err == nil:
			older = true
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		where, whereArgs := access.limit("namespace", nil)
		args = append(args, beyond)
		if cutRun != "" {
			where, whereArgs = " AND run <> ?"+where, append([]any{cutRun}, whereArgs...)
		}
		return r.each(func(rows *sql.Rows) error {
			if len(runs) == most {
				older = true
				return nil
			}
			var run EvidenceRun
			var at int64
			err := rows.Scan(&run.Run, &at, &run.Scopes, &run.Held, &run.Tried, &run.Broken, &run.Inconclusive)
			run.At = moment(at)
			runs = append(runs, run)
			return err
		}, "SELECT run, max(at), count(*), sum(held), sum(tried), sum(broken), sum(inconclusive)"+experiment+" AND seq > ?"+where+
			" GROUP BY run, CASE WHEN run = '' THEN at ELSE 0 END ORDER BY max(at) DESC, max(seq) DESC LIMIT ?", slices.Concat(args, whereArgs, []any{most + 1})...)
	})
	return runs, older, err
}
