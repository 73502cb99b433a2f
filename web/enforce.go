package web

import (
	"slices"

	"github.com/baileyhq/bailey/server"
)

type enforceBody struct {
	Guards  []guardRow
	Only    string
	All     int     // guards at any stage
	Stages  []share // guards by where they are
	Drifted int
	Filters *filters
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
	placeRows   = 50
)

// stageStep is a stage on the way to being in place.
type stageStep struct {
	Name    string
	Reached bool
}

func stagesUpTo(stage string) []stageStep {
	at := slices.Index(server.GuardStages, stage)
	var steps []stageStep
	for i, name := range server.GuardStages[2:] {
		steps = append(steps, stageStep{name, i+2 <= at})
	}
	return steps
}

func rowOf(g server.GuardInfo) guardRow {
	r := guardRow{GuardInfo: g, Stage: g.Least(), Drifted: g.Drifted()}
	for _, s := range g.Stages {
		if s.Stage == "in place" || s.Stage == "deny" {
			r.InPlace++
		}
	}
	r.Shown = server.LeastFirst(g.Stages)
	r.Cut = max(0, len(r.Shown)-stagesShown)
	r.Shown = r.Shown[:len(r.Shown)-r.Cut]
	return r
}

func (s *site) enforce(v *visit) error {
	if !v.ask.Guards {
		return v.forbid(server.PlanGuards)
	}
	form := v.filters()
	f := server.GuardFilter{
		Text:      form.text("Text", "q"),
		Control:   form.control(),
		Namespace: form.name("Namespace", "namespace", 63),
		Order:     form.order(option{"control", "by control"}, option{"stage", "least in place first"}),
	}
	b := enforceBody{Only: form.hidden("stage"), Filters: form}
	if form.err != nil {
		return form.err
	}
	all, err := s.Desk.Guards(v.r.Context(), v.ask, f) // at any stage: each is counted
	if err != nil {
		return err
	}
	b.count(all)
	f.Stage = b.Only
	if all, err = f.Of(all); err != nil {
		return err
	}
	if v.wantsCSV() {
		return v.exportPlaces("guards", all)
	}
	v.page.Stream = "guards"
	if s.Gate != nil && v.page.Cluster.Own {
		b.Gate = s.Gate()
	}
	if all, b.Pager, err = cut(v, all, guardRows); err != nil {
		return err
	}
	var shown []server.GuardStage
	for _, g := range all {
		r := rowOf(g)
		b.Guards, shown = append(b.Guards, r), append(shown, r.Shown...)
	}
	if err := v.lookUpExamples(shown); err != nil {
		return err
	}
	return v.show("enforce", "enforce", "Enforce", b)
}

// count counts guards by stage, and those that drifted.
func (b *enforceBody) count(all []server.GuardInfo) {
	b.All = len(all)
	count := map[string]int{}
	for i := range all {
		count[all[i].Least()]++
		if all[i].Drifted() > 0 {
			b.Drifted++
		}
	}
	for _, name := range server.GuardStages {
		if count[name] > 0 {
			b.Stages = append(b.Stages, share{name, count[name]})
		}
	}
}

// lookUpExamples finds out which of the objects that guards would refuse have a page.
func (v *visit) lookUpExamples(stages []server.GuardStage) error {
	var examples []server.Object
	for _, s := range stages {
		if s.Impact != nil {
			examples = append(examples, s.Impact.Examples...)
		}
	}
	return v.lookUp(examples...)
}

// exportPlaces writes how far guards are in place, a row for each place that they were planned for.
func (v *visit) exportPlaces(name string, guards []server.GuardInfo) error {
	return v.export(name, []string{"control", "guard", "scope", "stage", "drifted", "since", "why", "would refuse"}, func(row func(...any) bool) error {
		for _, g := range guards {
			for _, st := range g.Stages {
				refused := any("")
				if st.Impact != nil {
					refused = st.Impact.Refused
				}
				if !row(g.Control, g.Name, st.Scope, st.Stage, st.Drifted, st.Since, st.Why, refused) {
					return nil
				}
			}
		}
		return nil
	})
}

type guardBody struct {
	server.GuardPage
	Filters *filters
	Pager   pager
}

// guard is one guard, with every place that it was planned for.
func (s *site) guard(v *visit) error {
	if !v.ask.Guards {
		return v.forbid(server.PlanGuards)
	}
	control, name := v.r.PathValue("area")+"/"+v.r.PathValue("control"), v.r.PathValue("guard")
	form := v.filters()
	f := server.PlaceFilter{
		Text:      form.text("Text", "q"),
		Stage:     form.choice("Stage", "stage", plainly("any", server.PlaceStates...)...),
		Namespace: form.name("Namespace", "namespace", 63),
		Order:     form.order(option{"stage", "least in place first"}, option{"name", "by name"}, option{"newest", "newest first"}),
		Cursor:    v.cursor(), Limit: placeRows,
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		return s.exportGuard(v, control, name, f)
	}
	p, err := s.Desk.Guard(v.r.Context(), v.ask, control, name, f)
	if err != nil {
		return err
	}
	if err := v.lookUpExamples(p.Stages); err != nil {
		return err
	}
	v.page.Stream = "guards"
	return v.show("guard", "enforce", p.Title, guardBody{p, form, v.paged(len(p.Stages), p.Next, p.Total)})
}

// exportGuard writes every place of a guard that a filter takes. They are read at once: for each page all would be.
func (s *site) exportGuard(v *visit, control, name string, f server.PlaceFilter) error {
	all, err := s.Desk.Guards(v.r.Context(), v.ask, server.GuardFilter{Control: control})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(g server.GuardInfo) bool { return g.Name == name })
	if at < 0 {
		return server.ErrNotFound
	}
	if all[at].Stages, err = f.Of(all[at].Stages); err != nil {
		return err
	}
	return v.exportPlaces("guard-"+name, all[at:at+1])
}
