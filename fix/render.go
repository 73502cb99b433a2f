package fix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// eol is the line break of the document.
func (d *parsed) eol() string {
	if i := bytes.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// columnAt is how many bytes stand before the offset in its line.
func (d *parsed) columnAt(at int) int { return at - d.lineStart(at) }

// indentOf is how far the document indents what stands below a key: mappings by
// what it does most near its beginning, lists as it does, and not at all where
// it has none.
func (d *parsed) indentOf(value any) int {
	_, list := value.([]any)
	found := -1
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		if isFlow(n) || found >= 0 {
			return
		}
		for i, item := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && !isFlow(item) && len(item.Content) > 0 {
				column := d.columnOf(n.Content[i-1])
				if list && item.Kind == yaml.SequenceNode {
					found = d.columnAt(d.dashes[item.Content[0]]) - column
				} else if !list && item.Kind == yaml.MappingNode {
					found = d.columnOf(item.Content[0]) - column
				}
				if found >= 0 {
					return
				}
			}
			look(item)
		}
	}
	look(d.root)
	switch {
	case found >= 0 && found <= 8:
		return found
	case list:
		return 0
	}
	return 2
}

// first are the keys that stand before others where a mapping is written anew.
var first = []string{"apiVersion", "kind", "metadata", "name", "namespace", "op", "path"}

// ordered gives the keys of a mapping in the order in which they are written.
func ordered(m map[string]any) []string {
	keys := slices.Sorted(maps.Keys(m))
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a) - rank(b) })
	return keys
}

// field writes a field in block style, indented to the column, without the last
// line break.
func (d *parsed) field(key string, value any, column int) string {
	name := strings.Repeat(" ", column) + scalarLike(key, "")
	if text, ok := value.(string); ok && isProse(text) {
		return name + ": " + d.literal(text, column+2)
	}
	if isScalarLike(value) {
		return name + ": " + scalarLike(value, "")
	}
	return name + ":" + d.eol() + d.block(value, column+d.indentOf(value), false)
}

// isProse reports whether a text of several lines can be written as it reads.
func isProse(text string) bool {
	if !strings.Contains(text, "\n") || strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\n") || strings.HasSuffix(text, "\n\n") {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) && !strings.Contains(text, " \n")
}

// literal writes a text of several lines as a block, indented to the column.
func (d *parsed) literal(text string, column int) string {
	head := "|-"
	if cut, found := strings.CutSuffix(text, "\n"); found {
		head, text = "|", cut
	}
	for line := range strings.SplitSeq(text, "\n") {
		head += d.eol()
		if line != "" {
			head += strings.Repeat(" ", column) + line
		}
	}
	return head
}

// block writes a value in block style, indented to the column; inline tells that
// the first line begins there already.
func (d *parsed) block(value any, column int, inline bool) string {
	if isScalarLike(value) {
		return scalarLike(value, "")
	}
	var lines []string
	switch value := value.(type) {
	case map[string]any:
		for _, key := range ordered(value) {
			lines = append(lines, d.field(key, value[key], column))
		}
	case []any:
		for _, item := range value {
			lines = append(lines, strings.Repeat(" ", column)+"- "+d.block(item, column+2, true))
		}
	}
	text := strings.Join(lines, d.eol())
	if inline {
		text = text[column:]
	}
	return text
}

// scalarLike writes a scalar or an empty collection; text in the quote, if it is
// given one.
func scalarLike(value any, quote string) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "{}"
	case []any:
		return "[]"
	case string:
		switch {
		case quote == `"` || strings.ContainsAny(value, "\n\r\t\u0085\u2028\u2029"):
			return quoted(value)
		case quote == "'":
			return "'" + strings.ReplaceAll(value, "'", "''") + "'"
		}
		text, err := yaml.Marshal(value)
		if err != nil || bytes.Count(text, []byte("\n")) != 1 {
			return quoted(value)
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	return fmt.Sprint(value) // a boolean, or a number as it is written
}

// plain is what needs no quotes in flow style.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// flowScalar writes a scalar or an empty collection in flow style.
func flowScalar(value any, quote string, isJSON bool) string {
	if s, ok := value.(string); ok {
		if isJSON || quote == "" && !plain.MatchString(s) {
			return quoted(s)
		}
	}
	return scalarLike(value, quote)
}

// isJSON reports whether a collection is written as JSON has it.
func (d *parsed) isJSON(n *yaml.Node) bool {
	for n != nil && n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind != yaml.ScalarNode {
		n = n.Content[0]
	}
	if n == nil || len(n.Content) == 0 || n.Content[0].Style&yaml.DoubleQuotedStyle == 0 {
		first := bytes.TrimLeft(d.text, " \t\r\n")
		return len(first) > 0 && first[0] == '{' && json.Valid(d.text)
	}
	return true
}

// flowText writes a value in flow style, for a place in the collection; instead
// is the node whose place it takes, if there is one.
func (d *parsed) flowText(value any, in, instead *yaml.Node) string {
	isJSON := d.isJSON(in)
	if in != nil && isJSON && !isScalarLike(value) && len(in.Content) > 0 {
		entry := in.Content[0]
		if from := d.start(entry); isFlow(in) && d.lineStart(from) != d.lineStart(d.body(in)) {
			// JSON over several lines: what is added is written so too.
			column := string(d.text[d.lineStart(from):from])
			if strings.TrimSpace(column) == "" {
				return d.spread(value, column, d.stepOf())
			}
		}
	}
	var b strings.Builder
	writeFlow(&b, value, isJSON)
	return b.String()
}

// stepOf is by what a JSON document indents.
func (d *parsed) stepOf() string {
	if len(d.root.Content) > 0 {
		from := d.start(d.root.Content[0])
		if step := string(d.text[d.lineStart(from):from]); strings.TrimSpace(step) == "" && step != "" {
			return step
		}
	}
	return "  "
}

// spread writes JSON over several lines.
func (d *parsed) spread(value any, prefix, step string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, step)
	if err := e.Encode(value); err != nil {
		return "null"
	}
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\n", d.eol())
}

func writeFlow(b *strings.Builder, value any, isJSON bool) {
	switch value := value.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, key := range ordered(value) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(flowScalar(key, "", isJSON) + ": ")
			writeFlow(b, value[key], isJSON)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				b.WriteString(", ")
			}
			writeFlow(b, item, isJSON)
		}
		b.WriteByte(']')
	default:
		b.WriteString(flowScalar(value, "", isJSON))
	}
}
