package fix

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// splice puts a text in the place of a range.
type splice struct {
	from, to int
	text     string
}

// edit makes one operation in the text of a document. The operations of the
// whole patch tell which mappings are made for what later ones set in them.
func edit(text []byte, o operation, all []operation) ([]byte, error) {
	if o.op == "test" {
		return text, nil // held against the parsed document
	}
	if o.op == "add" && isScaffold(o, all) {
		return text, nil // the field that is set in it makes it
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := d.measure(); err != nil {
		return nil, err
	}
	splices, more, err := d.change(o)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(splices, func(a, b splice) int { return cmp.Or(b.from-a.from, b.to-a.to) })
	for _, s := range splices {
		text = slices.Concat(text[:s.from], []byte(s.text), text[s.to:])
	}
	for _, next := range more {
		if text, err = edit(text, next, nil); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// isScaffold reports whether the operation makes an empty mapping that a later
// one sets a field in.
func isScaffold(o operation, all []operation) bool {
	empty, isMap := o.value.(map[string]any)
	return isMap && len(empty) == 0 && slices.ContainsFunc(all, func(later operation) bool {
		return later.op == "add" && len(later.path) > len(o.path) && slices.Equal(later.path[:len(o.path)], o.path)
	})
}

// position is a node on the way down a path, with what it stands in.
type position struct {
	node   *yaml.Node
	key    *yaml.Node // of the mapping that it stands in; nil in a list
	parent *yaml.Node
	flow   bool // it stands in a collection in flow style
}

// change gives the splices that make the operation, and what is to be done after.
func (d *parsed) change(o operation) ([]splice, []operation, error) {
	at := position{node: d.root}
	for i, step := range o.path {
		if err := d.alone(at.node, o.path[:i]); err != nil {
			return nil, nil, err
		}
		last := i == len(o.path)-1
		switch {
		case at.node.Kind == yaml.MappingNode:
			k := fieldOf(at.node, step)
			if k < 0 {
				if o.op == "remove" || !last && mergedField(at.node, step) {
					if mergedField(at.node, step) {
						return nil, nil, fmt.Errorf("%s comes from a merge key (<<), and may be used in other places too", dotted(o.path[:i+1]))
					}
					return nil, nil, fmt.Errorf("%s is not written in the file", dotted(o.path[:i+1]))
				}
				return d.addField(at, step, nested(o.path[i+1:], o.value))
			}
			if last && o.op == "remove" {
				return d.removeField(at, k)
			}
			at = position{node: at.node.Content[k+1], key: at.node.Content[k], parent: at.node, flow: at.flow || isFlow(at.node)}
		case at.node.Kind == yaml.SequenceNode:
			n, ok := len(at.node.Content), true
			if step != "-" {
				n, ok = indexOf(step, len(at.node.Content))
			}
			if !ok || n == len(at.node.Content) && (!last || o.op != "add") {
				return nil, nil, fmt.Errorf("%s is not written in the file", dotted(o.path[:i+1]))
			}
			if last && o.op == "add" {
				return d.addItem(at, n, o.value)
			}
			if last && o.op == "remove" {
				return d.removeItem(at, n)
			}
			at = position{node: at.node.Content[n], parent: at.node, flow: at.flow || isFlow(at.node)}
		case isNull(at.node) && o.op != "remove":
			if _, err := strconv.Atoi(step); err == nil || step == "-" {
				return d.replace(at, []any{nested(o.path[i+1:], o.value)})
			}
			return d.replace(at, map[string]any{step: nested(o.path[i+1:], o.value)})
		default:
			return nil, nil, fmt.Errorf("%s is not written in the file", dotted(o.path[:i+1]))
		}
	}
	if o.op == "remove" {
		return nil, nil, errors.New("an object is not taken out as a whole")
	}
	return d.merge(at, o)
}

// alone refuses what stands in several places of the document.
func (d *parsed) alone(n *yaml.Node, path []string) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("%s is the alias *%s: the change would be made in each place that the anchor &%s stands for", dotted(path), n.Value, n.Value)
	}
	if d.shared[n] {
		return fmt.Errorf("%s bears the anchor &%s: the change would be made in each place of its alias", dotted(path), n.Anchor)
	}
	return nil
}

// dotted is how a path is shown.
func dotted(path []string) string {
	if len(path) == 0 {
		return "the document"
	}
	return strings.Join(path, ".")
}

// mergedField reports whether a merge key gives the mapping the field.
func mergedField(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if v := resolve(n.Content[i+1]); v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		for _, source := range sources {
			if child(source, key) != nil || mergedField(resolve(source), key) {
				return true
			}
		}
	}
	return false
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// indexOf reads an index of a list, at most the given one.
func indexOf(step string, most int) (int, bool) {
	n, err := strconv.Atoi(step)
	return n, err == nil && n >= 0 && n <= most && strconv.Itoa(n) == step
}

// nested is the value below the path, in mappings.
func nested(path []string, value any) any {
	for _, step := range slices.Backward(path) {
		value = map[string]any{step: value}
	}
	return value
}

// merge puts a value in the place of a node. Of mappings and lists only what
// differs is touched.
func (d *parsed) merge(at position, o operation) ([]splice, []operation, error) {
	if err := d.alone(at.node, o.path); err != nil {
		return nil, nil, err
	}
	old, err := valueOf(at.node)
	if err != nil {
		return nil, nil, err
	}
	if reflect.DeepEqual(old, o.value) {
		return nil, nil, nil
	}
	below := func(op, step string, value any) operation {
		return operation{op, append(slices.Clone(o.path), step), value}
	}
	switch wanted := o.value.(type) {
	case map[string]any:
		if was, ok := old.(map[string]any); ok && len(was) > 0 && len(wanted) > 0 {
			var ops []operation
			for _, key := range ordered(wanted) {
				if v, there := was[key]; !there || !reflect.DeepEqual(v, wanted[key]) {
					ops = append(ops, below("add", key, wanted[key]))
				}
			}
			for _, key := range ordered(was) {
				if _, stays := wanted[key]; !stays {
					ops = append(ops, below("remove", key, nil))
				}
			}
			return nil, ops, nil
		}
	case []any:
		if was, ok := old.([]any); ok && len(was) > 0 && len(wanted) > 0 {
			var ops []operation
			for i := range min(len(was), len(wanted)) {
				if !reflect.DeepEqual(was[i], wanted[i]) {
					ops = append(ops, below("replace", strconv.Itoa(i), wanted[i]))
				}
			}
			for i := len(was) - 1; i >= len(wanted); i-- {
				ops = append(ops, below("remove", strconv.Itoa(i), nil))
			}
			for i := len(was); i < len(wanted); i++ {
				ops = append(ops, below("add", "-", wanted[i]))
			}
			return nil, ops, nil
		}
	}
	return d.replace(at, o.value)
}

// valueOf is what a node holds, as JSON has it.
func valueOf(n *yaml.Node) (any, error) {
	text, err := yaml.Marshal(n)
	if err != nil {
		return nil, err
	}
	out, err := toJSON(text)
	if err != nil {
		return nil, err
	}
	var v any
	return v, decodeJSON(out, &v)
}

// replace writes a value in the place of a node's whole text.
func (d *parsed) replace(at position, value any) ([]splice, []operation, error) {
	n := at.node
	from, to := d.body(n), d.ends[n]
	if isEmpty(n) {
		from, to = d.ends[n], d.ends[n]
	}
	isBlock := !isScalarLike(value) && !at.flow && !isFlow(n)
	if n.Kind != yaml.ScalarNode && !isFlow(n) && isScalarLike(value) || isBlock || isFlow(n) && !at.flow && len(n.Content) == 0 && at.key != nil && n.Anchor == "" && !isScalarLike(value) {
		// The value begins right behind the indicator, or in the next line.
		if at.key == nil || n.Anchor != "" {
			if at.key == nil && at.parent != nil && n.Anchor == "" {
				dash := d.dashes[n]
				return []splice{{dash + 1, to, " " + d.block(value, d.columnAt(dash)+2, true)}}, nil, nil
			}
			return nil, nil, errLayout
		}
		colon := d.colons[at.key]
		if isScalarLike(value) {
			return []splice{{colon, to, " " + scalarLike(value, "")}}, nil, nil
		}
		lines := d.block(value, d.columnOf(at.key)+d.indentOf(value), false)
		if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 || isFlow(n) && len(n.Content) == 0 {
			// What stands behind the value in its line stays there.
			end := d.lineEnd(to)
			return []splice{{colon, to, ""}, {end, end, d.eol() + lines}}, nil, nil
		}
		return []splice{{colon, to, d.eol() + lines}}, nil, nil
	}
	text := ""
	prose, isText := value.(string)
	switch {
	case isText && !at.flow && at.key != nil && isProse(prose) && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		text = d.literal(prose, d.columnOf(at.key)+2)
	case isScalarLike(value):
		text = scalarLike(value, d.quoteOf(n))
		if at.flow {
			text = flowScalar(value, d.quoteOf(n), d.isJSON(at.parent))
		}
	default:
		text = d.flowText(value, at.parent, n)
	}
	if from == to && from > 0 && !isSpace(d.text[from-1]) {
		text = " " + text
	}
	return []splice{{from, to, text}}, nil, nil
}

// quoteOf is the quote that a scalar is written in; empty if it has none.
func (d *parsed) quoteOf(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		return "'"
	}
	return ""
}

