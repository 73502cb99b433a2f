package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Delta is what was seen anew of one cluster.
type Delta struct {
	// Judged lists the objects whose rules were checked, and Findings what was found: an
	// open finding of a judged object that is not among Findings goes away. The objects of
	// Findings count as judged.
	Judged   []bailey.Ref
	Findings []bailey.Finding
	// FixOf gives the changes that silence one of Findings, as it is written: those of all at once
	// are larger than the findings. Where it is nil, each has its own.
	FixOf func(*bailey.Finding) []bailey.Change
	// Gone lists the objects that are no longer there: their findings, and the verdicts
	// on them, go away.
	Gone []bailey.Ref
	// Verdicts are those that changed, and may be others.
	Verdicts []bailey.Verdict
	Evidence []Evidence
	Guards   []Guard
}

// Finding gives one of the Findings, with its fix.
func (d *Delta) Finding(i int) bailey.Finding {
	f := d.Findings[i]
	if d.FixOf != nil {
		f.Fix = d.FixOf(&f)
	}
	return f
}

// large tells that a delta is written in turns.
func (d *Delta) large() bool {
	return len(d.Findings) > replaceFindings || max(len(d.Judged), len(d.Gone), len(d.Verdicts)) > replaceRows
}

// Apply keeps a delta. The same delta a second time changes nothing. A large one is written in
// several transactions, so that others get their turn: one that was interrupted is kept in part.
func (s *Store) Apply(ctx context.Context, cluster string, at time.Time, d Delta) error {
	if d.large() {
		return s.applyInTurns(ctx, cluster, at, &d)
	}
	whole := make([]bailey.Finding, len(d.Findings)) // not while others wait for the end of the transaction
	for i := range whole {
		whole[i] = d.Finding(i)
	}
	d.Findings = whole
	return s.write(ctx, cluster, at, func(w *writer) error { return w.apply(&d) })
}

func (s *Store) applyInTurns(ctx context.Context, cluster string, at time.Time, d *Delta) error {
	for some := range slices.Chunk(d.Gone, replaceRows) {
		if err := s.write(ctx, cluster, at, func(w *writer) error {
			if err := w.findings(nil, some, nil); err != nil {
				return err
			}
			return w.dropObjects(some)
		}); err != nil {
			return err
		}
	}
	objects, err := s.findingsInTurns(ctx, cluster, at, d)
	if err != nil {
		return err
	}
	sound := slices.DeleteFunc(slices.Clone(d.Judged), func(ref bailey.Ref) bool { return objects[keyOf(ref)] })
	for some := range slices.Chunk(sound, replaceRows) {
		if err := s.write(ctx, cluster, at, func(w *writer) error { return w.findings(some, nil, nil) }); err != nil {
			return err
		}
	}
	if _, err := s.verdictsInTurns(ctx, cluster, at, d.Verdicts); err != nil {
		return err
	}
	rest := Delta{Evidence: d.Evidence, Guards: d.Guards}
	return s.write(ctx, cluster, at, func(w *writer) error { return w.apply(&rest) })
}

func (w *writer) apply(d *Delta) error {
	if err := w.findings(d.Judged, d.Gone, d.Findings); err != nil {
		return err
	}
	if err := w.dropObjects(d.Gone); err != nil {
		return err
	}
	if err := w.verdicts(d.Verdicts); err != nil {
		return err
	}
	if err := w.evidence(d.Evidence); err != nil {
		return err
	}
	if err := w.guards(d.Guards); err != nil {
		return err
	}
	return w.hear()
}

const (
	replaceFindings = 1000 // in one transaction, or those of one object
	replaceRows     = 1000
)

// Replace keeps the whole state of a cluster: what is not in it has gone. It writes in
// several transactions, so that others get their turn; one that was interrupted is put
// right by the next. Judged and Gone say nothing here, and where Guards is nil they stay as they are.
func (s *Store) Replace(ctx context.Context, cluster string, at time.Time, d Delta) error {
	objects, err := s.findingsInTurns(ctx, cluster, at, &d)
	if err != nil {
		return err
	}
	if err := s.removeObjects(ctx, cluster, at, objects); err != nil {
		return err
	}
	keys, err := s.verdictsInTurns(ctx, cluster, at, d.Verdicts)
	if err != nil {
		return err
	}
	if err := s.removeVerdicts(ctx, cluster, at, keys); err != nil {
		return err
	}
	if err := s.write(ctx, cluster, at, func(w *writer) error {
		if err := w.evidence(d.Evidence); err != nil {
			return err
		}
		if err := w.guards(d.Guards); err != nil {
			return err
		}
		if d.Guards != nil {
			if err := w.removeGuards(d.Guards); err != nil {
				return err
			}
		}
		if _, err := w.exec("UPDATE clusters SET judged_at = ? WHERE n = ? AND judged_at <> ?", w.at, w.cluster, w.at); err != nil {
			return err
		}
		return w.hear()
	}); err != nil {
		return err
	}
	return s.analyze(ctx)
}

