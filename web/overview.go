package web

import (
	"slices"

	"github.com/baileyhq/bailey/server"
)

type overviewBody struct {
	server.Overview
	Cut     int // how many of Changed are not shown
	Missing []string
	More    int // of what was not seen
	Tried   bool
}

// Bounds of what the first page lists.
const (
	changesShown = 10
	fixesShown   = 5
	missingShown = 5
)

func (s *site) overview(v *visit) error {
	if v.nobodySeen() {
		v.page.Stream, v.page.Refresh = "report sight", 10
		sight, err := s.Desk.SightOf(v.r.Context(), v.ask)
		if err != nil {
			return err
		}
		return v.show("nocluster", "overview", "No cluster seen yet", sight)
	}
	o, err := s.Desk.Overview(v.r.Context(), v.ask)
	if err != nil {
		return err
	}
	if v.wantsCSV() {
		return v.exportStandings(o.Lanes)
	}
	v.page.Stream = "report sight"
	if !o.Sight.Ready && o.Cluster.Own {
		v.page.Refresh, v.page.Sight = 3, nil // the page itself says it
		return v.show("firstlook", "overview", "The first look is under way", o)
	}
	b := overviewBody{Overview: o}
	b.Tried = slices.ContainsFunc(o.Proofs, func(d server.Day) bool { return d.Held+d.Broken+d.Inconclusive > 0 })
	b.Cut = max(0, len(o.Changed)-changesShown)
	b.Changed = o.Changed[:len(o.Changed)-b.Cut]
	b.First = o.First[:min(len(o.First), fixesShown)]
	b.More = max(0, len(o.Missing)-missingShown)
	b.Missing = o.Missing[:len(o.Missing)-b.More]
	return v.show("overview", "overview", "Overview", b)
}

func (v *visit) exportStandings(lanes []server.Lane) error {
	head := []string{"control", "phase", "rung", "since", "waived until", "critical", "high", "medium", "low", "info", "seen", "needed", "held", "tried", "what would change it"}
	return v.export("controls", head, func(row func(...any) bool) error {
		for _, lane := range lanes {
			for _, s := range lane.Standings {
				proof := server.Proof{}
				if s.Proof != nil {
					proof = *s.Proof
				}
				c := s.Findings
				if !row(s.Control, lane.Phase, s.Rung, s.Since, s.WaivedUntil, c.Critical, c.High, c.Medium, c.Low, c.Info, s.Seen, s.Needed, proof.Held, proof.Tried, s.Next) {
					return nil
				}
			}
		}
		return nil
	})
}

type controlBody struct {
	server.ControlPage
	Previous, Following string // controls, in the order of the catalogue
	Guards              []guardRow
}

func (s *site) control(v *visit) error {
	id := v.r.PathValue("area") + "/" + v.r.PathValue("name")
	if v.wantsCSV() {
		return s.exportScopes(v, id, server.ScopeFilter{Rung: "low"})
	}
	c, err := s.Desk.Control(v.r.Context(), v.ask, id)
	if err != nil {
		return err
	}
	b := controlBody{ControlPage: c}
	for _, g := range c.Guards {
		b.Guards = append(b.Guards, rowOf(g))
	}
	for i, one := range s.Controls {
		if one.ID != id {
			continue
		}
		if i > 0 {
			b.Previous = s.Controls[i-1].ID
		}
		if i+1 < len(s.Controls) {
			b.Following = s.Controls[i+1].ID
		}
	}
	v.page.Stream = "report"
	return v.show("control", "overview", controlName(id), b)
}
