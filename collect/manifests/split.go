package manifests

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// chunk is a part of a file that can be parsed by itself: one document, or
// several where a "..." ends one and no "---" begins the next.
type chunk struct {
	data []byte
	line int // lines of the file before it
	// items tells that the data is some of the items of a List.
	items bool
	// node is the document already parsed, in the place of data.
	node *yaml.Node
}

// split cuts a stream of YAML at its "---" lines. By the specification such a
// line begins a document wherever it stands, in a block scalar too, so looking
// at the starts of lines is enough. Chunks of nothing but blank lines and
// comments are left out.
//
// What a chart gives is cut as helm cuts it, at each line that starts with
// "---": templates often end up with something right behind the dashes.
func split(data []byte, chart bool, yield func(chunk) bool) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	line := 0
	for len(data) > 0 {
		end := nextMarker(data, chart)
		for isPrologue(data[:end]) && end < len(data) {
			end += nextMarker(data[end:], chart) // directives belong to the document behind their "---"
		}
		part := data[:end]
		if chart {
			part = bytes.TrimPrefix(part, []byte("---"))
		}
		if !isBlank(part) && !splitList(chunk{data: part, line: line}, yield) {
			return
		}
		line += bytes.Count(part, []byte("\n"))
		data = data[end:]
	}
}

// nextMarker is where the next document begins: the offset of a "---" line
// behind the first byte, or the length of the data.
func nextMarker(data []byte, chart bool) int {
	from := 0
	for {
		i := bytes.Index(data[from:], []byte("\n---"))
		if i < 0 {
			return len(data)
		}
		at := from + i + 1
		if after := at + 3; chart || after == len(data) || bytes.IndexByte([]byte(" \t\r\n"), data[after]) >= 0 {
			return at
		}
		from = at
	}
}

// lastMarker is where the last document begins that can be cut off: the offset
// of a "---" line that does not belong to directives before it, or 0.
func lastMarker(data []byte) int {
	for end := len(data); ; {
		i := bytes.LastIndex(data[:end], []byte("\n---"))
		if i < 0 {
			return 0
		}
		before := max(0, bytes.LastIndex(data[:i], []byte("\n---")))
		if after := i + 4; after < len(data) && bytes.IndexByte([]byte(" \t\r\n"), data[after]) >= 0 && !isPrologue(data[before:i+1]) {
			return i + 1
		}
		end = i + 3
	}
}

// isPrologue reports whether the part holds directives ("%YAML 1.2") and no
// document yet.
func isPrologue(part []byte) bool {
	directive := false
	for line := range bytes.Lines(part) {
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0 || line[0] == '#':
		case line[0] == '%':
			directive = true
		default:
			return false
		}
	}
	return directive
}

func isBlank(part []byte) bool {
	part = bytes.TrimPrefix(part, []byte("---"))
	for len(part) > 0 {
		switch c := part[0]; c {
		case ' ', '\t', '\r', '\n':
			part = part[1:]
		case '#':
			i := bytes.IndexByte(part, '\n')
			if i < 0 {
				return true
			}
			part = part[i:]
		case '.':
			if !bytes.HasPrefix(part, []byte("...")) {
				return false
			}
			part = part[3:]
		default:
			return false
		}
	}
	return true
}

const (
	// longList is from what size on a List is cut, and itemsAtOnce about how
	// much of one is parsed at once, in bytes.
	longList    = 512 << 10
	itemsAtOnce = 64 << 10
)

// splitList cuts a long List as kubectl get -o yaml writes it, so that neither
// the parser nor the memory has to take a whole cluster at once. Its items
// begin at the left margin, where nothing else that belongs to an item can
// stand. It yields any other chunk as it is.
func splitList(c chunk, yield func(chunk) bool) bool {
	head := []byte("apiVersion: v1\nitems:\n")
	body, found := bytes.CutPrefix(bytes.TrimPrefix(c.data, []byte("---\n")), head)
	tail := bytes.LastIndex(body, []byte("\nkind: List\n"))
	if len(c.data) < longList || !found || tail < 0 || !bytes.HasPrefix(body, []byte("- ")) || bytes.Contains(body[tail:], []byte("\n- ")) {
		return yield(c)
	}
	line := c.line + bytes.Count(c.data[:len(c.data)-len(body)], []byte("\n"))
	for body = body[:tail+1]; len(body) > 0; {
		end := len(body)
		if end > itemsAtOnce {
			if i := bytes.Index(body[itemsAtOnce:], []byte("\n- ")); i >= 0 {
				end = itemsAtOnce + i + 1
			}
		}
		if !yield(chunk{data: body[:end], line: line, items: true}) {
			return false
		}
		line += bytes.Count(body[:end], []byte("\n"))
		body = body[end:]
	}
	return true
}
