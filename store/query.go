package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// State is whether something is still there.
type State string

// The states. The zero State is Open.
const (
	Open State = ""
	Gone State = "gone"
	All  State = "all"
)

// gone gives the values of the column of that name.
func (s State) gone() []int {
	switch s {
	case Gone:
		return []int{1}
	case All:
		return []int{0, 1}
	}
	return []int{0}
}

// Sort is the order of findings.
type Sort string

// The orders.
const (
	BySeverity Sort = ""       // the worst first, of equal ones the newest
	ByNewest   Sort = "newest" // what came last first
	ByObject   Sort = "object" // by namespace, kind and name
)

// FindingQuery asks for findings of a cluster. What is not set does not narrow it.
type FindingQuery struct {
	Cluster string
	Access  Access
	State   State

	Namespaces []string
	Controls   []string
	Rules      []string
	// Severity is the least.
	Severity bailey.Severity
	Kinds    []bailey.Kind
	// Name is the object's.
	Name string
	// Waived asks for those that a waiver or the baseline accepts, or those that neither does.
	Waived *bool
	// Since asks for those that came (back) at that time or later.
	Since time.Time
	// Text asks for those in which every word of it begins a word of the object, the
	// rule, the field or the message.
	Text string

	Sort  Sort
	Limit int
	After string
}

// FindingPage is a page of findings.
type FindingPage struct {
	Page[Finding]
	// Total counts all that the query asks for, and Severities the same by severity; at
	// least so many if there may be More.
	Total      int
	Severities map[bailey.Severity]int
	More       bool
}

// filter is a query's conditions, ready to be put into SQL.
type filter struct {
	cluster    int64
	state      State
	namespaces []string
	all        bool // no limit to namespaces
	controls   []string
	rules      []string
	severity   int
	kinds      []string
	name       string
	waived     *bool
	since      time.Time
	sinceSeq   int64
	text       []string
}

func (q *FindingQuery) filter() (*filter, error) {
	f := &filter{state: q.State, severity: int(q.Severity), name: clean(q.Name), waived: q.Waived, since: q.Since, text: words(q.Text)}
	switch q.State {
	case Open, Gone, All:
	default:
		return nil, fmt.Errorf("store: no state %q: use %q, %q or %q", q.State, Open, Gone, All)
	}
	switch q.Sort {
	case BySeverity, ByNewest, ByObject:
	default:
		return nil, fmt.Errorf("store: no order %q: use %q, %q or %q", q.Sort, BySeverity, ByNewest, ByObject)
	}
	f.namespaces, f.all = q.Access.within(q.Namespaces)
	f.controls, f.rules, f.kinds = cleanAll(q.Controls), cleanAll(q.Rules), cleanAll(q.Kinds)
	return f, nil
}

