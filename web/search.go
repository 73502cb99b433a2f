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

type hit struct {
	server.Hit
	Href string
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
			group.Hits = append(group.Hits, hit{h, v.hitHref(h)})
		}
		if len(group.Hits) > 0 {
			b.Groups = append(b.Groups, group)
		}
	}
	return v.show("search", "", "Search", b)
}

func (v *visit) hitHref(h server.Hit) string {
	switch {
	case h.Kind == "control":
		return v.page.Href("/controls/" + h.ID)
	case h.Kind == "rule":
		return v.page.Href("/findings", "rule", h.ID)
	case h.Kind == "experiment":
		return v.page.Href("/experiments/" + h.ID)
	case h.Kind == "alert":
		return v.page.Href("/alerts", "state", "all", "q", h.ID)
	case h.Kind == "waiver" && h.ID == "": // of the configuration's file
		return v.page.Href("/waivers", "q", v.r.URL.Query().Get("q"))
	case h.Kind == "waiver":
		return v.page.Href("/waivers", "state", "all", "q", h.ID)
	case h.Kind == "run":
		return v.page.Href("/runs/" + h.ID)
	case h.Kind == "object" && h.Object != nil:
		return v.page.Obj(*h.Object).Href
	}
	return v.page.Href("/findings/" + h.ID)
}
