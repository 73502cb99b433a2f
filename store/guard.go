package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Guard is how far a guard is in place for a scope.
type Guard struct {
	Control string       `json:"control"`
	Name    string       `json:"name"`
	Scope   bailey.Scope `json:"scope"`
	// Stage is how far it is: the stages are those of enforcement plans.
	Stage string `json:"stage"`
	// Drifted tells that what is in the cluster is no longer what was applied.
	Drifted bool `json:"drifted,omitempty"`
	// Why says what is there or lacking.
	Why string `json:"why,omitempty"`
	// Doc is what else is to be kept of it, as JSON.
	Doc json.RawMessage `json:"doc,omitempty"`
	// Since is when it came to its stage, or drifted. The store sets it.
	Since time.Time `json:"since,omitzero"`
}

type guardDoc struct {
	Why string          `json:"why,omitempty"`
	Doc json.RawMessage `json:"doc,omitempty"`
}

var guardColumns = append(append([]string{"cluster", "guard"}, verdictKeyColumns...), "seq", "stage", "drifted", "since", "doc")

const guardKey = "cluster, control, guard, scope, namespace, kind, name"

// guardID names a guard in one text, which ParseVerdictID reads.
func guardID(k verdictKey, guard string) string {
	name, err := json.Marshal(guard)
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return strings.TrimSuffix(k.id(), "]") + "," + string(name) + "]"
}

// guards keeps the stages of guards.
func (w *writer) guards(list []Guard) error {
	for i := range list {
		g := &list[i]
		k, name := verdictKeyOf(g.Control, g.Scope), clean(g.Name)
		doc, _, err := encode(guardDoc{g.Why, g.Doc})
		if err != nil {
			return err
		}
		key := []any{w.cluster, k.control, name, k.scope, k.namespace, k.kind, k.name}
		var stage, kept string
		var drifted int
		var since, seq int64
		err = w.row("SELECT stage, drifted, since, seq, doc FROM guards WHERE cluster = ? AND control = ? AND guard = ? AND scope = ? AND namespace = ? AND kind = ? AND name = ?", key...).
			Scan(&stage, &drifted, &since, &seq, &kept)
		known := err == nil
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		switch {
		case !known:
			since, seq = w.at, w.change("guard", "added", k.namespace, 0, guardID(k, name))
		case stage != clean(g.Stage) || drifted != bit(g.Drifted):
			since, seq = w.at, w.change("guard", "changed", k.namespace, 0, guardID(k, name))
		case kept != doc:
			w.change("guard", "changed", k.namespace, 0, guardID(k, name))
		default:
			continue
		}
		if err := w.insert("guards", guardColumns, [][]any{append(append([]any{w.cluster, name}, k.values()...), seq, clean(g.Stage), bit(g.Drifted), since, doc)},
			"ON CONFLICT ("+guardKey+") DO UPDATE SET "+replace(guardColumns[7:])); err != nil {
			return err
		}
	}
	return nil
}

// removeGuards removes the guards that are not among those kept.
func (w *writer) removeGuards(kept []Guard) error {
	type key struct {
		verdictKey
		guard string
	}
	keep := map[key]bool{}
	for i := range kept {
		keep[key{verdictKeyOf(kept[i].Control, kept[i].Scope), clean(kept[i].Name)}] = true
	}
	var gone []key
	if err := w.each(func(rows *sql.Rows) error {
		var k key
		err := rows.Scan(&k.control, &k.guard, &k.scope, &k.namespace, &k.kind, &k.name)
		if !keep[k] {
			gone = append(gone, k)
		}
		return err
	}, "SELECT control, guard, scope, namespace, kind, name FROM guards WHERE cluster = ? ORDER BY "+guardKey, w.cluster); err != nil {
		return err
	}
	for _, k := range gone {
		w.change("guard", "removed", k.namespace, 0, guardID(k.verdictKey, k.guard))
		if _, err := w.exec("DELETE FROM guards WHERE cluster = ? AND control = ? AND guard = ? AND scope = ? AND namespace = ? AND kind = ? AND name = ?",
			w.cluster, k.control, k.guard, k.scope, k.namespace, k.kind, k.name); err != nil {
			return err
		}
	}
	return nil
}

// GuardQuery asks for guards.
type GuardQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	Control    string
	Name       string
	Object     *bailey.Ref
}

// Guards gives the guards of a cluster, by control, name and scope.
func (s *Store) Guards(ctx context.Context, q GuardQuery) ([]Guard, error) {
	var all []Guard
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(q.Cluster)
		if err != nil {
			return err
		}
		where, args := q.Access.limit("namespace", q.Namespaces)
		if q.Control != "" {
			where += " AND control = ?"
			args = append(args, clean(q.Control))
		}
		if q.Name != "" {
			where += " AND guard = ?"
			args = append(args, clean(q.Name))
		}
		if q.Object != nil {
			k := keyOf(*q.Object)
			where += " AND namespace = ? AND kind = ? AND name = ?"
			args = append(args, k.namespace, k.kind, k.name)
		}
		return r.each(func(rows *sql.Rows) error {
			var g Guard
			var k verdictKey
			var drifted int
			var since int64
			var text string
			if err := rows.Scan(&g.Control, &g.Name, &k.scope, &k.namespace, &k.kind, &k.name, &g.Stage, &drifted, &since, &text); err != nil {
				return err
			}
			var doc guardDoc
			if err := decode(text, &doc); err != nil {
				return err
			}
			g.Scope, g.Drifted, g.Since, g.Why, g.Doc = k.scopeOf(), drifted == 1, moment(since), doc.Why, doc.Doc
			all = append(all, g)
			return nil
		}, "SELECT control, guard, scope, namespace, kind, name, stage, drifted, since, doc FROM guards WHERE cluster = ?"+where+" ORDER BY "+guardKey,
			slices.Concat([]any{n}, args)...)
	})
	return all, err
}
