package server

import (
	"cmp"
	"net/url"

	"github.com/baileyhq/bailey/store"
)

// alertPage gives the address of the page that shows what an alert is about, below the server's
// own; empty if nobody said what that is.
func alertPage(external *url.URL, a *store.Alert) string {
	if external == nil {
		return ""
	}
	doc := docOf(a)
	page := url.URL{Scheme: external.Scheme, Host: external.Host, Path: "/"}
	switch {
	case a.Kind == store.AlertFinding && cmp.Or(doc.Rule, doc.Control) != "":
		page.Path = "/findings"
		q := url.Values{}
		for name, value := range map[string]string{"rule": doc.Rule, "namespace": homeOf(a.Object)} {
			if value != "" {
				q.Set(name, value)
			}
		}
		if doc.Rule == "" {
			q.Set("control", doc.Control)
		}
		page.RawQuery = q.Encode()
	case doc.Control != "":
		page.Path = "/controls/" + doc.Control
	case a.Kind == store.AlertLedger:
		page.Path = "/ledger"
	case a.Kind != store.AlertStaleness: // which the first page tells
		page.Path = "/alerts"
	}
	return page.String()
}