func cleanAll[T ~string](list []T) []string {
	var out []string
	for _, s := range list {
		out = append(out, clean(string(s)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nothing tells that nothing can be found.
func (f *filter) nothing() bool { return !f.all && len(f.namespaces) == 0 }

// counted tells that finding_groups count exactly what the filter asks for.
func (f *filter) counted() bool {
	return f.name == "" && f.since.IsZero() && len(f.text) == 0 && (f.waived == nil || f.state == Open)
}

// counts gives the columns of finding_groups that count what the filter asks for.
func (f *filter) counts() string {
	switch {
	case f.state == Gone:
		return "gone"
	case f.state == All:
		return "open + gone"
	case f.waived == nil:
		return "open"
	case *f.waived:
		return "waived"
	}
	return "open - waived"
}

// few tells that counts may be of a small part of what there is.
func (f *filter) few() bool { return f.counts() == "waived" }

// in adds a condition that a column holds one of a list, if the list says something.
func in(where string, args []any, column string, list []string) (string, []any) {
	if len(list) == 0 {
		return where, args
	}
	return where + " AND " + column + " IN (" + marks(len(list)) + ")", append(args, anys(list)...)
}

// groups gives the conditions on finding_groups, without those on namespaces.
func (f *filter) groups() (where string, args []any) {
	where, args = in(where, args, "control", f.controls)
	where, args = in(where, args, "rule", f.rules)
	where, args = in(where, args, "kind", f.kinds)
	if f.severity > 0 {
		where, args = where+" AND severity >= ?", append(args, f.severity)
	}
	return where, args
}

// level gives the conditions on finding_groups with the rows that count least.
func (f *filter) level() (where string, args []any) {
	if f.all {
		where, args = f.groups()
		return " AND level = 1" + where, args
	}
	return f.level0()
}

// level0 gives the conditions on the groups that findings point at.
func (f *filter) level0() (where string, args []any) {
	where, args = f.groups()
	inside, insideArgs := f.inside("namespace")
	return " AND level = 0" + inside + where, append(insideArgs, args...)
}

// grouped tells whether the filter asks for some controls, rules or kinds.
func (f *filter) grouped() bool { return len(f.controls)+len(f.rules)+len(f.kinds) > 0 }

// sums gives the conditions on finding_groups with the fewest rows to add up, by severity.
func (f *filter) sums() (where string, args []any) {
	if f.all || f.grouped() {
		return f.level()
	}
	inside, args := f.inside("namespace")
	return " AND level = 2" + inside + " AND severity >= ?", append(args, f.severity)
}

// inside gives the condition that a column holds one of the namespaces.
func (f *filter) inside(column string) (where string, args []any) {
	switch {
	case f.all:
		return "", nil
	case f.nothing():
		return " AND 1 = 0", nil
	}
	return in("", nil, column, f.namespaces)
}

// rows gives the conditions on findings, but for the cluster, gone and words.
func (f *filter) rows() (where string, args []any) {
	where, args = f.inside("f.namespace")
	where, args = in(where, args, "f.control", f.controls)
	where, args = in(where, args, "f.rule", f.rules)
	where, args = in(where, args, "f.kind", f.kinds)
	if f.severity > 0 {
		where, args = where+" AND f.severity >= ?", append(args, f.severity)
	}
	rest, restArgs := f.rest()
	return where + rest, append(args, restArgs...)
}

// ofRule gives the conditions on the findings of one of the rules, but for the cluster, gone, severity and words.
func (f *filter) ofRule() (where string, args []any) {
	where, args = f.inside("f.namespace")
	where, args = in(where, args, "f.kind", f.kinds)
	rest, restArgs := f.rest()
	return where + rest, append(args, restArgs...)
}

// rest gives the conditions on findings that no group fulfils as a whole, but for words.
func (f *filter) rest() (where string, args []any) {
	if f.name != "" {
		where, args = where+" AND f.name = ?", append(args, f.name)
	}
	if f.waived != nil {
		where += " AND f.waived = " + string(rune('0'+bit(*f.waived)))
	}
	if !f.since.IsZero() {
		where, args = where+" AND f.opened >= ? AND f.opened_at >= ?", append(args, f.sinceSeq, nanos(f.since))
	}
	return where, args
}

// said gives the conditions on the words of findings, but for those that are known to be held.
func (f *filter) said(known ...string) (where string, args []any) {
	for _, w := range f.text {
		if slices.Contains(known, w) {
			continue
		}
		where, args = where+" AND (' ' || f.words) LIKE ?", append(args, "% "+w+"%")
	}
	return where, args
}

// Findings gives a page of findings.
func (s *Store) Findings(ctx context.Context, q FindingQuery) (FindingPage, error) {
	var page FindingPage
	f, err := q.filter()
	if err != nil {
		return page, err
	}
	query := fingerprint(q.Cluster, f.state, f.namespaces, f.all, f.controls, f.rules, f.severity, f.kinds, f.name, f.waived, f.since, f.text, q.Sort)
	after, err := parseCursor(q.After, query)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, func(r *reader) error {
		var heard int64
		if err := r.row("SELECT n, heard_at FROM clusters WHERE uid = ?", clean(q.Cluster)).Scan(&f.cluster, &heard); err != nil {
			return noCluster(err, q.Cluster)
		}
		if f.nothing() {
			return nil
		}
		if !f.since.IsZero() {
			if f.sinceSeq, err = r.seqAt(f.cluster, f.since); err != nil {
				return err
			}
		}
		p := &pager{reader: r, f: f, sort: q.Sort, after: after, limit: pageSize(q.Limit), heard: heard, access: q.Access}
		if err := p.plan(); err != nil {
			return err
		}
		if err := p.run(); err != nil {
			return err
		}
		page.Items, page.Total, page.Severities, page.More = p.found, p.total, p.counts, p.more
		if len(page.Items) > p.limit {
			page.Items = page.Items[:p.limit]
			page.Next = p.cursor(&page.Items[p.limit-1], query).String()
		}
		return nil
	})
	return page, err
}

// Finding gives one finding by its ID.
func (s *Store) Finding(ctx context.Context, access Access, cluster, id string) (Finding, error) {
	var f Finding
	err := s.read(ctx, func(r *reader) error {
		var n, heard int64
		if err := r.row("SELECT n, heard_at FROM clusters WHERE uid = ?", clean(cluster)).Scan(&n, &heard); err != nil {
			return noCluster(err, cluster)
		}
		condition, args := access.limit("f.namespace", nil)
		var err error
		f, err = scanFinding(r.row("SELECT "+findingColumns+" FROM findings f WHERE f.cluster = ? AND f.id = ?"+condition, append([]any{n, clean(id)}, args...)...).Scan, heard, access)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("store: no finding %q: %w", id, ErrNotFound)
		}
		return err
	})
	return f, err
}
