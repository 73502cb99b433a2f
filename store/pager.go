package store

import (
	"cmp"
	"database/sql"
	"maps"
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
	gather *gather
	// parts are equalities on columns of one index beside gone (and severity, unless by
	// object or group); one without columns if nil.
	parts []part
	// severities are those that there are, the worst first.
	severities []int
	// own is what the cluster's findings fulfil in the index of words; see mark.
	own []clause
	// ruled are the rules that have what is asked for, each with a severity of that, if narrow found them.
	ruled []part
	// sought is what that is asked for, and rare the words of the text in it. If its rows are too many, seen
	// counts by severity what is asked for of some of them, crowded are the namespaces that have a good part of
	// those, if by object, and there counts what there is without regard to words.
	sought      []clause
	rare        []string
	seen, there map[bailey.Severity]int
	crowded     map[string]bool

	counts map[bailey.Severity]int
	total  int
	more   bool
	keys   []rowKey // of what comes after the cursor
	taken  bool     // keys are all of the page's
	found  []Finding
}

// gather is a query for row numbers.
type gather struct {
	query string
	args  []any
}

// rowKey is what a row is sorted by.
type rowKey struct {
	n, opened int64
	severity  int
	object    objectKey // and
	id        string    // by object only
}

// part is a range of an index.
type part struct {
	column string // namespace, rule or grp
	value  any
	// severity is that of all rows of it; -1 if they have several.
	severity int
	// words are held by all rows of it.
	words []string
}

// plan decides by which index the page is found, and counts what there is.
func (p *pager) plan() error {
	for s := int(bailey.SeverityCritical); s >= p.f.severity; s-- {
		p.severities = append(p.severities, s)
	}
	if p.f.name != "" || len(p.f.text) > 0 {
		if done, err := p.planWords(); done || err != nil {
			return err
		}
	}
	if err := p.planGroups(); err != nil || p.total == 0 || p.f.counted() {
		return err
	}
	// The counts of groups are of more than what is asked for.
	switch {
	case p.gather != nil:
		return p.countGathered(p.gather)
	case p.f.grouped() && p.total <= limits.Gather:
		return p.countGathered(p.inGroups(""))
	case p.seen != nil:
		p.there, p.counts, p.total, p.more = p.counts, maps.Clone(p.seen), 0, true
		for _, n := range p.seen {
			p.total += n
		}
		return nil
	}
	return p.count()
}

// gathered gives what is asked for of the rows of a gather.
func (p *pager) gathered(g *gather) (from string, args []any) {
	where, whereArgs := p.f.rows()
	said, saidArgs := p.f.said()
	return " FROM (" + g.query + ") AS h CROSS JOIN findings f WHERE f.n = h.n AND f.cluster = ? AND f.gone IN (" + goneList(p.f.state) + ")" + where + said,
		slices.Concat(g.args, []any{p.f.cluster}, whereArgs, saidArgs)
}

// countGathered takes the keys of all rows of a gather, and counts them.
func (p *pager) countGathered(g *gather) error {
	from, args := p.gathered(g)
	p.counts, p.total, p.taken = map[bailey.Severity]int{}, 0, true
	return p.each(func(rows *sql.Rows) error {
		k, err := p.scanKey(rows)
		p.counts[bailey.Severity(k.severity)]++
		p.total++
		p.keep(k)
		return err
	}, "SELECT "+p.keyColumns()+from, args...)
}

// tally takes the counts of what is asked for, by severity.
func (p *pager) tally(query string, args ...any) error {
	p.counts, p.total = map[bailey.Severity]int{}, 0
	return p.each(func(rows *sql.Rows) error {
		var severity bailey.Severity
		var n int
		err := rows.Scan(&severity, &n)
		if n > 0 {
			p.counts[severity] = n
			p.total += n
		}
		return err
	}, query, args...)
}

