package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// Results are what a search found, of each at most as many as were asked for.
type Results struct {
	// Objects have findings with the words, or a name that begins with the text.
	Objects  []bailey.Ref
	Controls []string
	Rules    []string
	Findings []Finding
}

// searchNames is how many verdicts are looked at for names that begin with a text.
const searchNames = 2000

// Search finds by the words of a text, or by how a name begins, what is there now.
func (s *Store) Search(ctx context.Context, access Access, cluster, text string, limit int) (Results, error) {
	var found Results
	limit = min(pageSize(limit), defaultPage)
	terms := words(text)
	if len(terms) == 0 {
		return found, nil
	}
	page, err := s.Findings(ctx, FindingQuery{Cluster: cluster, Access: access, Text: text, Limit: limit})
	if err != nil {
		return found, err
	}
	found.Findings = page.Items
	objects := map[bailey.Ref]bool{}
	add := func(o bailey.Ref) {
		if !objects[o] && len(found.Objects) < limit {
			objects[o] = true
			found.Objects = append(found.Objects, o)
		}
	}
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		condition, args := access.limit("namespace", nil)
		prefix := clean(strings.TrimSpace(text))
		if err := r.each(func(rows *sql.Rows) error {
			var k objectKey
			err := rows.Scan(&k.namespace, &k.kind, &k.name)
			add(back(k.namespace, k.kind, k.name))
			return err
		}, "SELECT DISTINCT namespace, kind, name FROM (SELECT namespace, kind, name FROM verdicts WHERE cluster = ? AND name >= ? AND name < ?"+condition+
			" ORDER BY name LIMIT ?) AS named ORDER BY name, namespace, kind", slices.Concat([]any{n, prefix, prefix + "\U0010FFFF"}, args, []any{searchNames})...); err != nil {
			return err
		}
		for i := range page.Items {
			add(page.Items[i].Object)
		}
		level := "level = 1"
		if !access.all {
			level = "level = 0"
		}
		controls := map[string]bool{}
		return r.each(func(rows *sql.Rows) error {
			var control, rule string
			if err := rows.Scan(&control, &rule); err != nil {
				return err
			}
			if holdsWords(control, terms) && !controls[control] && len(found.Controls) < limit {
				controls[control] = true
				found.Controls = append(found.Controls, control)
			}
			if holdsWords(rule, terms) && len(found.Rules) < limit {
				found.Rules = append(found.Rules, rule)
			}
			return nil
		}, "SELECT DISTINCT control, rule FROM finding_groups WHERE cluster = ? AND "+level+condition+" AND open > 0 ORDER BY control, rule", append([]any{n}, args...)...)
	})
	return found, err
}

// holdsWords tells whether each term begins a word of the text.
func holdsWords(text string, terms []string) bool {
	have := words(text)
	for _, term := range terms {
		if !slices.ContainsFunc(have, func(w string) bool { return strings.HasPrefix(w, term) }) {
			return false
		}
	}
	return true
}
