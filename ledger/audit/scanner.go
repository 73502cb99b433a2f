package audit

import (
	"encoding/json"
	"fmt"
)

// maxDepth bounds the nesting of a list. An API server decodes objects of up to
// 10,000 levels, and an event wraps one in a few more.
const maxDepth = 10_100

// scanner goes once over a JSON text, checks it, and copies nothing. Audit events
// come by the thousand a second, and nearly all of their bytes are only carried.
type scanner struct {
	b      []byte
	i      int
	member int    // where the key of the member being scanned begins
	stack  []byte // open brackets of the value being skipped
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("not an audit event: %s at byte %d", what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next skips space and gives the byte that follows; 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) end() error {
	if s.space(); s.i < len(s.b) {
		return s.fail("more after its end")
	}
	return nil
}

// object scans an object; each is called at a member's value, which it scans.
func (s *scanner) object(each func(key string) error) error {
	if s.next() != '{' {
		return s.fail("no object")
	}
	s.i++
	if s.next() == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		member := s.i
		key, err := s.key()
		if err != nil {
			return err
		}
		s.member = member
		if err := each(key); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("no comma between members")
		}
	}
}

// array scans an array; each is called at every element, which it scans.
func (s *scanner) array(each func() error) error {
	if s.next() != '[' {
		return s.fail("no array")
	}
	s.i++
	if s.next() == ']' {
		s.i++
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("no comma between elements")
		}
	}
}

// key scans a member's key and the colon.
func (s *scanner) key() (string, error) {
	raw, escaped, err := s.str()
	if err != nil {
		return "", err
	}
	if s.next() != ':' {
		return "", s.fail("no colon")
	}
	s.i++
	if escaped {
		return unquote(raw)
	}
	return string(raw[1 : len(raw)-1]), nil
}

// text scans a string or null, which is "".
func (s *scanner) text() (string, error) {
	if s.null() {
		return "", nil
	}
	raw, _, err := s.str()
	if err != nil {
		return "", err
	}
	return unquote(raw)
}

// unquote decodes a string that str has checked.
func unquote(raw []byte) (string, error) {
	plain := true
	for _, c := range raw {
		plain = plain && c != '\\' && c < 0x80
	}
	if plain {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

func (s *scanner) null() bool {
	if s.next() == 'n' && s.literal("null") {
		return true
	}
	return false
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// special marks the bytes at which a string is more than text.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return
}()

// str scans a string and gives it with its quotes.
func (s *scanner) str() (raw []byte, escaped bool, err error) {
	if s.next() != '"' {
		return nil, false, s.fail("no string")
	}
	start, b, i := s.i, s.b, s.i+1
	for {
		for i < len(b) && !special[b[i]] {
			i++
		}
		if i >= len(b) {
			s.i = i
			return nil, false, s.fail("a string without end")
		}
		switch b[i] {
		case '"':
			s.i = i + 1
			return b[start:s.i], escaped, nil
		case '\\':
			escaped = true
			n := escape(b[i:])
			if n == 0 {
				s.i = i
				return nil, false, s.fail("a bad escape")
			}
			i += n
		default:
			s.i = i
			return nil, false, s.fail("a control character")
		}
	}
}

// escape is the length of the escape sequence that b begins with, or 0.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// number scans a number as RFC 8259 has it.
func (s *scanner) number() bool {
	b, i := s.b, s.i
	digits := func() bool {
		from := i
		for i < len(b) && digit(b[i]) {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	s.i = i
	return true
}

// skip scans any value. It does not call itself: a stranger chooses the nesting.
func (s *scanner) skip() error {
	s.stack = s.stack[:0]
	for {
		opened, err := s.begin()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		for { // a value has ended
			if len(s.stack) == 0 {
				return nil
			}
			top := s.stack[len(s.stack)-1]
			c := s.next()
			if c == ',' {
				s.i++
				if top == '{' {
					if err := s.skipKey(); err != nil {
						return err
					}
				}
				break
			}
			if top == '{' && c != '}' || top == '[' && c != ']' {
				return s.fail("no comma")
			}
			s.i++
			s.stack = s.stack[:len(s.stack)-1]
		}
	}
}

// begin scans a scalar or an empty list or map whole, and of others the beginning
// up to the first value in it: opened then.
func (s *scanner) begin() (opened bool, err error) {
	ok := true
	switch c := s.next(); c {
	case '{', '[':
		s.i++
		if s.next() == c+2 { // the closing one of both
			s.i++
			return false, nil
		}
		if s.stack = append(s.stack, c); len(s.stack) > maxDepth {
			return false, s.fail("too deep")
		}
		if c == '{' {
			err = s.skipKey()
		}
		return true, err
	case '"':
		_, _, err = s.str()
	case 't':
		ok = s.literal("true")
	case 'f':
		ok = s.literal("false")
	case 'n':
		ok = s.literal("null")
	default:
		ok = s.number()
	}
	if !ok {
		err = s.fail("no value")
	}
	return false, err
}

func (s *scanner) skipKey() error {
	if _, _, err := s.str(); err != nil {
		return err
	}
	if s.next() != ':' {
		return s.fail("no colon")
	}
	s.i++
	return nil
}