// planGroups decides by the counts of findings.
func (p *pager) planGroups() error {
	f := p.f
	if err := p.narrow(); err != nil {
		return err
	}
	where, args := f.sums()
	if err := p.tally("SELECT severity, sum("+f.counts()+") FROM finding_groups WHERE cluster = ?"+where+" GROUP BY severity", append([]any{f.cluster}, args...)...); err != nil {
		return err
	}
	p.severities = slices.DeleteFunc(p.severities, func(s int) bool { return p.counts[bailey.Severity(s)] == 0 })
	if p.total == 0 || p.sort == ByObject || f.all && !f.grouped() {
		return nil // nothing, by object, or the whole cluster by severity
	}
	most := limits.Parts
	if len(f.text) > 0 {
		most = min(most, wordParts)
	}
	groups, err := p.groupParts(most)
	if err != nil {
		return err
	}
	rules := f.all && len(f.rules) > 0 && len(f.rules) <= most
	namespaces := !f.all && len(f.namespaces) <= most
	switch {
	case len(groups) <= most:
		p.parts = groups
		return nil
	case rules && len(f.kinds) == 0:
		p.ruleParts()
		return nil
	case namespaces && !f.grouped():
		p.namespaceParts()
		return nil
	}
	if p.total <= limits.Gather {
		all := 0
		where, args := (&filter{namespaces: f.namespaces, all: f.all, severity: f.severity}).sums()
		if err := p.row("SELECT coalesce(sum("+f.counts()+"), 0) FROM finding_groups WHERE cluster = ?"+where, append([]any{f.cluster}, args...)...).Scan(&all); err != nil {
			return err
		}
		if p.total*dense < all {
			p.gather = p.inGroups("")
			return nil
		}
	}
	switch {
	case rules:
		p.ruleParts()
	case namespaces:
		p.namespaceParts()
	}
	return nil
}

// dense is of how many rows that come by in the order of an index at least one should be
// asked for.
const dense = 20

// narrow asks for the rules that have what is asked for, if they are not too many: groups are found by
// rule, not by control or kind.
func (p *pager) narrow() error {
	f := p.f
	if len(f.controls)+len(f.kinds) == 0 {
		return nil
	}
	where, args := f.groups()
	var ruled []part
	var rules []string
	if err := p.each(func(rows *sql.Rows) error {
		var rule string
		var severity int
		err := rows.Scan(&rule, &severity)
		ruled = append(ruled, part{"rule", rule, severity, words(rule)})
		if len(rules) == 0 || rules[len(rules)-1] != rule {
			rules = append(rules, rule)
		}
		return err
	}, "SELECT DISTINCT rule, severity FROM finding_groups WHERE cluster = ? AND level = 1"+where+" AND "+f.counts()+" > 0 ORDER BY rule, severity", append([]any{f.cluster}, args...)...); err != nil {
		return err
	}
	if n := len(rules); 0 < n && n <= limits.Parts {
		f.rules, p.ruled = rules, ruled
	}
	return nil
}

// groupParts gives the groups in which what is asked for is, up to one more than most.
func (p *pager) groupParts(most int) ([]part, error) {
	where, args := p.f.level0()
	var groups []part
	err := p.each(func(rows *sql.Rows) error {
		g := part{column: "grp"}
		var n int64
		var namespace, rule string
		err := rows.Scan(&n, &g.severity, &namespace, &rule)
		g.value, g.words = n, words(namespace, rule)
		groups = append(groups, g)
		return err
	}, "SELECT n, severity, namespace, rule FROM finding_groups WHERE cluster = ?"+where+" AND "+p.f.counts()+" > 0 LIMIT ?", slices.Concat([]any{p.f.cluster}, args, []any{most + 1})...)
	return groups, err
}

