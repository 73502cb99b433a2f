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
		if !isBlank(part) && !yield(chunk{data: part, line: line}) {
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
