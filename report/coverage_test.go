package report

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestSaidOnce: a part that was not read, and is missing for it, is named once.
func TestSaidOnce(t *testing.T) {
	r := &bailey.Report{Facts: 1,
		Meta: bailey.Meta{Targets: []bailey.Target{{Name: "deploy", Medium: "folder", Objects: 1, Skipped: []bailey.Skip{
			{What: "deploy/a.yaml:3", Why: "broken"}, {What: "deploy/b.yaml:1", Why: "binary"}}}}},
		Coverage: bailey.Coverage{Seen: 1, Needed: 2, Missing: []bailey.Missing{{Kind: bailey.KindPod, Reason: bailey.ReasonUnreadable, Detail: "deploy/a.yaml:3: broken"}}},
	}
	text := render(t, "text", r, Options{})
	for _, part := range []string{"deploy/a.yaml:3", "deploy/b.yaml:1"} {
		if n := strings.Count(text, part); n != 1 {
			t.Errorf("%s is named %d times in\n%s", part, n, text)
		}
	}
}
