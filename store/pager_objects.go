package store

import (
	"database/sql"
	"slices"

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
	if p.f.all && !p.f.grouped() && p.f.severity == 0 {
		return p.runSpace(nil)
	}
	from := ""
	if p.after != nil {
		from = p.after.Object
	}
	for {
		spaces, err := p.spaces(from)
		if err != nil {
			return err
		}
		for rest := spaces; len(rest) > 0 && len(p.keys) <= p.limit; {
			// So many that they fill the page.
			some, n := 1, rest[0].n
			for some < len(rest) && len(p.keys)+n <= p.limit {
				n += rest[some].n
				some++
			}
			walked := false
			if some == 1 {
				if walked, err = p.walkSpace(rest[0]); err != nil {
					return err
				}
			}
			if !walked {
				if err := p.runGather(p.inGroups(" AND namespace >= ? AND namespace <= ?", rest[0].name, rest[some-1].name)); err != nil {
					return err
				}
			}
			rest = rest[some:]
		}
		if len(spaces) < limits.Spaces || len(p.keys) > p.limit {
			return nil
		}
		from = spaces[len(spaces)-1].name + "\x01" // no name goes on with that
	}
}

// spaces gives the namespaces in which there is something, by name.
func (p *pager) spaces(from string) ([]space, error) {
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
		slices.Concat([]any{f.cluster}, args, []any{from, limits.Spaces})...)
	return spaces, err
}

// walkSpace reads a namespace in the order of objects, if that passes fewer rows by than
// there are to sort.
func (p *pager) walkSpace(s space) (walked bool, err error) {
	if s.n <= p.limit {
		return false, nil
	}
	if p.f.grouped() || p.f.severity > 0 {
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
		s := stretch{where: "f.cluster = ? AND f.gone = ?", args: []any{p.f.cluster, gone}, order: p.order(), words: []string{clusterWord(p.f.cluster)}}
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
