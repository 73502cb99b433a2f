package fix

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parsed is a document with the byte ranges of its nodes. The parser gives where
// nodes begin; where they end is read off the text.
type parsed struct {
	text  []byte
	root  *yaml.Node
	lines []int // offset of each line's first byte
	// ends holds the offset behind each node, colons that behind the ":" of each
	// key, and dashes that of the "-" of each item of a list in block style.
	ends, colons, dashes map[*yaml.Node]int
	// shared are the nodes that aliases stand for.
	shared map[*yaml.Node]bool
	err    error // the first
}

var errLayout = errors.New("the file is written in a way that is not edited in place")

func parse(text []byte) (d *parsed, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("the YAML parser failed: %v", p)
		}
	}()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, errors.New("the document is empty")
	}
	return &parsed{text: text, root: root.Content[0]}, nil
}

// measure finds the ranges of all nodes.
func (d *parsed) measure() error {
	d.lines = lineStarts(d.text)
	d.ends, d.colons, d.dashes = map[*yaml.Node]int{}, map[*yaml.Node]int{}, map[*yaml.Node]int{}
	d.shared = map[*yaml.Node]bool{}
	d.end(d.root, -1, false, 0, 0)
	return d.err
}

// lineStarts are the offsets of the lines, broken where the parser breaks them.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\n', text[i] == '\r' && (i+1 == len(text) || text[i+1] != '\n'):
			starts = append(starts, i+1)
		case bytes.HasPrefix(text[i:], []byte("\u0085")):
			starts = append(starts, i+2)
		case bytes.HasPrefix(text[i:], []byte("\u2028")), bytes.HasPrefix(text[i:], []byte("\u2029")):
			starts = append(starts, i+3)
		}
	}
	return starts
}

// start is where a node begins, with its anchor and tag.
func (d *parsed) start(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(d.lines) {
		d.fail()
		return 0
	}
	at := d.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(d.text) {
			d.fail()
			return len(d.text)
		}
		_, size := utf8.DecodeRune(d.text[at:])
		at += size
	}
	return at
}

func (d *parsed) fail() {
	if d.err == nil {
		d.err = errLayout
	}
}

// body is where a node's own text begins, behind anchor and tag.
func (d *parsed) body(n *yaml.Node) int {
	at := d.start(n)
	if n.Kind == yaml.AliasNode {
		return at
	}
	for at < len(d.text) && (d.text[at] == '&' || d.text[at] == '!') {
		for at < len(d.text) && !isSpace(d.text[at]) && !strings.ContainsRune(",]}", rune(d.text[at])) {
			at++
		}
		after := d.skip(at)
		if isEmpty(n) && (after >= len(d.text) || d.text[after] != '&' && d.text[after] != '!') {
			return at
		}
		at = after
	}
	return at
}

