package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// Object is what is kept of one object.
type Object struct {
	Ref bailey.Ref
	// Findings are those on it, and those whose cause it is: the open ones first, the
	// worst first.
	Findings []Finding
	Verdicts []Verdict
	Evidence []Evidence
	Alerts   []Alert
	Rungs    []RungChange
	Guards   []Guard
	// More tells that there is more of one of them than is given: 200 findings and
	// verdicts, 50 of the others.
	More bool
}

// objectRows is how many findings and verdicts of an object are given.
const objectRows = 200

// Object gives what is kept of an object, each list the newest first. Of one that nothing
// is known of, or that may not be seen, it fails with ErrNotFound.
func (s *Store) Object(ctx context.Context, access Access, cluster string, ref bailey.Ref) (Object, error) {
	o := Object{Ref: ref}
	key := keyOf(ref)
	if !access.sees(key.namespace) {
		return o, fmt.Errorf("store: no object %s: %w", ref, ErrNotFound)
	}
	if err := s.read(ctx, func(r *reader) error {
		var n, heard int64
		if err := r.row("SELECT n, heard_at FROM clusters WHERE uid = ?", clean(cluster)).Scan(&n, &heard); err != nil {
			return noCluster(err, cluster)
		}
		seen := map[string]bool{}
		scan := func(rows *sql.Rows) error {
			f, err := scanFinding(rows.Scan, heard, access)
			if access.sees(home(f.Object)) && !seen[f.ID] {
				seen[f.ID] = true
				o.Findings = append(o.Findings, f)
			}
			return err
		}
		for _, gone := range []int{0, 1} {
			for _, where := range []struct {
				condition string
				args      []any
			}{
				{"f.cluster = ? AND f.gone = ? AND f.namespace = ? AND f.kind = ? AND f.name = ?", []any{n, gone, key.namespace, key.kind, key.name}},
				{"f.cluster = ? AND f.gone = ? AND f.cause = ? AND f.cause IS NOT NULL", []any{n, gone, refText(ref)}},
			} {
				// Found by the object first: an index in this order would pass all others by.
				if err := r.each(scan, "SELECT "+findingColumns+" FROM (SELECT f.n FROM findings f WHERE "+where.condition+" LIMIT ?) AS h CROSS JOIN findings f WHERE f.n = h.n"+
					" ORDER BY f.severity DESC, f.opened DESC LIMIT ?", append(where.args, limits.Gather, objectRows+1)...); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		return o, err
	}
	slices.SortStableFunc(o.Findings, func(a, b Finding) int {
		if a.IsOpen() != b.IsOpen() {
			return bit(b.IsOpen()) - bit(a.IsOpen())
		}
		return int(b.Severity) - int(a.Severity)
	})
	if len(o.Findings) > objectRows {
		o.Findings, o.More = o.Findings[:objectRows], true
	}
	verdicts, err := s.Verdicts(ctx, VerdictQuery{Cluster: cluster, Access: access, Namespaces: []string{key.namespace}, Object: &ref, Limit: objectRows})
	if err != nil {
		return o, err
	}
	evidence, err := s.Evidence(ctx, EvidenceQuery{Cluster: cluster, Access: access, Namespaces: []string{key.namespace}, Object: &ref})
	if err != nil {
		return o, err
	}
	alerts, err := s.Alerts(ctx, AlertQuery{Cluster: cluster, Access: access, Namespaces: []string{key.namespace}, Object: &ref, State: All})
	if err != nil {
		return o, err
	}
	rungs, err := s.RungChanges(ctx, RungQuery{Cluster: cluster, Access: access, Namespaces: []string{key.namespace}, Object: &ref})
	if err != nil {
		return o, err
	}
	guards, err := s.Guards(ctx, GuardQuery{Cluster: cluster, Access: access, Namespaces: []string{key.namespace}, Object: &ref})
	if err != nil {
		return o, err
	}
	o.Verdicts, o.Evidence, o.Alerts, o.Rungs, o.Guards = verdicts.Items, evidence.Items, alerts.Items, rungs.Items, guards
	o.More = o.More || verdicts.Next+evidence.Next+alerts.Next+rungs.Next != ""
	if len(o.Findings)+len(o.Verdicts)+len(o.Evidence)+len(o.Alerts)+len(o.Rungs)+len(o.Guards) == 0 {
		return o, fmt.Errorf("store: no object %s: %w", ref, ErrNotFound)
	}
	return o, nil
}

// Lacks gives those of some objects that have neither findings nor verdicts, or may not be seen: Object may find something else about one
// of them, but usually finds none.
func (s *Store) Lacks(ctx context.Context, access Access, cluster string, refs []bailey.Ref) (map[bailey.Ref]bool, error) {
	lacking := map[bailey.Ref]bool{}
	var asked []bailey.Ref
	for _, ref := range refs {
		if !lacking[ref] && access.sees(keyOf(ref).namespace) {
			asked = append(asked, ref)
		}
		lacking[ref] = true
	}
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(asked, lackBatch) {
			var each []string
			var args []any
			for i, ref := range batch {
				key := keyOf(ref)
				each = append(each, fmt.Sprintf("SELECT %d WHERE EXISTS (SELECT 1 FROM verdicts WHERE %s) OR EXISTS (SELECT 1 FROM findings WHERE %s AND gone IN (0, 1))"+
					" OR EXISTS (SELECT 1 FROM findings WHERE cluster = ? AND cause = ? AND cause IS NOT NULL)", i, isObject, isObject))
				args = append(args, n, key.namespace, key.kind, key.name, n, key.namespace, key.kind, key.name, n, refText(ref))
			}
			if err := r.each(func(rows *sql.Rows) error {
				var there int
				err := rows.Scan(&there)
				if err == nil {
					delete(lacking, batch[there])
				}
				return err
			}, strings.Join(each, " UNION ALL "), args...); err != nil {
				return err
			}
		}
		return nil
	})
	return lacking, err
}

const (
	// lackBatch is how many objects Lacks asks about at once.
	lackBatch = 50
	isObject  = "cluster = ? AND namespace = ? AND kind = ? AND name = ?"
)
