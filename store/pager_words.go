package store

import (
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// clusterWord marks the words of a cluster's findings in the index of words, which holds
// those of all clusters. No text has it for a word, since § is no letter.
func clusterWord(n int64) string { return "§" + strconv.FormatInt(n, 10) }

// stateWord marks in it those of one severity that are open or have gone, and of the open
// ones those that are waived or are not, if that is asked for.
func (f *filter) stateWord(severity, gone int) string {
	word := clusterWord(f.cluster) + "s" + strconv.Itoa(severity)
	switch {
	case gone == 1:
		return word + "g"
	case f.waived == nil:
		return word + "o"
	case *f.waived:
		return word + "w"
	}
	return word + "n"
}

// token is a word, or the beginning of words.
type token struct {
	word   string
	begins bool
}

// clause is what the index of words is asked for: all words of one of its lists at least.
type clause [][]token

// held is the list of words that are held whole.
func held(words ...string) []token {
	list := make([]token, len(words))
	for i, w := range words {
		list[i].word = w
	}
	return list
}

// anyOf is the clause that the words of one of some names are held; none if a name has no words,
// or there are too many of them.
func anyOf(names []string) []clause {
	if len(names) == 0 || len(names) > wordNames {
		return nil
	}
	in := map[string]int{}
	lists := make([][]string, len(names))
	for i, name := range names {
		if lists[i] = words(name); len(lists[i]) == 0 {
			return nil
		}
		for _, w := range lists[i] {
			in[w]++
		}
	}
	var c clause
	for _, list := range lists {
		// What all of them have does not tell them apart, and most findings may have it.
		own := slices.DeleteFunc(slices.Clone(list), func(w string) bool { return in[w] == len(names) })
		if len(own) == 0 {
			own = list
		}
		c = append(c, held(own...))
	}
	return []clause{c}
}

// argument writes clauses, of which all are fulfilled and one, if there is one, is not, as the engine wants them.
func (e *Engine) argument(clauses []clause, not clause) string {
	all := make([]string, len(clauses))
	for i, c := range clauses {
		all[i] = e.clause(c)
	}
	text := strings.Join(all, e.And)
	if len(not) > 0 {
		text = "(" + text + ")" + e.Not + e.clause(not)
	}
	return text
}

func (e *Engine) clause(c clause) string {
	lists := make([]string, len(c))
	for k, list := range c {
		terms := make([]string, len(list))
		for m, t := range list {
			terms[m] = e.Term(t.word, t.begins)
		}
		lists[k] = "(" + strings.Join(terms, e.And) + ")"
	}
	return "(" + strings.Join(lists, e.Or) + ")"
}

const (
	// wordParts is how many parts are searched for words at most: each is asked for by itself.
	wordParts = 8
	// wordNames is how many names of namespaces or rules are looked for in the index of words at most.
	wordNames = 100
	// wordEndings is how many words that begin alike are looked for one by one.
	wordEndings = 8
	// wordSpaces is in how many namespaces words are looked for at once, at first.
	wordSpaces = 8
	// wordShare is what part of the rows that were read at most tells that a severity has few.
	wordShare = 8
	// wordRows is how many rows may come by, as far as can be told, until words that are looked for fill a page.
	wordRows = 10_000
)

// planWords takes the rows that hold the words, if there are not too many; if there are, it
// notes how many of each severity were among those that it read.
func (p *pager) planWords() (done bool, err error) {
	name := words(p.f.name)
	if len(name)+len(p.f.text) == 0 {
		return false, nil
	}
	_, rare, err := p.sample(stretch{where: "f.cluster = ? AND f.gone = ?", args: []any{p.f.cluster, p.f.state.gone()[0]}, order: " ORDER BY f.severity DESC, f.opened DESC"})
	if err != nil || len(rare)+len(name) == 0 {
		return err != nil, err
	}
	if p.sought, err = p.begun(rare); err != nil {
		return true, err
	}
	p.rare = rare
	if len(name) > 0 {
		p.sought = append(p.sought, clause{held(name...)})
	}
	if !p.f.all {
		p.sought = append(p.sought, anyOf(p.f.namespaces)...)
	}
	p.sought = append(p.sought, anyOf(p.f.rules)...)
	if p.own, err = p.mark(); err != nil {
		return true, err
	}
	mark := p.own
	if p.f.state == Gone || p.f.severity > 0 || p.f.waived != nil && *p.f.waived {
		mark = []clause{p.marks(p.severities)}
	}
	keys, all, err := p.hits(rare, slices.Concat(mark, p.sought), nil, "f.cluster = ? AND f.gone IN ("+goneList(p.f.state)+")", p.f.cluster)
	if err != nil {
		return true, err
	}
	p.counts, p.total = map[bailey.Severity]int{}, len(keys)
	for _, k := range keys {
		p.counts[bailey.Severity(k.severity)]++
	}
	if !all {
		p.seen, p.crowded = p.counts, map[string]bool{}
		p.note(keys)
		return false, nil
	}
	p.keep(keys...)
	p.taken = true
	return true, nil
}

// mark is the clause that the cluster's findings fulfil; none if there is no other cluster, whose words it would tell apart.
func (p *pager) mark() ([]clause, error) {
	clusters := 0
	if err := p.row("SELECT count(*) FROM (SELECT n FROM clusters WHERE n > 0 LIMIT 2) AS counted").Scan(&clusters); err != nil || clusters < 2 {
		return nil, err
	}
	return []clause{{held(clusterWord(p.f.cluster))}}, nil
}

// marks is the clause that is fulfilled by what is asked for of some severities.
func (p *pager) marks(severities []int) clause {
	var c clause
	for _, severity := range severities {
		for _, gone := range p.f.state.gone() {
			c = append(c, held(p.f.stateWord(severity, gone)))
		}
	}
	return c
}

// among gives the clauses that all rows of some severities fulfil, and few others that have the words: they are marked as
// of one of these, or, where that takes reading fewer marks, are not marked as of another in which the words were seen.
func (p *pager) among(severities []int) (are []clause, not clause) {
	f := p.f
	if f.state == Open && !f.few() && f.all && !f.grouped() && p.own == nil {
		here, others, whole := 0, 0, filter{cluster: f.cluster}
		for _, s := range severities {
			here += p.there[bailey.Severity(s)]
		}
		for _, s := range slices.Sorted(maps.Keys(p.seen)) {
			if !slices.Contains(severities, int(s)) {
				others += p.there[s]
				not = append(not, held(whole.stateWord(int(s), 0)), held(whole.stateWord(int(s), 1)))
			}
		}
		if others < here {
			return nil, not
		}
	}
	return []clause{p.marks(severities)}, nil
}

// begun gives for each beginning of words the clause that one of them is held.
func (p *pager) begun(beginnings []string) ([]clause, error) {
	var list []clause
	for _, b := range beginnings {
		endings, err := p.endings(b)
		if err != nil {
			return nil, err
		}
		c := clause{{{b, true}}}
		if len(endings) > 0 {
			c = nil
			for _, word := range endings {
				c = append(c, held(word))
			}
		}
		list = append(list, c)
	}
	return list, nil
}

// endings gives the words that begin so, if there are only a few and the engine finds whole words
// faster: it reads all that have a beginning before it gives the first.
func (p *pager) endings(beginning string) ([]string, error) {
	if n := utf8.RuneCountInString(beginning); p.e.Vocabulary == "" || n == 2 || n == 3 {
		return nil, nil // there is an index for it
	}
	var list []string
	for from := beginning; len(list) <= wordEndings; {
		var word string
		err := p.row(p.e.Vocabulary, from).Scan(&word)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(word, beginning):
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, word)
		from = word + "\x01" // comes before all that words consist of
	}
	return nil, nil
}

