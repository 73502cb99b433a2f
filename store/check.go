package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// contradiction is a query that counts what contradicts itself.
type contradiction struct{ what, query string }

// checks are queries that count what contradicts itself in what is kept of a cluster.
var checks = []contradiction{
	{"counts of findings differ from the findings", `SELECT count(*) FROM finding_groups g LEFT JOIN
		(SELECT grp, sum(1 - gone) AS o, sum((1 - gone) * waived) AS w, sum(gone) AS x FROM findings WHERE cluster = ? GROUP BY grp) f ON f.grp = g.n
		WHERE g.cluster = ? AND g.level = 0 AND (g.open <> coalesce(f.o, 0) OR g.waived <> coalesce(f.w, 0) OR g.gone <> coalesce(f.x, 0))`},
	{"findings are in no group, or in another's", `SELECT count(*) FROM findings f LEFT JOIN finding_groups g ON g.n = f.grp AND g.cluster = f.cluster AND g.level = 0
		AND g.namespace = f.namespace AND g.control = f.control AND g.rule = f.rule AND g.kind = f.kind AND g.severity = f.severity
		WHERE f.cluster = ? AND g.n IS NULL AND f.cluster = ?`},
	{"sums over namespaces differ from the counts", `SELECT count(*) FROM finding_groups s LEFT JOIN
		(SELECT control, rule, kind, severity, sum(open) AS o, sum(waived) AS w, sum(gone) AS x FROM finding_groups WHERE cluster = ? AND level = 0
		GROUP BY control, rule, kind, severity) g ON g.control = s.control AND g.rule = s.rule AND g.kind = s.kind AND g.severity = s.severity
		WHERE s.cluster = ? AND s.level = 1 AND (s.open <> coalesce(g.o, 0) OR s.waived <> coalesce(g.w, 0) OR s.gone <> coalesce(g.x, 0))`},
	{"sums over rules differ from the counts", `SELECT count(*) FROM finding_groups s LEFT JOIN
		(SELECT namespace, severity, sum(open) AS o, sum(waived) AS w, sum(gone) AS x FROM finding_groups WHERE cluster = ? AND level = 0
		GROUP BY namespace, severity) g ON g.namespace = s.namespace AND g.severity = s.severity
		WHERE s.cluster = ? AND s.level = 2 AND (s.open <> coalesce(g.o, 0) OR s.waived <> coalesce(g.w, 0) OR s.gone <> coalesce(g.x, 0))`},
	{"findings are open and gone at once", `SELECT count(*) FROM findings WHERE cluster = ? AND cluster = ? AND
		(gone = 0 AND (gone_at IS NOT NULL OR gone_seq IS NOT NULL) OR gone = 1 AND (gone_at IS NULL OR gone_seq IS NULL OR gone_seq <= opened))`},
	{"counts of verdicts differ from the verdicts", `SELECT count(*) FROM rungs c LEFT JOIN
		(SELECT namespace, control, scope, rung, count(*) AS v FROM verdicts WHERE cluster = ? GROUP BY namespace, control, scope, rung) v
		ON v.namespace = c.namespace AND v.control = c.control AND v.scope = c.scope AND v.rung = c.rung
		WHERE c.cluster = ? AND c.namespace <> '*' AND c.verdicts <> coalesce(v.v, 0)`},
	{"sums of verdicts differ from the counts", `SELECT count(*) FROM rungs c LEFT JOIN
		(SELECT control, scope, rung, sum(verdicts) AS v FROM rungs WHERE cluster = ? AND namespace <> '*' GROUP BY control, scope, rung) v
		ON v.control = c.control AND v.scope = c.scope AND v.rung = c.rung WHERE c.cluster = ? AND c.namespace = '*' AND c.verdicts <> coalesce(v.v, 0)`},
	{"verdicts differ from the last change of their rung", `SELECT count(*) FROM verdicts v LEFT JOIN rung_changes c ON c.cluster = v.cluster AND c.seq = v.seq
		WHERE v.cluster = ? AND v.cluster = ? AND (c.new_rung IS NULL OR c.new_rung <> v.rung)`},
	{"changes are newer than the cluster", `SELECT count(*) FROM changes WHERE cluster = ? AND seq > (SELECT seq FROM clusters WHERE n = ?)`},
}

// laterChecks are those of tables that there are from a version on.
var laterChecks = []struct {
	since int
	contradiction
}{
	{8, contradiction{"workloads are listed for which no verdict stands", `SELECT count(*) FROM workloads w WHERE w.cluster = ? AND NOT EXISTS (SELECT 1 FROM verdicts v
		WHERE v.cluster = ? AND v.namespace = w.namespace AND v.kind = w.kind AND v.name = w.name AND v.scope = 'workload')`}},
	{8, contradiction{"workloads for which a verdict stands are not listed", `SELECT count(*) FROM verdicts v WHERE v.cluster = ? AND v.scope = 'workload' AND NOT EXISTS (SELECT 1 FROM workloads w
		WHERE w.cluster = ? AND w.namespace = v.namespace AND w.kind = v.kind AND w.name = v.name)`}},
	{8, contradiction{"workloads are sorted by other findings than they have", `SELECT count(*) FROM workloads w WHERE w.rank <> -(SELECT
		count(CASE f.severity WHEN 5 THEN 1 END) * 4398046511104 + count(CASE f.severity WHEN 4 THEN 1 END) * 2097152 + count(*) FROM findings f
		WHERE f.cluster = ? AND f.gone = 0 AND f.namespace = w.namespace AND f.kind = w.kind AND f.name = w.name AND f.waived = 0) AND w.cluster = ?`}},
	{10, contradiction{"counts of findings by cluster differ from the counts", `SELECT count(*) FROM cluster_findings c WHERE c.cluster = ? AND c.open <> coalesce((SELECT sum(g.open - g.waived) FROM finding_groups g
		WHERE g.cluster = ? AND g.level = 1 AND g.control = c.control AND g.severity = c.severity), 0)`}},
	{10, contradiction{"findings are in no count by cluster", `SELECT count(*) FROM finding_groups g WHERE g.cluster = ? AND g.level = 1 AND g.open > g.waived AND NOT EXISTS (SELECT 1 FROM cluster_findings c
		WHERE c.cluster = ? AND c.control = g.control AND c.severity = g.severity)`}},
}

// Check reads all that is kept of a cluster, and whether it agrees with itself. It takes
// seconds for a million findings.
func (s *Store) Check(ctx context.Context, cluster string) error {
	return s.readLong(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		var version, oldest int
		if err := r.tables().Scan(&version, &oldest); err != nil {
			return err
		}
		asked := slices.Clone(checks)
		for _, c := range laterChecks {
			if version >= c.since { // a history of an older one is looked at as it is
				asked = append(asked, c.contradiction)
			}
		}
		var wrong []error
		for _, c := range asked {
			var count int
			if err := r.row(c.query, n, n).Scan(&count); err != nil {
				return err
			}
			if count > 0 {
				wrong = append(wrong, fmt.Errorf("store: %w: %s (%d)", ErrDamaged, c.what, count))
			}
		}
		return errors.Join(wrong...)
	})
}
