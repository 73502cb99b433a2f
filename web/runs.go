package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/baileyhq/bailey/server"
)

type runsBody struct {
	Runs     []server.Run
	Controls []controlChoice // for the form that begins a run
	Filters  *filters
	Pager    pager
}

// controlChoice is a control with experiments, for the form that begins a run.
type controlChoice struct{ ID, Name string }

func (s *site) runs(v *visit) error {
	form := v.filters()
	f := server.RunFilter{
		Text:    form.text("Text", "q"),
		State:   form.choice("Outcome", "state", plainly("any", server.RunStates...)...),
		Trigger: form.choice("Begun by", "trigger", option{"", "anything"}, option{"schedule", "the schedule"}, option{"person", "a person"}, option{"api", "the API"}),
		Control: form.control(),
		Order:   form.timeOrder(),
		Cursor:  v.cursor(),
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		return v.export("runs", []string{"id", "state", "trigger", "by", "danger", "started", "ended", "held", "tried", "broken", "inconclusive", "error"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, next, err := s.Desk.Runs(v.r.Context(), v.ask, f)
				for _, r := range list {
					if !row(r.ID, r.State, r.Trigger, r.By, r.Danger, r.Started, r.Ended, r.Held, r.Tried, r.Broken, r.Inconclusive, r.Error) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	list, next, err := s.Desk.Runs(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := runsBody{Runs: list, Filters: form, Pager: v.paged(len(list), next, 0)}
	for _, c := range s.Controls {
		if len(c.Experiments) > 0 {
			b.Controls = append(b.Controls, controlChoice{c.ID, controlName(c.ID)})
		}
	}
	v.page.Stream = "run"
	return v.show("runs", "runs", "Runs", b)
}

type runBody struct {
	server.Run
	Live bool
}

func (s *site) run(v *visit) error {
	r, err := s.Desk.Run(v.r.Context(), v.ask, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if v.wantsCSV() {
		return v.export("run-"+r.ID, []string{"run", "control", "experiment", "scopes", "held", "tried", "broken", "inconclusive"}, func(row func(...any) bool) error {
			for _, x := range r.Experiments {
				if !row(r.ID, x.Control, x.Experiment, x.Scopes, x.Held, x.Tried, x.Broken, x.Inconclusive) {
					break
				}
			}
			return nil
		})
	}
	b := runBody{Run: r, Live: r.State == "running" || r.State == "planned"}
	if b.Live {
		v.page.Stream, v.page.Refresh = "run", 3
	}
	return v.show("run", "runs", "Run "+short(r.ID), b)
}

// beginRun begins experiments, for who may.
func (s *site) beginRun(v *visit) error {
	if err := v.mustMay(server.RunExperiments); err != nil {
		return err
	}
	if !v.page.Can.Run {
		return fmt.Errorf("%w: no experiments are run from here", server.ErrBadInput)
	}
	if err := v.r.ParseForm(); err != nil {
		return errors.Join(server.ErrBadInput, err)
	}
	order := v.order()
	for _, id := range order.Controls {
		if s.controlOf(id) == nil {
			return fmt.Errorf("%w: there is no control %q", server.ErrBadInput, id)
		}
	}
	id, err := s.Run(v.r.Context(), v.by(), order)
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.page.Href("/runs/"+id), http.StatusSeeOther)
	return nil
}

// order is what a form orders; no control means all of them.
func (v *visit) order() server.RunOrder {
	o := server.RunOrder{Experiment: v.r.PostFormValue("experiment"), Isolated: v.r.PostFormValue("isolated") != ""}
	for _, id := range v.r.PostForm["control"] {
		if id != "" {
			o.Controls = append(o.Controls, id)
		}
	}
	return o
}

// stopRun stops a run, for who may begin one.
func (s *site) stopRun(v *visit) error {
	if err := v.mustMay(server.RunExperiments); err != nil {
		return err
	}
	if !v.page.Can.Run || s.Stop == nil {
		return fmt.Errorf("%w: no experiments are run from here", server.ErrBadInput)
	}
	id := v.r.PathValue("id")
	if err := s.Stop(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.page.Href("/runs/"+id), http.StatusSeeOther)
	return nil
}
