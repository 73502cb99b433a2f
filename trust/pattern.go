package trust

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern matches a whole text: exactly, by * (any characters but /) and ** (any
// characters), or by a regular expression that is anchored at both ends.
type pattern struct {
	text string
	re   *regexp.Regexp // nil: exactly the text
}

// patternLimit bounds a pattern, in bytes.
const patternLimit = 2048

func glob(text string) (pattern, error) {
	if text == "" || len(text) > patternLimit {
		return pattern{}, fmt.Errorf("a pattern has 1 to %d characters", patternLimit)
	}
	if !strings.Contains(text, "*") {
		return pattern{text: text}, nil
	}
	var b strings.Builder
	for i, part := range strings.Split(text, "**") {
		if i > 0 {
			b.WriteString(".*")
		}
		for j, literal := range strings.Split(part, "*") {
			if j > 0 {
				b.WriteString("[^/]*")
			}
			b.WriteString(regexp.QuoteMeta(literal))
		}
	}
	return anchored(text, b.String())
}

// anchored compiles a regular expression that must match the whole text.
func anchored(text, expression string) (pattern, error) {
	if expression == "" || len(expression) > 2*patternLimit {
		return pattern{}, fmt.Errorf("a regular expression has 1 to %d characters", patternLimit)
	}
	// Alone first: "a)|(b" is none, but would be one between parentheses.
	if _, err := regexp.Compile(expression); err != nil {
		return pattern{}, fmt.Errorf("%q is no regular expression: %w", text, err)
	}
	re, err := regexp.Compile(`\A(?s:` + expression + `)\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("%q is no regular expression: %w", text, err)
	}
	return pattern{text: text, re: re}, nil
}

func (p pattern) match(text string) bool {
	if p.re == nil {
		return p.text == text
	}
	return p.re.MatchString(text)
}

func globs(what string, texts []string) ([]pattern, error) {
	var patterns []pattern
	for _, text := range texts {
		p, err := glob(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", what, text, err)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// any reports whether one of the patterns matches; without patterns, everything does.
func anyMatch(patterns []pattern, text string) bool {
	for _, p := range patterns {
		if p.match(text) {
			return true
		}
	}
	return len(patterns) == 0
}

func patternTexts(patterns []pattern) string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.text
	}
	return strings.Join(texts, ", ")
}
