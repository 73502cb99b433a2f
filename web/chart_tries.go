package web

import (
	"fmt"
	"slices"

	"github.com/baileyhq/bailey/server"
)

// tryChart shows the runs of one experiment from the oldest to the newest: a column each, as
// high as the part that held.
type tryChart struct {
	Width, Height int
	Columns       []tryColumn
	Text          string
	Caption       string
}

type tryColumn struct {
	X, Width         int
	HeldY, HeldTall  int
	BrokenY, BreakTl int
	Text             string
}

const (
	tryWide = 14
	tryTall = 56
)

func drawTries(x server.ExperimentInfo) tryChart {
	c := tryChart{Width: max(len(x.Runs)*tryWide, 1), Height: tryTall + 4}
	for i, r := range slices.Backward(x.Runs) {
		col := tryColumn{X: (len(x.Runs)-1-i)*tryWide + 2, Width: tryWide - 4}
		total := max(r.Held+r.Broken+r.Inconclusive, 1)
		col.HeldTall = tall(r.Held, total, tryTall)
		col.HeldY = tryTall + 2 - col.HeldTall
		col.BreakTl = tall(r.Broken, total, tryTall)
		col.BrokenY = max(col.HeldY-col.BreakTl, 0)
		col.Text = fmt.Sprintf("%s, in %s: %s", r.At.UTC().Format("2 Jan 15:04"), plural(r.Scopes, "place"), outcome(r))
		c.Columns = append(c.Columns, col)
	}
	c.Caption = plural(len(x.Runs), "run")
	if len(x.Runs) > 1 {
		c.Caption += ", the newest last"
	}
	if x.OlderRuns {
		c.Caption += "; older ones are not drawn"
	}
	c.Text = "What runs showed"
	if len(x.Runs) > 0 {
		c.Text += ", in the newest " + outcome(x.Runs[0])
	}
	return c
}

// outcome is what the tries of a run showed.
func outcome(r server.ExperimentRun) string {
	text := number(r.Held) + " of " + number(r.Tried) + " held"
	if r.Broken > 0 {
		text += ", " + number(r.Broken) + " broken"
	}
	if r.Inconclusive > 0 {
		text += ", " + number(r.Inconclusive) + " inconclusive"
	}
	return text
}
