package store

import (
	"context"
	"database/sql"

	"github.com/baileyhq/bailey"
)

// ClusterCount is how many findings are open in a cluster, and accepted by nobody.
type ClusterCount struct {
	Cluster  string
	Severity bailey.Severity
	Open     int
}

// ClusterCounts counts the open findings of some controls in all clusters by severity, whoever may see them.
func (s *Store) ClusterCounts(ctx context.Context, controls []string) ([]ClusterCount, error) {
	var counts []ClusterCount
	if len(controls) == 0 {
		return nil, nil
	}
	where, args := in("", nil, "control", controls)
	err := s.read(ctx, func(r *reader) error {
		return r.each(func(rows *sql.Rows) error {
			var c ClusterCount
			err := rows.Scan(&c.Cluster, &c.Severity, &c.Open)
			counts = append(counts, c)
			return err
		}, "SELECT c.uid, f.severity, f.open FROM (SELECT cluster, severity, sum(open) AS open FROM cluster_findings WHERE open > 0"+where+
			" GROUP BY cluster, severity) AS f CROSS JOIN clusters c WHERE c.n = f.cluster ORDER BY c.uid, f.severity", args...)
	})
	return counts, err
}
