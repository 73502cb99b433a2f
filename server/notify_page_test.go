package server

import (
	"net/url"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestAlertPage: an alert leads to what it is about, whatever that is called.
func TestAlertPage(t *testing.T) {
	home := &url.URL{Scheme: "https", Host: "bailey.example.com"}
	shop := bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}
	for want, a := range map[string]struct {
		kind   store.AlertKind
		doc    alertDoc
		object bailey.Ref
	}{
		"/findings?namespace=shop&rule=a%2Fb%2Fc": {store.AlertFinding, alertDoc{Control: "a/b", Rule: "a/b/c"}, shop},
		"/findings?rule=a%2Fb%2Fc":                {store.AlertFinding, alertDoc{Control: "a/b", Rule: "a/b/c"}, bailey.Ref{}},
		"/findings?control=a%2Fb":                 {store.AlertFinding, alertDoc{Control: "a/b"}, bailey.Ref{}},
		"/findings?rule=a%3Fb%26c%23d":            {store.AlertFinding, alertDoc{Rule: "a?b&c#d"}, bailey.Ref{}},
		"/controls/a/b":                           {store.AlertRung, alertDoc{Control: "a/b"}, shop},
		"/controls/a%3Fb":                         {store.AlertRung, alertDoc{Control: "a?b"}, bailey.Ref{}},
		"/alerts":                                 {store.AlertDetection, alertDoc{}, shop},
		"/ledger":                                 {store.AlertLedger, alertDoc{}, bailey.Ref{}},
		"/":                                       {store.AlertStaleness, alertDoc{}, bailey.Ref{}},
	} {
		alert := store.Alert{Kind: a.kind, Object: a.object, Doc: a.doc.text()}
		if got := alertPage(home, &alert); got != home.String()+want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := alertPage(nil, &alert); got != "" {
			t.Errorf("where nothing is said of it, the page is %s", got)
		}
	}
}
