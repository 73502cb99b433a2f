package server

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
	"github.com/google/go-cmp/cmp"
)

// TestNamespacePages: pages of namespaces, of which little more is read than they show, are together what the whole list is.
func TestNamespacePages(t *testing.T) {
	kept := openStore(t)
	now := time.Now()
	if err := kept.PutCluster(t.Context(), "c", "c", now); err != nil {
		t.Fatal(err)
	}
	var d store.Delta
	ids := []string{"compute/pod-security", "compute/quotas", "access/service-accounts"}
	for i := range 12 {
		o := bailey.Ref{Kind: bailey.KindDeployment, Namespace: fmt.Sprintf("team-%02d", i), Name: "web"}
		for k, id := range ids {
			if i != 5 && (i+k)%4 > 0 { // one has findings only
				d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: id, Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.Rung(i * (k + 1) % 5)})
			}
		}
		for n := range i % 4 {
			rule := fmt.Sprint(ids[0], "/r", n)
			d.Findings = append(d.Findings, bailey.Finding{ID: bailey.FindingID(rule, o, ""), Control: ids[0], Rule: rule, Severity: bailey.Severity(1 + (i+n)%4), Object: o, Message: "x"})
		}
	}
	d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: ids[0], Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungGap})
	if err := kept.Replace(t.Context(), "c", now, d); err != nil {
		t.Fatal(err)
	}
	desk := NewDesk(DeskOptions{Store: kept, Controls: controls.All(), Own: func() string { return "c" }, Now: func() time.Time { return now }, Namespaces: func() []string { return nil },
		Sight: func() Sight { return Sight{Ready: true} }, Log: slog.New(slog.DiscardHandler)})
	gap, sound := bailey.RungGap, bailey.RungSound
	for _, ask := range []Ask{{Sees: Namespaces{All: true}}, {Sees: Namespaces{Names: []string{"team-01", "team-05", "team-10"}}}} {
		for _, f := range []NamespaceFilter{{}, {Text: "team-1"}, {Control: ids[1]}, {Control: ids[1], Rung: &sound}, {Rung: &gap}, {Rung: &sound}, {Control: "a/none"}} {
			for _, f.Order = range NamespaceOrders {
				whole, total, err := desk.NamespaceRows(t.Context(), ask, f)
				if err != nil || total != len(whole) || f.Text+f.Control == "" && f.Rung == nil && ask.Sees.All && total != 12 {
					t.Fatal(total, len(whole), err)
				}
				paged := []NamespaceRow{}
				for f.Limit = 5; f.From <= total; f.From += f.Limit {
					rows, n, err := desk.NamespaceRows(t.Context(), ask, f)
					if err != nil || n != total || len(rows) > f.Limit {
						t.Fatal(n, len(rows), err)
					}
					paged = append(paged, rows...)
				}
				if diff := cmp.Diff(whole, paged); diff != "" {
					t.Errorf("%+v: %s", f, diff)
				}
				f.From, f.Limit = 0, 0
			}
		}
	}
}
