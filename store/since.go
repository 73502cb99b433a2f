package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// Since is what changed from a moment on.
type Since struct {
	// Opened counts the findings that came or came back, and Gone those that went, by
	// severity. One that came and went counts in both.
	Opened map[bailey.Severity]int
	Gone   map[bailey.Severity]int
	// Better and Worse count the steps of rungs up and down of scopes that were there
	// before.
	Better, Worse int
	// Alerts counts those that were raised.
	Alerts int
	// More tells that there were too many changes to count all: the counts are of the newest.
	More bool
}

// changesMost is how many changes are counted, beside what limits.Gather says of findings.
const changesMost = 5

// Since counts what changed from a moment on.
func (s *Store) Since(ctx context.Context, access Access, cluster string, from time.Time, namespaces ...string) (Since, error) {
	since := Since{Opened: map[bailey.Severity]int{}, Gone: map[bailey.Severity]int{}}
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		seq, err := r.seqAt(n, from)
		if err != nil {
			return err
		}
		most := changesMost * limits.Gather
		condition, args := access.limit("namespace", namespaces)
		total := 0
		if err := r.each(func(rows *sql.Rows) error {
			var subject, op string
			var severity bailey.Severity
			var count int
			if err := rows.Scan(&subject, &op, &severity, &count); err != nil {
				return err
			}
			total += count
			switch subject + " " + op {
			case "finding opened", "finding reopened":
				since.Opened[severity] += count
			case "finding gone":
				since.Gone[severity] += count
			case "alert added", "alert reopened":
				since.Alerts += count
			}
			return nil
		}, "SELECT subject, op, severity, count(*) FROM (SELECT subject, op, severity, at FROM changes WHERE cluster = ? AND seq >= ?"+condition+
			" ORDER BY seq DESC LIMIT ?) AS counted WHERE at >= ? GROUP BY subject, op, severity", slices.Concat([]any{n, seq}, args, []any{most, nanos(from)})...); err != nil {
			return err
		}
		since.More = total >= most
		return r.row("SELECT coalesce(sum(CASE WHEN new_rung > old_rung THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN new_rung < old_rung THEN 1 ELSE 0 END), 0) FROM"+
			" (SELECT old_rung, new_rung, at FROM rung_changes WHERE cluster = ? AND seq >= ?"+condition+" ORDER BY seq DESC LIMIT ?) AS counted WHERE at >= ?",
			slices.Concat([]any{n, seq}, args, []any{most, nanos(from)})...).Scan(&since.Better, &since.Worse)
	})
	return since, err
}
