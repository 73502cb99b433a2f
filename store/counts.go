package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// Count is how many findings are open of what it names.
type Count struct {
	Namespace, Control, Rule string // empty where all of them are added up
	Severity                 bailey.Severity
	Open, Waived             int // Waived are those of Open that a waiver or the baseline accepts
}

// Counts gives the open findings of the namespaces that may be seen, by rule and severity.
func (s *Store) Counts(ctx context.Context, access Access, cluster string, namespaces ...string) ([]Count, error) {
	inside, all := access.within(namespaces)
	f := &filter{namespaces: inside, all: all}
	if f.nothing() {
		return nil, nil
	}
	where, args := f.level()
	return s.counts(ctx, cluster, "'', control, rule, severity", where, args)
}

// NamespaceCounts gives the open findings of each namespace that may be seen, by severity.
func (s *Store) NamespaceCounts(ctx context.Context, access Access, cluster string) ([]Count, error) {
	where, args := access.limit("namespace", nil)
	return s.counts(ctx, cluster, "namespace, '', '', severity", " AND level = 2"+where, args)
}

func (s *Store) counts(ctx context.Context, cluster, by, where string, args []any) ([]Count, error) {
	var counts []Count
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			var c Count
			if err := rows.Scan(&c.Namespace, &c.Control, &c.Rule, &c.Severity, &c.Open, &c.Waived); err != nil {
				return err
			}
			if c.Open > 0 {
				counts = append(counts, c)
			}
			return nil
		}, "SELECT "+by+", sum(open), sum(waived) FROM finding_groups WHERE cluster = ?"+where+" GROUP BY 1, 2, 3, 4", slices.Concat([]any{n}, args)...)
	})
	return counts, err
}

// NamespaceRung is the lowest rung on which any scope of a namespace stands for a control.
type NamespaceRung struct {
	Namespace, Control string
	Rung               bailey.Rung
}

// NamespaceRungs gives the lowest rung of each control, or of one, in each of the namespaces, of all if none is named, that may be seen.
func (s *Store) NamespaceRungs(ctx context.Context, access Access, cluster, control string, namespaces ...string) ([]NamespaceRung, error) {
	var rungs []NamespaceRung
	where, args := access.limit("namespace", namespaces)
	if control != "" {
		where, args = where+" AND control = ?", append(args, clean(control))
	}
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			var c NamespaceRung
			err := rows.Scan(&c.Namespace, &c.Control, &c.Rung)
			if c.Namespace != everyNamespace { // sooner told of a few sums than of each count
				rungs = append(rungs, c)
			}
			return err
		}, "SELECT namespace, control, min(rung) FROM rungs WHERE cluster = ? AND verdicts > 0"+where+
			" GROUP BY namespace, control ORDER BY namespace, control", slices.Concat([]any{n}, args)...)
	})
	return rungs, err
}

// NamespaceGaps gives how many controls have a gap in each namespace that may be seen and has any: what NamespaceRungs
// tells too, in half the time.
func (s *Store) NamespaceGaps(ctx context.Context, access Access, cluster string) (map[string]int, error) {
	gaps := map[string]int{}
	where, args := access.limit("namespace", nil)
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			var namespace string
			var controls int
			err := rows.Scan(&namespace, &controls)
			if namespace != everyNamespace {
				gaps[namespace] = controls
			}
			return err
		}, "SELECT namespace, count(DISTINCT control) FROM rungs WHERE cluster = ? AND verdicts > 0 AND rung = ?"+where+
			" GROUP BY namespace", slices.Concat([]any{n, int(bailey.RungGap)}, args)...)
	})
	return gaps, err
}

// JudgedNamespaces gives the namespaces that may be seen and have verdicts, by name; "" for what belongs to the cluster.
func (s *Store) JudgedNamespaces(ctx context.Context, access Access, cluster string) ([]string, error) {
	var names []string
	where, args := access.limit("namespace", nil)
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		args = slices.Concat([]any{n}, args)
		// From one to the next by the index: each has many rows.
		first := "SELECT min(namespace) FROM rungs WHERE cluster = ? AND verdicts > 0" + where
		return r.each(func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			if name != everyNamespace {
				names = append(names, name)
			}
			return err
		}, "WITH RECURSIVE named(name) AS ("+first+" UNION ALL SELECT ("+first+" AND namespace > named.name) FROM named WHERE named.name IS NOT NULL)"+
			" SELECT name FROM named WHERE name IS NOT NULL ORDER BY name", slices.Concat(args, args)...)
	})
	return names, err
}

