package web

import (
	"strings"

	"github.com/baileyhq/bailey/server"
)

type searchBody struct {
	Text   string
	Groups []hitGroup
	Count  int
}

type hitGroup struct {
	Title string
	Hits  []hit
	Cut   int
}

// hit is a hit with the page that shows it, what it is called there (the name of its object if empty),
// and what else is said of it.
type hit struct {
	server.Hit
	Href, Title, Note string
}

// Bounds of a search: how much text it takes and how many hits of a kind it shows.
const (
	searchText = 200
	hitsShown  = 25
)

func (s *site) search(v *visit) error {
	b := searchBody{Text: strings.TrimSpace(v.r.URL.Query().Get("q"))}
	if len(b.Text) > searchText {
		b.Text = strings.ToValidUTF8(b.Text[:searchText], "")
	}
	if b.Text == "" {
		return v.show("search", "", "Search", b)
	}
	hits, err := s.Desk.Search(v.r.Context(), v.ask, b.Text)
	if err != nil {
		return err
	}
	if v.wantsCSV() {
		return v.export("search", []string{"kind", "id", "text", "object"}, func(row func(...any) bool) error {
			for _, h := range hits {
				if !row(h.Kind, h.ID, h.Text, objectName(h.Object)) {
					break
				}
			}
			return nil
		})
	}
	b.Count = len(hits)
	for _, g := range []struct{ kind, title string }{{"control", "Controls"}, {"rule", "Rules"}, {"experiment", "Experiments"}, {"object", "Objects"}, {"finding", "Findings"}, {"alert", "Alerts"}, {"waiver", "Waivers"}, {"run", "Runs"}} {
		group := hitGroup{Title: g.title}
		for _, h := range hits {
			if h.Kind != g.kind {
				continue
			}
			if len(group.Hits) == hitsShown {
				group.Cut++
				continue
			}
			group.Hits = append(group.Hits, v.hit(h))
		}
		if len(group.Hits) > 0 {
			b.Groups = append(b.Groups, group)
		}
	}
	return v.show("search", "", "Search", b)
}

// hit finds out how a hit is shown.
func (v *visit) hit(h server.Hit) hit {
	p := v.page
	switch h.Kind {
	case "control":
		return hit{h, p.Href("/controls/" + h.ID), controlName(h.ID), h.Text}
	case "rule":
		return hit{h, p.Href("/findings", "rule", h.ID), h.ID, h.Text}
	case "experiment":
		return hit{h, p.Href("/experiments/" + h.ID), h.Text, h.ID}
	case "alert":
		return hit{h, p.Href("/alerts", "state", "all", "q", h.ID), h.Text, ""}
	case "waiver":
		if h.ID == "" { // it is of the configuration's file
			return hit{h, p.Href("/waivers", "q", v.r.URL.Query().Get("q")), h.Text, ""}
		}
		return hit{h, p.Href("/waivers", "state", "all", "q", h.ID), h.Text, ""}
	case "run":
		return hit{h, p.Href("/runs/" + h.ID), "Run " + short(h.ID), h.Text}
	case "object":
		return hit{h, p.Obj(*h.Object).Href, "", h.Text}
	}
	return hit{h, p.Href("/findings/" + h.ID), "", h.Text}
}
