package network

import (
	"fmt"
	"slices"
	"strings"
)

// The bounds of a Calico selector: far over what people write.
const (
	calicoLength = 64 << 10
	calicoDepth  = 64
)

// labelsOf looks a label up.
type labelsOf func(key string) (value string, found bool)

// predicate is a compiled selector.
type predicate func(labelsOf) bool

func everything(labelsOf) bool { return true }

// parseCalico compiles a selector of Calico's expression language:
// "app == 'web' && !has(debug)". An empty one selects everything.
func parseCalico(text string) (predicate, error) {
	if len(text) > calicoLength {
		return nil, fmt.Errorf("a selector of %d bytes is over the limit of %d", len(text), calicoLength)
	}
	p := &calicoParser{rest: text}
	p.skip()
	if p.rest == "" {
		return everything, nil
	}
	m, err := p.or(0)
	if err == nil && p.rest != "" {
		err = p.unexpected("the end")
	}
	if err != nil {
		return nil, fmt.Errorf("selector %.80q: %w", text, err)
	}
	return m, nil
}

type calicoParser struct{ rest string }

func (p *calicoParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *calicoParser) take(token string) bool {
	rest, found := strings.CutPrefix(p.rest, token)
	if found {
		p.rest = rest
		p.skip()
	}
	return found
}

// word takes a keyword: one that no label character follows.
func (p *calicoParser) word(keyword string) bool {
	rest, found := strings.CutPrefix(p.rest, keyword)
	if !found || rest != "" && isLabelByte(rest[0]) {
		return false
	}
	p.rest = rest
	p.skip()
	return true
}

func (p *calicoParser) unexpected(wanted string) error {
	return fmt.Errorf("%.20q stands where %s is expected", p.rest, wanted)
}

func (p *calicoParser) or(depth int) (predicate, error) {
	left, err := p.and(depth)
	for err == nil && p.take("||") {
		var right predicate
		first := left
		if right, err = p.and(depth); err == nil {
			left = func(l labelsOf) bool { return first(l) || right(l) }
		}
	}
	return left, err
}

func (p *calicoParser) and(depth int) (predicate, error) {
	left, err := p.unary(depth)
	for err == nil && p.take("&&") {
		var right predicate
		first := left
		if right, err = p.unary(depth); err == nil {
			left = func(l labelsOf) bool { return first(l) && right(l) }
		}
	}
	return left, err
}

func (p *calicoParser) unary(depth int) (predicate, error) {
	if depth > calicoDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", calicoDepth)
	}
	switch {
	case p.take("!"):
		m, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return func(l labelsOf) bool { return !m(l) }, nil
	case p.take("("):
		m, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = p.unexpected(`")"`)
		}
		return m, err
	case p.take("all()"):
		return everything, nil
	case p.take("global()"):
		// It selects what is in no namespace; pods are.
		return func(labelsOf) bool { return false }, nil
	case p.take("has("):
		key := p.label()
		if key == "" || !p.take(")") {
			return nil, p.unexpected(`a label and ")"`)
		}
		return func(l labelsOf) bool { _, found := l(key); return found }, nil
	}
	return p.comparison()
}

func (p *calicoParser) comparison() (predicate, error) {
	key := p.label()
	if key == "" {
		return nil, p.unexpected("a label")
	}
	switch {
	case p.take("=="):
		return p.text(func(l labelsOf, want string) bool { got, found := l(key); return found && got == want })
	case p.take("!="):
		return p.text(func(l labelsOf, want string) bool { got, found := l(key); return !found || got != want })
	case p.word("contains"):
		return p.text(func(l labelsOf, want string) bool { got, found := l(key); return found && strings.Contains(got, want) })
	case p.word("starts"):
		if !p.word("with") {
			return nil, p.unexpected(`"with"`)
		}
		return p.text(func(l labelsOf, want string) bool { got, found := l(key); return found && strings.HasPrefix(got, want) })
	case p.word("ends"):
		if !p.word("with") {
			return nil, p.unexpected(`"with"`)
		}
		return p.text(func(l labelsOf, want string) bool { got, found := l(key); return found && strings.HasSuffix(got, want) })
	case p.word("in"):
		set, err := p.set()
		return func(l labelsOf) bool { got, found := l(key); return found && slices.Contains(set, got) }, err
	case p.word("not"):
		if !p.word("in") {
			return nil, p.unexpected(`"in"`)
		}
		set, err := p.set()
		return func(l labelsOf) bool { got, found := l(key); return !found || !slices.Contains(set, got) }, err
	}
	return nil, p.unexpected("an operator")
}

func (p *calicoParser) text(compare func(labelsOf, string) bool) (predicate, error) {
	want, err := p.quoted()
	return func(l labelsOf) bool { return compare(l, want) }, err
}

func (p *calicoParser) label() string {
	n := 0
	for n < len(p.rest) && isLabelByte(p.rest[n]) {
		n++
	}
	key := p.rest[:n]
	p.rest = p.rest[n:]
	p.skip()
	return key
}

func isLabelByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '/' || c == '-'
}

func (p *calicoParser) quoted() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", p.unexpected("a quoted value")
	}
	value, rest, found := strings.Cut(p.rest[1:], p.rest[:1])
	if !found {
		return "", p.unexpected("a value with a closing quote")
	}
	p.rest = rest
	p.skip()
	return value, nil
}

func (p *calicoParser) set() ([]string, error) {
	if !p.take("{") {
		return nil, p.unexpected(`"{"`)
	}
	var values []string
	for !p.take("}") {
		value, err := p.quoted()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return nil, p.unexpected(`"," or "}"`)
		}
	}
	return values, nil
}
