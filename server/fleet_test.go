package server

import (
	"context"
	"testing"
	"time"
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
