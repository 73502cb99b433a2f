package server

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/baileyhq/bailey/store"
)

// TestFiltersAgree: the API names the values of filters and orders that the desk takes, which the pages offer.
func TestFiltersAgree(t *testing.T) {
	spec, err := (&API{}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type parameter struct {
		Name   string
		Schema struct {
			Enum    []string
			Maximum float64
		}
	}
	var document struct {
		Paths map[string]map[string]struct{ Parameters []parameter }
	}
	if err := json.Unmarshal(spec, &document); err != nil {
		t.Fatal(err)
	}
	find := func(path, name string) parameter {
		t.Helper()
		all := document.Paths["/api/v1/"+path]["get"].Parameters
		at := slices.IndexFunc(all, func(p parameter) bool { return p.Name == name })
		if at < 0 {
			t.Fatalf("%s takes no %s", path, name)
		}
		return all[at]
	}
	for _, c := range []struct {
		path, name string
		values     []string
	}{
		{"alerts", "state", AlertStates}, {"alerts", "kind", AlertKinds}, {"alerts", "order", AlertOrders},
		{"runs", "state", RunStates}, {"runs", "trigger", RunTriggers}, {"runs", "order", TimeOrders},
		{"waivers", "state", WaiverStates}, {"waivers", "order", WaiverOrders},
		{"experiments", "state", ExperimentStates}, {"experiments", "order", ExperimentOrders},
		{"namespaces", "order", NamespaceOrders},
		{"actions", "outcome", actionOutcomes}, {"actions", "order", TimeOrders},
		{"fleet", "state", FleetStates}, {"fleet", "order", FleetOrders},
		{"changes", "order", TimeOrders}, {"evidence", "order", TimeOrders}, {"ledger/entries", "order", TimeOrders},
		{"guards", "stage", GuardStates}, {"guards", "order", GuardOrders},
		{"guards/{area}/{name}/{guard}", "stage", PlaceStates}, {"guards/{area}/{name}/{guard}", "order", PlaceOrders},
		{"controls/{area}/{name}/scopes", "rung", ScopeRungs}, {"controls/{area}/{name}/scopes", "order", ScopeOrders},
	} {
		if got := find(c.path, c.name).Schema.Enum; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(c.values))) {
			t.Errorf("%s of %s: the API takes %q, and the desk %q", c.name, c.path, got, c.values)
		}
	}
	if most := find("runs", "limit").Schema.Maximum; most != store.RunsMost {
		t.Errorf("a page of %v runs may be asked for, and holds %d", most, store.RunsMost)
	}
	if most := find("fleet", "limit").Schema.Maximum; most != fleetRowsMost {
		t.Errorf("a page of %v clusters may be asked for, and holds %d", most, fleetRowsMost)
	}
}
