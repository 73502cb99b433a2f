package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// Facets counts findings by what they can be narrowed by.
type Facets struct {
	// Each facet is counted as if the query did not narrow by it.
	Controls   map[string]int
	Rules      map[string]int
	Severities map[bailey.Severity]int
	Kinds      map[bailey.Kind]int
	Namespaces map[string]int
	// Waived counts those that are waived of all that the query asks for; of what has gone
	// none counts.
	Waived int
	Total  int
	// More tells that there were too many to count all: the counts are of a part.
	More bool
}

// Facets counts the findings of a query; its order and page say nothing here.
func (s *Store) Facets(ctx context.Context, q FindingQuery) (Facets, error) {
	facets := Facets{Controls: map[string]int{}, Rules: map[string]int{}, Severities: map[bailey.Severity]int{}, Kinds: map[bailey.Kind]int{}, Namespaces: map[string]int{}}
	f, err := q.filter()
	if err != nil {
		return facets, err
	}
	err = s.read(ctx, func(r *reader) error {
		var heard int64
		if err := r.row("SELECT n, heard_at FROM clusters WHERE uid = ?", clean(q.Cluster)).Scan(&f.cluster, &heard); err != nil {
			return noCluster(err, q.Cluster)
		}
		if f.counted() {
			return r.groupFacets(f, q.Access, &facets)
		}
		if f.nothing() {
			return nil
		}
		if !f.since.IsZero() {
			if f.sinceSeq, err = r.seqAt(f.cluster, f.since); err != nil {
				return err
			}
		}
		return r.rowFacets(f, &facets)
	})
	return facets, err
}

// groupFacets takes the counts that are kept.
func (r *reader) groupFacets(f *filter, access Access, facets *Facets) error {
	// Without limits but to namespaces, so that each facet can leave its own out.
	wide := &filter{cluster: f.cluster, state: f.state, namespaces: f.namespaces, all: f.all, waived: f.waived}
	where, args := wide.level()
	if err := r.each(func(rows *sql.Rows) error {
		var control, rule, kind string
		var severity, n, waived int
		if err := rows.Scan(&control, &rule, &kind, &severity, &n, &waived); err != nil {
			return err
		}
		c, l, k, v := holds(f.controls, control), holds(f.rules, rule), holds(f.kinds, kind), severity >= f.severity
		if l && k && v {
			facets.Controls[control] += n
		}
		if c && k && v {
			facets.Rules[rule] += n
		}
		if c && l && v {
			facets.Kinds[bailey.Kind(kind)] += n
		}
		if c && l && k {
			facets.Severities[bailey.Severity(severity)] += n
		}
		if c && l && k && v {
			facets.Total += n
			if f.state != Gone && (f.waived == nil || *f.waived) {
				facets.Waived += waived
			}
		}
		return nil
	}, "SELECT control, rule, kind, severity, sum("+f.counts()+"), sum(waived) FROM finding_groups WHERE cluster = ?"+where+
		" GROUP BY control, rule, kind, severity", append([]any{f.cluster}, args...)...); err != nil {
		return err
	}
	// By namespace: from the sums of each namespace where they do.
	level := 2
	if len(f.controls)+len(f.rules)+len(f.kinds) > 0 {
		level = 0
	}
	where, args = f.groups()
	seen, seenArgs := access.limit("namespace", nil)
	err := r.each(func(rows *sql.Rows) error {
		var namespace string
		var n int
		err := rows.Scan(&namespace, &n)
		facets.Namespaces[namespace] = n
		return err
	}, "SELECT namespace, sum("+f.counts()+") FROM finding_groups WHERE cluster = ? AND level = ?"+where+seen+" GROUP BY namespace",
		slices.Concat([]any{f.cluster, level}, args, seenArgs)...)
	for _, drop := range []map[string]int{facets.Controls, facets.Rules, facets.Namespaces} {
		maps.DeleteFunc(drop, func(_ string, n int) bool { return n == 0 })
	}
	maps.DeleteFunc(facets.Severities, func(_ bailey.Severity, n int) bool { return n == 0 })
	maps.DeleteFunc(facets.Kinds, func(_ bailey.Kind, n int) bool { return n == 0 })
	return err
}

func holds(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// rowFacets counts the rows themselves, up to a limit. A facet counts only what the query
// asks for then.
func (r *reader) rowFacets(f *filter, facets *Facets) error {
	p := &pager{reader: r, f: f, sort: BySeverity, limit: 1}
	if err := p.plan(); err != nil {
		return err
	}
	where, args := f.rows()
	from, args := " FROM findings f WHERE f.cluster = ? AND f.gone IN ("+goneList(f.state)+")"+where, append([]any{f.cluster}, args...)
	if p.gather != "" {
		from, args = p.gathered()
	}
	n := 0
	return r.each(func(rows *sql.Rows) error {
		var control, rule, kind, namespace string
		var severity, waived, gone int
		if err := rows.Scan(&control, &rule, &kind, &namespace, &severity, &waived, &gone); err != nil {
			return err
		}
		if n++; n > limits.Gather {
			facets.More = true
			return nil
		}
		facets.Controls[control]++
		facets.Rules[rule]++
		facets.Kinds[bailey.Kind(kind)]++
		facets.Namespaces[namespace]++
		facets.Severities[bailey.Severity(severity)]++
		facets.Total++
		if gone == 0 {
			facets.Waived += waived
		}
		return nil
	}, "SELECT f.control, f.rule, f.kind, f.namespace, f.severity, f.waived, f.gone"+from+" LIMIT ?", append(args, limits.Gather+1)...)
}
