package main

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// question is one page that is asked for over and over.
type question struct {
	what string
	get  func() (time.Duration, []byte, error)
}

func askAll(questions []question, db *sql.DB, n int, b *budgets) error {
	fmt.Printf("  %-44s %9s %9s %9s %9s %9s\n", "", "findings", "p50", "p99", "CPU", "kB")
	for _, q := range questions {
		if err := q.ask(db, n, b); err != nil {
			return err
		}
	}
	return nil
}

func pagesQuestions(handler http.Handler, now time.Time, data *pagesData, n int) ([]question, error) {
	admin, tenant := &visitor{handler: handler, token: "admin"}, &visitor{handler: handler, token: "tenant"}
	rule := data.finding(n/2, data.object(n/2/pagesObject, data.spaces(n)))
	object := data.object(n/2/pagesObject/100*100, data.spaces(n))
	var experiment string
	for _, c := range data.controls {
		if len(c.Experiments) > 0 {
			experiment = c.ID + "/" + c.Experiments[0].Name
			break
		}
	}
	ask := func(parameters ...string) string {
		q := url.Values{}
		for i := 0; i < len(parameters); i += 2 {
			q.Set(parameters[i], parameters[i+1])
		}
		return "/findings?" + q.Encode()
	}
	var list []question
	add := func(what string, v *visitor, path string) {
		list = append(list, question{what, func() (time.Duration, []byte, error) { return v.get(path) }})
	}
	list = append(list, question{firstView, admin.firstView})
	for _, p := range []struct{ what, path string }{
		{"overview", "/"},
		{"changes", "/changes"},
		{"control", "/controls/" + rule.Control},
		{"findings", "/findings"},
		{"findings: newest", ask("order", "newest")},
		{"findings: by object", ask("order", "object")},
		{"findings: a control", ask("control", rule.Control)},
		{"findings: a control, by object", ask("control", rule.Control, "order", "object")},
		{"findings: a rule", ask("rule", rule.Rule)},
		{"findings: a rule, by object", ask("rule", rule.Rule, "order", "object")},
		{"findings: a namespace", ask("namespace", "team-007")},
		{"findings: a namespace and control", ask("namespace", "team-007", "control", rule.Control)},
		{"findings: a kind", ask("kind", string(object.Kind))},
		{"findings: a kind, by object", ask("kind", string(object.Kind), "order", "object")},
		{"findings: high and worse", ask("severity", "high")},
		{"findings: high and worse, by object", ask("severity", "high", "order", "object")},
		{"findings: waived", ask("state", "waived")},
		{"findings: waived, by object", ask("state", "waived", "order", "object")},
		{"findings: gone", ask("state", "gone")},
		{"findings: all, newest", ask("state", "all", "order", "newest")},
		{"findings: since today", ask("since", now.Format(time.DateOnly))},
		{"findings: since today, by object", ask("since", now.Format(time.DateOnly), "order", "object")},
		{"findings: a name", ask("name", object.Name)},
		{"findings: a word of all", ask("q", "registry")},
		{"findings: a word of a rule", ask("q", lastWord(rule.Rule))},
		{"findings: a word of a rule, newest", ask("q", lastWord(rule.Rule), "order", "newest")},
		{"findings: a word of a rule, by object", ask("q", lastWord(rule.Rule), "order", "object")},
		{"findings: words of 1 in 100", ask("q", "service 77")},
		{"findings: words of 1 in 100, by object", ask("q", "service 77", "order", "object")},
		{"findings: a namespace by words", ask("q", "team 017")},
		{"findings: a namespace by words, by object", ask("q", "team 017", "order", "object")},
		{"findings: words in a namespace", ask("q", lastWord(rule.Rule), "namespace", "team-007")},
		{"findings: a rare word", ask("q", "service 1234")},
		{"findings: a word of none", ask("q", "nonesuch")},
		{"a finding", "/findings/" + rule.ID},
		{"workloads", "/workloads"},
		{"workloads: by findings", "/workloads?order=findings"},
		{"workloads: a name, by findings", "/workloads?order=findings&q=service-77"},
		{"workloads: a word of all, by findings", "/workloads?order=findings&q=service"},
		{"workload", "/objects/" + url.PathEscape(string(object.Kind)) + "/" + object.Namespace + "/" + object.Name},
		{"namespaces", "/namespaces"},
		{"namespaces: by findings", "/namespaces?order=findings"},
		{"namespaces: a control and rung", "/namespaces?rung=gap&control=" + url.QueryEscape(rule.Control)},
		{"experiments", "/experiments"},
		{"experiments: last tried first", "/experiments?order=newest"},
		{"an experiment", "/experiments/" + experiment},
		{"an experiment, oldest evidence first", "/experiments/" + experiment + "?order=oldest"},
		{"runs", "/runs"},
		{"runs: oldest", "/runs?order=oldest"},
		{"runs: stopped", "/runs?state=stopped"},
		{"runs: broken", "/runs?state=broken"},
		{"runs: by trigger and control", "/runs?trigger=api&control=" + url.QueryEscape(rule.Control)},
		{"runs: a word", "/runs?q=alice"},
		{"runs: a word of none", "/runs?q=nonesuch"},
		{"a run", "/runs/run-5000"},
		{"changes: since today", "/changes?since=" + now.Format(time.DateOnly)},
		{"changes: a namespace and control", "/changes?namespace=team-007&control=" + url.QueryEscape(rule.Control)},
		{"changes: a word of none", "/changes?q=nonesuch"},
		{"scopes", "/controls/" + rule.Control + "/scopes"},
		{"scopes: a rung", "/controls/" + rule.Control + "/scopes?rung=proven"},
		{"scopes: a word of none", "/controls/" + rule.Control + "/scopes?q=nonesuch"},
		{"ledger", "/ledger"},
		{"ledger: oldest first", "/ledger?order=oldest"},
		{"ledger: a word of none", "/ledger?q=nonesuch"},
		{"alerts", "/alerts"},
		{"alerts: all", "/alerts?state=all"},
		{"alerts: over, oldest", "/alerts?state=over&order=oldest"},
		{"alerts: worst first", "/alerts?state=all&order=severity"},
		{"alerts: a kind, worst first", "/alerts?state=all&kind=rung&order=severity"},
		{"alerts: critical", "/alerts?state=all&severity=critical"},
		{"alerts: a control", "/alerts?state=all&control=" + url.QueryEscape(rule.Control)},
		{"alerts: a namespace", "/alerts?state=all&namespace=team-007"},
		{"alerts: a word of none", "/alerts?state=all&q=nonesuch"},
		{"waivers", "/waivers"},
		{"waivers: most accepted first", "/waivers?order=accepts"},
		{"enforce", "/enforce"},
		{"activity", "/activity"},
		{"activity: somebody", "/activity?who=person-7"},
		{"activity: refused, oldest", "/activity?outcome=refused&order=oldest"},
		{"activity: a word of none", "/activity?q=nonesuch"},
		{"search", "/search?q=service-77"},
		{"search: a word of all", "/search?q=registry"},
		{"API: overview", "/api/v1/overview"},
		{"API: findings, 50", "/api/v1/findings"},
		{"API: findings, 1000", "/api/v1/findings?limit=1000"},
		{"API: workloads", "/api/v1/workloads"},
		{"API: namespaces", "/api/v1/namespaces"},
		{"API: runs, 200", "/api/v1/runs?limit=200"},
		{"API: alerts, 1000", "/api/v1/alerts?limit=1000"},
		{"API: ledger", "/api/v1/ledger/entries"},
		{"API: changes", "/api/v1/changes"},
	} {
		add(p.what, admin, p.path)
	}
	for _, order := range []string{"severity", "newest", "object"} {
		path, err := admin.deep(ask("order", order), "/api/v1/findings?order="+order)
		if err != nil {
			return nil, err
		}
		add("findings: deep, by "+order, admin, path)
	}
	list = append(list, question{"CSV of all, first bytes", func() (time.Duration, []byte, error) { return admin.firstByte("/findings?format=csv") }})
	add("tenant: overview", tenant, "/")
	add("tenant: findings", tenant, "/findings")
	add("tenant: findings by object", tenant, ask("order", "object"))
	add("tenant: a word of a rule", tenant, ask("q", lastWord(rule.Rule)))
	add("tenant: control", tenant, "/controls/"+rule.Control)
	add("tenant: namespaces", tenant, "/namespaces")
	add("tenant: workloads by findings", tenant, "/workloads?order=findings")

	return list, nil
}

