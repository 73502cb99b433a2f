package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestBudgets: what is over its budget is marked and named with both figures, and what keeps to it is not.
func TestBudgets(t *testing.T) {
	var b budgets
	if mark := holds(&b, "a page", 100*time.Millisecond, 100*time.Millisecond, ms); mark != "" || b.err() != nil {
		t.Errorf("what is just within its budget: %q, %v", mark, b.err())
	}
	if mark := holds(&b, "another page", 101*time.Millisecond, 100*time.Millisecond, ms); mark != "  over" {
		t.Errorf("the mark of what is over is %q", mark)
	}
	holds(&b, "memory", 701<<20, 700<<20, mib)
	holds(&b, "idle", 1.5, 2, percent)
	want := "over budget\n  another page: 101.0 ms where 100.0 ms is the most\n  memory: 701 MiB where 700 MiB is the most"
	if err := b.err(); !errors.Is(err, errOver) || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestMeasure: a part that is over its budget keeps no other from being measured, and one that fails does.
func TestMeasure(t *testing.T) {
	var ran []string
	ends := func(name string, err error) part {
		return part{name, func(string) error { ran = append(ran, name); return err }}
	}
	over := budgets{over: []string{"a page"}}
	all := []part{ends("a", nil), ends("b", over.err()), ends("c", nil), ends("d", errors.New("no disk")), ends("e", nil)}
	for names, c := range map[string]struct{ ran, says string }{
		"":    {"a b c d", "b: over budget\n  a page\nd: no disk"},
		"a b": {"a b", "b: over budget\n  a page"},
		"c":   {"c", ""},
	} {
		ran = nil
		err := measureParts(all, "", strings.Fields(names))
		if got := strings.Join(ran, " "); got != c.ran {
			t.Errorf("%q: %s were measured", names, got)
		}
		if (err == nil) != (c.says == "") || err != nil && err.Error() != c.says {
			t.Errorf("%q: %v", names, err)
		}
	}
}
