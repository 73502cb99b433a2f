package bounds_test

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey/collect/bounds"
)

func TestShallow(t *testing.T) {
	for text, want := range map[string]bool{
		``:                           true,
		`{"a": [1, {"b": 2}]}`:       true,
		`[[[[]]]]`:                   false,
		`[[[]],[[]],[[]]]`:           true,
		`["[[[[", "\"[[[[", "\\"]`:   true,
		`{"a\\": {"b": {"c": {}}}}`:  false,
		strings.Repeat("[", 100_000): false,
	} {
		if got := bounds.Shallow([]byte(text), 3); got != want {
			t.Errorf("%.40q: %t", text, got)
		}
	}
}
