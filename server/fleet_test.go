package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestFleetWithin: who sees some namespaces only is told since when the cluster is out of sight, and not why: errors may
// name what is not theirs.
func TestFleetWithin(t *testing.T) {
	kept := openStore(t)
	now := time.Now()
	if err := kept.PutCluster(t.Context(), "c", "c", now); err != nil {
		t.Fatal(err)
	}
	desk := NewDesk(DeskOptions{Store: kept, Own: func() string { return "c" }, Now: func() time.Time { return now },
		Sight: func() Sight { return Sight{Ready: true, Lost: &now, Why: "widgets.example.org of a neighbour"} }})
	for _, c := range []struct {
		name string
		ask  Ask
		why  bool
	}{
		{"who sees everything", Ask{Sees: Namespaces{All: true}}, true},
		{"a tenant", Ask{Sees: Namespaces{Names: []string{"mine"}}}, false},
		{"a tenant who asks about a spoke", Ask{Sees: Namespaces{All: true}, SeesOwn: func(context.Context) (Namespaces, error) {
			return Namespaces{Names: []string{"mine"}}, nil
		}}, false},
	} {
		fleet, err := desk.Fleet(t.Context(), c.ask, FleetFilter{State: "lost"})
		if err != nil || len(fleet.Clusters) != 1 || (fleet.Clusters[0].Why != "") != c.why {
			t.Errorf("%s: %+v, %v", c.name, fleet.Clusters, err)
		}
	}
}

// TestFleetByFindings: clusters come in the order of what is found in them and accepted by nobody; of the own one counts what
// may be seen.
func TestFleetByFindings(t *testing.T) {
	kept := openStore(t)
	now := time.Now()
	control := &bailey.Control{ID: "a/b"}
	finding := func(namespace, name string, severity bailey.Severity) bailey.Finding {
		f := bailey.Finding{Control: "a/b", Rule: "a/b/r", Severity: severity, Object: bailey.Ref{Kind: bailey.KindDeployment, Namespace: namespace, Name: name}, Message: "x"}
		f.ID = bailey.FindingID(f.Rule, f.Object, "")
		return f
	}
	accepted := finding("mine", "z", bailey.SeverityCritical)
	accepted.Baseline = true
	strange := finding("mine", "y", bailey.SeverityCritical) // of a control that is not known here
	strange.Control, strange.Rule = "x/y", "x/y/r"
	for uid, found := range map[string][]bailey.Finding{
		"own":   {finding("mine", "a", bailey.SeverityHigh), finding("theirs", "a", bailey.SeverityCritical)},
		"few":   {finding("mine", "a", bailey.SeverityHigh), finding("mine", "b", bailey.SeverityLow)},
		"most":  {finding("mine", "a", bailey.SeverityHigh), finding("mine", "b", bailey.SeverityLow), finding("mine", "c", bailey.SeverityLow)},
		"waive": {accepted, strange, finding("mine", "a", bailey.SeverityMedium)},
		"none":  nil,
	} {
		if err := kept.PutCluster(t.Context(), uid, uid, now); err != nil {
			t.Fatal(err)
		}
		if err := kept.Replace(t.Context(), uid, now, store.Delta{Findings: found}); err != nil {
			t.Fatal(err)
		}
	}
	desk := NewDesk(DeskOptions{Store: kept, Controls: []*bailey.Control{control}, Own: func() string { return "own" }, Now: func() time.Time { return now }, Sight: func() Sight { return Sight{Ready: true} }})
	every := func(context.Context, string) (bool, error) { return true, nil }
	for _, c := range []struct {
		sees Namespaces
		want string
	}{
		{Namespaces{All: true}, "own most few waive none"},
		{Namespaces{Names: []string{"mine"}}, "most few own waive none"},
	} {
		ask := Ask{Sees: c.sees, Shown: every}
		var got []string
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			fleet, err := desk.Fleet(t.Context(), ask, FleetFilter{Order: "findings", Cursor: cursor, Limit: 2})
			if err != nil || pages > 5 {
				t.Fatal(err)
			}
			for _, row := range fleet.Clusters {
				got = append(got, row.UID)
			}
			cursor = fleet.Next
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("who sees %+v is given %q, want %q", c.sees, got, c.want)
		}
	}
}