// addField adds a field to a mapping, behind its last one.
func (d *parsed) addField(at position, key string, value any) ([]splice, []operation, error) {
	n := at.node
	if len(n.Content) == 0 {
		return d.replace(at, map[string]any{key: value})
	}
	last := n.Content[len(n.Content)-1]
	lastKey := n.Content[len(n.Content)-2]
	if isFlow(n) {
		text := flowScalar(key, "", d.isJSON(n)) + ": " + d.flowText(value, n, nil)
		return d.addFlow(n, lastKey, last, text), nil, nil
	}
	column := d.columnOf(n.Content[0])
	end := d.commentsEnd(d.ends[last], column)
	return []splice{{end, end, d.eol() + d.field(key, value, column)}}, nil, nil
}

// commentsEnd is the end of the line that at is in, or that of the last comment
// behind it that is indented at least so far.
func (d *parsed) commentsEnd(at, column int) int {
	end := d.lineEnd(at)
	for next := d.nextLine(at); next < len(d.text); next = d.nextLine(next) {
		stop := d.lineEnd(next)
		line := d.text[next:stop]
		comment := bytes.TrimLeft(line, " ")
		switch {
		case len(bytes.TrimSpace(comment)) == 0 && column > 0:
			continue
		case len(comment) == 0 || comment[0] != '#' || len(line)-len(comment) < column:
			return end
		}
		end = stop
	}
	return end
}

