package web

import (
	"fmt"
	"time"

	"github.com/baileyhq/bailey/server"
)

// dayChart is a time line of proof: what held is above the line, what was broken below it.
type dayChart struct {
	Width, Height, Line int
	Bars                []dayBar
	Labels              []dayLabel
	Held, Broken        int
	Inconclusive        int
	Text                string
}

type dayBar struct {
	X, Width                                                  int
	HeldY, HeldHeight, OpenY, OpenHeight, BrokenY, BrokenHigh int
	Text                                                      string
}

type dayLabel struct {
	X    int
	Text string
}

const (
	dayWide   = 20
	upTall    = 96
	downTall  = 30
	dayMargin = 6
)

func drawDays(days []server.Day) dayChart {
	c := dayChart{Width: len(days) * dayWide, Line: dayMargin + upTall, Height: dayMargin + upTall + downTall + 20}
	most, worst := 1, 1
	for _, d := range days {
		most, worst = max(most, d.Held+d.Inconclusive), max(worst, d.Broken)
		c.Held, c.Broken, c.Inconclusive = c.Held+d.Held, c.Broken+d.Broken, c.Inconclusive+d.Inconclusive
	}
	for i, d := range days {
		b := dayBar{X: i*dayWide + 2, Width: dayWide - 4}
		b.HeldHeight = tall(d.Held, most, upTall)
		b.HeldY = c.Line - b.HeldHeight
		b.OpenHeight = tall(d.Inconclusive, most, upTall)
		b.OpenY = b.HeldY - b.OpenHeight
		b.BrokenY, b.BrokenHigh = c.Line+2, tall(d.Broken, worst, downTall)
		b.Text = fmt.Sprintf("%s: %s held, %s broken, %s inconclusive", dayName(d.Date), number(d.Held), number(d.Broken), number(d.Inconclusive))
		c.Bars = append(c.Bars, b)
		if i%7 == 2 {
			c.Labels = append(c.Labels, dayLabel{b.X + b.Width/2, dayName(d.Date)})
		}
	}
	c.Text = fmt.Sprintf("Tries of the last %s: %s held, %s broken, %s inconclusive", plural(len(days), "day"), number(c.Held), number(c.Broken), number(c.Inconclusive))
	return c
}

// tall is how high a count stands; what is there is seen.
func tall(n, most, whole int) int {
	if n == 0 {
		return 0
	}
	return max(n*whole/most, 2)
}

func dayName(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("2 Jan")
}
