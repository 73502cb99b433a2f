package web

import "github.com/baileyhq/bailey/server"

type alertsBody struct {
	Alerts  []server.Alert
	State   string
	Filters *filters
	Pager   pager
	// Whole tells that alerts of the whole cluster are seen, and Detections how the audit log is
	// followed; nil where none is.
	Whole      bool
	Detections *server.DetectionState
}

// objectName names what an alert is about.
func objectName(o *server.Object) string {
	if o == nil {
		return ""
	}
	return o.Ref().String()
}

func (s *site) alerts(v *visit) error {
	form := v.filters()
	f := server.AlertFilter{
		Text:      form.text("Text", "q"),
		State:     form.choice("State", "state", option{"open", "open"}, option{"over", "over"}, option{"all", "open or over"}),
		Kind:      form.choice("Kind", "kind", plainly("all", server.AlertKinds...)...),
		Least:     form.severity(),
		Control:   form.control(),
		Namespace: form.name("Namespace", "namespace", 63),
		Order:     form.order(option{"newest", "newest first"}, option{"severity", "worst first"}, option{"oldest", "oldest first"}),
		Cursor:    v.cursor(),
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		return v.export("alerts", []string{"kind", "severity", "title", "text", "first", "last", "count", "resolved", "control", "rule", "object", "delivered"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, next, err := s.Desk.Alerts(v.r.Context(), v.ask, f)
				for _, a := range list {
					if !row(a.Kind, a.Severity, a.Title, a.Text, a.First, a.Last, a.Count, a.Resolved, a.Control, a.Rule, objectName(a.Object), a.Delivered) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	list, next, err := s.Desk.Alerts(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := alertsBody{Alerts: list, State: f.State, Filters: form, Pager: v.paged(len(list), next, 0), Whole: v.ask.Sees.All && v.page.Cluster.Own}
	if v.page.Sight != nil {
		b.Detections = v.page.Sight.Detections
	}
	v.page.Stream = "alert"
	if !v.page.Cluster.Own {
		v.page.Stream = "kept" // of what spokes push no more is told
	}
	return v.show("alerts", "alerts", "Alerts", b)
}
