package web_test

import (
	"encoding/csv"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestExperiment: the chart of an experiment has a column for each run, whatever number of namespaces it tried, its
// evidence is had page by page, narrowed and in both orders, and the file has all of it.
func TestExperiment(t *testing.T) {
	f := newFixture()
	path := "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name
	columns := regexp.MustCompile(`<g><title>([^<]*)</title>`)
	pieces := regexp.MustCompile(`evidence ([0-9a-f]{12})`)
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	for person, c := range map[string]struct {
		scopes, pages  int
		newest, broken string
	}{
		"admin":  {fixtureScopes, 5, "26 Nov 13:04, in 5 places: 320 of 320 held", "25 Nov 19:04, in 5 places: 308 of 320 held, 12 broken"},
		"tenant": {2, 2, "26 Nov 13:04, in 2 places: 128 of 128 held", "25 Nov 19:04, in 2 places: 116 of 128 held, 12 broken"},
	} {
		d := start(t, f, person, nil)
		for _, at := range []string{path, "/controls/compute/pod-security"} {
			_, text := d.get(t, at)
			drawn := columns.FindAllStringSubmatch(strings.Split(text, "<figcaption>")[0], -1)
			if len(drawn) != deskRuns || drawn[deskRuns-1][1] != c.newest || drawn[deskRuns-3][1] != c.broken || !strings.Contains(text, "<figcaption>40 runs, the newest last; older ones are not drawn<") {
				t.Errorf("%s at %s: %d columns: %q", person, at, len(drawn), drawn)
			}
		}
		walk := func(at string) (ids []string) {
			pages, seen := 0, map[string]bool{}
			for ; at != "" && pages < 9; pages++ {
				_, text := d.get(t, at)
				found := pieces.FindAllStringSubmatch(text, -1)
				for _, p := range found {
					ids, seen[p[1]] = append(ids, p[1]), true
				}
				if pages == 0 && (len(found) != deskEvidence || !strings.Contains(text, "<p>1–50</p>")) {
					t.Errorf("%s: the first page has %d pieces of evidence", person, len(found))
				}
				at = ""
				if m := next.FindStringSubmatch(text); m != nil {
					at = html.UnescapeString(m[1])
				}
			}
			if pages != c.pages || len(seen) != c.scopes*fixtureRuns || len(ids) != len(seen) {
				t.Errorf("%s: %d pages with %d pieces of evidence, %d of them once", person, pages, len(ids), len(seen))
			}
			return ids
		}
		newest, oldest := walk(path), walk(path+"?order=oldest")
		if slices.Reverse(oldest); !slices.Equal(newest, oldest) {
			t.Errorf("%s: the oldest first is not the other way round:\n%q\n%q", person, newest, oldest)
		}
		if _, text := d.get(t, path+"?order=oldest&format=csv"); !strings.Contains(strings.SplitN(text, "\n", 3)[1], newest[len(newest)-1]) {
			t.Errorf("%s: the file does not begin with the oldest", person)
		}
		for query, want := range map[string]int{"": c.scopes * fixtureRuns, "namespace=shop&": fixtureRuns, "namespace=none&": 0} {
			_, text := d.get(t, path+"?"+query+"format=csv")
			rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if err != nil || len(rows)-1 != want {
				t.Errorf("%s, %q: %d rows, %v", person, query, len(rows)-1, err)
			}
		}
		status, text := d.get(t, path+"?namespace=shop")
		if found := pieces.FindAllString(text, -1); status != http.StatusOK || len(found) != fixtureRuns || strings.Contains(text, `<span class="lead">namespace payments`) || !strings.Contains(text, `>namespace</span> shop`) {
			t.Errorf("%s, of a namespace: %d, %d pieces of evidence", person, status, len(found))
		}
		if _, text := d.get(t, path+"?namespace=none"); !strings.Contains(text, "No piece of evidence matches") || strings.Contains(text, "never tried here") {
			t.Errorf("%s: it is not said that the filter leaves nothing", person)
		}
	}
	d := start(t, f, "admin", nil)
	if status, text := d.get(t, path+"?cursor=x"); status < 400 || !strings.Contains(text, "cursor") {
		t.Errorf("a place that is none: %d", status)
	}
	for _, as := range []string{"", "&format=csv"} {
		if status, text := d.get(t, path+"?order=broken"+as); status != http.StatusBadRequest || !strings.Contains(text, "order") {
			t.Errorf("an order that there is not, %q: %d", as, status)
		}
		if status, text := d.get(t, path+"?namespace="+strings.Repeat("x", 64)+as); status != http.StatusBadRequest || !strings.Contains(text, "namespace is longer than 63 characters") {
			t.Errorf("a namespace that is none, %q: %d", as, status)
		}
	}
	if _, text := d.get(t, "/experiments/"+f.never()); !strings.Contains(text, "never tried here") || strings.Contains(text, `name="namespace"`) {
		t.Error("what was never tried can be narrowed")
	}
}
