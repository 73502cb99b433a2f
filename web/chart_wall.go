package web

import (
	"fmt"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// The measures of the wall in units of its drawing: a control is one stretch of it, as high as
// its rung.
const (
	stretch   = 20
	wallTop   = 24
	course    = 25 // the height of one rung
	wallFoot  = wallTop + 5*course
	toothTall = 6
)

// wall is one lane of the life cycle, drawn as a stretch of wall for each control.
type wall struct {
	Lane      server.Lane
	Width     int
	Height    int
	Foot      int
	Steps     []int // where the rungs are
	Stretches []wallStretch
	Text      string // what is to be seen, in words
}

type wallStretch struct {
	Control, Rung, Text string
	X, Y, Middle        int
	GlyphX, GlyphY      int
	Path                string
}

func drawWall(lane server.Lane) wall {
	w := wall{Lane: lane, Width: len(lane.Standings) * stretch, Height: wallFoot + 2, Foot: wallFoot}
	for r := range 5 {
		w.Steps = append(w.Steps, wallFoot-(r+1)*course)
	}
	var count server.Rungs
	for i, s := range lane.Standings {
		count.Add(s.Rung, 1)
		x := i * stretch
		top := wallFoot - (int(s.Rung)+1)*course
		one := wallStretch{Control: s.Control, Rung: s.Rung.String(), Text: controlName(s.Control) + ": " + s.Rung.String(),
			X: x, Y: top, Middle: x + stretch/2, GlyphX: x + (stretch-14)/2, GlyphY: top - 21}
		left := x + 1
		if s.Rung == bailey.RungGap { // a breach: what is left of the wall
			one.Path = fmt.Sprintf("M%d %dV%dl4 -5l4 6l5 -8l5 9V%dZ", left, wallFoot, wallFoot-8, wallFoot)
			one.GlyphY = wallFoot - 37
		} else { // two merlons with a crenel between them
			one.Path = fmt.Sprintf("M%d %dV%dh6v%dh6v-%dh6V%dZ", left, wallFoot, top, toothTall, toothTall, wallFoot)
		}
		w.Stretches = append(w.Stretches, one)
	}
	var parts []string
	for _, s := range rungsOf(count) {
		if s.Count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.Count, s.Name))
		}
	}
	w.Text = areaName(lane.Name) + ": " + strings.Join(parts, ", ")
	return w
}
