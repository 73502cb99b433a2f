package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLongNames: what is written into a filter is as long as the API takes it, counted in characters, and no longer.
func TestLongNames(t *testing.T) {
	d := start(t, newFixture(), "admin", nil)
	for n, want := range map[int]int{256: http.StatusOK, 257: http.StatusBadRequest} {
		status, text := d.get(t, "/waivers?owner="+url.QueryEscape(strings.Repeat("é", n)))
		if status != want || (want == http.StatusBadRequest) != strings.Contains(text, "owner is longer than 256 characters") {
			t.Errorf("an owner of %d characters: %d", n, status)
		}
	}
}
