package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// VerdictQuery asks for verdicts, by control and scope. What is not set does not narrow it.
type VerdictQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	Control    string
	Scope      bailey.ScopeKind
	Rungs      []bailey.Rung
	Object     *bailey.Ref
	// Text asks for those that hold each word of it in their scope, or in what would change them.
	Text   string
	Lowest bool // by rung, the lowest first, before control and scope
	Limit  int
	After  string
}

// Verdicts gives a page of verdicts. Those of scopes in namespaces that may not be seen,
// and of the cluster to who does not see everything, are left out. With a text it may hold less than its
// limit, and go on.
func (s *Store) Verdicts(ctx context.Context, q VerdictQuery) (Page[Verdict], error) {
	var page Page[Verdict]
	where, args := q.Access.limit("namespace", q.Namespaces)
	if q.Control != "" {
		where, args = where+" AND control = ?", append(args, clean(q.Control))
	}
	if q.Scope != "" {
		where, args = where+" AND scope = ?", append(args, clean(string(q.Scope)))
	}
	if !q.Lowest {
		where, args = onRungs(where, args, q.Rungs)
	}
	if q.Object != nil {
		k := keyOf(*q.Object)
		where, args = where+" AND namespace = ? AND kind = ? AND name = ?", append(args, k.namespace, k.kind, k.name)
	}
	query := fingerprint("verdicts", q.Cluster, where, args, q.Rungs, q.Text, q.Lowest)
	after, err := parseCursor(q.After, query)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(q.Cluster)
		if err != nil {
			return err
		}
		if q.Scope != "" && q.Control == "" { // they are in order of the controls first
			where += " AND control IN (SELECT control FROM rungs WHERE cluster = ? AND namespace = ? AND scope = ?)"
			args = append(args, n, everyNamespace, clean(string(q.Scope)))
		}
		if q.Scope == "" && q.Control != "" && len(q.Namespaces) > 0 { // the namespace comes behind the scope
			where += " AND scope IN (SELECT scope FROM rungs WHERE cluster = ? AND namespace = ? AND control = ?)"
			args = append(args, n, everyNamespace, clean(q.Control))
		}
		w := verdictWalk{reader: r, page: &page, limit: pageSize(q.Limit), last: cursor{Query: query}}
		w.most = w.limit
		if w.keep = saying(q.Text, func(v *Verdict) []string {
			return []string{v.Scope.String(), v.Next}
		}); w.keep != nil {
			w.most = limits.Looked
		}
		args = slices.Concat([]any{n}, args)
		if !q.Lowest {
			return w.walk(where, args, after)
		}
		// One rung after the other, each in the order of the key: sorted, all of them would be read.
		rungs, err := r.rungsWith(n, q.Control, q.Rungs)
		for _, rung := range rungs {
			if err != nil || page.Next != "" {
				break
			}
			from := after
			if after != nil && int(rung) != after.Rank {
				if int(rung) < after.Rank {
					continue
				}
				from = nil
			}
			where, args := onRungs(where, args, []bailey.Rung{rung})
			err = w.walk(where, args, from)
		}
		return err
	})
	return page, err
}

// onRungs adds the condition that a rung is one of some, if any is named.
func onRungs(where string, args []any, rungs []bailey.Rung) (string, []any) {
	if len(rungs) == 0 {
		return where, args
	}
	args = slices.Clone(args)
	for _, r := range rungs {
		args = append(args, int(r))
	}
	return where + " AND rung IN (" + marks(len(rungs)) + ")", args
}

// rungsWith gives those of some rungs, of all if none is named, on which anything stands for a control, or for any
// if none is named; the lowest first.
func (r *reader) rungsWith(cluster int64, control string, rungs []bailey.Rung) (found []bailey.Rung, err error) {
	where, args := "", []any{cluster, everyNamespace}
	if control != "" {
		where, args = " AND control = ?", append(args, clean(control))
	}
	where, args = onRungs(where, args, rungs)
	err = r.each(func(rows *sql.Rows) error {
		var rung bailey.Rung
		err := rows.Scan(&rung)
		found = append(found, rung)
		return err
	}, "SELECT DISTINCT rung FROM rungs WHERE cluster = ? AND namespace = ? AND verdicts > 0"+where+" ORDER BY rung", args...)
	return found, err
}

// verdictWalk fills a page of verdicts, by one query or by several, one after the other.
type verdictWalk struct {
	*reader
	page         *Page[Verdict]
	keep         func(*Verdict) bool // nil for all
	limit        int
	most, looked int // how many may be looked at, and were
	last         cursor
}