// addFlow adds an entry to a collection in flow style, whose last one is given.
func (d *parsed) addFlow(n, first, last *yaml.Node, text string) []splice {
	end := d.ends[last]
	comma := d.skip(end)
	hasComma := comma < len(d.text) && d.text[comma] == ','
	if d.lineStart(d.start(first)) == d.lineStart(d.body(n)) {
		if hasComma {
			return []splice{{comma + 1, comma + 1, " " + text}}
		}
		return []splice{{end, end, ", " + text}}
	}
	at := end
	if hasComma {
		at = comma + 1
	}
	if closing := d.ends[n] - 1; d.lineEnd(at) <= closing {
		at = d.lineEnd(at) // behind a comment in the line
	}
	line := d.eol() + string(d.text[d.lineStart(d.start(first)):d.start(first)]) + text
	if hasComma {
		return []splice{{at, at, line}}
	}
	if at == end {
		return []splice{{end, end, "," + line}}
	}
	return []splice{{end, end, ","}, {at, at, line}}
}

// addItem adds an item to a list, before the one with the index.
func (d *parsed) addItem(at position, index int, value any) ([]splice, []operation, error) {
	n := at.node
	if len(n.Content) == 0 {
		return d.replace(at, []any{value})
	}
	if isFlow(n) {
		if index < len(n.Content) {
			from := d.start(n.Content[index])
			return []splice{{from, from, d.flowText(value, n, nil) + ", "}}, nil, nil
		}
		last := n.Content[len(n.Content)-1]
		return d.addFlow(n, last, last, d.flowText(value, n, nil)), nil, nil
	}
	column := d.columnAt(d.dashes[n.Content[0]])
	item := strings.Repeat(" ", column) + "- " + d.block(value, column+2, true)
	if index == 0 {
		dash := d.dashes[n.Content[0]]
		return []splice{{dash, dash, item[column:] + d.eol() + strings.Repeat(" ", column)}}, nil, nil
	}
	// A comment in the column of the "-" is of the next item, or of what follows.
	end := d.commentsEnd(d.ends[n.Content[index-1]], column+1)
	return []splice{{end, end, d.eol() + item}}, nil, nil
}

// isScalarLike reports whether a value is written in one line in any style.
func isScalarLike(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return true
}

// quoted is the text as JSON has it.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
