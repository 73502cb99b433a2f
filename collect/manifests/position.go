package manifests

import (
	"hash/maphash"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// positions tells where each field of one object is written. It is a packed
// tree in preorder: an entry, then those below it. Names are kept as hashes, so
// that an entry takes 16 bytes; two names of one mapping with equal hashes
// would at worst give the line of the other.
type positions []position

type position struct {
	key    uint32 // hash of the field's name, or the index in a list
	line   uint32
	column uint32
	size   uint32 // entries of this one and all below it
}

var seed = maphash.MakeSeed()

func hashKey(name string) uint32 { return uint32(maphash.String(seed, name)) }

// add appends the tree under a node. A field's position is that of its name, a
// list item's that of its content. What an alias stands for is written where
// the anchor is.
func (d *decoder) add(p positions, n *yaml.Node, key uint32, at *yaml.Node, line int) positions {
	self := len(p)
	p = append(p, position{key: key, line: uint32(at.Line + line), column: uint32(at.Column)})
	if d.enter(n) {
		defer d.leave(n)
		n = resolve(n)
		switch n.Kind {
		case yaml.MappingNode:
			content := d.pairs(n)
			for i := 0; i+1 < len(content); i += 2 {
				p = d.add(p, content[i+1], hashKey(content[i].Value), content[i], line)
			}
		case yaml.SequenceNode:
			for i, item := range n.Content {
				p = d.add(p, item, uint32(i), item, line)
			}
		}
	}
	p[self].size = uint32(len(p) - self)
	return p
}

// locate gives the position of a field, or of the nearest parent that is
// written down.
func (p positions) locate(field string) (line, column int) {
	at := p.find(field)
	return int(p[at].line), int(p[at].column)
}

// ofStringData finds the data of a Secret where a file has it as stringData, which the
// API server, and the fact, put into data.
func ofStringData(locate func(string) (int, int)) func(string) (int, int) {
	return func(field string) (line, column int) {
		if rest, is := strings.CutPrefix(field, "data"); is && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			rootLine, rootColumn := locate("")
			if line, column = locate(field); line != rootLine || column != rootColumn {
				return line, column
			}
			return locate("stringData" + rest)
		}
		return locate(field)
	}
}

// find gives the entry of a field or of its nearest parent.
func (p positions) find(field string) int {
	at, _ := p.walk(field)
	return at
}

// walk follows the field's path as far as it is written, and gives the entry
// reached and the rest of the path.
func (p positions) walk(field string) (at int, rest string) {
	for field != "" {
		name, index, next, ok := cutField(field)
		if !ok {
			return at, field
		}
		below := -1
		end := at + int(p[at].size)
		ordinal := 0
		for i := at + 1; i < end; i += int(p[i].size) {
			// The last of two equal names is the one that counts.
			if name == "" && ordinal == index && p[i].key == uint32(index) || name != "" && p[i].key == hashKey(name) {
				below = i
			}
			ordinal++
		}
		if below < 0 {
			return at, field
		}
		at, field = below, next
	}
	return at, ""
}

// cutField takes the first step off a field's path: a name, ["a name"], or [3].
// An empty name means that the step is the index.
func cutField(field string) (name string, index int, rest string, ok bool) {
	field = strings.TrimPrefix(field, ".")
	if field == "" {
		return "", 0, "", false
	}
	if field[0] != '[' {
		end := strings.IndexAny(field, ".[")
		if end < 0 {
			end = len(field)
		}
		return field[:end], 0, field[end:], end > 0
	}
	if len(field) > 1 && field[1] == '"' {
		quoted, err := strconv.QuotedPrefix(field[1:])
		if err != nil {
			return "", 0, "", false
		}
		name, _ = strconv.Unquote(quoted)
		rest, ok = strings.CutPrefix(field[1+len(quoted):], "]")
		return name, 0, rest, ok && name != ""
	}
	end := strings.IndexByte(field, ']')
	if end < 0 {
		return "", 0, "", false
	}
	index, err := strconv.Atoi(field[1:end])
	return "", index, field[end+1:], err == nil && index >= 0
}