// findingsInTurns writes the findings of a delta some objects at a time, and gives the objects.
func (s *Store) findingsInTurns(ctx context.Context, cluster string, at time.Time, d *Delta) (map[objectKey]bool, error) {
	order := make([]int, len(d.Findings))
	objects := make(map[objectKey]bool, len(d.Findings))
	for i := range order {
		order[i] = i
		objects[keyOf(d.Findings[i].Object)] = true
	}
	slices.SortFunc(order, func(a, b int) int { return d.Findings[a].Object.Compare(d.Findings[b].Object) })
	for len(order) > 0 {
		n := min(replaceFindings, len(order))
		for n < len(order) && d.Findings[order[n]].Object == d.Findings[order[n-1]].Object {
			n++
		}
		some := make([]bailey.Finding, n)
		for i, at := range order[:n] {
			some[i] = d.Finding(at)
		}
		order = order[n:]
		if err := s.write(ctx, cluster, at, func(w *writer) error { return w.findings(nil, nil, some) }); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// verdictsInTurns writes verdicts some at a time, and gives what they are about.
func (s *Store) verdictsInTurns(ctx context.Context, cluster string, at time.Time, all []bailey.Verdict) (map[verdictKey]bool, error) {
	keys := make(map[verdictKey]bool, len(all))
	for some := range slices.Chunk(all, replaceRows) {
		for i := range some {
			keys[verdictKeyOf(some[i].Control, some[i].Scope)] = true
		}
		if err := s.write(ctx, cluster, at, func(w *writer) error { return w.verdicts(some) }); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// PutGuards keeps how far all guards of a cluster are; those that are not among them are removed.
func (s *Store) PutGuards(ctx context.Context, cluster string, at time.Time, all []Guard) error {
	return s.write(ctx, cluster, at, func(w *writer) error {
		if err := w.guards(all); err != nil {
			return err
		}
		return w.removeGuards(all)
	})
}

// analyze brings the planner's statistics up to date.
func (s *Store) analyze(ctx context.Context) error {
	if s.e.Analyze == "" {
		return nil
	}
	_, err := s.e.Write.ExecContext(ctx, s.e.Analyze)
	return s.fail(err)
}

// removeObjects lets the open findings go of objects that are not among those kept.
func (s *Store) removeObjects(ctx context.Context, cluster string, at time.Time, kept map[objectKey]bool) error {
	var last objectKey
	for begun := false; ; begun = true {
		var gone []bailey.Ref
		rows := 0
		err := s.read(ctx, func(r *reader) error {
			n, err := r.cluster(cluster)
			if err != nil {
				return err
			}
			query, args := "SELECT DISTINCT namespace, kind, name FROM findings WHERE cluster = ? AND gone = 0", []any{n}
			if begun {
				query += " AND (namespace, kind, name) > (?, ?, ?)"
				args = append(args, last.namespace, last.kind, last.name)
			}
			return r.each(func(row *sql.Rows) error {
				var k objectKey
				err := row.Scan(&k.namespace, &k.kind, &k.name)
				if last, rows = k, rows+1; !kept[k] {
					gone = append(gone, back(k.namespace, k.kind, k.name))
				}
				return err
			}, query+" ORDER BY namespace, kind, name LIMIT ?", append(args, replaceRows)...)
		})
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			if err := s.write(ctx, cluster, at, func(w *writer) error { return w.findings(nil, gone, nil) }); err != nil {
				return err
			}
		}
		if rows < replaceRows {
			return nil
		}
	}
}

// removeVerdicts drops the verdicts that are not among those kept.
func (s *Store) removeVerdicts(ctx context.Context, cluster string, at time.Time, kept map[verdictKey]bool) error {
	var last verdictKey
	for begun := false; ; begun = true {
		var gone []verdictKey
		rows := 0
		err := s.read(ctx, func(r *reader) error {
			n, err := r.cluster(cluster)
			if err != nil {
				return err
			}
			key := strings.Join(verdictKeyColumns, ", ")
			query, args := "SELECT "+key+" FROM verdicts WHERE cluster = ?", []any{n}
			if begun {
				query += " AND (" + key + ") > (" + marks(len(verdictKeyColumns)) + ")"
				args = append(args, last.values()...)
			}
			return r.each(func(row *sql.Rows) error {
				var k verdictKey
				err := row.Scan(&k.control, &k.scope, &k.namespace, &k.kind, &k.name)
				if last, rows = k, rows+1; !kept[k] {
					gone = append(gone, k)
				}
				return err
			}, query+" ORDER BY "+key+" LIMIT ?", append(args, replaceRows)...)
		})
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			if err := s.write(ctx, cluster, at, func(w *writer) error { return w.dropVerdicts(gone) }); err != nil {
				return err
			}
		}
		if rows < replaceRows {
			return nil
		}
	}
}