// isEmpty reports whether the node is a null for which nothing is written.
func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skip passes white space and comments.
func (d *parsed) skip(at int) int {
	for at < len(d.text) {
		switch c := d.text[at]; {
		case isSpace(c):
			at++
		case c == '#' && (at == 0 || isSpace(d.text[at-1])):
			at = d.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

// lineEnd is the offset of the line break at or behind at, or the length.
func (d *parsed) lineEnd(at int) int {
	i := bytes.IndexByte(d.text[at:], '\n')
	if i < 0 {
		return len(d.text)
	}
	if at+i > at && d.text[at+i-1] == '\r' {
		return at + i - 1
	}
	return at + i
}

// lineStart is the offset of the first byte of the line that at is in.
func (d *parsed) lineStart(at int) int { return bytes.LastIndexByte(d.text[:at], '\n') + 1 }

// nextLine is the offset behind the line break at or behind at.
func (d *parsed) nextLine(at int) int {
	if i := bytes.IndexByte(d.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(d.text)
}

// end finds the range of a node and of all below it. indent is the column of the
// block collection that it stands in, and from the offset behind the indicator
// before it, which is the end of a null that is not written.
func (d *parsed) end(n *yaml.Node, indent int, flow bool, from, depth int) int {
	if d.err != nil {
		return 0
	}
	if depth > 200 {
		d.fail()
		return 0
	}
	at := 0
	switch n.Kind {
	case yaml.AliasNode:
		d.shared[n.Alias] = true
		for at = d.start(n); at < len(d.text) && !isSpace(d.text[at]) && !(flow && strings.ContainsRune(",]}", rune(d.text[at]))); {
			at++
		}
	case yaml.MappingNode, yaml.SequenceNode:
		if n.Style&yaml.FlowStyle != 0 {
			at = d.endFlow(n, depth)
		} else {
			at = d.endBlock(n, depth)
		}
	default:
		at = d.endScalar(n, indent, from)
	}
	d.ends[n] = at
	return at
}

func (d *parsed) endFlow(n *yaml.Node, depth int) int {
	at := d.body(n) + 1
	for i, item := range n.Content {
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 0:
			at = d.endKey(item, true)
			if at = d.skip(at); at < len(d.text) && d.text[at] == ':' {
				at++
			} else if !isEmpty(n.Content[i+1]) {
				d.fail()
			}
			d.colons[item] = at
		default:
			at = d.end(item, -1, true, at, depth+1)
		}
	}
	at = d.skip(at)
	if at < len(d.text) && d.text[at] == ',' {
		at = d.skip(at + 1)
	}
	if closing := map[yaml.Kind]byte{yaml.MappingNode: '}', yaml.SequenceNode: ']'}[n.Kind]; at >= len(d.text) || d.text[at] != closing {
		d.fail()
		return len(d.text)
	}
	return at + 1
}

func (d *parsed) endBlock(n *yaml.Node, depth int) int {
	at := d.body(n)
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			column := d.columnOf(key)
			at = d.endKey(key, false)
			for at < len(d.text) && (d.text[at] == ' ' || d.text[at] == '\t') {
				at++
			}
			if at >= len(d.text) || d.text[at] != ':' {
				d.fail()
				return at
			}
			d.colons[key] = at + 1
			at = d.end(value, column, false, at+1, depth+1)
		}
		return at
	}
	for i, item := range n.Content {
		if i > 0 {
			at = d.skip(at)
		}
		if at >= len(d.text) || d.text[at] != '-' {
			d.fail()
			return at
		}
		d.dashes[item] = at
		at = d.end(item, at-d.lineStart(at), false, at+1, depth+1)
	}
	return at
}

// columnOf is how many bytes stand before the node in its line.
func (d *parsed) columnOf(n *yaml.Node) int {
	at := d.start(n)
	return at - d.lineStart(at)
}

// endKey is the offset behind a key, which is written in one line.
func (d *parsed) endKey(n *yaml.Node, flow bool) int {
	at := d.body(n)
	if n.Kind == yaml.AliasNode {
		return d.end(n, 0, flow, at, 0)
	}
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		d.fail()
		return at
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		at = d.endQuoted(at)
	} else {
		at += len(n.Value)
		if at > len(d.text) || string(d.text[at-len(n.Value):at]) != n.Value {
			d.fail()
			return 0
		}
	}
	d.ends[n] = at
	return at
}

func (d *parsed) endScalar(n *yaml.Node, indent, from int) int {
	if isEmpty(n) {
		if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 {
			return from
		}
		return d.body(n)
	}
	at := d.body(n)
	switch {
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return d.endQuoted(at)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return d.endLines(at, indent)
	}
	return d.endPlain(at, n.Value)
}

// endQuoted is the offset behind the quoted text that begins at at.
func (d *parsed) endQuoted(at int) int {
	if at >= len(d.text) {
		d.fail()
		return at
	}
	quote := d.text[at]
	for i := at + 1; i < len(d.text); i++ {
		switch {
		case quote == '"' && d.text[i] == '\\':
			i++
		case d.text[i] != quote:
		case quote == '\'' && i+1 < len(d.text) && d.text[i+1] == '\'':
			i++
		default:
			return i + 1
		}
	}
	d.fail()
	return len(d.text)
}

// endLines is the end of the last line that belongs to a block scalar, which
// stands in a collection that is indented so far.
func (d *parsed) endLines(at, indent int) int {
	end := d.lineEnd(at)
	for next := d.nextLine(at); next < len(d.text); next = d.nextLine(next) {
		stop := d.lineEnd(next)
		line := d.text[next:stop]
		switch text := bytes.TrimLeft(line, " "); {
		case len(bytes.TrimSpace(text)) == 0:
			continue
		case len(line)-len(text) <= indent:
			return end
		}
		end = stop
	}
	return end
}

// endPlain is the end of a scalar without quotes, whose lines the parser joined.
func (d *parsed) endPlain(at int, value string) int {
	words := strings.Fields(value)
	for i, word := range words {
		if i > 0 {
			for at < len(d.text) && isSpace(d.text[at]) {
				at++
			}
		}
		if !bytes.HasPrefix(d.text[at:], []byte(word)) {
			d.fail()
			return at
		}
		at += len(word)
	}
	return at
}
