package check_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// TestCompareWaivers: what a change adds, widens, prolongs and removes is told apart.
func TestCompareWaivers(t *testing.T) {
	w := func(rule, namespace, name string, until float64) bailey.Waiver {
		return bailey.Waiver{Rule: rule, Namespace: namespace, Name: name, Expires: days(-until)}
	}
	for name, c := range map[string]struct {
		base, head []bailey.Waiver
		want       []string
	}{
		"the same":            {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "a", "", 9)}, nil},
		"one more":            {nil, []bailey.Waiver{w("c/x/r", "a", "", 9)}, []string{"adds c/x/r"}},
		"one less":            {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, nil, []string{"removes c/x/r"}},
		"longer":              {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "a", "", 99)}, []string{"prolongs c/x/r"}},
		"shorter":             {[]bailey.Waiver{w("c/x/r", "a", "", 99)}, []bailey.Waiver{w("c/x/r", "a", "", 9)}, nil},
		"every namespace":     {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "", "", 9)}, []string{"widens c/x/r"}},
		"more names":          {[]bailey.Waiver{w("c/x/r", "a", "web", 9)}, []bailey.Waiver{w("c/x/r", "a", "we*", 9)}, []string{"widens c/x/r"}},
		"the whole control":   {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x", "a", "", 9)}, []string{"widens c/x"}},
		"another namespace":   {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "b", "", 9)}, []string{"adds c/x/r", "removes c/x/r"}},
		"narrower":            {[]bailey.Waiver{w("c/x", "", "", 9)}, []bailey.Waiver{w("c/x", "a", "", 9)}, []string{"adds c/x", "removes c/x"}},
		"a control like it":   {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "a", "", 9), w("c/xy", "a", "", 9)}, []string{"adds c/xy"}},
		"wider beside itself": {[]bailey.Waiver{w("c/x/r", "a", "", 9)}, []bailey.Waiver{w("c/x/r", "a", "", 9), w("c/x/r", "", "", 9)}, []string{"widens c/x/r"}},
	} {
		var got []string
		for _, change := range check.CompareWaivers(c.base, c.head) {
			got = append(got, fmt.Sprintf("%s %s", change.What, change.Waiver.Rule))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
