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

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
)

// TestLists: controls, rules and evidence are narrowed, sorted and cut into pages as their endpoints are asked to, within what may be seen.
func TestLists(t *testing.T) {
	kept := openStore(t)
	now := time.Now()
	if err := kept.PutCluster(t.Context(), "c", "c", now); err != nil {
		t.Fatal(err)
	}
	var d store.Delta
	finding := func(rule, namespace, name string, severity bailey.Severity, accepted bool) {
		o := bailey.Ref{Kind: bailey.KindDeployment, Namespace: namespace, Name: name}
		control := rule[:strings.LastIndex(rule, "/")]
		d.Findings = append(d.Findings, bailey.Finding{ID: bailey.FindingID(rule, o, ""), Control: control, Rule: rule, Severity: severity, Object: o, Message: "x", Baseline: accepted})
	}
	pods, policy := "compute/pod-security", "network/policy"
	var tried, other *bailey.Experiment
	for _, c := range controls.All() {
		switch {
		case c.ID == pods:
			tried = c.Experiments[0]
		case len(c.Experiments) > 0 && c.Experiments[0].Window > 0 && other == nil:
			other = c.Experiments[0]
			policy = c.ID
		}
	}
	finding(pods+"/privileged", "mine", "a", bailey.SeverityCritical, false)
	finding(pods+"/host-namespaces", "mine", "a", bailey.SeverityHigh, false)
	finding(pods+"/host-namespaces", "theirs", "b", bailey.SeverityHigh, false)
	finding(pods+"/host-ports", "mine", "a", bailey.SeverityLow, true)
	cluster := bailey.Scope{Kind: bailey.ScopeCluster}
	d.Verdicts = []bailey.Verdict{{Control: pods, Scope: cluster, Rung: bailey.RungGap, Coverage: bailey.Coverage{Seen: 3, Needed: 4}}, {Control: policy, Scope: cluster, Rung: bailey.RungSound}}
	namespace := func(name string) bailey.Scope {
		return bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: name}}
	}
	for i, e := range []struct {
		control, experiment, namespace string
		age                            time.Duration
	}{{pods, tried.Name, "theirs", 2 * time.Hour}, {pods, tried.Name, "mine", time.Hour}, {policy, other.Name, "theirs", other.Window + time.Hour}} {
		index := uint64(40 + i)
		d.Evidence = append(d.Evidence, store.Evidence{Ledger: &index, Evidence: bailey.Evidence{ID: fmt.Sprint("e", i), Run: "r", Control: e.control, Experiment: e.experiment, Scope: namespace(e.namespace), At: now.Add(-e.age),
			Paths: []bailey.Tally{{Path: "p", Tried: 2, Held: 2}}}})
	}
	if err := kept.Replace(t.Context(), "c", now, d); err != nil {
		t.Fatal(err)
	}
	desk := NewDesk(DeskOptions{Store: kept, Controls: controls.All(), Own: func() string { return "c" }, Now: func() time.Time { return now }, Namespaces: func() []string { return []string{"mine", "theirs"} },
		Sight: func() Sight { return Sight{Ready: true} }, Log: slog.New(slog.DiscardHandler)})
	all, mine := Ask{Sees: Namespaces{All: true}}, Ask{Sees: Namespaces{Names: []string{"mine"}}}

	ids := func(a Ask, f ControlFilter) (list []string) {
		t.Helper()
		for f.Limit = 10; ; {
			rows, next, err := desk.Controls(t.Context(), a, f)
			if err != nil || len(list) > 100 {
				t.Fatal(err)
			}
			for _, r := range rows {
				list = append(list, r.Control)
			}
			if f.Cursor = next; next == "" {
				return list
			}
		}
	}
	gap := bailey.RungGap
	for what, c := range map[string]struct {
		ask  Ask
		f    ControlFilter
		n    int
		from string // the first of them
	}{
		"all":              {all, ControlFilter{}, len(controls.All()), controls.All()[0].ID},
		"a rung":           {all, ControlFilter{Rung: &gap}, 1, pods},
		"by rung":          {all, ControlFilter{Order: "rung"}, len(controls.All()), pods},
		"by findings":      {mine, ControlFilter{Order: "findings"}, len(controls.All()), pods},
		"stale":            {all, ControlFilter{Stale: true}, 1, policy},
		"stale, to tenant": {mine, ControlFilter{Stale: true}, 0, ""},
		"an area and text": {all, ControlFilter{Area: "compute", Text: "POD-security"}, 1, pods},
	} {
		got := ids(c.ask, c.f)
		if len(got) != c.n || c.n > 0 && got[0] != c.from {
			t.Errorf("%s: %d, %q", what, len(got), got[:min(3, len(got))])
		}
	}
	for ask, want := range map[*Ask]Counts{&all: {Critical: 1, High: 2}, &mine: {Critical: 1, High: 1}} {
		rows, _, err := desk.Controls(t.Context(), *ask, ControlFilter{Text: pods})
		if err != nil || len(rows) != 1 || rows[0].Findings != want || rows[0].Experiments.Held != 1 || rows[0].Stale || rows[0].Tried == nil || !rows[0].Tried.Equal(now.Add(-time.Hour)) {
			t.Errorf("%+v: %+v, %v", ask.Sees, rows, err)
		}
		rules, _, err := desk.Rules(t.Context(), *ask, RuleFilter{Found: true, Order: "findings"})
		if err != nil || len(rules) != 2 || rules[0].ID != pods+"/privileged" || rules[0].Control != pods || rules[1].Findings.Total() != want.High {
			t.Errorf("%+v: %+v, %v", ask.Sees, rules, err)
		}
	}
	// The store is asked once for the newest evidence of all experiments, and once for their newest runs.
	queries := 0
	ctx := store.WithTrace(t.Context(), func(query string, _ []any) {
		if strings.Contains(query, "FROM evidence") {
			queries++
		}
	})
	if _, _, err := desk.Controls(ctx, all, ControlFilter{}); err != nil || queries != 2 {
		t.Errorf("%d queries for evidence, %v", queries, err)
	}
	for _, ask := range []Ask{all, mine} {
		infos, err := desk.Experiments(t.Context(), ask, ExperimentFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			alone, err := desk.Experiment(t.Context(), ask, info.Control, info.Name)
			alone.Evidence, alone.Runs = alone.Evidence[:min(1, len(alone.Evidence))], alone.Runs[:min(1, len(alone.Runs))] // lists tell less
			if diff := cmp.Diff(alone, info); err != nil || diff != "" {
				t.Errorf("%s of %s, listed and alone: %v\n%s", info.Name, info.Control, err, diff)
			}
		}
	}
	catalogue := 0
	for _, c := range controls.All() {
		catalogue += len(c.Rules)
	}
	if rules, next, err := desk.Rules(t.Context(), mine, RuleFilter{Limit: 1000}); err != nil || len(rules) != catalogue || next != "" {
		t.Errorf("%d rules, want %d; %v", len(rules), catalogue, err)
	}
	if rules, _, err := desk.Rules(t.Context(), all, RuleFilter{Control: pods, Least: bailey.SeverityHigh, Order: "severity"}); err != nil || len(rules) == 0 || rules[len(rules)-1].Severity < bailey.SeverityHigh || rules[0].Severity < rules[len(rules)-1].Severity {
		t.Errorf("%+v, %v", rules, err)
	}
	for what, c := range map[string]struct {
		ask  Ask
		f    EvidenceFilter
		want string
	}{
		"all":           {all, EvidenceFilter{}, "e2 42 r, e1 41 r, e0 40 r, "},
		"a control":     {all, EvidenceFilter{Control: pods}, "e1 41 r, e0 40 r, "},
		"an experiment": {all, EvidenceFilter{Control: policy, Experiment: other.Name}, "e2 42 r, "},
		"a namespace":   {all, EvidenceFilter{Namespace: "mine"}, "e1 41 r, "},
		"oldest first":  {all, EvidenceFilter{Order: "oldest"}, "e0 40 r, e1 41 r, e2 42 r, "},
		"of a control":  {all, EvidenceFilter{Control: pods, Order: "oldest"}, "e0 40 r, e1 41 r, "},
		"to a tenant":   {mine, EvidenceFilter{}, "e1 41 , "},
		"not theirs":    {mine, EvidenceFilter{Namespace: "theirs"}, ""},
	} {
		got := ""
		for c.f.Limit = 1; ; {
			list, next, err := desk.Evidence(t.Context(), c.ask, c.f)
			if err != nil || len(got) > 100 {
				t.Fatal(err)
			}
			for _, e := range list {
				got += fmt.Sprint(e.ID, " ", *e.Ledger, " ", e.Run, ", ")
			}
			if c.f.Cursor = next; next == "" {
				break
			}
		}
		if got != c.want {
			t.Errorf("evidence, %s: %q, want %q", what, got, c.want)
		}
	}
	for _, err := range []error{
		failing(desk.Controls(t.Context(), all, ControlFilter{Order: "x"})), failing(desk.Controls(t.Context(), all, ControlFilter{Cursor: "x"})),
		failing(desk.Rules(t.Context(), all, RuleFilter{Order: "x"})), failing(desk.Rules(t.Context(), all, RuleFilter{Cursor: "-1"})),
		failing(desk.Evidence(t.Context(), all, EvidenceFilter{Experiment: "x"})), failing(desk.Evidence(t.Context(), all, EvidenceFilter{Cursor: "x"})),
		failing(desk.Evidence(t.Context(), all, EvidenceFilter{Order: "x"})),
	} {
		if !errors.Is(err, ErrBadInput) && !errors.Is(err, ErrCursor) {
			t.Errorf("%v", err)
		}
	}

	// The same by HTTP, which bears an ETag.
	api := &API{Version: "test", Desk: desk, Rights: LocalRights{}, Log: slog.New(slog.DiscardHandler)}
	handler := api.Handler()
	for path, want := range map[string]struct {
		items int
		first string
	}{
		"/api/v1/controls?limit=46":                          {len(controls.All()), controls.All()[0].ID},
		"/api/v1/rules?control=" + pods + "&found=true":      {2, pods},
		"/api/v1/evidence?control=" + pods:                   {2, `"id":"e1"`},
		"/api/v1/evidence?control=" + pods + "&order=oldest": {2, `"id":"e0"`},
	} {
		ask := func(tag string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r = r.WithContext(context.WithValue(r.Context(), askerKey{}, asker{who: Who{Name: "admin", Local: true}}))
			r.Header.Set("If-None-Match", tag)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		w := ask("")
		var page struct{ Items []json.RawMessage }
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(page.Items) != want.items || !strings.Contains(string(page.Items[0]), want.first) {
			t.Errorf("%s: %d, %d items, %v: %.300s", path, w.Code, len(page.Items), err, w.Body)
		}
		if again := ask(w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s: %d again", path, again.Code)
		}
	}
}

func failing[T any](_ T, _ string, err error) error { return err }
