// Package yamlstream cuts a stream of YAML into its documents, at the lines that begin with
// "---". By the specification such a line begins a document wherever it stands, in a block
// scalar too, so that looking at the starts of lines is enough. It parses nothing.
package yamlstream

import "bytes"

// BOM is the mark of byte order that editors of Windows write before a text.
var BOM = []byte("\xef\xbb\xbf")

var marker = []byte("\n---")

// First is the length in bytes of the stream's first document. Directives ("%YAML 1.2")
// belong to the document behind their "---". With loose each line that starts with "---"
// begins a document, whatever stands behind, as helm takes what templates give.
func First(stream []byte, loose bool) int {
	end := next(stream, loose)
	for end < len(stream) && isPrologue(stream[:end]) {
		end += next(stream[end:], loose)
	}
	return end
}

// next is the offset of a "---" line behind the first byte, or the length of the stream.
func next(stream []byte, loose bool) int {
	from := 0
	for {
		i := bytes.Index(stream[from:], marker)
		if i < 0 {
			return len(stream)
		}
		at := from + i + 1
		if after := at + 3; loose || after == len(stream) || isSpace(stream[after]) {
			return at
		}
		from = at
	}
}

// Last is where the last document begins that can be cut off: the offset of a "---" line
// that does not belong to directives before it, or 0.
func Last(stream []byte) int {
	for end := len(stream); ; {
		i := bytes.LastIndex(stream[:end], marker)
		if i < 0 {
			return 0
		}
		before := max(0, bytes.LastIndex(stream[:i], marker))
		if after := i + 4; after < len(stream) && isSpace(stream[after]) && !isPrologue(stream[before:i+1]) {
			return i + 1
		}
		end = i + 3
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isPrologue reports whether the part holds directives and no document yet.
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

// IsBlank reports whether a document holds nothing but its markers, blanks and comments.
func IsBlank(document []byte) bool {
	document = bytes.TrimPrefix(document, []byte("---"))
	for len(document) > 0 {
		switch c := document[0]; c {
		case ' ', '\t', '\r', '\n':
			document = document[1:]
		case '#':
			i := bytes.IndexByte(document, '\n')
			if i < 0 {
				return true
			}
			document = document[i:]
		case '.':
			if !bytes.HasPrefix(document, []byte("...")) {
				return false
			}
			document = document[3:]
		default:
			return false
		}
	}
	return true
}
