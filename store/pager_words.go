package store

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"

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

// wordParts is how many parts are searched for words at most: each is asked for by itself.
const wordParts = 8

// planWords takes the rows that hold the words, if there are not too many.
func (p *pager) planWords() (done bool, err error) {
	whole := []string{clusterWord(p.f.cluster)}
	if p.f.name != "" {
		whole = append(whole, words(p.f.name)...)
	}
	if len(whole)+len(p.f.text) == 1 {
		return false, nil
	}
	_, p.rare, err = p.sample(stretch{where: "f.cluster = ? AND f.gone = ?", args: []any{p.f.cluster, p.f.state.gone()[0]}, order: " ORDER BY f.severity DESC, f.opened DESC"})
	if err != nil || len(p.rare)+len(whole) == 1 {
		return err != nil, err
	}
	hits, err := p.hits(whole, p.rare)
	if err != nil || hits == nil {
		return err != nil, err
	}
	p.gather = hits
	if len(p.rare) == len(p.f.text) {
		p.f.text = nil // they hold all of it
	}
	return true, p.countGathered(hits)
}

// hits gathers the rows that hold words whole, and beginnings of words; nil if there are too
// many.
func (p *pager) hits(whole, beginnings []string) (*gather, error) {
	argument, most := p.e.Words(whole, beginnings), limits.Gather
	if p.sort == ByObject {
		most *= 3 // no severity can be asked for after the other
	}
	var n int
	if err := p.row("SELECT count(*) FROM ("+p.e.Hits+") AS h", argument, most+1).Scan(&n); err != nil || n > most {
		return nil, err
	}
	return &gather{p.e.Hits, []any{argument, most + 1}}, nil
}

// countWords counts by the index of words alone, if nothing but words and what stateWord says is
// asked for, and few of the worst findings have them.
func (p *pager) countWords() (done bool, err error) {
	f := p.f
	if len(p.rare) == 0 || len(p.rare) < len(f.text) || f.name != "" || !f.all || f.grouped() || !f.since.IsZero() || f.waived != nil && f.state != Open {
		return false, nil
	}
	p.counts, p.total = map[bailey.Severity]int{}, 0
	p.known = map[string]int{}
	for _, gone := range f.state.gone() {
		for _, severity := range p.severities {
			word, n := f.stateWord(severity, gone), 0
			if err := p.row("SELECT count(*) FROM ("+p.e.Hits+") AS h", p.e.Words([]string{word}, f.text), limits.Gather+1).Scan(&n); err != nil {
				return true, err
			}
			p.known[word] = n
			if p.total += n; n > 0 {
				p.counts[bailey.Severity(severity)] += n
			}
			if p.total > limits.Gather {
				p.more = true
				return true, nil
			}
		}
	}
	return true, nil
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
}

// walk notes the keys of the first rows of a stretch. Where the words that are asked for are rare in it, it takes
// those that the index of words has.
func (p *pager) walk(s stretch) error {
	from := " FROM findings f WHERE "
	var args []any
	known, isKnown := p.known[s.words[0]]
	isKnown = isKnown && len(s.words) == 1
	switch {
	case isKnown && known == 0:
		return nil
	case isKnown && known <= limits.Gather:
		from, args = " FROM ("+p.e.Hits+") AS h CROSS JOIN findings f WHERE f.n = h.n AND ", []any{p.e.Words(s.words, p.f.text), limits.Gather + 1}
	case isKnown: // so many that they come by
	case len(p.f.text) > 0:
		whole, rare, err := p.sample(s)
		if err != nil {
			return err
		}
		if !whole && len(rare) > 0 {
			hits, err := p.hits(s.words, rare)
			if err != nil {
				return err
			}
			if hits != nil {
				from, args = " FROM ("+hits.query+") AS h CROSS JOIN findings f WHERE f.n = h.n AND ", hits.args
			}
		}
	}
	said, saidArgs := p.f.said()
	return p.each(p.take, "SELECT "+keyColumns+from+s.where+s.also+said+s.order+" LIMIT ?",
		slices.Concat(args, s.args, s.alsoArgs, saidArgs, []any{p.limit + 1})...)
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
		if counts[i]*2 < rows {
			rare = append(rare, w)
		}
	}
	return false, rare, nil
}
