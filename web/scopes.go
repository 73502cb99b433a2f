package web

import (
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type scopesBody struct {
	Control   string
	ScopeKind bailey.ScopeKind
	Scopes    []server.ScopeStanding
	Filters   *filters
	Pager     pager
}

// scopes lists where a control stands, scope by scope.
func (s *site) scopes(v *visit) error {
	c := s.controlOf(v.r.PathValue("area") + "/" + v.r.PathValue("name"))
	if c == nil {
		return server.ErrNotFound
	}
	form := v.filters()
	f := server.ScopeFilter{
		Text:      form.text("Text", "q"),
		Rung:      form.choice("Rung", "rung", append([]option{{"", "any"}, {"low", "gap or unknown"}}, plainly("", rungNames...)[1:]...)...),
		Namespace: form.name("Namespace", "namespace", 63),
		Order:     form.order(option{"lowest", "lowest first"}, option{"name", "by name"}),
		Cursor:    v.cursor(),
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		return s.exportScopes(v, c.ID, f)
	}
	list, next, err := s.Desk.Scopes(v.r.Context(), v.ask, c.ID, f)
	if err != nil {
		return err
	}
	v.page.Stream = "report"
	return v.show("scopes", "overview", "Where "+controlName(c.ID)+" stands", scopesBody{c.ID, c.Scope, list, form, v.paged(len(list), next, 0)})
}

// controlOf is the control with an ID; nil if there is none.
func (s *site) controlOf(id string) *bailey.Control {
	for _, c := range s.Controls {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// exportScopes writes where a control stands, scope by scope.
func (s *site) exportScopes(v *visit, id string, f server.ScopeFilter) error {
	f.Limit = exportPage
	return v.export(strings.ReplaceAll(id, "/", "-"), []string{"control", "scope", "rung", "since", "waived until", "findings", "held", "tried", "what would change it"}, func(row func(...any) bool) error {
		return eachPage(func(cursor string) (string, error) {
			f.Cursor = cursor
			list, next, err := s.Desk.Scopes(v.r.Context(), v.ask, id, f)
			for _, x := range list {
				proof := server.Proof{}
				if x.Proof != nil {
					proof = *x.Proof
				}
				if !row(x.Control, x.Scope, x.Rung, x.Since, x.WaivedUntil, x.Findings, proof.Held, proof.Tried, x.Next) {
					return "", err
				}
			}
			return next, err
		})
	})
}
