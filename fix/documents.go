package fix

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/baileyhq/bailey/internal/yamlstream"
)

// document is a part of a file that is parsed by itself.
type document struct {
	from, to int // offsets in the file
	line     int // of the file, from 1, in which it begins
	lines    int // that it touches
}

// documents cuts a file as YAML does, at the lines that begin with "---", or
// behind the values of a JSON stream. Parts of blank lines and comments are left
// out; a part begins with its "---".
func documents(file []byte) []document {
	from, line := 0, 1
	if bytes.HasPrefix(file, yamlstream.BOM) {
		from = len(yamlstream.BOM)
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
		if !yamlstream.IsBlank(part) {
			all = append(all, document{from: from, to: to, line: line, lines: breaks + 1})
		}
		line += breaks
		from = to
	}
	return all
}

// markers are the offsets at which the documents of a YAML stream end.
func markers(file []byte, from int) []int {
	var ends []int
	for from < len(file) || len(ends) == 0 {
		from += yamlstream.First(file[from:], false)
		ends = append(ends, from)
	}
	return ends
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
