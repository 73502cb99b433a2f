package web

import "github.com/baileyhq/bailey/server"

type alertsBody struct {
	Alerts []server.Alert
	All    bool
	Pager  pager
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
	b := alertsBody{}
	state := v.r.URL.Query().Get("state")
	if state != "" {
		if err := oneOf("state", state, "open", "all"); err != nil {
			return err
		}
		b.All = state == "all"
	}
	if v.wantsCSV() {
		return v.export("alerts", []string{"kind", "severity", "title", "text", "first", "last", "count", "resolved", "control", "rule", "object", "delivered"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				list, next, err := s.Desk.Alerts(v.r.Context(), v.ask, !b.All, cursor)
				for _, a := range list {
					if !row(a.Kind, a.Severity, a.Title, a.Text, a.First, a.Last, a.Count, a.Resolved, a.Control, a.Rule, objectName(a.Object), a.Delivered) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	list, next, err := s.Desk.Alerts(v.r.Context(), v.ask, !b.All, v.cursor())
	if err != nil {
		return err
	}
	b.Whole = v.ask.Sees.All && v.page.Cluster.Own
	if v.page.Sight != nil {
		b.Detections = v.page.Sight.Detections
	}
	b.Alerts, b.Pager = list, v.paged(len(list), next, 0)
	v.page.Stream = "alert"
	return v.show("alerts", "alerts", "Alerts", b)
}
