package prove

import (
	"strings"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	at := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		hours, days, zone string
		at                string
		until             string // "" where it is closed
	}{
		{"22:00-06:00", "", "", "2026-03-04T23:00:00Z", "2026-03-05T06:00:00Z"},
		{"22:00-06:00", "", "", "2026-03-04T05:59:59Z", "2026-03-04T06:00:00Z"},
		{"22:00-06:00", "", "", "2026-03-04T06:00:00Z", ""},
		{"22:00-06:00", "", "", "2026-03-04T21:59:59Z", ""},
		{"01:00-02:30", "", "", "2026-03-04T02:00:00Z", "2026-03-04T02:30:00Z"},
		// The day is that on which the window begins: 4 March 2026 is a Wednesday.
		{"22:00-06:00", "wed", "", "2026-03-05T01:00:00Z", "2026-03-05T06:00:00Z"},
		{"22:00-06:00", "thu", "", "2026-03-05T01:00:00Z", ""},
		{"22:00-06:00", "Wed,thu", "", "2026-03-05T23:00:00Z", "2026-03-06T06:00:00Z"},
		// 22:00 in Zurich is 21:00 UTC in winter and 20:00 UTC in summer.
		{"22:00-06:00", "", "Europe/Zurich", "2026-01-10T21:00:00Z", "2026-01-11T05:00:00Z"},
		{"22:00-06:00", "", "Europe/Zurich", "2026-01-10T20:30:00Z", ""},
		{"22:00-06:00", "", "Europe/Zurich", "2026-07-10T20:30:00Z", "2026-07-11T04:00:00Z"},
		// The clocks go forward in the night to 29 March.
		{"22:00-06:00", "", "Europe/Zurich", "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z"},
		// Days that follow each other are one window.
		{"00:00-24:00", "sat,sun", "", "2026-03-07T12:00:00Z", "2026-03-09T00:00:00Z"},
		{"00:00-24:00", "", "", "2026-03-04T12:00:00Z", "2026-03-12T00:00:00Z"},
	} {
		var days []string
		if c.days != "" {
			days = strings.Split(c.days, ",")
		}
		w, err := ParseWindow(c.hours, days, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		until, open := w.Open(at(c.at))
		if open != (c.until != "") || open && !until.Equal(at(c.until)) {
			t.Errorf("%s at %s: %v until %s, want %q", w, c.at, open, until.UTC(), c.until)
		}
	}
	for _, c := range [][3]string{{"22:00", "", ""}, {"22-6", "", ""}, {"25:00-06:00", "", ""}, {"06:00-06:00", "", ""}, {"24:00-06:00", "", ""},
		{"22:00-06:00", "someday", ""}, {"22:00-06:00", "", "Nowhere/Town"}} {
		var days []string
		if c[1] != "" {
			days = []string{c[1]}
		}
		if w, err := ParseWindow(c[0], days, c[2]); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%q is taken for %v: %v", c, w, err)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("22:00-06:00", "mon", "UTC", int64(1_790_000_000))
	f.Fuzz(func(t *testing.T, hours, day, zone string, at int64) {
		w, err := ParseWindow(hours, []string{day}, zone)
		if err != nil || at < 0 || at > 1<<34 {
			return
		}
		now := time.Unix(at, 0)
		if until, open := w.Open(now); open && (!until.After(now) || until.Sub(now) > 9*24*time.Hour) {
			t.Errorf("%s at %s is open until %s", w, now, until)
		}
	})
}
