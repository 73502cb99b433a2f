package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
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
	Limit      int
	After      string
}

// Verdicts gives a page of verdicts. Those of scopes in namespaces that may not be seen,
// and of the cluster to who does not see everything, are left out.
func (s *Store) Verdicts(ctx context.Context, q VerdictQuery) (Page[Verdict], error) {
	var page Page[Verdict]
	where, args := q.Access.limit("namespace", q.Namespaces)
	if q.Control != "" {
		where, args = where+" AND control = ?", append(args, clean(q.Control))
	}
	if q.Scope != "" {
		where, args = where+" AND scope = ?", append(args, clean(string(q.Scope)))
	}
	if len(q.Rungs) > 0 {
		where += " AND rung IN (" + marks(len(q.Rungs)) + ")"
		for _, r := range q.Rungs {
			args = append(args, int(r))
		}
	}
	if q.Object != nil {
		k := keyOf(*q.Object)
		where, args = where+" AND namespace = ? AND kind = ? AND name = ?", append(args, k.namespace, k.kind, k.name)
	}
	query := fingerprint("verdicts", q.Cluster, where, args)
	after, err := parseCursor(q.After, query)
	if err != nil {
		return page, err
	}
	limit := pageSize(q.Limit)
	key := strings.Join(verdictKeyColumns, ", ")
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(q.Cluster)
		if err != nil {
			return err
		}
		if q.Scope != "" && q.Control == "" { // they are in order of the controls first
			where += " AND control IN (SELECT control FROM rungs WHERE cluster = ? AND namespace = ? AND scope = ?)"
			args = append(args, n, everyNamespace, clean(string(q.Scope)))
		}
		if after != nil {
			where, args = where+" AND ("+key+") > ("+marks(len(verdictKeyColumns))+")", append(args, after.Control, after.Scope, after.Object, after.Kind, after.Name)
		}
		return r.each(func(rows *sql.Rows) error {
			if len(page.Items) == limit {
				last := &page.Items[limit-1]
				k := verdictKeyOf(last.Control, last.Scope)
				page.Next = cursor{Query: query, Control: k.control, Scope: k.scope, Object: k.namespace, Kind: k.kind, Name: k.name}.String()
				return nil
			}
			v, err := scanVerdict(rows.Scan)
			page.Items = append(page.Items, v)
			return err
		}, "SELECT "+verdictFields+" FROM verdicts WHERE cluster = ?"+where+" ORDER BY "+key+" LIMIT ?", slices.Concat([]any{n}, args, []any{limit + 1})...)
	})
	return page, err
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
	Limit int
	After string
}

// RungChanges gives a page of changes of rungs.
func (s *Store) RungChanges(ctx context.Context, q RungQuery) (Page[RungChange], error) {
	l := listing{columns: "seq, at, control, scope, namespace, kind, name, old_rung, new_rung, why", table: "rung_changes", cluster: q.Cluster,
		limit: q.Limit, after: q.After, since: q.Since}
	l.within(q.Access, q.Namespaces)
	l.equal("control", q.Control)
	l.equal("scope", string(q.Kind))
	l.object(q.Object)
	if q.Scope != nil {
		k := verdictKeyOf("", *q.Scope)
		l.where.WriteString(" AND scope = ? AND namespace = ? AND kind = ? AND name = ?")
		l.args = append(l.args, k.scope, k.namespace, k.kind, k.name)
	}
	return list(ctx, s, l, func(scan func(...any) error) (RungChange, int64, error) {
		var c RungChange
		var at int64
		var k verdictKey
		var from, to sql.NullInt64
		err := scan(&c.Seq, &at, &c.Control, &k.scope, &k.namespace, &k.kind, &k.name, &from, &to, &c.Why)
		c.At, c.Scope, c.From, c.To = moment(at), k.scopeOf(), rungOf(from), rungOf(to)
		return c, c.Seq, err
	})
}

func rungOf(n sql.NullInt64) *bailey.Rung {
	if !n.Valid {
		return nil
	}
	r := bailey.Rung(n.Int64)
	return &r
}
