package web_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
)

// TestAccepted: what a waiver or the baseline accepts is not among the open findings, and is where accepted ones are asked for.
func TestAccepted(t *testing.T) {
	d := start(t, newFixture(), "admin", nil)
	for state, want := range map[string]map[string]bool{
		"open":   {"open": true},
		"waived": {"waived": true, "baseline": true},
		"all":    {"open": true, "waived": true, "baseline": true},
	} {
		status, text := d.get(t, "/findings?format=csv&state="+state)
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if status != http.StatusOK || err != nil || len(rows) < 100 {
			t.Fatalf("%s: %d, %d rows, %v", state, status, len(rows), err)
		}
		got := map[string]bool{}
		for _, row := range rows[1:] {
			switch until, baseline := row[12], row[14]; {
			case until != "":
				got["waived"] = true
			case baseline == "true":
				got["baseline"] = true
			default:
				got["open"] = true
			}
		}
		for what := range map[string]bool{"open": true, "waived": true, "baseline": true} {
			if got[what] != want[what] {
				t.Errorf("state %s: %s ones are listed: %t", state, what, got[what])
			}
		}
		_, page := d.get(t, "/findings?state="+state)
		if tagged := strings.Contains(page, `<span class="tag">baseline</span>`); tagged && !want["baseline"] {
			t.Errorf("state %s: the page shows what the baseline accepts", state)
		}
	}
}
