package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
)

// AlertStates are alerts as they stand in one store, to be kept as they are in another.
type AlertStates struct {
	Alerts []Alert // those that came first first
	// All tells that those that last are all among them: another that lasted is over.
	All bool
	// Seq is the number of the last change that they have taken in.
	Seq int64
}

// AlertStates gives the alerts that changed after a change's number. Where that cannot be told (a negative
// number, one that is still to come, changes that are no longer kept, or more than most alerts) it gives all
// that last, and most of those that were resolved, the last.
func (s *Store) AlertStates(ctx context.Context, cluster string, after int64, most int) (AlertStates, error) {
	var states AlertStates
	err := s.read(ctx, func(r *reader) error {
		var n, pruned int64
		if err := r.row("SELECT n, seq FROM clusters WHERE uid = ?", clean(cluster)).Scan(&n, &states.Seq); err != nil {
			return noCluster(err, cluster)
		}
		if err := r.row("SELECT coalesce(max(seq), 0) FROM pruned WHERE cluster = ?", n).Scan(&pruned); err != nil {
			return err
		}
		take := func(rows *sql.Rows) error {
			a, _, err := scanAlert(rows.Scan)
			states.Alerts = append(states.Alerts, a)
			return err
		}
		if after >= 0 && after >= pruned && after <= states.Seq {
			const changed = "(SELECT DISTINCT id AS changed_id FROM changes WHERE cluster = ? AND seq > ? AND subject = 'alert'"
			var many int
			if err := r.row("SELECT count(*) FROM "+changed+" LIMIT ?) AS lately", n, after, most+1).Scan(&many); err != nil {
				return err
			}
			if many <= most {
				return r.each(take, "SELECT "+alertFields+" FROM "+changed+") AS lately CROSS JOIN alerts WHERE cluster = ? AND id = changed_id", n, after, n)
			}
		}
		states.All = true
		const all = "SELECT " + alertFields + " FROM alerts WHERE cluster = ? AND resolved_at IS "
		if err := r.each(take, all+"NULL ORDER BY seq", n); err != nil {
			return err
		}
		return r.each(take, all+"NOT NULL ORDER BY changed DESC LIMIT ?", n, most)
	})
	slices.SortFunc(states.Alerts, func(a, b Alert) int { return cmp.Compare(a.Seq, b.Seq) })
	return states, err
}

