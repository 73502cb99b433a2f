package report

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/baileyhq/bailey"
)

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Besides what JSON demands it escapes
// what steers a terminal or hides itself, and replaces broken UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if c >= 0x80 && !hides(r) && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case r == utf8.RuneError:
			b = append(b, "\uFFFD"...)
		case r > 0xffff:
			r -= 0x10000
			b = appendUnicode(b, 0xd800+r>>10)
			b = appendUnicode(b, 0xdc00+r&0x3ff)
		default:
			b = appendUnicode(b, r)
		}
		i += n
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendUnicode(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendValue appends a JSON-like value with the keys of maps sorted. What
// JSON cannot hold (a channel, NaN) becomes null: no rule makes such a value.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case map[string]any:
		b = append(b, '{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, key), ':')
			b = appendValue(b, v[key])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, item)
		}
		return append(b, ']')
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	if c := encoded[0]; c == '{' || c == '[' || c == '"' { // a typed map, list or string
		var plain any
		if json.Unmarshal(encoded, &plain) == nil {
			return appendValue(b, plain)
		}
	}
	return append(b, encoded...)
}

// appendPatch appends an RFC 6902 patch. A value of null is written: an
// operation without a value is another one.
func appendPatch(b []byte, patch []bailey.PatchOp) []byte {
	b = append(b, '[')
	for i, op := range patch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(append(b, `{"op":`...), op.Op), `,"path":`...)
		b = appendString(b, op.Path)
		if op.Op != "remove" || op.Value != nil {
			b = append(b, `,"value":`...)
			b = appendValue(b, op.Value)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
