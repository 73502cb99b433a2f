package web

import (
	"strings"

	"github.com/baileyhq/bailey/server"
)

type activityBody struct {
	Actions []actionRow
	Filters *filters
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
	case a.Action == server.ActAddWaiver && named, a.Action == server.ActExtendWaiver && a.Outcome == "done", a.Action == server.ActEndWaiver && a.Outcome == "done":
		r.Href = v.page.Href("/waivers", "state", "all", "q", id)
	}
	return r
}

func (s *site) activity(v *visit) error {
	form := v.filters()
	f := server.ActionFilter{
		Text:    form.text("Text", "q"),
		Who:     form.name("Who", "who", 256),
		Action:  form.choice("What", "action", plainly("anything", server.Acts...)...),
		Outcome: form.choice("Outcome", "outcome", plainly("any", "done", "refused")...),
		Since:   form.day("From", "since"),
		Until:   form.lastDay("To", "until"),
		Order:   form.timeOrder(),
		Cursor:  v.cursor(), Limit: activityRows,
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
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
	b := activityBody{Filters: form, Pager: v.paged(len(list), next, 0)}
	for _, a := range list {
		b.Actions = append(b.Actions, v.actionRow(a))
	}
	return v.show("activity", "activity", "Activity", b)
}