// PushAlerts keeps alerts as they stand at a spoke, which pushes them after the push with the mark after, and
// the push's own mark; ErrOvertaken if that was not the last. Nobody is to deliver them here. What is not known
// and was over before since is left out: it would have been removed by now.
func (s *Store) PushAlerts(ctx context.Context, cluster string, at time.Time, after, mark string, states AlertStates, since time.Time) error {
	if !states.All && len(states.Alerts) <= replaceRows {
		return s.write(ctx, cluster, at, func(w *writer) error {
			if err := w.follow(after); err != nil {
				return err
			}
			if err := w.setAlerts(states.Alerts, since); err != nil {
				return err
			}
			return w.setPushed(mark)
		})
	}
	return s.pushInTurns(ctx, cluster, after, mark, func(alone *Store) error {
		for some := range slices.Chunk(states.Alerts, replaceRows) {
			if err := alone.write(ctx, cluster, at, func(w *writer) error { return w.setAlerts(some, since) }); err != nil {
				return err
			}
		}
		if !states.All {
			return nil
		}
		last := make(map[string]bool, len(states.Alerts))
		for i := range states.Alerts {
			last[clean(states.Alerts[i].Key)] = true
		}
		for more := true; more; {
			if err := alone.write(ctx, cluster, at, func(w *writer) (err error) {
				more, err = w.endAlerts(last)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// alertState is what is kept of an alert, as far as it is compared.
type alertState struct {
	seq, first, last int64
	resolved         sql.NullInt64
	times            int
	doc              string
}

// became says what a change from one state to another is; nothing if there is none. One that first came at
// another time is another: that before was removed where it came from.
func (was *alertState) became(is *alertState) string {
	switch {
	case was == nil || was.first != is.first:
		return "added"
	case was.last == is.last && was.resolved == is.resolved && was.times == is.times && was.doc == is.doc:
		return ""
	case is.resolved.Valid:
		return "resolved"
	case was.resolved.Valid:
		return "reopened"
	case was.times == is.times:
		return "revised"
	case was.doc == is.doc:
		return "raised"
	}
	return "changed"
}

// setAlerts keeps alerts as they stand elsewhere. Of two with one key the last counts.
func (w *writer) setAlerts(list []Alert, since time.Time) error {
	fresh := make(map[string]*Alert, len(list))
	var keys []string
	for i := range list {
		key := clean(list[i].Key)
		if fresh[key] == nil {
			keys = append(keys, key)
		}
		fresh[key] = &list[i]
	}
	var rows [][]any
	for some := range slices.Chunk(keys, lookups) {
		old, err := w.alertStates(some)
		if err != nil {
			return err
		}
		for _, key := range some {
			a, was := *fresh[key], old[key]
			is := &alertState{first: nanos(a.First), last: nanos(a.Last), resolved: sql.NullInt64{Int64: nanos(a.Resolved), Valid: !a.Resolved.IsZero()}, times: a.Times}
			if was == nil && is.resolved.Valid && a.Resolved.Before(since) {
				continue
			}
			a.First, a.Last, a.Times, a.Resolved, a.Delivered, a.Changed, a.Seq = time.Time{}, time.Time{}, 0, time.Time{}, time.Time{}, 0, 0
			if is.doc, _, err = encode(a); err != nil {
				return err
			}
			op := was.became(is)
			if op == "" {
				continue
			}
			namespace := home(a.Object)
			changed := w.change("alert", op, namespace, int(a.Severity), key)
			if is.seq = changed; op != "added" {
				is.seq = was.seq
			}
			rows = append(rows, []any{w.cluster, key, is.seq, clean(string(a.Kind)), int(a.Severity), namespace, refText(a.Object),
				is.first, is.last, is.resolved, nil, changed, changed, is.times, is.doc})
		}
	}
	return w.insert("alerts", alertColumns, rows, "ON CONFLICT (cluster, id) DO UPDATE SET "+replace(alertColumns[2:]))
}

// alertStates gives what is kept of the alerts with these keys.
func (w *writer) alertStates(keys []string) (map[string]*alertState, error) {
	args := []any{w.cluster}
	for _, key := range keys {
		args = append(args, key)
	}
	old := make(map[string]*alertState, len(keys))
	err := w.each(func(rows *sql.Rows) error {
		var key string
		a := &alertState{}
		err := rows.Scan(&key, &a.seq, &a.first, &a.last, &a.resolved, &a.times, &a.doc)
		old[key] = a
		return err
	}, "SELECT id, seq, first_at, last_at, resolved_at, times, doc FROM alerts WHERE cluster = ? AND id IN ("+marks(len(keys))+")", args...)
	return old, err
}

// endAlerts resolves alerts that are not among those that last elsewhere, and tells whether there may be more.
func (w *writer) endAlerts(last map[string]bool) (more bool, err error) {
	type ended struct {
		key, namespace string
		severity       int
	}
	var over []ended
	if err := w.each(func(rows *sql.Rows) error {
		var e ended
		err := rows.Scan(&e.key, &e.namespace, &e.severity)
		if !last[e.key] && len(over) < replaceRows {
			over = append(over, e)
		}
		return err
	}, "SELECT id, namespace, severity FROM alerts WHERE cluster = ? AND resolved_at IS NULL ORDER BY seq", w.cluster); err != nil {
		return false, err
	}
	for _, e := range over {
		seq := w.change("alert", "resolved", e.namespace, e.severity, e.key)
		if _, err := w.exec("UPDATE alerts SET resolved_at = ?, changed = ?, delivered = ? WHERE cluster = ? AND id = ?", w.at, seq, seq, w.cluster, e.key); err != nil {
			return false, err
		}
	}
	return len(over) == replaceRows, nil
}
