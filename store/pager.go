package store

import (
	"cmp"
	"database/sql"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// pager finds a page of findings. It never counts or sorts all that is kept: a page is
// merged from parts of indexes that hold it in order, or sorted from a few rows.
type pager struct {
	*reader
	f      *filter
	sort   Sort
	after  *cursor
	limit  int
	heard  int64
	access Access

	// gather, if set, is a query for the row numbers (n) among which all that is asked for is.
	gather     string
	gatherArgs []any
	// parts are equalities on columns of one index beside gone (and severity, unless by
	// object or group); one without columns if nil.
	parts []part
	// severities are those that there are, the worst first.
	severities []int

	total int
	more  bool
	keys  []rowKey
	found []Finding
}

// rowKey is what a row is sorted by.
type rowKey struct {
	n, opened int64
	severity  int
}

// part is a range of an index.
type part struct {
	column string // namespace, rule or grp
	value  any
	// severity is that of a group; else -1.
	severity int
}

// plan decides by which index the page is found.
func (p *pager) plan() error {
	for s := int(bailey.SeverityCritical); s >= p.f.severity; s-- {
		p.severities = append(p.severities, s)
	}
	if p.f.name != "" || len(p.f.text) > 0 {
		if done, err := p.planWords(); done || err != nil {
			return err
		}
		if p.sort != ByObject && !p.f.all && len(p.f.namespaces) <= limits.Parts {
			p.namespaceParts()
		}
	} else if err := p.planGroups(); err != nil {
		return err
	}
	if !p.f.counted() && p.gather == "" {
		return p.count()
	}
	return nil
}

// planWords takes the rows that hold the words, if there are not too many.
func (p *pager) planWords() (done bool, err error) {
	whole := []string{clusterWord(p.f.cluster)}
	if p.f.name != "" {
		whole = append(whole, words(p.f.name)...)
	}
	if len(whole)+len(p.f.text) == 1 {
		return false, nil
	}
	rare, err := p.rare(p.f.text)
	if err != nil || len(rare)+len(whole) == 1 {
		return err != nil, err
	}
	argument := p.e.Words(whole, rare)
	var hits int
	if err := p.row("SELECT count(*) FROM ("+p.e.Hits+") AS h", argument, limits.Gather+1).Scan(&hits); err != nil {
		return true, err
	}
	if hits > limits.Gather {
		return false, nil
	}
	p.gather, p.gatherArgs = p.e.Hits, []any{argument, limits.Gather + 1}
	if len(rare) == len(p.f.text) {
		p.f.text = nil // they hold all of it
	}
	from, args := p.gathered()
	return true, p.row("SELECT count(*)"+from, args...).Scan(&p.total)
}

const (
	sampleRows  = 200
	sampleLeast = 40 // of fewer rows nothing can be told
)

// rare gives the words that few findings have, by a sample of them. The index of words
// would list all findings that have one of the others.
func (p *pager) rare(text []string) ([]string, error) {
	if len(text) == 0 {
		return nil, nil
	}
	rows, counts := 0, make([]int, len(text))
	if err := p.each(func(row *sql.Rows) error {
		var words string
		if err := row.Scan(&words); err != nil {
			return err
		}
		rows++
		for i, w := range text {
			if strings.Contains(" "+words, " "+w) {
				counts[i]++
			}
		}
		return nil
	}, "SELECT f.words FROM findings f WHERE f.cluster = ? AND f.gone = ? ORDER BY f.severity DESC, f.opened DESC LIMIT ?", p.f.cluster, p.f.state.gone()[0], sampleRows); err != nil {
		return nil, err
	}
	var rare []string
	for i, w := range text {
		if rows < sampleLeast || counts[i]*dense < rows*2 {
			rare = append(rare, w)
		}
	}
	return rare, nil
}

// gathered gives the rows that are sorted.
func (p *pager) gathered() (from string, args []any) {
	where, whereArgs := p.f.rows()
	gone := " AND f.gone = 0"
	switch p.f.state {
	case Gone:
		gone = " AND f.gone = 1"
	case All:
		gone = ""
	}
	return " FROM (" + p.gather + ") AS h CROSS JOIN findings f WHERE f.n = h.n AND f.cluster = ?" + gone + where,
		slices.Concat(p.gatherArgs, []any{p.f.cluster}, whereArgs)
}

// planGroups decides by the counts of findings.
func (p *pager) planGroups() error {
	f := p.f
	where, args := f.level()
	if err := p.row("SELECT coalesce(sum("+f.counts()+"), 0) FROM finding_groups WHERE cluster = ?"+where, append([]any{f.cluster}, args...)...).Scan(&p.total); err != nil {
		return err
	}
	if p.total == 0 {
		p.parts, p.severities = nil, nil
		return nil
	}
	if f.all && len(f.controls)+len(f.rules)+len(f.kinds) == 0 {
		return nil // the whole cluster, by severity
	}
	where, args = f.level0()
	from := " FROM finding_groups WHERE cluster = ?" + where + " AND " + f.counts() + " > 0"
	args = append([]any{f.cluster}, args...)
	var groups []part
	if err := p.each(func(rows *sql.Rows) error {
		g := part{column: "grp"}
		var n int64
		err := rows.Scan(&n, &g.severity)
		g.value = n
		groups = append(groups, g)
		return err
	}, "SELECT n, severity"+from+" ORDER BY n LIMIT ?", append(slices.Clone(args), limits.Parts+1)...); err != nil {
		return err
	}
	whole := len(f.controls)+len(f.rules)+len(f.kinds) == 0 // of the namespaces
	switch {
	case p.sort != ByObject && len(groups) <= limits.Parts:
		p.parts = groups
		return nil
	case p.sort != ByObject && f.all && len(f.controls)+len(f.rules) > 0 && len(f.kinds) == 0:
		if err := p.ruleParts(); p.parts != nil || err != nil {
			return err
		}
	case p.sort != ByObject && whole && len(f.namespaces) <= limits.Parts:
		p.namespaceParts()
		return nil
	}
	var all int
	where, args = (&filter{namespaces: f.namespaces, all: f.all, severity: f.severity}).level()
	if err := p.row("SELECT coalesce(sum("+f.counts()+"), 0) FROM finding_groups WHERE cluster = ?"+where, append([]any{f.cluster}, args...)...).Scan(&all); err != nil {
		return err
	}
	if p.total <= limits.Gather && p.total*dense < all {
		where, args = f.level0()
		p.gather = "SELECT m.n FROM (SELECT n AS g FROM finding_groups WHERE cluster = ?" + where + " AND " + f.counts() +
			" > 0) AS l CROSS JOIN findings m WHERE m.grp = l.g AND m.gone IN (" + goneList(f.state) + ")"
		p.gatherArgs = append([]any{f.cluster}, args...)
		return nil
	}
	switch {
	case p.sort == ByObject:
	case f.all && len(f.controls)+len(f.rules) > 0:
		return p.ruleParts()
	case !f.all && len(f.namespaces) <= limits.Parts:
		p.namespaceParts()
	}
	return nil
}

// dense is of how many rows that come by in the order of an index at least one should be
// asked for.
const dense = 20

// ruleParts takes a part for each rule, if they are not too many.
func (p *pager) ruleParts() error {
	var rules []part
	where, args := p.f.groups()
	err := p.each(func(rows *sql.Rows) error {
		var rule string
		err := rows.Scan(&rule)
		rules = append(rules, part{"rule", rule, -1})
		return err
	}, "SELECT DISTINCT rule FROM finding_groups WHERE cluster = ? AND level = 1"+where+" ORDER BY rule", append([]any{p.f.cluster}, args...)...)
	if len(rules) <= limits.Parts {
		p.parts = rules
	}
	return err
}

func (p *pager) namespaceParts() {
	for _, n := range p.f.namespaces {
		p.parts = append(p.parts, part{"namespace", n, -1})
	}
}

func goneList(s State) string {
	switch s {
	case Gone:
		return "1"
	case All:
		return "0, 1"
	}
	return "0"
}

// count counts what the counts of groups do not tell, of a limited number of rows.
func (p *pager) count() error {
	p.total = 0
	where, args := p.f.rows()
	inside, insideArgs := p.f.inside("f.namespace")
	if !p.f.since.IsZero() {
		inside, insideArgs = inside+" AND f.opened >= ?", append(insideArgs, p.f.sinceSeq)
	}
	where = strings.ReplaceAll(where, " f.", " seen.")
	left := limits.Gather
	for _, gone := range p.f.state.gone() {
		for _, severity := range p.severities {
			var seen, n int
			if err := p.row("SELECT count(*), coalesce(sum(CASE WHEN 1 = 1"+where+" THEN 1 ELSE 0 END), 0) FROM"+
				" (SELECT * FROM findings f WHERE f.cluster = ? AND f.gone = ? AND f.severity = ?"+inside+" LIMIT ?) AS seen",
				slices.Concat(args, []any{p.f.cluster, gone, severity}, insideArgs, []any{left + 1})...).Scan(&seen, &n); err != nil {
				return err
			}
			p.total += n
			if left -= seen; left < 0 {
				p.more = true
				return nil
			}
		}
	}
	return nil
}

// run reads the page, and one more.
func (p *pager) run() error {
	switch {
	case p.gather != "":
		return p.runGather()
	case p.sort == ByObject:
		return p.runObjects()
	}
	for _, severity := range p.severities {
		if p.sort == BySeverity && p.after != nil && severity > p.after.Severity {
			continue
		}
		if err := p.runSeverity(severity); err != nil {
			return err
		}
		if p.sort == BySeverity && len(p.keys) > p.limit {
			break
		}
	}
	return p.fetch()
}

// fetch reads the rows that come first of those whose keys were found.
func (p *pager) fetch() error {
	slices.SortFunc(p.keys, func(a, b rowKey) int {
		if p.sort == BySeverity && a.severity != b.severity {
			return cmp.Compare(b.severity, a.severity)
		}
		return cmp.Compare(b.opened, a.opened)
	})
	p.keys = p.keys[:min(len(p.keys), p.limit+1)]
	if len(p.keys) == 0 {
		return nil
	}
	numbers := make([]any, len(p.keys))
	for i, k := range p.keys {
		numbers[i] = k.n
	}
	order := " ORDER BY f.opened DESC"
	if p.sort == BySeverity {
		order = " ORDER BY f.severity DESC, f.opened DESC"
	}
	return p.read("SELECT "+findingColumns+" FROM findings f WHERE f.n IN ("+marks(len(numbers))+")"+order, numbers...)
}

// runSeverity finds of each part the newest of a severity.
func (p *pager) runSeverity(severity int) error {
	parts := p.parts
	if parts == nil {
		parts = []part{{severity: -1}}
	}
	for _, part := range parts {
		if part.severity >= 0 && part.severity != severity {
			continue
		}
		for _, gone := range p.f.state.gone() {
			condition, values := "f.cluster = ? AND f.gone = ? AND f.severity = ?", []any{p.f.cluster, gone, severity}
			where, args := p.f.rows()
			switch part.column {
			case "grp":
				condition, values = "f.grp = ? AND f.gone = ?", []any{part.value, gone}
				where, args = p.f.rest()
			case "namespace", "rule":
				condition, values = condition+" AND f."+part.column+" = ?", append(values, part.value)
			}
			if p.after != nil && (p.sort == ByNewest || severity == p.after.Severity) {
				where, args = where+" AND f.opened < ?", append(args, p.after.Seq)
			}
			if err := p.each(func(rows *sql.Rows) error {
				k := rowKey{severity: severity}
				err := rows.Scan(&k.n, &k.opened)
				p.keys = append(p.keys, k)
				return err
			}, "SELECT f.n, f.opened FROM findings f WHERE "+condition+where+" ORDER BY f.opened DESC LIMIT ?",
				slices.Concat(values, args, []any{p.limit + 1})...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pager) read(query string, args ...any) error {
	return p.each(func(rows *sql.Rows) error {
		f, err := scanFinding(rows.Scan, p.heard, p.access)
		p.found = append(p.found, f)
		return err
	}, query, args...)
}

// runGather sorts the rows that were gathered.
func (p *pager) runGather() error {
	from, args := p.gathered()
	order := " ORDER BY f.opened DESC"
	switch p.sort {
	case BySeverity:
		order = " ORDER BY f.severity DESC, f.opened DESC"
	case ByObject:
		order = " ORDER BY f.namespace, f.kind, f.name, f.id"
	}
	if c := p.after; c != nil {
		switch p.sort {
		case BySeverity:
			from, args = from+" AND (f.severity < ? OR f.severity = ? AND f.opened < ?)", append(args, c.Severity, c.Severity, c.Seq)
		case ByNewest:
			from, args = from+" AND f.opened < ?", append(args, c.Seq)
		case ByObject:
			from, args = from+" AND (f.namespace, f.kind, f.name, f.id) > (?, ?, ?, ?)", append(args, c.Object, c.Kind, c.Name, c.ID)
		}
	}
	return p.read("SELECT "+findingColumns+from+order+" LIMIT ?", append(args, p.limit+1)...)
}

// runObjects reads in the order of objects, namespace after namespace where there is a
// limit to them.
func (p *pager) runObjects() error {
	if p.total == 0 && !p.more {
		return nil
	}
	spaces := []string{""}
	if !p.f.all {
		spaces = p.f.namespaces
	}
	for _, space := range spaces {
		if p.after != nil && !p.f.all && space < p.after.Object {
			continue
		}
		for _, gone := range p.f.state.gone() {
			where, args := p.f.rows()
			if !p.f.all {
				where, args = " AND f.namespace = ?"+where, append([]any{space}, args...)
			}
			if c := p.after; c != nil {
				where, args = where+" AND (f.namespace, f.kind, f.name, f.id) > (?, ?, ?, ?)", append(args, c.Object, c.Kind, c.Name, c.ID)
			}
			if err := p.read("SELECT "+findingColumns+" FROM findings f WHERE f.cluster = ? AND f.gone = ?"+where+" ORDER BY f.namespace, f.kind, f.name, f.id LIMIT ?",
				slices.Concat([]any{p.f.cluster, gone}, args, []any{p.limit + 1})...); err != nil {
				return err
			}
		}
		slices.SortFunc(p.found, compareByObject)
		if len(p.found) > p.limit {
			p.found = p.found[:p.limit+1]
			return nil
		}
	}
	return nil
}

func compareByObject(a, b Finding) int {
	if c := compareObjects(keyOf(a.Object), keyOf(b.Object)); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// cursor gives where the page ends.
func (p *pager) cursor(last *Finding, query uint32) cursor {
	if p.sort == ByObject {
		k := keyOf(last.Object)
		return cursor{Query: query, Object: k.namespace, Kind: k.kind, Name: k.name, ID: last.ID}
	}
	return cursor{Query: query, Seq: last.Seq, Severity: int(last.Severity)}
}