// WorkloadQuery asks for workloads, by namespace, kind and name unless by their findings.
type WorkloadQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	Kind       bailey.Kind
	// Name is the beginning of the name.
	Name string
	// ByFindings has those first on which the worst is found that nobody accepts, and of equal ones the most.
	ByFindings bool
	Limit      int
	After      string
}

// Workload is something that verdicts stand for, with where it stands.
type Workload struct {
	Object bailey.Ref
	Rungs  map[bailey.Rung]int // controls by rung
	Open   map[bailey.Severity]int
}

// Workloads gives a page of workloads.
func (s *Store) Workloads(ctx context.Context, q WorkloadQuery) (Page[Workload], error) {
	if q.ByFindings {
		return s.workloadsByFindings(ctx, &q)
	}
	var page Page[Workload]
	where, args := q.Access.limit("namespace", q.Namespaces)
	if q.Kind != "" {
		where, args = where+" AND kind = ?", append(args, clean(string(q.Kind)))
	}
	if q.Name != "" {
		begin := clean(q.Name)
		where, args = where+" AND name >= ? AND name < ?", append(args, begin, begin+"\U0010FFFF")
	}
	query := fingerprint("workloads", q.Cluster, where, args)
	after, err := parseCursor(q.After, query)
	if err != nil {
		return page, err
	}
	limit := pageSize(q.Limit)
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(q.Cluster)
		if err != nil {
			return err
		}
		if after != nil {
			where, args = where+" AND (namespace, kind, name) > (?, ?, ?)", append(args, after.Object, after.Kind, after.Name)
		}
		var keys []objectKey
		err = r.each(func(rows *sql.Rows) error {
			var k objectKey
			var rung bailey.Rung
			if err := rows.Scan(&k.namespace, &k.kind, &k.name, &rung); err != nil {
				return err
			}
			if len(keys) == 0 || keys[len(keys)-1] != k {
				keys = append(keys, k)
				page.Items = append(page.Items, Workload{back(k.namespace, k.kind, k.name), map[bailey.Rung]int{}, map[bailey.Severity]int{}})
			}
			page.Items[len(page.Items)-1].Rungs[rung]++
			return nil
		}, "SELECT namespace, kind, name, rung FROM verdicts WHERE cluster = ? AND scope = ?"+where+" ORDER BY namespace, kind, name LIMIT ?",
			slices.Concat([]any{n, string(bailey.ScopeWorkload)}, args, []any{(limit + 1) * verdictsMost})...)
		if err != nil {
			return err
		}
		if len(keys) > limit {
			last := keys[limit-1]
			page.Next = cursor{Query: query, Object: last.namespace, Kind: last.kind, Name: last.name}.String()
			keys, page.Items = keys[:limit], page.Items[:limit]
		}
		return r.openOf(n, keys, page.Items)
	})
	return page, err
}

// openOf counts what is found on workloads and accepted by nobody.
func (r *reader) openOf(cluster int64, keys []objectKey, workloads []Workload) error {
	for i, k := range keys {
		if err := r.each(func(rows *sql.Rows) error {
			var severity bailey.Severity
			var open int
			err := rows.Scan(&severity, &open)
			workloads[i].Open[severity] = open
			return err
		}, "SELECT severity, count(*) FROM findings WHERE cluster = ? AND gone = 0 AND waived = 0 AND namespace = ? AND kind = ? AND name = ? GROUP BY severity",
			cluster, k.namespace, k.kind, k.name); err != nil {
			return err
		}
	}
	return nil
}

// verdictsMost is how many controls stand for one workload at most: the page names 46.
const verdictsMost = 64

// EvidenceDay is what the evidence of one day adds up to.
type EvidenceDay struct {
	Day                        time.Time // its beginning, in UTC
	Held, Broken, Inconclusive int
}

// EvidenceDays adds up the evidence since a moment, by day, the oldest first.
func (s *Store) EvidenceDays(ctx context.Context, access Access, cluster string, since time.Time) ([]EvidenceDay, error) {
	const day = int64(24 * time.Hour)
	var days []EvidenceDay
	where, args := access.limit("namespace", nil)
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			var d EvidenceDay
			var number int64
			err := rows.Scan(&number, &d.Held, &d.Broken, &d.Inconclusive)
			d.Day = moment(number * day)
			days = append(days, d)
			return err
		}, "SELECT at / ?, sum(held), sum(broken), sum(inconclusive) FROM evidence WHERE cluster = ? AND at >= ?"+where+" GROUP BY 1 ORDER BY 1",
			slices.Concat([]any{day, n, nanos(since)}, args)...)
	})
	return days, err
}
