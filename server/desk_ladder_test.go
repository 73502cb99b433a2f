package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
)

// TestLadderLists: what moved on the ladder, the scopes of a control, guards and the places of one are narrowed, sorted and cut into
// pages as their endpoints are asked to, within what may be seen.
func TestLadderLists(t *testing.T) {
	kept := openStore(t)
	begun := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	if err := kept.PutCluster(t.Context(), "c", "c", begun); err != nil {
		t.Fatal(err)
	}
	var guarded *bailey.Control
	for _, c := range controls.All() {
		if len(c.Guards) > 1 {
			guarded = c
			break
		}
	}
	const pods = "compute/pod-security"
	guard := guarded.Guards[1].Name
	namespace := func(name string) bailey.Scope {
		return bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: name}}
	}
	workload := func(namespace, name string) bailey.Scope {
		return bailey.Scope{Kind: bailey.ScopeWorkload, Object: bailey.Ref{Kind: bailey.KindDeployment, Namespace: namespace, Name: name}}
	}
	for i, v := range []bailey.Verdict{
		{Control: pods, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungGap},
		{Control: pods, Scope: workload("mine", "a"), Rung: bailey.RungSound, Next: "bailey prove"},
		{Control: pods, Scope: workload("mine", "b"), Rung: bailey.RungGap, Findings: 2},
		{Control: pods, Scope: workload("theirs", "a"), Rung: bailey.RungUnknown},
		{Control: "network/policy", Scope: namespace("mine"), Rung: bailey.RungProven},
	} {
		if err := kept.Apply(t.Context(), "c", begun.Add(time.Duration(i)*time.Hour), store.Delta{Verdicts: []bailey.Verdict{v}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, g := range []store.Guard{
		{Scope: namespace("mine"), Stage: "deny", Why: "since monday"},
		{Scope: namespace("theirs"), Stage: "in place", Drifted: true},
		{Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Stage: "audit"},
	} {
		g.Control, g.Name = guarded.ID, guard
		if err := kept.Apply(t.Context(), "c", begun.Add(time.Duration(i+9)*time.Hour), store.Delta{Guards: []store.Guard{g}}); err != nil {
			t.Fatal(err)
		}
	}
	sees := Namespaces{All: true}
	desk := NewDesk(DeskOptions{Store: kept, Controls: controls.All(), Own: func() string { return "c" }, Now: func() time.Time { return begun }, Namespaces: func() []string { return []string{"mine", "theirs"} },
		Sight: func() Sight { return Sight{Ready: true} }, Log: slog.New(slog.DiscardHandler)})
	handler := (&API{Version: "test", Desk: desk, Rights: LocalRights{}, Log: slog.New(slog.DiscardHandler)}).Handler()

	// An endpoint gives all its pages, as what is listed in a few words.
	get := func(path string) string {
		t.Helper()
		said := ""
		for at := path; ; {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/"+at, nil)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), askerKey{}, asker{who: Who{Name: "admin", Local: true}})))
			var page struct {
				Items []struct {
					Control, Name string
					Scope         bailey.Scope
					Rung          string
					Stages        []GuardStage
				}
				Stages []GuardStage
				Next   string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%s: %d, %v: %.300s", at, w.Code, err, w.Body)
			}
			for _, x := range page.Items {
				switch {
				case x.Name != "":
					said += fmt.Sprint(x.Name, " in ", len(x.Stages), ", ")
				default:
					said += fmt.Sprint(strings.TrimPrefix(x.Scope.String()+" "+x.Rung, "workload Deployment "), ", ")
				}
			}
			for _, s := range page.Stages {
				said += fmt.Sprint(s.Scope, " ", s.Stage, ", ")
			}
			if page.Next == "" || len(said) > 1000 {
				return said
			}
			separator := "?"
			if strings.Contains(path, "?") {
				separator = "&"
			}
			at = path + separator + "cursor=" + page.Next
		}
	}
	one := "guards/" + guarded.ID + "/" + guard
	for path, want := range map[string]string{
		"changes?limit=2":                             "namespace mine , theirs/a , mine/b , mine/a , cluster , ",
		"changes?order=oldest&control=" + pods:        "cluster , mine/a , mine/b , theirs/a , ",
		"changes?namespace=mine":                      "namespace mine , mine/b , mine/a , ",
		"changes?namespace=mine&control=" + pods:      "mine/b , mine/a , ",
		"changes?text=2+FINDINGS":                     "mine/b , ",
		"changes?since=2026-11-26T15:00:00Z":          "namespace mine , theirs/a , ",
		"controls/" + pods + "/scopes?limit=1":        "cluster gap, mine/b gap, theirs/a unknown, mine/a sound, ",
		"controls/" + pods + "/scopes?order=name":     "cluster gap, mine/a sound, mine/b gap, theirs/a unknown, ",
		"controls/" + pods + "/scopes?rung=low":       "cluster gap, mine/b gap, theirs/a unknown, ",
		"controls/" + pods + "/scopes?rung=sound":     "mine/a sound, ",
		"controls/" + pods + "/scopes?namespace=mine": "mine/b gap, mine/a sound, ",
		"controls/" + pods + "/scopes?text=PROVE":     "mine/a sound, ",
		"guards?stage=drifted":                        guard + " in 3, ",
		"guards?stage=audit":                          guard + " in 3, ",
		"guards?stage=deny":                           "",
		"guards?stage=deny&namespace=mine":            guard + " in 1, ",
		"guards?namespace=mine&text=nonesuch":         "",
		"guards?namespace=mine&control=" + pods + "x": "",
		one + "?limit=1":                              "namespace theirs in place, cluster audit, namespace mine deny, ",
		one + "?order=name":                           "cluster audit, namespace mine deny, namespace theirs in place, ",
		one + "?order=newest":                         "cluster audit, namespace theirs in place, namespace mine deny, ",
		one + "?namespace=mine":                       "namespace mine deny, ",
		one + "?stage=drifted":                        "namespace theirs in place, ",
		one + "?stage=deny":                           "namespace mine deny, ",
		one + "?text=MONDAY":                          "namespace mine deny, ",
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	first := get("guards?order=stage")
	if !strings.HasPrefix(first, guard+" in 3, ") || strings.HasPrefix(get("guards"), guard+" in 3, ") {
		t.Errorf("by stage: %.100s", first)
	}

	all, mine := Ask{Sees: sees, Guards: true}, Ask{Sees: Namespaces{Names: []string{"mine"}}}
	page, err := desk.Control(t.Context(), all, pods)
	if err != nil || len(page.ScopesLow) != 3 || page.ScopesLowMore || len(page.Changes) != 4 || page.ChangesMore {
		t.Errorf("of few: %d scopes, more: %v, %d changes, more: %v, %v", len(page.ScopesLow), page.ScopesLowMore, len(page.Changes), page.ChangesMore, err)
	}
	for i := range 2 * controlScopes {
		if err := kept.Apply(t.Context(), "c", begun.Add(20*time.Hour), store.Delta{Verdicts: []bailey.Verdict{{Control: pods, Scope: workload("theirs", fmt.Sprint("more-", i)), Rung: bailey.RungUnknown}}}); err != nil {
			t.Fatal(err)
		}
	}
	page, err = desk.Control(t.Context(), all, pods)
	if err != nil || len(page.ScopesLow) != controlScopes || !page.ScopesLowMore || page.ScopesLow[1].Rung != bailey.RungGap || len(page.Changes) != controlEvidence || !page.ChangesMore {
		t.Errorf("of many: %d scopes, more: %v, %d changes, more: %v, %v", len(page.ScopesLow), page.ScopesLowMore, len(page.Changes), page.ChangesMore, err)
	}
	if scopes, next, err := desk.Scopes(t.Context(), mine, pods, ScopeFilter{}); err != nil || len(scopes) != 2 || next != "" {
		t.Errorf("scopes to a tenant: %+v, %v", scopes, err)
	}
	if changes, next, err := desk.Changes(t.Context(), mine, ChangeFilter{Text: "a"}); err != nil || len(changes) != 3 || next != "" {
		t.Errorf("changes to a tenant: %+v, %v", changes, err)
	}
	if page, err := desk.Guard(t.Context(), Ask{Sees: mine.Sees, Guards: true}, guarded.ID, guard, PlaceFilter{}); err != nil || page.Total != 1 || len(page.Stages) != 1 || page.Stages[0].Stage != "deny" {
		t.Errorf("a guard to a tenant: %+v, %v", page, err)
	}
	_, forbidden := desk.Guard(t.Context(), mine, guarded.ID, guard, PlaceFilter{})
	_, absent := desk.Guard(t.Context(), all, guarded.ID, "nonesuch", PlaceFilter{})
	_, _, unknown := desk.Scopes(t.Context(), all, "no/such", ScopeFilter{})
	if !errors.Is(forbidden, ErrForbidden) || !errors.Is(absent, ErrNotFound) || !errors.Is(unknown, ErrNotFound) {
		t.Error(forbidden, absent, unknown)
	}
	wrong := func(_ any, err error) error { return err }
	for _, err := range []error{
		failing(desk.Changes(t.Context(), all, ChangeFilter{Order: "x"})), failing(desk.Changes(t.Context(), all, ChangeFilter{Cursor: "x"})),
		failing(desk.Scopes(t.Context(), all, pods, ScopeFilter{Rung: "x"})), failing(desk.Scopes(t.Context(), all, pods, ScopeFilter{Order: "x"})),
		wrong(desk.Guards(t.Context(), all, GuardFilter{Stage: "x"})), wrong(desk.Guards(t.Context(), all, GuardFilter{Order: "x"})),
		wrong(desk.Guard(t.Context(), all, guarded.ID, guard, PlaceFilter{Stage: "not planned"})), wrong(desk.Guard(t.Context(), all, guarded.ID, guard, PlaceFilter{Order: "x"})),
		wrong(desk.Guard(t.Context(), all, guarded.ID, guard, PlaceFilter{Cursor: "x"})),
	} {
		if !errors.Is(err, ErrBadInput) && !errors.Is(err, ErrCursor) {
			t.Errorf("%v", err)
		}
	}
}
