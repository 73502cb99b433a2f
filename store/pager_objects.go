package store

import (
	"database/sql"
	"slices"
	"strings"

	"github.com/baileyhq/bailey/store/internal/limits"
)

// space is a namespace with how many findings of it may be asked for.
type space struct {
	name string
	n    int
}

// runObjects reads in the order of objects: the whole cluster, or namespace after namespace
// where what is asked for is.
func (p *pager) runObjects() error {
	switch f := p.f; {
	case p.seen != nil:
		return p.runWordSpaces()
	case !f.since.IsZero():
		return p.runSince()
	case f.all && !f.grouped() && f.severity == 0 && !f.few():
		return p.runSpace(nil)
	}
	return p.eachSpaces(func(rest []space) (int, error) {
		// So many that they fill the page.
		some, n := 1, rest[0].n
		for some < len(rest) && len(p.keys)+n <= p.limit {
			n += rest[some].n
			some++
		}
		if some == 1 {
			if walked, err := p.walkSpace(rest[0]); walked || err != nil {
				return 1, err
			}
		}
		return some, p.runGather(p.inGroups(" AND namespace >= ? AND namespace <= ?", rest[0].name, rest[some-1].name))
	})
}

// eachSpaces calls do with the namespaces that are left, by name, until the page is full. It gives of how many the
// keys were noted.
func (p *pager) eachSpaces(do func(rest []space) (int, error)) error {
	from := ""
	if p.after != nil {
		from = p.after.Object
	}
	for most := limits.Spaces; ; most *= 4 {
		spaces, err := p.spaces(from, most)
		if err != nil {
			return err
		}
		for rest := spaces; len(rest) > 0 && len(p.keys) <= p.limit; {
			n, err := do(rest)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		if len(spaces) < most || len(p.keys) > p.limit {
			return nil
		}
		from = spaces[len(spaces)-1].name + "\x01" // no name goes on with that
	}
}

// spaces gives the first namespaces in which there is something, by name, and not more than most.
func (p *pager) spaces(from string, most int) ([]space, error) {
	f := p.f
	where, args := f.level0()
	if !f.grouped() {
		where, args = f.sums() // of tenants, by namespace
		if f.all {
			where, args = " AND level = 2 AND severity >= ?", []any{f.severity}
		}
	}
	var spaces []space
	err := p.each(func(rows *sql.Rows) error {
		var s space
		err := rows.Scan(&s.name, &s.n)
		spaces = append(spaces, s)
		return err
	}, "SELECT namespace, sum("+f.counts()+") FROM finding_groups WHERE cluster = ?"+where+" AND "+f.counts()+" > 0 AND namespace >= ? GROUP BY namespace ORDER BY namespace LIMIT ?",
		slices.Concat([]any{f.cluster}, args, []any{from, most})...)
	return spaces, err
}

// walkSpace reads a namespace in the order of objects, if that passes fewer rows by than
// there are to sort.
func (p *pager) walkSpace(s space) (walked bool, err error) {
	if s.n <= p.limit {
		return false, nil
	}
	if p.f.grouped() || p.f.severity > 0 || p.f.few() {
		all := 0
		if err := p.row("SELECT coalesce(sum("+p.f.counts()+"), 0) FROM finding_groups WHERE cluster = ? AND level = 2 AND namespace = ?", p.f.cluster, s.name).Scan(&all); err != nil {
			return false, err
		}
		if s.n*s.n < (p.limit+1)*all {
			return false, nil
		}
	}
	return true, p.runSpace(&s.name)
}

// runSpace reads in the order of objects, of one namespace or of the whole cluster.
func (p *pager) runSpace(name *string) error {
	for _, gone := range p.f.state.gone() {
		s := stretch{where: "f.cluster = ? AND f.gone = ?", args: []any{p.f.cluster, gone}, order: p.order(), words: []string{clusterWord(p.f.cluster)},
			plenty: p.seen != nil && name != nil && len(words(*name)) > 0}
		s.also, s.alsoArgs = p.f.rows()
		if name != nil {
			s.where, s.args = s.where+" AND f.namespace = ?", append(s.args, *name)
			s.words = append(s.words, words(*name)...)
		}
		if c := p.after; c != nil && (name == nil || *name == c.Object) {
			s.where, s.args = s.where+" AND (f.namespace, f.kind, f.name, f.id) > (?, ?, ?, ?)", append(s.args, c.Object, c.Kind, c.Name, c.ID)
		}
		if err := p.walk(s); err != nil {
			return err
		}
	}
	return nil
}

// runSince finds in the order of objects what came since a moment, namespace after namespace: what came in one is a
// range of an index, severity by severity.
func (p *pager) runSince() error {
	return p.eachSpaces(func(rest []space) (int, error) {
		var query strings.Builder
		var args []any
		for _, gone := range p.f.state.gone() {
			for _, severity := range p.severities {
				if query.Len() > 0 {
					query.WriteString(" UNION ALL ")
				}
				query.WriteString("SELECT m.n FROM findings m WHERE m.cluster = ? AND m.gone = ? AND m.namespace = ? AND m.severity = ? AND m.opened >= ?")
				args = append(args, p.f.cluster, gone, rest[0].name, severity, p.f.sinceSeq)
			}
		}
		came := &gather{query.String(), args}
		n := 0
		if err := p.row("SELECT count(*) FROM (SELECT c.n FROM ("+came.query+") AS c LIMIT ?) AS counted", append(slices.Clone(args), limits.Gather+1)...).Scan(&n); err != nil {
			return 0, err
		}
		switch {
		case n > limits.Gather:
			return 1, p.runSpace(&rest[0].name)
		case n > 0:
			return 1, p.runGather(came)
		}
		return 1, nil
	})
}