// hits gives of the rows that fulfil the clauses and not another, which say that they hold the rare words, those that are asked for and fulfil
// a condition, unordered, and whether that is all of them: it reads limits.Gather rows and one more at most.
func (p *pager) hits(rare []string, clauses []clause, not clause, where string, args ...any) (keys []rowKey, all bool, err error) {
	rows := 0
	also, alsoArgs := p.f.rows()
	said, saidArgs := p.f.said(rare...)
	err = p.each(func(row *sql.Rows) error {
		rows++
		var wanted int
		k, err := p.scanKey(row, &wanted)
		if wanted == 1 {
			keys = append(keys, k)
		}
		return err
	}, "SELECT "+p.keyColumns()+", CASE WHEN "+where+also+said+" THEN 1 ELSE 0 END FROM "+p.e.Hits,
		slices.Concat(args, alsoArgs, saidArgs, []any{p.e.argument(clauses, not), limits.Gather + 1})...)
	return keys, rows <= limits.Gather, err
}

// plenty tells whether so many of a severity hold the words that they come by.
func (p *pager) plenty(severity int) bool {
	s := bailey.Severity(severity)
	return p.seen[s] > p.limit && p.there[s]*(p.limit+1) <= p.seen[s]*wordRows
}

// runWords finds the page of words that many have, by severity or newest: of severities of which few
// do all at once by the index of words, of others as they come by.
func (p *pager) runWords(severities []int) error {
	if p.sort == ByNewest {
		slices.SortStableFunc(severities, func(a, b int) int { return bit(p.plenty(a)) - bit(p.plenty(b)) })
	}
	for len(severities) > 0 && (p.sort == ByNewest || len(p.keys) <= p.limit) {
		n, rows := 0, 0
		for n < len(severities) && !p.plenty(severities[n]) {
			if rows += p.seen[bailey.Severity(severities[n])]; n > 0 && rows*wordShare > limits.Gather {
				break
			}
			n++
		}
		for all := n == 0; !all; {
			var keys []rowKey
			var err error
			args := []any{p.f.cluster}
			for _, s := range severities[:n] {
				args = append(args, s)
			}
			are, not := p.among(severities[:n])
			if keys, all, err = p.hits(p.rare, slices.Concat(are, p.sought), not, "f.cluster = ? AND f.gone IN ("+goneList(p.f.state)+") AND f.severity IN ("+marks(n)+")",
				args...); err != nil {
				return err
			}
			switch {
			case all:
				p.keep(keys...)
			case n == 1:
				n, all = 0, true
			default:
				n = 1
			}
		}
		if n == 0 {
			if err := p.runSeverity(severities[0]); err != nil {
				return err
			}
			n = 1
		}
		severities = severities[n:]
	}
	return nil
}

