package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// rankedWorkload is a workload with what sorts it.
type rankedWorkload struct {
	rank int64
	key  objectKey
}

func (a rankedWorkload) compare(b rankedWorkload) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), compareObjects(a.key, b.key))
}

// workloadsByFindings gives a page of workloads in the order of what is found on them.
func (s *Store) workloadsByFindings(ctx context.Context, q *WorkloadQuery) (Page[Workload], error) {
	var page Page[Workload]
	namespaces, all := q.Access.within(q.Namespaces)
	kind, name := clean(string(q.Kind)), clean(q.Name)
	query := fingerprint("workloads by findings", q.Cluster, namespaces, all, kind, name)
	after, err := parseCursor(q.After, query)
	if err != nil || !all && len(namespaces) == 0 {
		return page, err
	}
	w := ranking{namespaces: namespaces, all: all, kind: kind, name: name, limit: pageSize(q.Limit)}
	if after != nil {
		w.after = &rankedWorkload{after.Seq, objectKey{after.Object, after.Kind, after.Name}}
	}
	err = s.read(ctx, func(r *reader) error {
		w.reader = r
		if w.cluster, err = r.cluster(q.Cluster); err != nil {
			return err
		}
		if err := w.run(); err != nil {
			return err
		}
		found := w.found[:min(len(w.found), w.limit)]
		if len(w.found) > w.limit {
			last := found[w.limit-1]
			page.Next = cursor{Query: query, Seq: last.rank, Object: last.key.namespace, Kind: last.key.kind, Name: last.key.name}.String()
		}
		keys := make([]objectKey, len(found))
		page.Items = make([]Workload, len(found))
		for i, f := range found {
			keys[i] = f.key
			page.Items[i] = Workload{back(f.key.namespace, f.key.kind, f.key.name), map[bailey.Rung]int{}, map[bailey.Severity]int{}}
		}
		if err := r.rungsOf(w.cluster, keys, page.Items); err != nil {
			return err
		}
		return r.openOf(w.cluster, keys, page.Items)
	})
	return page, err
}

// ranking finds the workloads of a page and one more, by an index that holds them in order.
type ranking struct {
	*reader
	cluster    int64
	namespaces []string
	all        bool
	kind, name string
	limit      int
	after      *rankedWorkload
	found      []rankedWorkload
}

func (w *ranking) run() error {
	if w.name != "" {
		// A few that begin so are sorted; of more, enough come by in order.
		few, err := w.named()
		if few || err != nil {
			return err
		}
	}
	if w.all || len(w.namespaces) > limits.Parts {
		// What is put together is not what an index in another order would be looked up by.
		where, args := in("", nil, "(namespace || '')", w.namespaces)
		a := w.after
		switch {
		case w.kind != "" && a != nil:
			where, args = where+" AND (rank, namespace, name) > (?, ?, ?)", append(args, a.rank, a.key.namespace, a.key.name)
		case a != nil:
			where, args = where+" AND ("+rankedColumns+") > (?, ?, ?, ?)", append(args, a.rank, a.key.namespace, a.key.kind, a.key.name)
		}
		return w.walk(where, args)
	}
	for _, n := range w.namespaces {
		if err := w.walkNamespace(n); err != nil {
			return err
		}
	}
	slices.SortFunc(w.found, rankedWorkload.compare)
	return nil
}

const rankedColumns = "rank, namespace, kind, name"

func (w *ranking) scan(rows *sql.Rows) (f rankedWorkload, err error) {
	err = rows.Scan(&f.rank, &f.key.namespace, &f.key.kind, &f.key.name)
	return f, err
}

// named takes all whose name begins as is asked for, unless they are many.
func (w *ranking) named() (few bool, err error) {
	looked := 0
	var found []rankedWorkload
	if err := w.each(func(rows *sql.Rows) error {
		looked++
		f, err := w.scan(rows)
		_, here := slices.BinarySearch(w.namespaces, f.key.namespace)
		if (w.all || here) && (w.kind == "" || f.key.kind == w.kind) && (w.after == nil || w.after.compare(f) < 0) {
			found = append(found, f)
		}
		return err
	}, "SELECT "+rankedColumns+" FROM workloads WHERE cluster = ? AND name >= ? AND name < ? LIMIT ?", w.cluster, w.name, w.name+"\U0010FFFF", limits.Gather+1); err != nil {
		return false, err
	}
	if looked > limits.Gather {
		return false, nil
	}
	slices.SortFunc(found, rankedWorkload.compare)
	w.found = found
	return true, nil
}

// walkNamespace takes the next of a namespace.
func (w *ranking) walkNamespace(name string) error {
	where, args := " AND namespace = ?", []any{name}
	if a := w.after; a != nil {
		switch compared := cmp.Compare(name, a.key.namespace); {
		case compared < 0:
			where, args = where+" AND rank > ?", append(args, a.rank)
		case compared > 0:
			where, args = where+" AND rank >= ?", append(args, a.rank)
		default:
			where, args = where+" AND (rank, kind, name) > (?, ?, ?)", append(args, a.rank, a.key.kind, a.key.name)
		}
	}
	return w.walk(where, args)
}

// walk takes the next of those that fulfil a condition.
func (w *ranking) walk(where string, args []any) error {
	if w.kind != "" {
		where, args = where+" AND kind = ?", append(args, w.kind)
	}
	if w.name != "" {
		where, args = where+" AND (name || '') >= ? AND (name || '') < ?", append(args, w.name, w.name+"\U0010FFFF")
	}
	return w.each(func(rows *sql.Rows) error {
		f, err := w.scan(rows)
		w.found = append(w.found, f)
		return err
	}, "SELECT "+rankedColumns+" FROM workloads WHERE cluster = ?"+where+" ORDER BY "+rankedColumns+" LIMIT ?", slices.Concat([]any{w.cluster}, args, []any{w.limit + 1})...)
}

// withObjects begins a query with the objects o.
func withObjects(some []objectKey) (query string, args []any) {
	for _, o := range some {
		args = append(args, o.namespace, o.kind, o.name)
	}
	return "WITH o (namespace, kind, name) AS (VALUES " + tuples(len(some), 3) + ")", args
}

// rungsOf counts on which rungs controls stand for workloads.
func (r *reader) rungsOf(cluster int64, keys []objectKey, workloads []Workload) error {
	at := map[objectKey]int{}
	for i, k := range keys {
		at[k] = i
	}
	for some := range slices.Chunk(keys, lookups) {
		with, args := withObjects(some)
		if err := r.each(func(rows *sql.Rows) error {
			var k objectKey
			var rung bailey.Rung
			err := rows.Scan(&k.namespace, &k.kind, &k.name, &rung)
			workloads[at[k]].Rungs[rung]++
			return err
		}, with+" SELECT v.namespace, v.kind, v.name, v.rung FROM o CROSS JOIN verdicts v"+
			" WHERE v.cluster = ? AND v.namespace = o.namespace AND v.kind = o.kind AND v.name = o.name AND v.scope = ?",
			append(args, cluster, string(bailey.ScopeWorkload))...); err != nil {
			return err
		}
	}
	return nil
}
