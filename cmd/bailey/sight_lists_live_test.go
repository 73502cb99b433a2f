package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// every reads all pages of a list of the API, a few rows at a time.
func every[T any](t *testing.T, s *sight, person, path string) (all []T) {
	t.Helper()
	for cursor, pages := "", 0; ; pages++ {
		address := path + "&limit=7&cursor=" + url.QueryEscape(cursor)
		var page struct {
			Items []T
			Next  string
		}
		a := s.ask(t, person, http.MethodGet, address, "")
		if _, body, _ := strings.Cut(a.text, "\n"); a.status != ok || json.Unmarshal([]byte(body), &page) != nil || pages > 200 {
			t.Fatalf("%s: %d %.300s", address, a.status, a.text)
		}
		if all = append(all, page.Items...); page.Next == "" {
			return all
		}
		cursor = page.Next
	}
}

// file reads a page as CSV, without its head.
func (s *sight) file(t *testing.T, person, path string) [][]string {
	t.Helper()
	a := s.ask(t, person, http.MethodGet, path, "")
	_, body, _ := strings.Cut(a.text, "\n")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || a.status != ok || len(rows) == 0 {
		t.Fatalf("%s: %d, %v", path, a.status, err)
	}
	return rows[1:]
}

// agrees holds what the API says to what a page says, or a scan: in a cluster that others share, within some time.
func agrees(t *testing.T, what string, both func() (api, page []string)) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		api, page := both()
		if slices.Equal(api, page) && len(api) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%s: the API says\n%q, and not\n%q", what, api, page)
			return
		}
	}
}

// lists holds the lists of controls, rules and evidence to what pages, and a scan, say of the same.
func (s *sight) lists(t *testing.T) {
	for _, person := range []string{tenant, admin} {
		agrees(t, person+": controls", func() (api, page []string) {
			for _, c := range every[server.ControlRow](t, s, person, "/api/v1/controls?order=control") {
				n := c.Findings
				proof := server.Proof{}
				if c.Proof != nil {
					proof = *c.Proof
				}
				api = append(api, fmt.Sprint(c.Control, c.Rung, n.Critical, n.High, n.Medium, n.Low, n.Info, c.Seen, c.Needed, proof.Held, proof.Tried))
			}
			for _, r := range s.file(t, person, "/?format=csv") {
				page = append(page, fmt.Sprint(r[0], r[2], " ", strings.Join(r[5:14], " ")))
			}
			return api, page
		})
		agrees(t, person+": how old proofs are", func() (api, page []string) {
			for _, c := range every[server.ControlRow](t, s, person, "/api/v1/controls?order=control") {
				x := c.Experiments
				if sum := x.Held + x.Broken + x.Inconclusive + x.Stale + x.Never; sum > 0 {
					api = append(api, fmt.Sprint(c.Control, " ", x, c.Stale))
				}
			}
			counts := map[string]*server.ExperimentCounts{}
			var controls []string
			for _, r := range s.file(t, person, "/experiments?format=csv") {
				x := counts[r[0]]
				if x == nil {
					x = &server.ExperimentCounts{}
					counts[r[0]], controls = x, append(controls, r[0])
				}
				*map[string]*int{"held": &x.Held, "broken": &x.Broken, "inconclusive": &x.Inconclusive, "stale": &x.Stale, "never": &x.Never}[r[4]]++
			}
			for _, c := range controls {
				page = append(page, fmt.Sprint(c, " ", *counts[c], counts[c].Stale > 0))
			}
			return api, page
		})
		agrees(t, person+": rules by which something is found", func() (api, page []string) {
			for _, r := range every[server.RuleRow](t, s, person, "/api/v1/rules?found=true&order=rule") {
				api = append(api, fmt.Sprint(r.ID, " ", r.Findings.Total()))
			}
			found := map[string]int{}
			for _, r := range s.file(t, person, "/findings?format=csv") {
				found[r[3]]++
			}
			for _, r := range every[server.RuleRow](t, s, person, "/api/v1/rules?order=rule") {
				if n := found[r.ID]; n > 0 {
					page = append(page, fmt.Sprint(r.ID, " ", n))
				}
			}
			return api, page
		})
		agrees(t, person+": scopes of a control", func() (api, page []string) {
			const path = "controls/compute/pod-security/scopes?order=name"
			for _, x := range every[server.ScopeStanding](t, s, person, "/api/v1/"+path) {
				api = append(api, fmt.Sprint(x.Scope, " ", x.Rung, " ", x.Findings))
			}
			for _, r := range s.file(t, person, "/"+path+"&format=csv") {
				page = append(page, fmt.Sprint(r[1], " ", r[2], " ", r[5]))
			}
			return api, page
		})
	}
	control, experiment, _ := strings.Cut(s.filled["experiment"][strings.Index(s.filled["experiment"], "/")+1:], "/")
	control = s.filled["experiment"][:strings.Index(s.filled["experiment"], "/")+1] + control
	agrees(t, "evidence of an experiment", func() (api, page []string) {
		for _, e := range every[server.Evidence](t, s, admin, "/api/v1/evidence?control="+url.QueryEscape(control)+"&experiment="+url.QueryEscape(experiment)) {
			if e.Ledger == nil {
				t.Fatalf("%s is in no ledger", e.ID)
			}
			api = append(api, fmt.Sprint(e.ID, e.Run, e.Held, " ", e.Tried, " ", *e.Ledger))
		}
		for _, r := range s.file(t, admin, "/experiments/"+s.filled["experiment"]+"?format=csv") {
			page = append(page, fmt.Sprint(r[2], r[5], r[6], " ", r[7], " ", r[12]))
		}
		return api[:min(len(api), len(page))], page // the page gives the newest
	})
	agrees(t, "controls, as a scan says", func() (api, scan []string) {
		for _, c := range every[server.ControlRow](t, s, admin, "/api/v1/controls?order=control") {
			if c.Needed > 0 {
				api = append(api, fmt.Sprint(c.Control, c.Rung, c.Seen, " ", c.Needed))
			}
		}
		var report struct {
			Verdicts []struct {
				Control  string
				Scope    struct{ Kind bailey.ScopeKind }
				Rung     bailey.Rung
				Coverage struct{ Seen, Needed int }
			}
		}
		s.read(t, "/api/v1/report", &report)
		for _, v := range report.Verdicts {
			if v.Scope.Kind == bailey.ScopeCluster && v.Coverage.Needed > 0 {
				scan = append(scan, fmt.Sprint(v.Control, v.Rung, v.Coverage.Seen, " ", v.Coverage.Needed))
			}
		}
		return api, scan
	})
	for _, e := range every[server.Evidence](t, s, tenant, "/api/v1/evidence?control=") {
		if e.Scope.Object.Namespace != s.mine && e.Scope.Object.Name != s.mine || e.Run != "" {
			t.Errorf("the tenant is given evidence of %s, of run %q", e.Scope, e.Run)
		}
	}
}
