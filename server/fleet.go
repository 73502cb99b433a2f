package server

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// FleetRow is one of the clusters of a hub.
type FleetRow struct {
	ClusterInfo
	Rungs    Rungs  `json:"rungs"`    // of the controls: where they stand, or lowest in what may be seen
	Findings Counts `json:"findings"` // open, and accepted by nobody
	Ready    bool   `json:"ready"`    // it was judged
	// Lost is since when the cluster is out of sight, and Why says what happened.
	Lost *time.Time `json:"lost,omitempty"`
	Why  string     `json:"why,omitempty"`
	// Kept is since when nothing is kept of what is seen of it; nil while it is.
	Kept *time.Time `json:"kept,omitempty"`
}

// FleetFilter narrows and sorts clusters. The zero filter takes all that may be seen, by name.
type FleetFilter struct {
	Text   string // words in name and UID
	State  string // seen or lost (out of sight); all if empty
	Order  string // name, heard (of longest ago first) or findings (the worst, then the most); name if empty
	Cursor string
	Limit  int // 25 if zero, at most 100
}

// Fleet is a page of clusters.
type Fleet struct {
	Clusters []FleetRow `json:"items"`
	Next     string     `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
	Total    int        `json:"total"`
}

// The values of a FleetFilter.
var (
	FleetStates = []string{"seen", "lost"}
	FleetOrders = []string{"name", "heard", "findings"}
)

// The bounds of a page of clusters: what each says is added up for it.
const (
	fleetRows     = 25
	fleetRowsMost = 100
)

// Fleet gives the clusters that may be seen side by side.
func (d *Desk) Fleet(ctx context.Context, a Ask, f FleetFilter) (Fleet, error) {
	fleet := Fleet{Clusters: []FleetRow{}}
	for _, err := range []error{known("state", f.State, FleetStates), known("order", f.Order, FleetOrders)} {
		if err != nil {
			return fleet, err
		}
	}
	shown, err := d.shown(ctx, a)
	if err != nil {
		return fleet, err
	}
	var all []FleetRow
	sees := a.Sees // of the own cluster
	for i := range shown {
		c := &shown[i]
		row := FleetRow{ClusterInfo: d.infoOf(c)}
		sight := d.sightOf(c)
		if row.Own {
			if a.SeesOwn != nil {
				if sees, err = a.SeesOwn(ctx); err != nil {
					return fleet, errors.Join(ErrUnavailable, err)
				}
			}
			sight = d.o.Sight().within(sees)
		}
		row.Ready, row.Lost, row.Why, row.Kept = sight.Ready, sight.Lost, sight.Why, sight.Kept
		if store.Bears(f.Text, c.Name, c.UID) && (f.State == "" || (f.State == "lost") == (row.Lost != nil)) {
			all = append(all, row)
		}
	}
	switch f.Order { // they come by name
	case "heard":
		slices.SortStableFunc(all, func(a, b FleetRow) int { return a.Heard.Compare(b.Heard) })
	case "findings":
		if err := d.byFindings(ctx, sees, all); err != nil {
			return fleet, err
		}
	}
	limit := min(f.Limit, fleetRowsMost)
	if limit <= 0 {
		limit = fleetRows
	}
	some, next, err := pieceOf(all, f.Cursor, limit)
	if err != nil {
		return fleet, err
	}
	fleet.Next, fleet.Total = next, len(all)
	for _, row := range some {
		if err := d.addUp(ctx, sees, &row); err != nil {
			return fleet, err
		}
		fleet.Clusters = append(fleet.Clusters, row)
	}
	return fleet, nil
}

// byFindings sorts clusters by what is found in them, as far as that is seen of the own one.
func (d *Desk) byFindings(ctx context.Context, own Namespaces, all []FleetRow) error {
	found := map[string]*Counts{}
	for _, row := range all {
		found[row.UID] = &Counts{}
	}
	counts, err := d.o.Store.ClusterCounts(ctx, slices.Sorted(maps.Keys(d.controls)))
	if err != nil {
		return err
	}
	for _, n := range counts {
		if c := found[n.Cluster]; c != nil && (own.All || n.Cluster != d.o.Own()) {
			c.Add(n.Severity, n.Open)
		}
	}
	if c := found[d.o.Own()]; c != nil && !own.All {
		counts, err := d.o.Store.Counts(ctx, access(Ask{Sees: own}), d.o.Own())
		if err != nil {
			return err
		}
		for _, n := range counts {
			if d.controls[n.Control] != nil {
				c.Add(n.Severity, n.Open-n.Waived)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b FleetRow) int { return worst(found[a.UID], found[b.UID]) })
	return nil
}

// worst orders what was found: the most critical findings first, of equal ones the most high ones, then the most.
func worst(a, b *Counts) int {
	return cmp.Or(cmp.Compare(b.Critical, a.Critical), cmp.Compare(b.High, a.High), cmp.Compare(b.Total(), a.Total()))
}

// addUp fills in where the controls of a cluster stand and what is found in it, as far as that is
// seen of the own one.
func (d *Desk) addUp(ctx context.Context, own Namespaces, row *FleetRow) error {
	sees, whole := store.Everything(), true // of what spokes push all is seen, or nothing
	if row.Own {
		sees, whole = access(Ask{Sees: own}), own.All
	}
	matrix, err := d.o.Store.Matrix(ctx, sees, row.UID)
	if err != nil {
		return err
	}
	stands := map[string]bailey.Rung{}
	for _, m := range matrix {
		if d.controls[m.Control] == nil || whole != (m.Scope == bailey.ScopeCluster) {
			continue
		}
		if low, known := stands[m.Control]; !known || m.Rung < low {
			stands[m.Control] = m.Rung
		}
	}
	for id := range d.controls {
		rung, known := stands[id]
		if !known {
			rung = bailey.RungUnknown
		}
		row.Rungs.Add(rung, 1)
	}
	counts, err := d.o.Store.Counts(ctx, sees, row.UID)
	for _, n := range counts {
		if d.controls[n.Control] != nil {
			row.Findings.Add(n.Severity, n.Open-n.Waived)
		}
	}
	return err
}

// shown gives the clusters of which something may be seen, by name.
func (d *Desk) shown(ctx context.Context, a Ask) ([]store.Cluster, error) {
	kept, err := d.o.Store.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	var all []store.Cluster
	for _, c := range kept {
		shown := c.UID == d.o.Own()
		if a.Shown != nil {
			if shown, err = a.Shown(ctx, c.UID); err != nil {
				return nil, errors.Join(ErrUnavailable, err)
			}
		}
		if shown {
			all = append(all, c)
		}
	}
	return all, nil
}

func (d *Desk) infoOf(c *store.Cluster) ClusterInfo {
	return ClusterInfo{UID: c.UID, Name: c.Name, Heard: c.Heard, Own: c.UID == d.o.Own()}
}
