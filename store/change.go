package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/baileyhq/bailey"
)

// Change is one thing that changed in what is kept of a cluster.
type Change struct {
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
	// Subject is finding, verdict, evidence, run, alert, waiver, guard or audit.
	Subject string `json:"subject"`
	// Op says what became of it: of a finding opened, reopened, changed or gone; of a
	// verdict rung, changed or gone; of an alert added, raised, changed, revised, resolved or
	// reopened; of others added, changed or removed.
	Op        string `json:"op"`
	Namespace string `json:"namespace,omitempty"`
	// Severity is a finding's or an alert's.
	Severity bailey.Severity `json:"severity,omitzero"`
	// ID is the subject's; see ParseVerdictID for those of verdicts and guards.
	ID string `json:"id"`
}

var changeColumns = []string{"cluster", "seq", "at", "high", "subject", "op", "namespace", "severity", "id"}

// change notes a change and gives its number.
func (w *writer) change(subject, op, namespace string, severity int, id string) int64 {
	seq := w.next()
	w.changes = append(w.changes, []any{w.cluster, seq, w.at, w.high, subject, op, namespace, severity, id})
	return seq
}

// Changes are some changes of a cluster, in order.
type Changes struct {
	Changes []Change
	// Next is the number after which to go on: of the last change that was looked at,
	// whether or not it may be seen.
	Next int64
}

// Changes gives the changes of a cluster after a sequence number, at most limit of them.
// If some after that number are no longer kept it fails with ErrTooOld.
func (s *Store) Changes(ctx context.Context, access Access, cluster string, after int64, limit int) (Changes, error) {
	page := Changes{Next: after}
	limit = pageSize(limit)
	err := s.read(ctx, func(r *reader) error {
		var n, newest int64
		if err := r.row("SELECT n, seq FROM clusters WHERE uid = ?", clean(cluster)).Scan(&n, &newest); err != nil {
			return noCluster(err, cluster)
		}
		var pruned int64
		if err := r.row("SELECT coalesce(max(seq), 0) FROM pruned WHERE cluster = ?", n).Scan(&pruned); err != nil {
			return err
		}
		if after < pruned {
			return ErrTooOld
		}
		condition, args := access.limit("namespace", nil)
		err := r.each(func(rows *sql.Rows) error {
			var c Change
			var at int64
			err := rows.Scan(&c.Seq, &at, &c.Subject, &c.Op, &c.Namespace, &c.Severity, &c.ID)
			c.At = moment(at)
			page.Changes = append(page.Changes, c)
			return err
		}, "SELECT seq, at, subject, op, namespace, severity, id FROM changes WHERE cluster = ? AND seq > ?"+condition+" ORDER BY seq LIMIT ?",
			append(append([]any{n, after}, args...), limit)...)
		if err != nil {
			return err
		}
		if len(page.Changes) == limit {
			page.Next = page.Changes[limit-1].Seq
		} else {
			page.Next = max(after, newest)
		}
		return nil
	})
	return page, err
}

// seqAt gives a number that no change of a cluster that was made at or after a time is
// smaller than. Where the clock was set back it is smaller than it need be.
func (r *reader) seqAt(cluster int64, at time.Time) (int64, error) {
	var older sql.NullInt64
	if err := r.row("SELECT seq FROM changes WHERE cluster = ? AND high < ? ORDER BY cluster, high DESC, seq DESC LIMIT 1", cluster, nanos(at)).Scan(&older); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if older.Valid {
		return older.Int64 + 1, nil
	}
	return 0, nil // none that is kept is older
}
