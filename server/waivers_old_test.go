package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestOldWaivers: of waivers that nobody has ended, those that expired long ago are neither what a report is told
// of nor read to list or search what counts; and lists show each, those that count and that ended lately first.
func TestOldWaivers(t *testing.T) {
	kept := openStore(t)
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := kept.PutCluster(t.Context(), "c", "c", now.Add(-999*day)); err != nil {
		t.Fatal(err)
	}
	put := func(id, rule string, expires time.Time) {
		t.Helper()
		if err := kept.AddWaiver(t.Context(), "c", now.Add(-999*day), id, "me", bailey.Waiver{Rule: rule, Name: id, Reason: "r", Owner: "o", Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	const old = 2*waiversMost + 100
	for i := range old { // the last of these ended first
		put(fmt.Sprintf("old%04d", i), "a/old/r", now.Add(-400*day-time.Duration(i)*time.Minute))
	}
	put("first", "a/a/r", now.Add(-400*day-20*time.Minute-time.Second))
	put("next", "b/b/r", now.Add(20*day))
	put("later", "a/a/r", now.Add(40*day))
	put("lately", "a/b/r", now.Add(-2*day))
	put("before", "b/a/r", now.Add(-80*day))
	put("told", "b/a/r", now.Add(-100*day))
	put("ended", "b/a/r", now.Add(40*day))
	if err := kept.RemoveWaiver(t.Context(), "c", now.Add(-day), "ended", "me"); err != nil {
		t.Fatal(err)
	}
	desk := waiverDesk(kept, func() time.Time { return now })
	inForce, err := desk.InForce(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range inForce {
		names = append(names, w.Name)
	}
	if got := strings.Join(names, " "); got != "later next lately before" {
		t.Errorf("a report is told of %d, %.99s", len(names), got)
	}

	queries := 0
	ctx := store.WithTrace(t.Context(), func(query string, _ []any) {
		if strings.Contains(query, "FROM waivers") {
			queries++
		}
	})
	everything := Ask{Sees: Namespaces{All: true}}
	list := func(f WaiverFilter, pages int) (ids []string) {
		t.Helper()
		for range pages {
			if t.Failed() {
				return ids
			}
			queries = 0
			page, _, next, err := desk.Waivers(ctx, everything, f)
			if err != nil {
				t.Fatal(err)
			}
			if queries > 3 { // what counts, what ended last, and from there on
				t.Errorf("%+v: %d pages of waivers were read for one of the list", f, queries)
			}
			if len(page) > max(f.Limit, 50) {
				t.Errorf("%+v: a page holds %d", f, len(page))
			}
			for _, w := range page {
				if w.State == "" {
					t.Errorf("%+v: %s has no state", f, w.ID)
				}
				ids = append(ids, w.ID)
			}
			if f.Cursor = next; next == "" {
				break
			}
		}
		return ids
	}
	for _, c := range []struct {
		f    WaiverFilter
		want string // first
		all  int
	}{
		{WaiverFilter{}, "next later ended lately before told old0000 old0001", old + 7},
		{WaiverFilter{State: "current"}, "next later lately before told old0000 old0001", old + 6},
		{WaiverFilter{State: "expired", Limit: 97}, "lately before told old0000 old0001", old + 4},
		{WaiverFilter{State: "ended"}, "ended", 1},
		{WaiverFilter{State: "active"}, "next later", 2},
		{WaiverFilter{Order: "rule", Limit: 1000}, "later first lately old0000 old0001", old + 7},
		{WaiverFilter{Control: "a/old", Limit: 170}, "old0000 old0001", old},
		{WaiverFilter{Text: "old129"}, "old1290 old1291 old1292", 10},
		{WaiverFilter{Text: "a/b/r", State: "all"}, "lately", 1},
	} {
		got := list(c.f, old)
		if !strings.HasPrefix(strings.Join(got, " ")+" ", c.want+" ") || len(got) != c.all {
			t.Errorf("%+v: %d, first %v; want %d, first %s", c.f, len(got), got[:min(len(got), 9)], c.all, c.want)
		}
		slices.Sort(got)
		if twice := len(got) - len(slices.Compact(got)); twice > 0 {
			t.Errorf("%+v: %d are listed twice", c.f, twice)
		}
	}
	for _, cursor := range []string{"x", ":", "1:x", "-1"} {
		if _, _, _, err := desk.Waivers(ctx, everything, WaiverFilter{Cursor: cursor}); err == nil {
			t.Errorf("the cursor %q is none", cursor)
		}
	}

	queries = 0
	hits, err := desk.Search(ctx, everything, "old0")
	if err != nil {
		t.Fatal(err)
	}
	if len(hits) != searchMost || hits[0].ID != "old0000" || queries > 2 {
		t.Errorf("%d hits, %d pages of waivers were read: %+v", len(hits), queries, hits[0])
	}
	if hits, err = desk.Search(ctx, everything, "next"); err != nil || len(hits) != 1 || hits[0].ID != "next" {
		t.Errorf("%+v, %v", hits, err)
	}
}
