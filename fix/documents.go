package fix

import (
	"bytes"
	"encoding/json"
	"io"
)

// document is a part of a file that is parsed by itself.
type document struct {
	from, to int // offsets in the file
	line     int // of the file, from 1, in which it begins
	lines    int // that it touches
}

var bom = []byte("\xef\xbb\xbf")

// documents cuts a file as YAML does, at the lines that begin with "---", or
// behind the values of a JSON stream. Parts of blank lines and comments are left
// out; a part begins with its "---".
func documents(file []byte) []document {
	from, line := 0, 1
	if bytes.HasPrefix(file, bom) {
		from = len(bom)
	}
	ends := jsonEnds(file[from:])
	if len(ends) > 1 {
		for i := range ends {
			ends[i] += from
		}
	} else {
		ends = markers(file, from)
	}
	var all []document
	for _, to := range ends {
		part := file[from:to]
		breaks := bytes.Count(part, []byte("\n"))
		if !isBlank(part) {
			all = append(all, document{from: from, to: to, line: line, lines: breaks + 1})
		}
		line += breaks
		from = to
	}
	return all
}

// markers are the offsets at which the documents of a YAML stream end. Directives
// belong to the document behind their "---".
func markers(file []byte, from int) []int {
	var ends []int
	start := from
	for {
		i := bytes.Index(file[from:], []byte("\n---"))
		if i < 0 {
			return append(ends, len(file))
		}
		from += i + 1
		after := from + 3
		if after < len(file) && bytes.IndexByte([]byte(" \t\r\n"), file[after]) < 0 || isPrologue(file[start:from]) {
			continue
		}
		ends = append(ends, from)
		start = from
	}
}

// jsonEnds are the offsets behind the values of a stream of JSON objects; nil if
// the text is none.
func jsonEnds(text []byte) []int {
	if first := bytes.TrimLeft(text, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil
	}
	var ends []int
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); err == io.EOF {
			return ends
		} else if err != nil {
			return nil
		}
		ends = append(ends, int(d.InputOffset()))
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

// isBlank reports whether the part holds nothing but markers and comments.
func isBlank(part []byte) bool {
	part = bytes.TrimPrefix(part, []byte("---"))
	for line := range bytes.Lines(part) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("...")) {
			return false
		}
	}
	return true
}
