package store

import (
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

func joinWords(list []string) string { return strings.Join(list, " ") }

// lookups is how many keys one query asks for.
const lookups = 200

// findings keeps what was found of objects.
func (w *writer) findings(judged, gone []bailey.Ref, found []bailey.Finding) error {
	objects := map[objectKey]bool{}
	for _, list := range [][]bailey.Ref{judged, gone} {
		for _, o := range list {
			objects[keyOf(o)] = true
		}
	}
	fresh := make(map[string]*findingRow, len(found))
	var ids []string
	for i := range found {
		row, err := newFindingRow(&found[i])
		if err != nil {
			return err
		}
		row.words = clusterWord(w.cluster) + " " + row.words
		objects[row.object] = true
		if fresh[row.id] == nil {
			ids = append(ids, row.id)
		}
		fresh[row.id] = row
	}
	old, err := w.oldFindings(slices.SortedFunc(maps.Keys(objects), compareObjects), ids)
	if err != nil {
		return err
	}
	c := counter{w: w, groups: map[groupKey]*group{}}
	var put, changed []*findingRow
	for _, id := range ids {
		row, was := fresh[id], old[id]
		switch {
		case was == nil:
			put = append(put, row)
			row.opened = w.change("finding", "opened", row.object.namespace, row.severity, row.id)
			row.n = w.cluster<<rowNumbers | row.opened
			row.first, row.openedAt, row.times = w.at, w.at, 1
		case was.gone:
			put = append(put, row)
			row.opened = w.change("finding", "reopened", row.object.namespace, row.severity, row.id)
			row.n, row.first, row.openedAt, row.times = was.n, was.first, w.at, was.times+1
			c.add(was.key(), 0, 0, -1)
		case was.hash != row.hash || was.key() != row.key() || was.waived != row.waived:
			changed = append(changed, row)
			w.change("finding", "changed", row.object.namespace, row.severity, row.id)
			row.n, row.opened, row.first, row.openedAt, row.times = was.n, was.opened, was.first, was.openedAt, was.times
			c.add(was.key(), -1, -bit(was.waived), 0)
		default:
			continue
		}
		c.add(row.key(), 1, bit(row.waived), 0)
	}
	var left [][]any
	for _, id := range slices.Sorted(maps.Keys(old)) {
		was := old[id]
		if was.gone || fresh[id] != nil {
			continue
		}
		seq := w.change("finding", "gone", was.object.namespace, was.severity, was.id)
		c.add(was.key(), -1, -bit(was.waived), 1)
		left = append(left, []any{was.n, seq})
	}
	if err := c.number(); err != nil {
		return err
	}
	if err := w.putFindings(&c, append(put, changed...)); err != nil {
		return err
	}
	for some := range slices.Chunk(left, lookups) {
		args := make([]any, 0, 2*len(some)+2)
		for _, row := range some {
			args = append(args, row...)
		}
		values := strings.TrimSuffix(strings.Repeat("(CAST(? AS {int}), CAST(? AS {int})),", len(some)), ",")
		if _, err := w.exec(w.e.ddl("WITH g (n, seq) AS (VALUES "+values+") UPDATE findings SET gone = 1, gone_at = ?, last_at = ?,"+
			" gone_seq = (SELECT g.seq FROM g WHERE g.n = findings.n) WHERE n IN (SELECT g.n FROM g)"), append(args, w.at, w.heard)...); err != nil {
			return err
		}
	}
	return c.flush()
}

func compareObjects(a, b objectKey) int {
	if c := strings.Compare(a.namespace, b.namespace); c != 0 {
		return c
	}
	if c := strings.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// oldFindings gives the open findings of the objects, and what is kept under the IDs.
func (w *writer) oldFindings(objects []objectKey, ids []string) (map[string]*findingRow, error) {
	old := map[string]*findingRow{}
	const columns = "f.n, f.id, f.control, f.rule, f.severity, f.namespace, f.kind, f.name, f.gone, f.waived, f.opened, f.first_at, f.opened_at, f.times, f.hash"
	scan := func(rows *sql.Rows) error {
		f := &findingRow{}
		var gone, waived int
		err := rows.Scan(&f.n, &f.id, &f.control, &f.rule, &f.severity, &f.object.namespace, &f.object.kind, &f.object.name,
			&gone, &waived, &f.opened, &f.first, &f.openedAt, &f.times, &f.hash)
		f.gone, f.waived = gone == 1, waived == 1
		old[f.id] = f
		return err
	}
	for some := range slices.Chunk(objects, lookups) {
		args := make([]any, 0, 3*len(some)+1)
		for _, o := range some {
			args = append(args, o.namespace, o.kind, o.name)
		}
		err := w.each(scan, "WITH o (namespace, kind, name) AS (VALUES "+tuples(len(some), 3)+") SELECT "+columns+
			" FROM o CROSS JOIN findings f WHERE f.cluster = ? AND f.gone = 0 AND f.namespace = o.namespace AND f.kind = o.kind AND f.name = o.name",
			append(args, w.cluster)...)
		if err != nil {
			return nil, err
		}
	}
	var others []any
	for _, id := range ids {
		if old[id] == nil {
			others = append(others, id)
		}
	}
	for some := range slices.Chunk(others, lookups) {
		if err := w.each(scan, "SELECT "+columns+" FROM findings f WHERE f.cluster = ? AND f.id IN ("+marks(len(some))+")",
			append([]any{w.cluster}, some...)...); err != nil {
			return nil, err
		}
	}
	return old, nil
}

var findingRowColumns = []string{"n", "cluster", "id", "grp", "control", "rule", "severity", "namespace", "kind", "name", "cause",
	"gone", "waived", "opened", "first_at", "opened_at", "last_at", "gone_at", "gone_seq", "times", "hash", "words", "doc"}

func (w *writer) putFindings(c *counter, list []*findingRow) error {
	rows := make([][]any, len(list))
	for i, f := range list {
		rows[i] = []any{f.n, w.cluster, f.id, c.groups[f.key()].n, f.control, f.rule, f.severity, f.object.namespace, f.object.kind, f.object.name, f.cause,
			0, bit(f.waived), f.opened, f.first, f.openedAt, nil, nil, nil, f.times, f.hash, f.words, f.doc}
	}
	return w.insert("findings", findingRowColumns, rows, "ON CONFLICT (cluster, id) DO UPDATE SET "+replace(findingRowColumns[3:]))
}

// group is what changes of a group's counts.
type group struct {
	n                  int64
	open, waived, gone int
}

// counter gathers what changes of counts.
type counter struct {
	w      *writer
	groups map[groupKey]*group
}

func (c *counter) add(k groupKey, open, waived, gone int) {
	for _, k := range [...]groupKey{k,
		{1, everyNamespace, k.control, k.rule, k.kind, k.severity},
		{2, k.namespace, "", "", "", k.severity},
	} {
		g := c.groups[k]
		if g == nil {
			g = &group{}
			c.groups[k] = g
		}
		g.open += open
		g.waived += waived
		g.gone += gone
	}
}

func compareGroups(a, b groupKey) int {
	if a.level != b.level {
		return a.level - b.level
	}
	for _, pair := range [...][2]string{{a.namespace, b.namespace}, {a.control, b.control}, {a.rule, b.rule}, {a.kind, b.kind}} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return a.severity - b.severity
}

// number gives the groups the numbers that they have, and new ones to others.
func (c *counter) number() error {
	keys := slices.SortedFunc(maps.Keys(c.groups), compareGroups)
	for some := range slices.Chunk(keys, lookups) {
		args := make([]any, 0, 6*len(some)+1)
		for _, k := range some {
			args = append(args, k.namespace, k.control, k.rule, k.kind, k.severity, k.level)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, CAST(? AS INTEGER), CAST(? AS INTEGER)),", len(some)), ",")
		err := c.w.each(func(rows *sql.Rows) error {
			var k groupKey
			var n int64
			err := rows.Scan(&n, &k.level, &k.namespace, &k.control, &k.rule, &k.kind, &k.severity)
			if g := c.groups[k]; g != nil {
				g.n = n
			}
			return err
		}, "WITH k (namespace, control, rule, kind, severity, level) AS (VALUES "+values+
			") SELECT g.n, g.level, g.namespace, g.control, g.rule, g.kind, g.severity FROM k CROSS JOIN finding_groups g"+
			" WHERE g.cluster = ? AND g.level = k.level AND g.namespace = k.namespace AND g.control = k.control AND g.rule = k.rule AND g.kind = k.kind AND g.severity = k.severity",
			append(args, c.w.cluster)...)
		if err != nil {
			return err
		}
	}
	for _, k := range keys {
		if c.groups[k].n == 0 {
			c.groups[k].n = c.w.number()
		}
	}
	return nil
}

// flush adds up the counts.
func (c *counter) flush() error {
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(c.groups), compareGroups) {
		if g := c.groups[k]; g.open != 0 || g.waived != 0 || g.gone != 0 {
			rows = append(rows, []any{g.n, c.w.cluster, k.level, k.namespace, k.control, k.rule, k.kind, k.severity, g.open, g.waived, g.gone})
		}
	}
	return c.w.insert("finding_groups", []string{"n", "cluster", "level", "namespace", "control", "rule", "kind", "severity", "open", "waived", "gone"}, rows,
		"ON CONFLICT (n) DO UPDATE SET open = finding_groups.open + excluded.open, waived = finding_groups.waived + excluded.waived, gone = finding_groups.gone + excluded.gone")
}
