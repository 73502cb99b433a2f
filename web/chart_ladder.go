package web

import "github.com/baileyhq/bailey/server"

// ladder is how many of something stand on which rung, as one bar.
type ladder struct {
	Parts []ladderPart
	Total int
}

type ladderPart struct {
	share
	X, Width float64 // of 1000
}

// drawLadder gives each rung its part of the bar. What is there has at least a sliver.
func drawLadder(r server.Rungs) ladder {
	l := ladder{Total: r.Proven + r.Guarded + r.Sound + r.Unknown + r.Gap}
	if l.Total == 0 {
		return l
	}
	const sliver = 8.0
	wide := 0.0
	for _, s := range rungsOf(r) {
		if s.Count == 0 {
			continue
		}
		w := max(1000*float64(s.Count)/float64(l.Total), sliver)
		l.Parts = append(l.Parts, ladderPart{s, wide, w})
		wide += w
	}
	for i := range l.Parts {
		l.Parts[i].X *= 1000 / wide
		l.Parts[i].Width *= 1000 / wide
	}
	return l
}
