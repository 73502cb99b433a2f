package detect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// scanner reads JSON in one pass and keeps only what it is asked for. Audit
// events come by the thousand in a second, and most of their bytes are of no
// interest: encoding/json takes several times as long for them. What is skipped
// is checked for brackets and strings that end, not for more.
type scanner struct {
	data  []byte
	pos   int
	depth int
	limit int
}

var (
	errTruncated = errors.New("the JSON ends too early")
	errDeep      = errors.New("lists and maps are nested too deeply")
)

func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.data) {
		return errTruncated
	}
	return fmt.Errorf("at byte %d: found %q, want %s", s.pos, s.data[s.pos], want)
}

// next skips white space and gives the byte there, 0 at the end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// null takes a null, if there is one.
func (s *scanner) null() bool {
	if s.next() == 'n' && bytes.HasPrefix(s.data[s.pos:], []byte("null")) {
		s.pos += len("null")
		return true
	}
	return false
}

func (s *scanner) open(bracket byte, want string) error {
	if s.next() != bracket {
		return s.unexpected(want)
	}
	if s.depth++; s.depth > s.limit {
		return fmt.Errorf("%w: by more than %d", errDeep, s.limit)
	}
	s.pos++
	return nil
}

// more takes the comma or the closing bracket after an entry.
func (s *scanner) more(closing byte) (bool, error) {
	switch s.next() {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		s.depth--
		return false, nil
	}
	return false, s.unexpected("a comma or " + string(closing))
}

// object calls entry for each key of a map, which must take the value. null is
// an empty map.
func (s *scanner) object(entry func(key []byte) error) error {
	if s.null() {
		return nil
	}
	if err := s.open('{', "a map"); err != nil {
		return err
	}
	if s.next() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		key, err := s.quoted()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return s.unexpected("a colon")
		}
		s.pos++
		if err := entry(key); err != nil {
			return err
		}
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

// array calls entry for each entry of a list, which must take it. null is an
// empty list.
func (s *scanner) array(entry func() error) error {
	if s.null() {
		return nil
	}
	if err := s.open('[', "a list"); err != nil {
		return err
	}
	if s.next() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := entry(); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

// quoted takes a string. Without escapes it is a part of the input.
func (s *scanner) quoted() ([]byte, error) {
	if s.next() != '"' {
		return nil, s.unexpected("a string")
	}
	start := s.pos
	end, escaped := endOfString(s.data, start+1)
	if end < 0 {
		s.pos = len(s.data)
		return nil, errTruncated
	}
	s.pos = end + 1
	if !escaped {
		return s.data[start+1 : end], nil
	}
	var text string
	if err := json.Unmarshal(s.data[start:s.pos], &text); err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// endOfString gives the position of the closing quote, -1 if there is none.
func endOfString(data []byte, from int) (end int, escaped bool) {
	for from < len(data) {
		i := bytes.IndexByte(data[from:], '"')
		if i < 0 {
			return -1, false
		}
		end = from + i
		slashes := 0
		for end-slashes-1 >= from && data[end-slashes-1] == '\\' {
			slashes++
		}
		escaped = escaped || bytes.IndexByte(data[from:end], '\\') >= 0
		if slashes%2 == 0 {
			return end, escaped
		}
		from = end + 1
	}
	return -1, false
}

// string takes a string or null into a field.
func (s *scanner) string(field *string) error {
	if s.null() {
		return nil
	}
	text, err := s.quoted()
	if err == nil {
		*field = string(text)
	}
	return err
}

func (s *scanner) strings(field *[]string) error {
	return s.array(func() error {
		var text string
		err := s.string(&text)
		*field = append(*field, text)
		return err
	})
}

func (s *scanner) integer(field *int) error {
	raw, err := s.skip()
	if err != nil {
		return err
	}
	if *field, err = strconv.Atoi(string(raw)); err != nil {
		return fmt.Errorf("at byte %d: %.20q is no whole number", s.pos-len(raw), raw)
	}
	return nil
}

// skip passes over a value and gives its bytes.
func (s *scanner) skip() ([]byte, error) {
	first := s.next()
	start, depth := s.pos, 0
	switch first {
	case '"':
		end, _ := endOfString(s.data, start+1)
		if end < 0 {
			return nil, errTruncated
		}
		s.pos = end + 1
		return s.data[start:s.pos], nil
	case '{', '[':
	default:
		for s.pos < len(s.data) && bytes.IndexByte([]byte(" \t\r\n,]}:\"{["), s.data[s.pos]) < 0 {
			s.pos++
		}
		if s.pos == start {
			return nil, s.unexpected("a value")
		}
		return s.data[start:s.pos], nil
	}
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '"':
			end, _ := endOfString(s.data, s.pos+1)
			if end < 0 {
				return nil, errTruncated
			}
			s.pos = end
		case '{', '[':
			if depth++; s.depth+depth > s.limit {
				return nil, fmt.Errorf("%w: by more than %d", errDeep, s.limit)
			}
		case '}', ']':
			if depth--; depth == 0 {
				s.pos++
				return s.data[start:s.pos], nil
			}
		}
	}
	return nil, errTruncated
}

// skipDeep is skip of a value that may be nested deeper than others, of which it then gives
// nothing.
func (s *scanner) skipDeep() (raw []byte, deep bool, err error) {
	start := s.pos
	if raw, err = s.skip(); !errors.Is(err, errDeep) {
		return raw, false, err
	}
	limit := s.limit
	s.pos, s.limit = start, len(s.data)
	_, err = s.skip()
	s.limit = limit
	return nil, true, err
}
