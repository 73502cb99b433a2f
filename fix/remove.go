package fix

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// removeField takes a field, the k-th of the mapping's content, out of it.
func (d *parsed) removeField(at position, k int) ([]splice, []operation, error) {
	n := at.node
	if d.shared[n.Content[k+1]] {
		return nil, nil, d.alone(n.Content[k+1], []string{n.Content[k].Value})
	}
	if len(n.Content) == 2 {
		return d.replaceEmpty(at, "{}")
	}
	from, to := d.start(n.Content[k]), d.ends[n.Content[k+1]]
	if isFlow(n) {
		prev, next := -1, -1
		if k > 0 {
			prev = d.ends[n.Content[k-1]]
		}
		if k+2 < len(n.Content) {
			next = d.start(n.Content[k+2])
		}
		splices, err := d.removeFlow(from, to, prev, next)
		return splices, nil, err
	}
	if k == 0 && strings.TrimSpace(string(d.text[d.lineStart(from):from])) != "" {
		// It stands behind the "-" of a list, where the next field takes its place.
		next := d.start(n.Content[2])
		if strings.TrimSpace(string(d.text[d.lineEnd(to):next])) == "" {
			return []splice{{from, next, ""}}, nil, nil
		}
		for from > 0 && d.text[from-1] == ' ' {
			from--
		}
		return []splice{{from, d.lineEnd(to), ""}}, nil, nil // comments stand between
	}
	return []splice{d.wholeLines(from, to)}, nil, nil
}

// errComment is of a removal that would take a comment of something else along.
var errComment = errors.New("a comment stands in between that would be lost or moved")

// removeFlow takes an entry out of a collection in flow style. prev is where the
// one before it ends, and next where the next one begins; -1 for none.
func (d *parsed) removeFlow(from, to, prev, next int) ([]splice, error) {
	switch {
	case next >= 0 && !d.hasComment(to, next):
		return []splice{{from, next, ""}}, nil
	case next < 0 && prev >= 0 && !d.hasComment(prev, from):
		return []splice{{prev, to, ""}}, nil
	}
	// Comments stand beside it: only its own lines go, with what they say of it.
	end := to
	if comma := d.skip(to); comma < len(d.text) && d.text[comma] == ',' {
		if d.hasComment(to, comma) {
			return nil, errComment
		}
		end = comma + 1
	}
	behind := bytes.TrimSpace(d.text[end:d.lineEnd(end)])
	if len(bytes.TrimSpace(d.text[d.lineStart(from):from])) > 0 || len(behind) > 0 && behind[0] != '#' {
		return nil, errComment
	}
	splices := []splice{d.wholeLines(from, end)}
	if next < 0 && prev >= 0 && end == to {
		comma := d.skip(prev)
		splices = append(splices, splice{comma, comma + 1, ""})
	}
	return splices, nil
}

// hasComment reports whether a comment begins in the range, in which nothing else
// stands but white space and a comma.
func (d *parsed) hasComment(from, to int) bool { return bytes.IndexByte(d.text[from:to], '#') >= 0 }

// removeItem takes an item out of a list.
func (d *parsed) removeItem(at position, index int) ([]splice, []operation, error) {
	n := at.node
	if d.shared[n.Content[index]] {
		return nil, nil, d.alone(n.Content[index], []string{"an item"})
	}
	if len(n.Content) == 1 {
		return d.replaceEmpty(at, "[]")
	}
	item := n.Content[index]
	if isFlow(n) {
		prev, next := -1, -1
		if index > 0 {
			prev = d.ends[n.Content[index-1]]
		}
		if index+1 < len(n.Content) {
			next = d.start(n.Content[index+1])
		}
		splices, err := d.removeFlow(d.start(item), d.ends[item], prev, next)
		return splices, nil, err
	}
	dash := d.dashes[item]
	if strings.TrimSpace(string(d.text[d.lineStart(dash):dash])) != "" {
		return nil, nil, errLayout // a list in a list, in one line
	}
	return []splice{d.wholeLines(dash, d.ends[item])}, nil, nil
}

// wholeLines takes out the lines of a range; the last of a file goes with the
// line break before it.
func (d *parsed) wholeLines(from, to int) splice {
	from, to = d.lineStart(from), d.nextLine(to)
	if to == len(d.text) && d.text[to-1] != '\n' && from > 0 {
		for from--; from > 0 && d.text[from-1] == '\r'; from-- {
		}
	}
	return splice{from, to, ""}
}

// replaceEmpty leaves an empty collection in the place of a node.
func (d *parsed) replaceEmpty(at position, empty string) ([]splice, []operation, error) {
	n := at.node
	// Where the first entry begins and the last one ends.
	first, last := d.start(n.Content[0]), d.ends[n.Content[len(n.Content)-1]]
	if isFlow(n) {
		if d.hasComment(d.body(n), first) || d.hasComment(last, d.ends[n]) {
			splices, err := d.removeFlow(first, last, -1, -1)
			return splices, nil, err
		}
		return []splice{{d.body(n), d.ends[n], empty}}, nil, nil
	}
	if n.Kind == yaml.SequenceNode {
		first = d.dashes[n.Content[0]]
	}
	from := d.body(n)
	switch {
	case n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
		return nil, nil, errLayout
	case at.key != nil:
		from = d.colons[at.key]
	case at.parent != nil:
		from = d.dashes[n] + 1
	default:
		return []splice{{from, d.ends[n], empty}}, nil, nil
	}
	if d.lineStart(from) == d.lineStart(first) {
		return []splice{{from, d.ends[n], " " + empty}}, nil, nil
	}
	// The comments in the indicator's line and below it stay.
	return []splice{{from, from, " " + empty}, d.wholeLines(first, last)}, nil, nil
}
