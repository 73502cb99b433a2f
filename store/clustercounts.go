package store

import (
	"context"
	"database/sql"

	"github.com/baileyhq/bailey"
)

// ClusterCount is how many findings of a control are open in a cluster.
type ClusterCount struct {
	Cluster, Control string
	Severity         bailey.Severity
	Open, Waived     int // Waived are those of Open that a waiver or the baseline accepts
}

// ClusterCounts gives the open findings of all clusters, by control and severity, whoever may see them.
func (s *Store) ClusterCounts(ctx context.Context) ([]ClusterCount, error) {
	var counts []ClusterCount
	err := s.read(ctx, func(r *reader) error {
		return r.each(func(rows *sql.Rows) error {
			var c ClusterCount
			err := rows.Scan(&c.Cluster, &c.Control, &c.Severity, &c.Open, &c.Waived)
			counts = append(counts, c)
			return err
		}, "SELECT c.uid, g.control, g.severity, sum(g.open), sum(g.waived) FROM clusters c CROSS JOIN finding_groups g"+
			" WHERE c.n > 0 AND g.cluster = c.n AND g.level = 1 AND g.open > 0 GROUP BY c.uid, g.control, g.severity ORDER BY c.uid, g.control, g.severity")
	})
	return counts, err
}
