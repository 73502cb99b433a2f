package web

import (
	"time"

	"github.com/baileyhq/bailey/server"
)

type clustersBody struct {
	server.Fleet
	Filters *filters
	Pager   pager
}

// clusterRows is how many clusters one page lists.
const clusterRows = 20

func (s *site) clusters(v *visit) error {
	form := v.filters()
	f := server.FleetFilter{
		Text:   form.text("Name", "q"),
		State:  form.choice("State", "state", option{"", "any"}, option{"seen", "in sight"}, option{"lost", "out of sight"}),
		Order:  form.order(option{"name", "by name"}, option{"heard", "heard longest ago first"}, option{"findings", "worst findings first"}),
		Cursor: v.cursor(), Limit: clusterRows,
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		head := []string{"uid", "name", "own", "heard", "out of sight since", "critical", "high", "medium", "low", "info", "gaps", "unknown", "sound", "guarded", "proven"}
		return v.export("clusters", head, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				fleet, err := s.Desk.Fleet(v.r.Context(), v.ask, f)
				for _, c := range fleet.Clusters {
					var lost time.Time
					if c.Lost != nil {
						lost = *c.Lost
					}
					n, r := c.Findings, c.Rungs
					if !row(c.UID, c.Name, c.Own, c.Heard, lost, n.Critical, n.High, n.Medium, n.Low, n.Info, r.Gap, r.Unknown, r.Sound, r.Guarded, r.Proven) {
						return "", err
					}
				}
				return fleet.Next, err
			})
		})
	}
	fleet, err := s.Desk.Fleet(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	v.page.Stream = "kept"
	return v.show("clusters", "clusters", "Clusters", clustersBody{fleet, form, v.paged(len(fleet.Clusters), fleet.Next, fleet.Total)})
}

// Elsewhere is the address of a page of another cluster.
func (p *page) Elsewhere(c server.ClusterInfo, path string, pairs ...any) string {
	other := page{Cluster: c}
	return other.Href(path, pairs...)
}
