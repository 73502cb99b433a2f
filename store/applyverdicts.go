package store

import (
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// verdictRow is what of a kept verdict decides what changes.
type verdictRow struct {
	rung             int
	since, seq, hash int64
}

var verdictColumns = append([]string{"cluster"}, append(slices.Clone(verdictKeyColumns),
	"rung", "since", "seq", "seen", "needed", "findings", "hash", "doc")...)

// verdicts keeps verdicts.
func (w *writer) verdicts(list []bailey.Verdict) error {
	fresh := make(map[verdictKey]*bailey.Verdict, len(list))
	var keys []verdictKey
	for i := range list {
		k := verdictKeyOf(list[i].Control, list[i].Scope)
		if fresh[k] == nil {
			keys = append(keys, k)
		}
		fresh[k] = &list[i]
	}
	old, err := w.oldVerdicts(keys)
	if err != nil {
		return err
	}
	c := rungCounter{}
	var rows, steps [][]any
	for _, k := range keys {
		v := fresh[k]
		doc, hash, err := encode(verdictDoc{v.WaivedUntil, v.Coverage, v.Proof, v.Next})
		if err != nil {
			return err
		}
		hash ^= int64(v.Findings)
		was, known := old[k]
		since, seq := was.since, was.seq
		switch {
		case known && was.rung == int(v.Rung) && was.hash == hash:
			continue
		case known && was.rung == int(v.Rung):
			w.change("verdict", "changed", k.namespace, 0, k.id())
		default:
			since, seq = w.at, w.change("verdict", "rung", k.namespace, 0, k.id())
			var from any
			if known {
				from = was.rung
				c.add(k, was.rung, -1)
			}
			c.add(k, int(v.Rung), 1)
			steps = append(steps, w.step(seq, k, from, int(v.Rung), why(v)))
		}
		rows = append(rows, append(append([]any{w.cluster}, k.values()...),
			int(v.Rung), since, seq, v.Coverage.Seen, v.Coverage.Needed, v.Findings, hash, doc))
	}
	if err := w.insert("verdicts", verdictColumns, rows,
		"ON CONFLICT (cluster, "+strings.Join(verdictKeyColumns, ", ")+") DO UPDATE SET "+replace(verdictColumns[6:])); err != nil {
		return err
	}
	return w.rungChanges(c, steps)
}

func (w *writer) step(seq int64, k verdictKey, from, to any, why string) []any {
	return append(append([]any{w.cluster, seq, w.at}, k.values()...), from, to, clean(why))
}

var stepColumns = append([]string{"cluster", "seq", "at"}, append(slices.Clone(verdictKeyColumns), "old_rung", "new_rung", "why")...)

func (w *writer) rungChanges(c rungCounter, steps [][]any) error {
	if err := w.insert("rung_changes", stepColumns, steps, ""); err != nil {
		return err
	}
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(c), func(a, b rungKey) int { return strings.Compare(a.order(), b.order()) }) {
		if c[k] != 0 {
			rows = append(rows, []any{w.cluster, k.namespace, k.control, k.scope, k.rung, c[k]})
		}
	}
	return w.insert("rungs", []string{"cluster", "namespace", "control", "scope", "rung", "verdicts"}, rows,
		"ON CONFLICT (cluster, namespace, control, scope, rung) DO UPDATE SET verdicts = rungs.verdicts + excluded.verdicts")
}

// oldVerdicts gives what is kept under the keys.
func (w *writer) oldVerdicts(keys []verdictKey) (map[verdictKey]verdictRow, error) {
	old := make(map[verdictKey]verdictRow, len(keys))
	for some := range slices.Chunk(keys, lookups) {
		args := make([]any, 0, 5*len(some)+1)
		for _, k := range some {
			args = append(args, k.values()...)
		}
		err := w.each(func(rows *sql.Rows) error {
			var k verdictKey
			var v verdictRow
			err := rows.Scan(&k.control, &k.scope, &k.namespace, &k.kind, &k.name, &v.rung, &v.since, &v.seq, &v.hash)
			old[k] = v
			return err
		}, "WITH k (control, scope, namespace, kind, name) AS (VALUES "+tuples(len(some), 5)+
			") SELECT v.control, v.scope, v.namespace, v.kind, v.name, v.rung, v.since, v.seq, v.hash FROM k CROSS JOIN verdicts v"+
			" WHERE v.cluster = ? AND v.control = k.control AND v.scope = k.scope AND v.namespace = k.namespace AND v.kind = k.kind AND v.name = k.name",
			append(args, w.cluster)...)
		if err != nil {
			return nil, err
		}
	}
	return old, nil
}

// dropObjects drops the verdicts on objects that have gone.
func (w *writer) dropObjects(gone []bailey.Ref) error {
	for some := range slices.Chunk(gone, lookups) {
		args := make([]any, 0, 3*len(some)+1)
		for _, o := range some {
			k := keyOf(o)
			args = append(args, k.namespace, k.kind, k.name)
		}
		var keys []verdictKey
		err := w.each(func(rows *sql.Rows) error {
			var k verdictKey
			err := rows.Scan(&k.control, &k.scope, &k.namespace, &k.kind, &k.name)
			keys = append(keys, k)
			return err
		}, "WITH o (namespace, kind, name) AS (VALUES "+tuples(len(some), 3)+
			") SELECT v.control, v.scope, v.namespace, v.kind, v.name FROM o CROSS JOIN verdicts v"+
			" WHERE v.cluster = ? AND v.namespace = o.namespace AND v.kind = o.kind AND v.name = o.name ORDER BY v.control, v.scope, v.namespace, v.kind, v.name",
			append(args, w.cluster)...)
		if err != nil {
			return err
		}
		if err := w.dropVerdicts(keys); err != nil {
			return err
		}
	}
	return nil
}

// dropVerdicts removes verdicts whose scope has gone.
func (w *writer) dropVerdicts(keys []verdictKey) error {
	old, err := w.oldVerdicts(keys)
	if err != nil {
		return err
	}
	c := rungCounter{}
	var steps [][]any
	for _, k := range keys {
		was, known := old[k]
		if !known {
			continue
		}
		delete(old, k)
		c.add(k, was.rung, -1)
		seq := w.change("verdict", "gone", k.namespace, 0, k.id())
		steps = append(steps, w.step(seq, k, was.rung, nil, ""))
		if _, err := w.exec("DELETE FROM verdicts WHERE cluster = ? AND control = ? AND scope = ? AND namespace = ? AND kind = ? AND name = ?",
			append([]any{w.cluster}, k.values()...)...); err != nil {
			return err
		}
	}
	return w.rungChanges(c, steps)
}

type rungKey struct {
	namespace, control, scope string
	rung                      int
}

func (k rungKey) order() string {
	return k.namespace + "\x00" + k.control + "\x00" + k.scope + "\x00" + string(rune('0'+k.rung))
}

// rungCounter gathers what changes of the counts of verdicts.
type rungCounter map[rungKey]int

func (c rungCounter) add(k verdictKey, rung, n int) {
	c[rungKey{k.namespace, k.control, k.scope, rung}] += n
	c[rungKey{everyNamespace, k.control, k.scope, rung}] += n
}
