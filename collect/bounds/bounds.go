// Package bounds holds what every collector asks of a stranger's input before
// it decodes it.
package bounds

// Shallow reports whether lists and maps in a JSON text are nested no deeper
// than the limit. It looks at brackets only and leaves errors to the decoder.
func Shallow(text []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
