package prove

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // an image of Bailey alone has no time zones
)

// Window is when isolated and disruptive experiments may run on a schedule: from one
// time of day to another, on some days of the week, in a time zone.
type Window struct {
	from, to int // minutes from midnight; to is at or before from where it ends the next day
	days     [7]bool
	zone     *time.Location
	text     string
}

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWindow reads a window: hours like "22:00-06:00", days like "mon" (those on which
// it begins; none for all) and the IANA name of a time zone ("" for UTC).
func ParseWindow(hours string, days []string, zone string) (*Window, error) {
	w := &Window{text: hours}
	from, to, found := strings.Cut(hours, "-")
	var err error
	if !found {
		err = fmt.Errorf("%q is no window", hours)
	}
	if err == nil {
		w.from, err = minuteOfDay(from)
	}
	if err == nil {
		w.to, err = minuteOfDay(to)
	}
	if err == nil && (w.from == w.to || w.from == dayLong) {
		err = fmt.Errorf("the window %s has no length", hours)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: write it like 22:00-06:00, or 00:00-24:00 for the whole day", err)
	}
	for _, name := range days {
		day := -1
		for i, known := range dayNames {
			if strings.EqualFold(name, known) {
				day = i
			}
		}
		if day < 0 {
			return nil, fmt.Errorf("%q is no day\nhint: the days are %s", name, strings.Join(dayNames[:], ", "))
		}
		w.days[day] = true
	}
	if len(days) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	} else {
		w.text += " on " + strings.Join(days, ", ")
	}
	if w.zone, err = time.LoadLocation(zone); err != nil {
		return nil, fmt.Errorf("the time zone %q is not known: %w\nhint: write it like Europe/Zurich", zone, err)
	}
	w.text += " " + w.zone.String()
	return w, nil
}

const dayLong = 24 * 60

func minuteOfDay(text string) (int, error) {
	text = strings.TrimSpace(text)
	if text == "24:00" {
		return dayLong, nil
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return at.Hour()*60 + at.Minute(), nil
}

func (w *Window) String() string { return w.text }

// Open reports whether the window is open at that time, and until when. Windows that
// follow each other without a break are one, of a week at most.
func (w *Window) Open(at time.Time) (until time.Time, open bool) {
	until = at
	for range 8 {
		end, still := w.one(until)
		if !still {
			break
		}
		until, open = end, true
	}
	return until, open
}

// one is Open for a single window: that of the day, or of the day before.
func (w *Window) one(at time.Time) (until time.Time, open bool) {
	at = at.In(w.zone)
	for back := range 2 {
		day := at.AddDate(0, 0, -back)
		if !w.days[day.Weekday()] {
			continue
		}
		to := w.to
		if to <= w.from {
			to += dayLong
		}
		begin, end := minuteOn(day, w.from), minuteOn(day, to)
		if !at.Before(begin) && at.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// minuteOn is a time of day by the clock on the wall, also on a day that has 23 or 25 hours.
func minuteOn(day time.Time, minute int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), minute/60, minute%60, 0, 0, day.Location())
}
