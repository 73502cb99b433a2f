package store

import (
	"context"
	"time"
)

// pruneRows is how many rows one transaction removes.
const pruneRows = 1000

// Pruned counts what was removed.
type Pruned struct {
	Findings, Rungs, Evidence, Runs, Alerts, Waivers, Changes int64
}

// prunings are what is removed of a table up to a sequence number. Never what is: open
// findings, verdicts' last changes, the newest evidence of each experiment and scope,
// alerts that last, and runs that go on. Actions are kept for ever.
var prunings = []struct {
	rows  func(p *Pruned) *int64
	query string
}{
	{func(p *Pruned) *int64 { return &p.Rungs }, `DELETE FROM rung_changes WHERE cluster = ? AND seq IN (SELECT c.seq FROM rung_changes c WHERE c.cluster = ? AND c.seq <= ?
		AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.cluster = c.cluster AND v.control = c.control AND v.scope = c.scope AND v.namespace = c.namespace
		AND v.kind = c.kind AND v.name = c.name AND v.seq = c.seq) ORDER BY c.seq LIMIT ?)`},
	{func(p *Pruned) *int64 { return &p.Evidence }, `DELETE FROM evidence WHERE cluster = ? AND seq IN (SELECT e.seq FROM evidence e WHERE e.cluster = ? AND e.seq <= ?
		AND EXISTS (SELECT 1 FROM evidence n WHERE n.cluster = e.cluster AND n.control = e.control AND n.experiment = e.experiment AND n.scope = e.scope
		AND n.namespace = e.namespace AND n.kind = e.kind AND n.name = e.name AND n.seq > e.seq) ORDER BY e.seq LIMIT ?)`},
	{func(p *Pruned) *int64 { return &p.Runs }, `DELETE FROM runs WHERE cluster = ? AND seq IN (SELECT r.seq FROM runs r WHERE r.cluster = ? AND r.ended <= ? ORDER BY r.ended LIMIT ?)`},
	{func(p *Pruned) *int64 { return &p.Alerts }, `DELETE FROM alerts WHERE cluster = ? AND seq IN (SELECT a.seq FROM alerts a WHERE a.cluster = ? AND a.changed <= ?
		AND a.resolved_at IS NOT NULL ORDER BY a.changed LIMIT ?)`},
	{func(p *Pruned) *int64 { return &p.Changes }, `DELETE FROM changes WHERE cluster = ? AND seq IN (SELECT c.seq FROM changes c WHERE c.cluster = ? AND c.seq <= ? ORDER BY c.seq LIMIT ?)`},
}

// Passed keeps until when time is known to have gone on, in the row of the store itself, and gives what counts as
// now: at, but no more than most after what is kept, also where that was of another process. By a clock that is
// years ahead nothing is old. A clock that is behind what is kept counts as it is, and takes it back only with
// back: it may be the one that is wrong. Behind tells that it is.
func (s *Store) Passed(ctx context.Context, at time.Time, most time.Duration, back bool) (now time.Time, behind bool, err error) {
	err = s.change(ctx, func(r *reader) error {
		var last int64
		if err := r.row("SELECT heard_at FROM clusters WHERE n = 0" + s.e.Lock).Scan(&last); err != nil {
			return err
		}
		now = at.UTC()
		if bound := moment(last).Add(most); last != 0 && now.After(bound) {
			now = bound
		}
		if behind = nanos(now) < last; behind && !back {
			return nil
		}
		_, err := r.exec("UPDATE clusters SET heard_at = ? WHERE n = 0", nanos(now))
		return err
	})
	return now, behind, err
}

// Prune removes the history of a cluster that is older than a moment, some rows at a time, and the waivers
// that were removed or expired before it. Where the clock was set forward and back, it removes less.
func (s *Store) Prune(ctx context.Context, cluster string, before time.Time) (Pruned, error) {
	var total Pruned
	var last int64
	if err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		last, err = r.seqAt(n, before)
		last--
		return err
	}); err != nil {
		return total, err
	}
	if err := s.removeRows(ctx, cluster, &total.Waivers, func(r *reader, n int64) (int64, error) {
		return r.exec("DELETE FROM waivers WHERE cluster = ? AND id IN (SELECT id FROM waivers WHERE cluster = ? AND ends < ? ORDER BY ends LIMIT ?)", n, n, before.Unix(), pruneRows)
	}); err != nil || last <= 0 {
		return total, err
	}
	if err := s.removeRows(ctx, cluster, &total.Findings, func(r *reader, n int64) (int64, error) { return r.pruneFindings(n, last) }); err != nil {
		return total, err
	}
	for _, p := range prunings {
		if err := s.removeRows(ctx, cluster, p.rows(&total), func(r *reader, n int64) (int64, error) {
			if p.rows(&total) == &total.Changes {
				// Noted first: a reader that asks for changes of which some are gone is told so.
				if err := r.insert("pruned", []string{"cluster", "seq"}, [][]any{{n, last}},
					"ON CONFLICT (cluster) DO UPDATE SET seq = CASE WHEN excluded.seq > pruned.seq THEN excluded.seq ELSE pruned.seq END"); err != nil {
					return 0, err
				}
			}
			return r.exec(p.query, n, n, last, pruneRows)
		}); err != nil {
			return total, err
		}
	}
	return total, nil
}

// removeRows removes rows, some in each transaction, until there are no more, and counts them.
func (s *Store) removeRows(ctx context.Context, cluster string, total *int64, remove func(r *reader, n int64) (int64, error)) error {
	for {
		var removed int64
		if err := s.change(ctx, func(r *reader) error {
			var n int64
			if err := r.row("SELECT n FROM clusters WHERE uid = ?"+s.e.Lock, clean(cluster)).Scan(&n); err != nil {
				return noCluster(err, cluster)
			}
			var err error
			removed, err = remove(r, n)
			return err
		}); err != nil {
			return err
		}
		if *total += removed; removed < pruneRows {
			return nil
		}
	}
}

// pruneFindings removes findings that went at or before a change, and counts them no more.
func (r *reader) pruneFindings(cluster, last int64) (int64, error) {
	const rows = "SELECT n FROM findings WHERE cluster = ? AND gone_seq IS NOT NULL AND gone_seq <= ? ORDER BY gone_seq, n LIMIT ?"
	// The three levels of counts, each by what it counts.
	for _, level := range []struct{ key, where string }{
		{"grp", "finding_groups.level = 0 AND finding_groups.n = d.grp"},
		{"control, rule, kind, severity", "finding_groups.level = 1 AND finding_groups.control = d.control AND finding_groups.rule = d.rule AND finding_groups.kind = d.kind AND finding_groups.severity = d.severity"},
		{"namespace, severity", "finding_groups.level = 2 AND finding_groups.namespace = d.namespace AND finding_groups.severity = d.severity"},
	} {
		if _, err := r.exec("UPDATE finding_groups SET gone = finding_groups.gone - d.removed FROM (SELECT "+level.key+", count(*) AS removed FROM findings WHERE n IN ("+rows+") GROUP BY "+level.key+
			") AS d WHERE finding_groups.cluster = ? AND "+level.where, cluster, last, pruneRows, cluster); err != nil {
			return 0, err
		}
	}
	removed, err := r.exec("DELETE FROM findings WHERE n IN ("+rows+")", cluster, last, pruneRows)
	if err != nil || removed == pruneRows {
		return removed, err
	}
	_, err = r.exec("DELETE FROM finding_groups WHERE cluster = ? AND open = 0 AND gone = 0", cluster)
	return removed, err
}
