package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// GuardStages are the stages of guards, from the least on. What was planned for no place is not planned.
var GuardStages = []string{"not planned", "absent", "audit", "warn", "deny", "in place"}

// drifted is what filters take besides: no longer as it was applied.
const drifted = "drifted"

// What filters of guards, and of the places of one, take.
var (
	GuardStates = append(slices.Clone(GuardStages), drifted)
	GuardOrders = []string{"control", "stage"}
	PlaceStates = GuardStates[1:]
	PlaceOrders = []string{"stage", "name", "newest"}
)

// GuardFilter narrows and sorts guards. The zero filter takes all, in the order of the catalogue.
type GuardFilter struct {
	Control string
	// Namespace asks for those that were planned for places in it, with these alone.
	Namespace string
	Stage     string // the least of its places, or drifted: in any of them
	Text      string // words in control, name, title and description
	Order     string // control (the catalogue's) or stage (drifted first, then the least in place first); control if empty
}

// PlaceFilter narrows and sorts the places that a guard was planned for. The zero filter takes all, the least in place
// first.
type PlaceFilter struct {
	Namespace string
	Stage     string
	Text      string // words in where it is, and why it is so
	Order     string // stage (drifted first, then the least in place first), name or newest; stage if empty
	Cursor    string
	Limit     int // 50 if zero, at most 1000
}

// Least is the least stage of a guard over the places that it was planned for.
func (g *GuardInfo) Least() string {
	if len(g.Stages) == 0 {
		return GuardStages[0]
	}
	least := len(GuardStages) - 1
	for i := range g.Stages {
		least = min(least, max(slices.Index(GuardStages, g.Stages[i].Stage), 0))
	}
	return GuardStages[least]
}

// Drifted counts the places in which a guard has drifted.
func (g *GuardInfo) Drifted() (places int) {
	for i := range g.Stages {
		if g.Stages[i].Drifted {
			places++
		}
	}
	return places
}

// urgency sorts stages: what drifted comes first, then what is least in place.
func (s *GuardStage) urgency() int {
	if s.Drifted {
		return -1
	}
	return slices.Index(GuardStages, s.Stage)
}

func (s *GuardStage) within(namespace string) bool {
	o := s.Scope.Object
	return namespace == "" || o.Namespace == namespace || o.Kind == bailey.KindNamespace && o.Name == namespace
}

// Of gives what the filter takes of guards, in its order.
func (f GuardFilter) Of(all []GuardInfo) ([]GuardInfo, error) {
	if err := cmp.Or(known("stage", f.Stage, GuardStates), known("order", f.Order, GuardOrders)); err != nil {
		return nil, err
	}
	some := []GuardInfo{}
	for _, g := range all {
		if f.Control != "" && g.Control != f.Control || !store.Bears(f.Text, g.Control, g.Name, g.Title, g.Doc) {
			continue
		}
		if f.Namespace != "" {
			g.Stages = slices.DeleteFunc(slices.Clone(g.Stages), func(s GuardStage) bool { return !s.within(f.Namespace) })
			if len(g.Stages) == 0 {
				continue
			}
		}
		if f.Stage == "" || f.Stage == g.Least() || f.Stage == drifted && g.Drifted() > 0 {
			some = append(some, g)
		}
	}
	if f.Order == "stage" {
		slices.SortStableFunc(some, func(a, b GuardInfo) int { return cmp.Compare(a.urgency(), b.urgency()) })
	}
	return some, nil
}

func (g *GuardInfo) urgency() int {
	if g.Drifted() > 0 {
		return -1
	}
	return slices.Index(GuardStages, g.Least())
}

// Of gives what the filter takes of the places of a guard, in its order, without regard to pages.
func (f PlaceFilter) Of(all []GuardStage) ([]GuardStage, error) {
	if err := cmp.Or(known("stage", f.Stage, PlaceStates), known("order", f.Order, PlaceOrders)); err != nil {
		return nil, err
	}
	some := []GuardStage{}
	for _, s := range all {
		if s.within(f.Namespace) && (f.Stage == "" || f.Stage == s.Stage || f.Stage == drifted && s.Drifted) && store.Bears(f.Text, s.Scope.String(), s.Why) {
			some = append(some, s)
		}
	}
	switch f.Order {
	case "newest":
		slices.SortStableFunc(some, func(a, b GuardStage) int { return b.Since.Compare(a.Since) })
	case "name":
		slices.SortStableFunc(some, func(a, b GuardStage) int { return strings.Compare(a.Scope.String(), b.Scope.String()) })
	default:
		some = LeastFirst(some)
	}
	return some, nil
}

