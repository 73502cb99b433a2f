package web

import (
	"strings"

	"github.com/baileyhq/bailey/server"
)

type activityBody struct {
	Actions []actionRow
	Filter  server.ActionFilter
	Kinds   []string
	Pager   pager
}

// actionRow is an action with the page about what it was done to.
type actionRow struct {
	Act  server.Action
	Href string
}

// activityRows is how many actions one page lists.
const activityRows = 50

func (v *visit) actionRow(a server.Action) actionRow {
	r := actionRow{Act: a}
	id, _, named := strings.Cut(a.Target, ": ")
	switch {
	case a.Action == server.ActOrderRun && named, a.Action == server.ActStopRun && a.Outcome == "done":
		r.Href = v.page.Href("/runs/" + id)
	case a.Action == server.ActAddWaiver && named, a.Action == server.ActEndWaiver && a.Outcome == "done":
		r.Href = v.page.Href("/waivers", "state", "all")
	}
	return r
}

func (s *site) activity(v *visit) error {
	q := v.r.URL.Query()
	f := server.ActionFilter{Who: strings.TrimSpace(q.Get("who")), Action: q.Get("action"), Cursor: v.cursor(), Limit: activityRows}
	kinds := []string{server.ActAddWaiver, server.ActEndWaiver, server.ActOrderRun, server.ActStopRun}
	if f.Action != "" {
		if err := oneOf("action", f.Action, kinds...); err != nil {
			return err
		}
	}
	if v.wantsCSV() {
		f.Limit = 1000
		return v.export("activity", []string{"at", "who", "action", "target", "outcome", "why"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, next, err := s.Desk.Actions(v.r.Context(), v.ask, f)
				for _, a := range list {
					if !row(a.At, a.Who, a.Action, a.Target, a.Outcome, a.Why) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	list, next, err := s.Desk.Actions(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := activityBody{Filter: f, Kinds: kinds, Pager: v.paged(len(list), next, 0)}
	for _, a := range list {
		b.Actions = append(b.Actions, v.actionRow(a))
	}
	return v.show("activity", "activity", "Activity", b)
}
