package manifests

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// template tells where the lines of what it renders to come from. It keeps
// positions only: the text itself may hold secrets.
type template struct {
	lines     []templateLine // by line of the output, from 0
	rendering *bailey.Rendering
}

// templateLine is a position in the template; the zero one is not known.
type templateLine struct{ line, column int32 }

// match finds each line of the output in the template: the only line that reads
// the same, else the only one that names the same field, else the one that its place
// between such lines tells.
func match(source, rendered string) *template {
	whole, keys := map[string]templateLine{}, map[string]templateLine{}
	ambiguous := templateLine{line: -1}
	add := func(m map[string]templateLine, text string, at templateLine) {
		if _, taken := m[text]; taken {
			at = ambiguous
		}
		m[text] = at
	}
	var from, to []string
	var columns []int32
	for line := range strings.Lines(source) {
		column := int32(len(line)-len(strings.TrimLeft(line, " \t-"))) + 1
		from, columns = append(from, strings.TrimSpace(line)), append(columns, column)
		at := templateLine{int32(len(from)), column}
		add(whole, strings.TrimSpace(line), at)
		if key := keyOf(line); key != "" {
			add(keys, key, at)
		}
	}
	t := &template{}
	for line := range strings.Lines(rendered) {
		to = append(to, strings.TrimSpace(line))
		at, found := whole[strings.TrimSpace(line)]
		if !found || at == ambiguous {
			at = keys[keyOf(line)]
		}
		if at == ambiguous {
			at = templateLine{}
		}
		t.lines = append(t.lines, at)
	}
	for n, line := range between(from, to, whole) {
		if t.lines[n].line == 0 {
			t.lines[n] = templateLine{int32(line) + 1, columns[line]}
		}
	}
	return t
}

// between finds lines of the output, by their number from 0, among several of the template
// that read the same. The lines that each text has once divide both into parts; where a
// part of the output has a text as often as that part of the template, these are the same
// lines in the same order.
func between(from, to []string, once map[string]templateLine) map[int]int {
	found := map[int]int{}
	times := map[string]int{}
	for _, text := range to {
		times[text]++
	}
	begin, first := 0, 0 // of the part: in the output, and in the template
	for end := 0; end <= len(to); end++ {
		last := len(from)
		if end < len(to) {
			line := int(once[to[end]].line) // 0 or less: it is there not once
			if times[to[end]] != 1 || line <= first {
				continue
			}
			last = line - 1
		}
		given := placesOf(from, first, last)
		for text, places := range placesOf(to, begin, end) {
			if text != "" && len(given[text]) == len(places) {
				for i, n := range places {
					found[n] = given[text][i]
				}
			}
		}
		begin, first = end+1, last+1
	}
	return found
}

// placesOf gives the numbers of the lines from begin up to, and without, end, by what they read.
func placesOf(lines []string, begin, end int) map[string][]int {
	places := map[string][]int{}
	for i := begin; i < end; i++ {
		places[lines[i]] = append(places[lines[i]], i)
	}
	return places
}

// keyOf is the name of the field that a line of YAML starts, or "".
func keyOf(line string) string {
	key, _, found := strings.Cut(strings.TrimLeft(line, " \t-"), ":")
	if !found || strings.ContainsAny(key, "{}#") {
		return ""
	}
	return key
}

func (t *template) place(in *input, c chunk, at positions) bailey.Source {
	at = slices.Clone(at)
	src := bailey.Source{File: in.name, Locate: func(field string) (int, int) { return t.locate(at, field) }, Rendered: t.rendering}
	if line, column := t.locate(at, "kind"); line > 0 {
		src.Line, src.Column = line, column
	}
	return src
}

// locate gives the template's position of a field or of the nearest parent that
// has one there; 0 if none has.
func (t *template) locate(at positions, field string) (line, column int) {
	for field != "" {
		i, rest := at.walk(field)
		if rest != "" { // not written: go up to what is
			field = strings.TrimSuffix(strings.TrimSuffix(field, rest), ".")
			continue
		}
		if n := int(at[i].line); n >= 1 && n <= len(t.lines) && t.lines[n-1].line > 0 {
			return int(t.lines[n-1].line), int(t.lines[n-1].column)
		}
		field = parentOf(field)
	}
	return 0, 0
}

// parentOf takes the last step off a field's path.
func parentOf(field string) string {
	if strings.HasSuffix(field, "]") {
		return field[:max(0, strings.LastIndexByte(field, '['))]
	}
	return field[:max(0, strings.LastIndexByte(field, '.'))]
}