// fleetQuestions are those of a hub that keeps many clusters.
func fleetQuestions(handler http.Handler, data *pagesData, n int) []question {
	admin := &visitor{handler: handler, token: "admin"}
	word := lastWord(data.finding(n/2, data.object(n/2/pagesObject, data.spaces(n))).Rule)
	var list []question
	for _, p := range []struct{ what, path string }{
		{"hub: clusters", "/clusters"},
		{"hub: clusters, heard longest ago first", "/clusters?order=heard"},
		{"hub: clusters, by findings", "/clusters?order=findings"},
		{"hub: clusters out of sight", "/clusters?state=lost"},
		{"hub: clusters, second page", "/clusters?cursor=100"},
		{"hub: overview", "/"},
		{"hub: overview of another", "/?cluster=spoke-7"},
		{"hub: findings", "/findings"},
		{"hub: findings of another", "/findings?cluster=spoke-7"},
		{"hub: a word of a rule", "/findings?q=" + word},
		{"hub: a word of a rule, of another", "/findings?cluster=spoke-7&q=" + word},
		{"hub: a rare word", "/findings?q=service+1234"},
		{"hub: namespaces", "/namespaces"},
		{"hub: search", "/search?q=service-77"},
	} {
		list = append(list, question{p.what, func() (time.Duration, []byte, error) { return admin.get(p.path) }})
	}
	return list
}

// The budgets: of every page at the median, and in bytes of what the first view transfers.
const (
	pagesMost     = 100 * time.Millisecond
	firstView     = "first view, with all that it loads"
	firstViewMost = 300_000
)

// ask prints what a page takes, of n findings.
func (q *question) ask(db *sql.DB, n int, b *budgets) error {
	var took []time.Duration
	size := 0
	before, err := used(db)
	if err != nil {
		return err
	}
	for begun := time.Now(); len(took) < pagesRounds && (len(took) < 3 || time.Since(begun) < pagesEnough); {
		one, body, err := q.get()
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		took, size = append(took, one), len(body)
	}
	after, err := used(db)
	if err != nil {
		return err
	}
	cpu := (after - before) / time.Duration(len(took))
	slices.Sort(took)
	what := fmt.Sprintf("%s, %d findings", q.what, n)
	over := holds(b, what, took[len(took)/2], pagesMost, ms)
	if q.what == firstView {
		over = cmp.Or(over, holds(b, what+", transferred", size, firstViewMost, kB))
	}
	fmt.Printf("  %-44s %9d %9s %9s %9s %9.1f%s\n", q.what, n, ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(cpu), float64(size)/1000, over)
	return nil
}

// lastWord is the last word of a rule's ID.
func lastWord(rule string) string {
	for i := len(rule) - 1; i >= 0; i-- {
		if rule[i] == '-' || rule[i] == '/' {
			return rule[i+1:]
		}
	}
	return rule
}