// walk adds the verdicts that fulfil a condition, in the order of their key, until the page is full.
func (w *verdictWalk) walk(where string, args []any, after *cursor) error {
	key := strings.Join(verdictKeyColumns, ", ")
	if after != nil {
		where, args = where+" AND ("+key+") > ("+marks(len(verdictKeyColumns))+")", append(slices.Clone(args), after.Control, after.Scope, after.Object, after.Kind, after.Name)
	}
	err := w.each(func(rows *sql.Rows) error {
		v, err := scanVerdict(rows.Scan)
		if err != nil {
			return err
		}
		kept := w.keep == nil || w.keep(&v)
		if w.looked == w.most || kept && len(w.page.Items) == w.limit {
			w.page.Next = w.last.String()
			return errEnough
		}
		w.looked++
		if kept {
			w.page.Items = append(w.page.Items, v)
		}
		k := verdictKeyOf(v.Control, v.Scope)
		w.last = cursor{Query: w.last.Query, Rank: int(v.Rung), Control: k.control, Scope: k.scope, Object: k.namespace, Kind: k.kind, Name: k.name}
		return nil
	}, "SELECT "+verdictFields+" FROM verdicts WHERE cluster = ?"+where+" ORDER BY "+key+" LIMIT ?", slices.Concat(args, []any{w.most + 1 - w.looked})...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

const verdictFields = "control, scope, namespace, kind, name, rung, since, seq, findings, doc"

func scanVerdict(scan func(...any) error) (Verdict, error) {
	var v Verdict
	var k verdictKey
	var since int64
	var text string
	if err := scan(&v.Control, &k.scope, &k.namespace, &k.kind, &k.name, &v.Rung, &since, &v.Seq, &v.Findings, &text); err != nil {
		return v, err
	}
	var doc verdictDoc
	if err := decode(text, &doc); err != nil {
		return v, err
	}
	v.Scope, v.Since = k.scopeOf(), moment(since)
	v.WaivedUntil, v.Coverage, v.Proof, v.Next = doc.WaivedUntil, doc.Coverage, doc.Proof, doc.Next
	return v, nil
}

// RungCount is how many scopes of a kind stand on a rung for a control.
type RungCount struct {
	Control  string           `json:"control"`
	Scope    bailey.ScopeKind `json:"scope"`
	Rung     bailey.Rung      `json:"rung"`
	Verdicts int              `json:"verdicts"`
}

// Matrix counts the verdicts of the namespaces that are asked for and may be seen, by
// control, kind of scope and rung.
func (s *Store) Matrix(ctx context.Context, access Access, cluster string, namespaces ...string) ([]RungCount, error) {
	var counts []RungCount
	inside, all := access.within(namespaces)
	if all {
		inside = []string{everyNamespace}
	}
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil || len(inside) == 0 {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			var c RungCount
			err := rows.Scan(&c.Control, &c.Scope, &c.Rung, &c.Verdicts)
			counts = append(counts, c)
			return err
		}, "SELECT control, scope, rung, sum(verdicts) FROM rungs WHERE cluster = ? AND namespace IN ("+marks(len(inside))+
			") AND verdicts > 0 GROUP BY control, scope, rung ORDER BY control, scope, rung", append([]any{n}, anys(inside)...)...)
	})
	return counts, err
}

// RungQuery asks for changes of rungs, the newest first.
type RungQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	Control    string
	// Scope or Object, if set, is the one thing whose history is asked for.
	Scope  *bailey.Scope
	Object *bailey.Ref
	Kind   bailey.ScopeKind
	// Since asks for those that were made then or later.
	Since time.Time
	// Text asks for those that hold each word of it in their control, their scope, or why they were made.
	Text   string
	Oldest bool // the oldest first
	Limit  int
	After  string
}

// RungChanges gives a page of changes of rungs. With a text, or of one control in some namespaces, it may hold less
// than its limit, and go on.
func (s *Store) RungChanges(ctx context.Context, q RungQuery) (Page[RungChange], error) {
	l := listing{columns: "seq, at, control, scope, namespace, kind, name, old_rung, new_rung, why", table: "rung_changes", cluster: q.Cluster,
		limit: q.Limit, after: q.After, since: q.Since, oldest: q.Oldest, text: q.Text + "\n" + q.Control}
	l.within(q.Access, q.Namespaces)
	var by sieve[RungChange]
	says := saying(q.Text, func(c *RungChange) []string {
		return []string{c.Control, c.Scope.String(), c.Why}
	})
	of := ""
	if len(q.Namespaces) == 0 {
		l.equal("control", q.Control)
	} else { // no index has both in order
		of = clean(q.Control)
	}
	if says != nil || of != "" {
		by.keep = func(c *RungChange) bool { return (of == "" || c.Control == of) && (says == nil || says(c)) }
	}
	l.equal("scope", string(q.Kind))
	l.object(q.Object)
	if q.Scope != nil {
		k := verdictKeyOf("", *q.Scope)
		l.where.WriteString(" AND scope = ? AND namespace = ? AND kind = ? AND name = ?")
		l.args = append(l.args, k.scope, k.namespace, k.kind, k.name)
	}
	return sift(ctx, s, l, func(scan func(...any) error) (RungChange, int64, error) {
		var c RungChange
		var at int64
		var k verdictKey
		var from, to sql.NullInt64
		err := scan(&c.Seq, &at, &c.Control, &k.scope, &k.namespace, &k.kind, &k.name, &from, &to, &c.Why)
		c.At, c.Scope, c.From, c.To = moment(at), k.scopeOf(), rungOf(from), rungOf(to)
		return c, c.Seq, err
	}, by)
}

func rungOf(n sql.NullInt64) *bailey.Rung {
	if !n.Valid {
		return nil
	}
	r := bailey.Rung(n.Int64)
	return &r
}
