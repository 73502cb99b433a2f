package web

import (
	"slices"

	"github.com/baileyhq/bailey/server"
)

type enforceBody struct {
	Guards  []guardRow
	Only    string
	Stages  []share // guards by where they are
	Drifted int
	Pager   pager
	Gate    *server.GateState // nil where none runs
}

// guardRow is a guard with its least stage over all scopes.
type guardRow struct {
	server.GuardInfo
	Stage   string
	Drifted int
	InPlace int
	Shown   []server.GuardStage // the scopes where it is least in place
	Cut     int
}

const (
	guardRows   = 30
	stagesShown = 5
)

// stageOrder lists the stages from the least; unplanned is before all.
var stageOrder = []string{"not planned", "absent", "audit", "warn", "deny", "in place"}

// stageStep is a stage on the way to being in place.
type stageStep struct {
	Name    string
	Reached bool
}

func stagesUpTo(stage string) []stageStep {
	at := slices.Index(stageOrder, stage)
	var steps []stageStep
	for i, name := range stageOrder[2:] {
		steps = append(steps, stageStep{name, i+2 <= at})
	}
	return steps
}

func rowOf(g server.GuardInfo) guardRow {
	r := guardRow{GuardInfo: g, Stage: stageOrder[0]}
	if len(g.Stages) == 0 {
		return r
	}
	stages := slices.Clone(g.Stages)
	rank := func(s server.GuardStage) int {
		if s.Drifted {
			return -1
		}
		return slices.Index(stageOrder, s.Stage)
	}
	slices.SortStableFunc(stages, func(a, b server.GuardStage) int { return rank(a) - rank(b) })
	least := len(stageOrder) - 1
	for _, s := range stages {
		least = min(least, max(slices.Index(stageOrder, s.Stage), 0))
		if s.Drifted {
			r.Drifted++
		}
		if s.Stage == "in place" || s.Stage == "deny" {
			r.InPlace++
		}
	}
	r.Stage = stageOrder[least]
	r.Cut = max(0, len(stages)-stagesShown)
	r.Shown = stages[:len(stages)-r.Cut]
	return r
}

func (s *site) enforce(v *visit) error {
	if !v.ask.Guards {
		return v.forbid(server.PlanGuards)
	}
	all, err := s.Desk.Guards(v.r.Context(), v.ask)
	if err != nil {
		return err
	}
	v.page.Stream = "guards"
	b := enforceBody{Only: v.r.URL.Query().Get("stage")}
	if b.Only != "" {
		if err := oneOf("stage", b.Only, append([]string{"drifted"}, stageOrder...)...); err != nil {
			return err
		}
	}
	count := map[string]int{}
	var rows []guardRow
	for _, g := range all {
		r := rowOf(g)
		count[r.Stage]++
		if r.Drifted > 0 {
			b.Drifted++
		}
		if b.Only == "" || b.Only == r.Stage || b.Only == "drifted" && r.Drifted > 0 {
			rows = append(rows, r)
		}
	}
	for _, name := range stageOrder {
		if count[name] > 0 {
			b.Stages = append(b.Stages, share{name, count[name]})
		}
	}
	if v.wantsCSV() {
		return v.export("guards", []string{"control", "guard", "scope", "stage", "drifted", "since", "why", "would refuse"}, func(row func(...any) bool) error {
			for _, r := range rows {
				for _, st := range r.Stages {
					refused := any("")
					if st.Impact != nil {
						refused = st.Impact.Refused
					}
					if !row(r.Control, r.Name, st.Scope, st.Stage, st.Drifted, st.Since, st.Why, refused) {
						return nil
					}
				}
			}
			return nil
		})
	}
	if s.Gate != nil && v.page.Cluster.Own {
		b.Gate = s.Gate()
	}
	if b.Guards, b.Pager, err = cut(v, rows, guardRows); err != nil {
		return err
	}
	var examples []server.Object
	for _, g := range b.Guards {
		for _, st := range g.Shown {
			if st.Impact != nil {
				examples = append(examples, st.Impact.Examples...)
			}
		}
	}
	if err := v.lookUp(examples...); err != nil {
		return err
	}
	return v.show("enforce", "enforce", "Enforce", b)
}