// inGroups gathers the rows of the groups that have what is asked for and fulfil a condition.
func (p *pager) inGroups(also string, alsoArgs ...any) *gather {
	where, args := p.f.level0()
	return &gather{"SELECT m.n FROM (SELECT n AS g FROM finding_groups WHERE cluster = ?" + where + " AND " + p.f.counts() + " > 0" + also +
		") AS l CROSS JOIN findings m WHERE m.grp = l.g AND m.gone IN (" + goneList(p.f.state) + ")", slices.Concat([]any{p.f.cluster}, args, alsoArgs)}
}

func (p *pager) ruleParts() {
	if p.ruled != nil {
		p.parts = p.ruled
		return
	}
	for _, r := range p.f.rules {
		p.parts = append(p.parts, part{"rule", r, -1, words(r)})
	}
}

func (p *pager) namespaceParts() {
	for _, n := range p.f.namespaces {
		p.parts = append(p.parts, part{"namespace", n, -1, words(n)})
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
	p.counts, p.total = map[bailey.Severity]int{}, 0
	where, args := p.f.rows()
	said, saidArgs := p.f.said()
	inside, insideArgs := p.f.inside("f.namespace")
	if !p.f.since.IsZero() {
		inside, insideArgs = inside+" AND f.opened >= ?", append(insideArgs, p.f.sinceSeq)
	}
	where = strings.ReplaceAll(where+said, " f.", " seen.")
	left := limits.Gather
	for _, gone := range p.f.state.gone() {
		for _, severity := range p.severities {
			var seen, n int
			if err := p.row("SELECT count(*), coalesce(sum(CASE WHEN 1 = 1"+where+" THEN 1 ELSE 0 END), 0) FROM"+
				" (SELECT * FROM findings f WHERE f.cluster = ? AND f.gone = ? AND f.severity = ?"+inside+" LIMIT ?) AS seen",
				slices.Concat(args, saidArgs, []any{p.f.cluster, gone, severity}, insideArgs, []any{left + 1})...).Scan(&seen, &n); err != nil {
				return err
			}
			if n > 0 {
				p.counts[bailey.Severity(severity)] += n
				p.total += n
			}
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
	var err error
	switch {
	case p.total == 0 && !p.more:
		return nil
	case p.taken:
	case p.gather != nil:
		err = p.runGather(p.gather)
	case p.sort == ByObject:
		err = p.runObjects()
	default:
		err = p.runSeverities()
	}
	if err != nil {
		return err
	}
	if err := p.fetch(); err != nil || !p.more {
		return err
	}
	// Of what was counted less may be a part than of what was found.
	seen := map[bailey.Severity]int{}
	for i := range p.found {
		seen[p.found[i].Severity]++
	}
	if p.after == nil && len(p.found) <= p.limit {
		p.counts, p.total, p.more = seen, len(p.found), false // that is all
		return nil
	}
	for severity, n := range seen {
		p.total += max(0, n-p.counts[severity])
		p.counts[severity] = max(n, p.counts[severity])
	}
	return nil
}

// order is how SQL sorts findings.
func (p *pager) order() string {
	switch p.sort {
	case ByNewest:
		return " ORDER BY f.opened DESC"
	case ByObject:
		return " ORDER BY f.namespace, f.kind, f.name, f.id"
	}
	return " ORDER BY f.severity DESC, f.opened DESC"
}

// fetch reads the rows that come first of those whose keys were found.
func (p *pager) fetch() error {
	slices.SortFunc(p.keys, p.compare)
	p.keys = p.keys[:min(len(p.keys), p.limit+1)]
	if len(p.keys) == 0 {
		return nil
	}
	numbers := make([]any, len(p.keys))
	for i, k := range p.keys {
		numbers[i] = k.n
	}
	return p.each(func(rows *sql.Rows) error {
		f, err := scanFinding(rows.Scan, p.heard, p.access)
		p.found = append(p.found, f)
		return err
	}, "SELECT "+findingColumns+" FROM findings f WHERE f.n IN ("+marks(len(numbers))+")"+p.order(), numbers...)
}

// compare tells which of two rows comes first.
func (p *pager) compare(a, b rowKey) int {
	switch p.sort {
	case ByNewest:
		return cmp.Compare(b.opened, a.opened)
	case ByObject:
		return cmp.Or(compareObjects(a.object, b.object), strings.Compare(a.id, b.id))
	}
	return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.opened, a.opened))
}

// keep notes keys of rows, if they come after the cursor.
func (p *pager) keep(keys ...rowKey) {
	if c := p.after; c != nil {
		last := rowKey{opened: c.Seq, severity: c.Severity, object: objectKey{c.Object, c.Kind, c.Name}, id: c.ID}
		keys = slices.DeleteFunc(keys, func(k rowKey) bool { return p.compare(last, k) >= 0 })
	}
	p.keys = append(p.keys, keys...)
}

// take notes the key of a row that comes after the cursor.
func (p *pager) take(rows *sql.Rows) error {
	k, err := p.scanKey(rows)
	p.keys = append(p.keys, k)
	return err
}

// scanKey reads keyColumns, and what follows them.
func (p *pager) scanKey(rows *sql.Rows, more ...any) (k rowKey, err error) {
	columns := []any{&k.n, &k.severity, &k.opened}
	if p.sort == ByObject {
		columns = append(columns, &k.object.namespace, &k.object.kind, &k.object.name, &k.id)
	}
	return k, rows.Scan(append(columns, more...)...)
}

// keyColumns are those that scanKey reads.
func (p *pager) keyColumns() string {
	if p.sort == ByObject {
		return "f.n, f.severity, f.opened, f.namespace, f.kind, f.name, f.id"
	}
	return "f.n, f.severity, f.opened"
}

// runGather sorts the rows that were gathered.
func (p *pager) runGather(g *gather) error {
	from, args := p.gathered(g)
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
	return p.each(p.take, "SELECT "+p.keyColumns()+from+p.order()+" LIMIT ?", append(args, p.limit+1-len(p.keys))...)
}

// runSeverities finds the newest of each severity.
func (p *pager) runSeverities() error {
	severities := slices.Clone(p.severities)
	if p.sort == BySeverity && p.after != nil {
		severities = slices.DeleteFunc(severities, func(s int) bool { return s > p.after.Severity })
	}
	if p.seen != nil {
		return p.runWords(severities)
	}
	for _, severity := range severities {
		if err := p.runSeverity(severity); err != nil {
			return err
		}
		if p.sort == BySeverity && len(p.keys) > p.limit {
			break
		}
	}
	return nil
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
			s := stretch{where: "f.cluster = ? AND f.gone = ? AND f.severity = ?", args: []any{p.f.cluster, gone, severity}, order: " ORDER BY f.opened DESC",
				words: append([]string{p.f.stateWord(severity, gone)}, part.words...), plenty: p.seen != nil && len(parts) == 1}
			s.also, s.alsoArgs = p.f.rows()
			switch part.column {
			case "grp":
				s.where, s.args = "f.grp = ? AND f.gone = ?", []any{part.value, gone}
				s.also, s.alsoArgs = p.f.rest()
			case "namespace":
				s.where, s.args = s.where+" AND f.namespace = ?", append(s.args, part.value)
			case "rule":
				s.where, s.args = s.where+" AND f.rule = ?", append(s.args, part.value)
				s.also, s.alsoArgs = p.f.ofRule()
			}
			if p.after != nil && (p.sort == ByNewest || severity == p.after.Severity) {
				s.where, s.args = s.where+" AND f.opened < ?", append(s.args, p.after.Seq)
			}
			if err := p.walk(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// cursor gives where the page ends.
func (p *pager) cursor(last *Finding, query uint32) cursor {
	if p.sort == ByObject {
		k := keyOf(last.Object)
		return cursor{Query: query, Object: k.namespace, Kind: k.kind, Name: k.name, ID: last.ID}
	}
	return cursor{Query: query, Seq: last.Seq, Severity: int(last.Severity)}
}