// LeastFirst sorts places of a guard: those where it drifted come first, and then those where it is least in place.
func LeastFirst(places []GuardStage) []GuardStage {
	return slices.SortedStableFunc(slices.Values(places), func(a, b GuardStage) int { return cmp.Compare(a.urgency(), b.urgency()) })
}

// Guards gives the guards that a filter takes and how far they are in place, to who may see that.
func (d *Desk) Guards(ctx context.Context, a Ask, f GuardFilter) ([]GuardInfo, error) {
	all, err := d.guards(ctx, a, store.GuardQuery{Control: f.Control, Namespaces: onlyIn(f.Namespace)})
	if err != nil {
		return nil, err
	}
	return f.Of(all)
}

// Guard gives a guard of a control with a page of the places that it was planned for, to who may see that.
func (d *Desk) Guard(ctx context.Context, a Ask, control, name string, f PlaceFilter) (GuardPage, error) {
	var p GuardPage
	all, err := d.guards(ctx, a, store.GuardQuery{Control: control, Name: name, Namespaces: onlyIn(f.Namespace)})
	if err != nil {
		return p, err
	}
	at := slices.IndexFunc(all, func(g GuardInfo) bool { return g.Control == control && g.Name == name })
	if at < 0 {
		return p, ErrNotFound
	}
	p.GuardInfo = all[at]
	if p.Stages, err = f.Of(p.Stages); err != nil {
		return p, err
	}
	p.Total = len(p.Stages)
	p.Stages, p.Next, err = pieceOf(p.Stages, f.Cursor, f.Limit)
	return p, err
}

// guards gives the guards of a query in the cluster that is asked about, to who may see them.
func (d *Desk) guards(ctx context.Context, a Ask, q store.GuardQuery) (all []GuardInfo, err error) {
	if !a.Guards {
		return nil, ErrForbidden
	}
	if q.Cluster, err = d.cluster(a); err != nil {
		return nil, err
	}
	return d.guardInfos(ctx, a, q)
}

// GuardDoc is what is kept of a guard's stage beside the stage itself.
type GuardDoc struct {
	Changes []string     `json:"changes,omitempty"`
	Impact  *GuardImpact `json:"impact,omitempty"`
}

// guardInfos gives the guards of a control, or of all, with what is kept that a query asks for: to who may not see
// how far they are, what they are alone.
func (d *Desk) guardInfos(ctx context.Context, a Ask, q store.GuardQuery) ([]GuardInfo, error) {
	var kept []store.Guard
	if a.Guards {
		q.Access = access(a)
		var err error
		if kept, err = d.o.Store.Guards(ctx, q); err != nil {
			return nil, err
		}
	}
	infos := []GuardInfo{}
	for _, c := range d.o.Controls {
		if q.Control != "" && c.ID != q.Control {
			continue
		}
		for _, g := range c.Guards {
			info := GuardInfo{Control: c.ID, Name: g.Name, Title: g.Title, Doc: g.Doc, OptIn: g.OptIn}
			for _, k := range kept {
				if k.Control != c.ID || k.Name != g.Name {
					continue
				}
				var doc GuardDoc
				if len(k.Doc) > 0 {
					if err := json.Unmarshal(k.Doc, &doc); err != nil {
						return nil, fmt.Errorf("what is kept of guard %s: %w", g.Name, err)
					}
				}
				for _, c := range doc.Changes {
					if len(info.Changes) < changesMost && !slices.Contains(info.Changes, c) {
						info.Changes = append(info.Changes, c)
					}
				}
				info.Stages = append(info.Stages, GuardStage{Scope: k.Scope, Stage: k.Stage, Why: k.Why, Drifted: k.Drifted, Since: k.Since, Impact: doc.Impact})
			}
			infos = append(infos, info)
		}
	}
	return infos, nil
}