// note keeps of which namespaces a good part of the rows is that were read.
func (p *pager) note(keys []rowKey) {
	seen := map[string]int{}
	for _, k := range keys {
		if seen[k.object.namespace]++; seen[k.object.namespace]*wordShare > limits.Gather {
			p.crowded[k.object.namespace] = true
		}
	}
}

// runWordSpaces finds the page of words that many have in the order of objects, in some namespaces at a time.
func (p *pager) runWordSpaces() error {
	size := wordSpaces
	return p.eachSpaces(func(rest []space) (int, error) {
		var names []string
		for _, s := range rest[:min(size, len(rest))] {
			if p.crowded[s.name] || len(words(s.name)) == 0 {
				break
			}
			names = append(names, s.name)
		}
		for len(names) > 0 {
			keys, all, err := p.hits(p.rare, slices.Concat(p.own, anyOf(names), p.sought), nil, "f.cluster = ? AND f.gone IN ("+goneList(p.f.state)+") AND f.namespace IN ("+marks(len(names))+")", append([]any{p.f.cluster}, anys(names)...)...)
			if err != nil {
				return 0, err
			}
			if all {
				p.keep(keys...)
				size = min(4*size, wordNames)
				return len(names), nil
			}
			p.note(keys)
			size = max(1, len(names)/2)
			names = names[:len(names)/2]
			if at := slices.IndexFunc(names, func(name string) bool { return p.crowded[name] }); at >= 0 {
				names = names[:at]
			}
		}
		return 1, p.runSpace(&rest[0].name)
	})
}

// stretch is a range of an index whose rows are read in its order.
type stretch struct {
	where string
	args  []any
	// also is what is asked for beside, but for words.
	also     string
	alsoArgs []any
	order    string
	// words are held by all rows of it.
	words []string
	// plenty tells that the words that are asked for come by.
	plenty bool
}

// walk notes the keys of the first rows of a stretch. Where the words that are asked for are rare in it, it takes
// those that the index of words has.
func (p *pager) walk(s stretch) error {
	if len(p.f.text) > 0 && !s.plenty {
		whole, rare, err := p.sample(s)
		if err != nil {
			return err
		}
		if !whole && len(rare) > 0 {
			begun, err := p.begun(rare)
			if err != nil {
				return err
			}
			keys, all, err := p.hits(rare, append(begun, clause{held(s.words...)}), nil, s.where, s.args...)
			if err != nil {
				return err
			}
			if all {
				p.keep(keys...)
				return nil
			}
		}
	}
	said, saidArgs := p.f.said()
	return p.each(p.take, "SELECT "+p.keyColumns()+" FROM findings f WHERE "+s.where+s.also+said+s.order+" LIMIT ?",
		slices.Concat(s.args, s.alsoArgs, saidArgs, []any{p.limit + 1})...)
}

// sample looks at the first rows of a stretch: whether they are all of it, and which of the
// words asked for few of them have. The index of words would list all findings that have one of the others.
func (p *pager) sample(s stretch) (whole bool, rare []string, err error) {
	text := p.f.text
	if len(text) == 0 {
		return false, nil, nil
	}
	rows, full, counts := 0, 0, make([]int, len(text))
	if err := p.each(func(row *sql.Rows) error {
		var words string
		if err := row.Scan(&words); err != nil {
			return err
		}
		rows++
		all := true
		for i, w := range text {
			if strings.Contains(" "+words, " "+w) {
				counts[i]++
			} else {
				all = false
			}
		}
		if all {
			full++
		}
		return nil
	}, "SELECT f.words FROM findings f WHERE "+s.where+s.order+" LIMIT ?", append(slices.Clone(s.args), limits.Sample)...); err != nil {
		return false, nil, err
	}
	if rows < limits.Sample {
		return true, text, nil
	}
	if full > p.limit {
		return false, nil, nil // they fill the page
	}
	for i, w := range text {
		if counts[i]*wordFew < rows {
			rare = append(rare, w)
		}
	}
	return false, rare, nil
}

// wordFew is of how many rows that come by in the order of an index one or more has a word
// that is not rare.
const wordFew = 8
