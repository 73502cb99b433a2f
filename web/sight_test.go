package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestOutOfSight: every page that shows a cluster's state says once that it is old, and nothing of it
// while it is not.
func TestOutOfSight(t *testing.T) {
	for what, test := range map[string]struct {
		world           func(f *fixture)
		cluster, notice string
	}{
		"in sight":           {func(*fixture) {}, "", ""},
		"out of sight":       {func(f *fixture) { f.lost = true }, "", "The cluster went out of sight "},
		"nothing is kept":    {func(f *fixture) { f.unkept = true }, "", "The history stopped "},
		"read anew":          {func(f *fixture) { f.firstLook = true }, "", "The cluster is being read, and was not judged yet"},
		"a silent spoke":     {func(f *fixture) { f.many = true }, "spoke-1", "The cluster went out of sight "},
		"a spoke that talks": {func(f *fixture) { f.many = true }, "spoke-2", ""},
	} {
		f := newFixture()
		test.world(f)
		d := start(t, f, "admin", newBook(t, 3))
		for _, p := range places(f) {
			if p.person != "" || p.world != nil || p.refused || p.path == "/" && f.firstLook {
				continue
			}
			if test.cluster != "" && (strings.HasPrefix(p.path, "/runs/") || strings.HasPrefix(p.path, "/waivers/")) { // of a spoke there is none
				continue
			}
			path := p.path
			if test.cluster != "" {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				path += separator + "cluster=" + test.cluster
			}
			status, text := d.get(t, path)
			if status != http.StatusOK {
				t.Errorf("%s: %d at %s", what, status, path)
				continue
			}
			said := strings.Count(text, "The cluster went out of sight") + strings.Count(text, "The cluster is being read") + strings.Count(text, "The history stopped")
			if test.notice == "" && said != 0 || test.notice != "" && (said != 1 || !strings.Contains(text, test.notice)) {
				t.Errorf("%s: %s says it %d times", what, path, said)
			}
		}
	}
}

// TestRemembered: that it is remembered what may be seen, and for how long, is said while the API server does not answer; not where
// a watch of many is broken.
func TestRemembered(t *testing.T) {
	for _, away := range []bool{false, true} {
		f := newFixture()
		f.lost, f.away = true, away
		if _, text := start(t, f, "admin", newBook(t, 3)).get(t, "/findings"); strings.Contains(text, "for at most 15 minutes") != away {
			t.Errorf("the API server is away: %v; the page says so: %v", away, !away)
		}
	}
}
