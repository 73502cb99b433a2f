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
}

type tryColumn struct {
	X, Width         int
	HeldY, HeldTall  int
	BrokenY, BreakTl int
	Text             string
}

const (
	tryWide  = 14
	tryTall  = 56
	triesMax = 40 // runs that are drawn
)

func drawTries(evidence []server.Evidence) tryChart {
	some := slices.Clone(evidence[:min(len(evidence), triesMax)])
	slices.Reverse(some)
	c := tryChart{Width: max(len(some)*tryWide, 1), Height: tryTall + 4}
	for i, e := range some {
		col := tryColumn{X: i*tryWide + 2, Width: tryWide - 4}
		total := max(e.Held+e.Broken+e.Inconclusive, 1)
		col.HeldTall = tall(e.Held, total, tryTall)
		col.HeldY = tryTall + 2 - col.HeldTall
		col.BreakTl = tall(e.Broken, total, tryTall)
		col.BrokenY = max(col.HeldY-col.BreakTl, 0)
		col.Text = fmt.Sprintf("%s, %s: %d of %d held", e.At.UTC().Format("2 Jan 15:04"), e.Scope, e.Held, e.Tried)
		c.Columns = append(c.Columns, col)
	}
	c.Text = "Runs from the oldest to the newest"
	if len(some) > 0 {
		newest := evidence[0]
		c.Text = fmt.Sprintf("%s, the newest held %d of %d", plural(len(some), "run"), newest.Held, newest.Tried)
	}
	return c
}
