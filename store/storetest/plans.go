package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// testPlans asks the database how it would answer the queries of every method: none
// reads all findings, verdicts or changes.
func testPlans(t *testing.T, p Place) {
	vary := varyLimits(t)
	b := open(t, p)
	var d store.Delta
	for i := range 1000 {
		o := workload(fmt.Sprint("ns", i%40), fmt.Sprint("w", i))
		for n, rule := range rules {
			f := finding(rule, bailey.Severity(1+(i+n)%5), o, fmt.Sprint("message ", i))
			if i%50 == 0 {
				f.Waiver = &bailey.Waiver{Rule: rule, Reason: "r", Owner: "o", Expires: at(1000)}
			}
			d.Findings = append(d.Findings, f)
		}
		d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.Rung(i % 5)})
	}
	// The plans must not be those that were right when there was little.
	b.ok(b.s.Replace(b.ctx, uid, at(1), store.Delta{Findings: d.Findings[:1]}))
	b.apply(1, d)
	queries := map[string][]any{}
	var order []string
	b.ctx = store.WithTrace(t.Context(), func(query string, args []any) {
		if _, known := queries[query]; !known && !strings.HasPrefix(query, "INSERT") {
			order = append(order, query)
			queries[query] = args
		}
	})
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		vary(r)
		q, _ := randomQuery(r)
		if len(q.Namespaces) > 0 {
			q.Namespaces = []string{"ns1", "ns2"}
		}
		q.Limit = 10
		q.After = b.findings(q).Next
		b.findings(q)
	}
	access := store.Everything()
	web := workload("ns1", "w1")
	scope := bailey.Scope{Kind: bailey.ScopeWorkload, Object: web}
	for _, access := range []store.Access{access, store.Only("ns1", "ns2")} {
		if _, err := b.s.Finding(b.ctx, access, uid, d.Findings[0].ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		for _, q := range []store.VerdictQuery{{}, {Control: "a/b"}, {Object: &web}, {Rungs: []bailey.Rung{0}}, {Control: "a/b", Namespaces: []string{"ns1"}}, {Control: "a/b", Lowest: true, Limit: 10}} {
			q.Cluster, q.Access = uid, access
			page, err := b.s.Verdicts(b.ctx, q)
			b.ok(err)
			q.After = page.Next
			_, err = b.s.Verdicts(b.ctx, q)
			b.ok(err)
		}
		for _, q := range []store.RungQuery{{}, {Control: "a/b", Scope: &scope}, {Since: at(0)}, {Control: "a/b", Oldest: true}, {Namespaces: []string{"ns1"}, Control: "a/b", Text: "w"}} {
			q.Cluster, q.Access = uid, access
			_, err := b.s.RungChanges(b.ctx, q)
			b.ok(err)
		}
		_, err := b.s.Changes(b.ctx, access, uid, 100, 10)
		b.ok(err)
		_, err = b.s.Matrix(b.ctx, access, uid)
		b.ok(err)
		_, err = b.s.NamespaceRungs(b.ctx, access, uid, "a/b", "ns1")
		b.ok(err)
		_, err = b.s.NamespaceGaps(b.ctx, access, uid)
		b.ok(err)
		_, err = b.s.JudgedNamespaces(b.ctx, access, uid)
		b.ok(err)
		_, err = b.s.Since(b.ctx, access, uid, at(0))
		b.ok(err)
		_, err = b.s.Object(b.ctx, access, uid, web)
		b.ok(err)
		for _, text := range []string{"w1", "pod-security"} {
			_, err = b.s.Search(b.ctx, access, uid, text, 10)
			b.ok(err)
		}
		for _, q := range []store.EvidenceQuery{{}, {Control: "a/b", Experiment: "x"}, {Run: "r"}, {Object: &web}, {Oldest: true},
			{Control: "a/b", Oldest: true}, {Control: "a/b", Experiment: "x", Namespaces: []string{"ns1"}, Oldest: true}} {
			q.Cluster, q.Access = uid, access
			_, err := b.s.Evidence(b.ctx, q)
			b.ok(err)
		}
		_, err = b.s.NewestEvidence(b.ctx, access, uid, []store.ExperimentName{{Control: "a/b", Experiment: "x"}, {Control: "a/c", Experiment: "x"}})
		b.ok(err)
		_, err = b.s.NewestRuns(b.ctx, access, uid, []store.ExperimentName{{Control: "a/b", Experiment: "x"}, {Control: "a/c", Experiment: "x"}})
		b.ok(err)
		_, _, err = b.s.EvidenceRuns(b.ctx, access, uid, store.ExperimentName{Control: "a/b", Experiment: "x"}, 40)
		b.ok(err)
		for _, q := range []store.AlertQuery{{}, {State: store.Gone}, {State: store.All}, {Object: &web}, {Kind: store.AlertRung, Severity: 3}, {Keys: []string{"rung/a/b/"}}, {Sort: store.AlertsWorst},
			{Sort: store.AlertsWorst, State: store.All, Text: "a"}, {Sort: store.AlertsOldest}} {
			q.Cluster, q.Access = uid, access
			_, err := b.s.Alerts(b.ctx, q)
			b.ok(err)
		}
		for _, q := range []store.RunQuery{{State: store.RunDone}, {Control: "a/b", Oldest: true}} {
			q.Cluster, q.Access = uid, access
			_, err = b.s.Runs(b.ctx, q)
			b.ok(err)
		}
		for _, q := range []store.AuditQuery{{Who: "ada"}, {Action: "login", Outcome: "refused", Since: at(0), Until: at(9), Oldest: true}} {
			q.Cluster, q.Access = uid, access
			_, err = b.s.Actions(b.ctx, q)
			b.ok(err)
		}
		for _, q := range []store.WorkloadQuery{{}, {Kind: bailey.KindDeployment}, {Name: "w1"}, {Namespaces: []string{"ns1", "ns2"}, Kind: bailey.KindDeployment, Name: "w"}} {
			q.Cluster, q.Access, q.ByFindings, q.Limit = uid, access, true, 10
			page, err := b.s.Workloads(b.ctx, q)
			b.ok(err)
			q.After = page.Next
			_, err = b.s.Workloads(b.ctx, q)
			b.ok(err)
		}
		for _, q := range []store.WaiverQuery{{}, {EndsAfter: at(1)}, {State: store.All, EndsBy: at(1)}, {ID: "w"}} {
			q.Cluster, q.Access = uid, access
			_, err = b.s.Waivers(b.ctx, q)
			b.ok(err)
		}
		_, _, err = b.s.Accepted(b.ctx, access, uid)
		b.ok(err)
	}
	_, err := b.s.Waiting(b.ctx, uid, 10)
	b.ok(err)
	for _, after := range []int64{-1, 1} {
		_, err := b.s.AlertStates(b.ctx, uid, after, 10)
		b.ok(err)
	}
	b.apply(2, store.Delta{Findings: d.Findings[:5], Judged: []bailey.Ref{web}, Gone: []bailey.Ref{workload("ns3", "w3")}, Verdicts: d.Verdicts[:2]})
	b.apply(3, store.Delta{})
	_, err = b.s.Prune(b.ctx, uid, at(3))
	b.ok(err)
	if len(order) < 50 {
		t.Fatalf("only %d queries were seen", len(order))
	}
	for _, query := range order {
		rows, err := p.DB.QueryContext(t.Context(), p.Explain+query, queries[query]...)
		if err != nil {
			t.Fatalf("%v\n%s", err, query)
		}
		columns, err := rows.Columns()
		b.ok(err)
		var plan []string
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			b.ok(rows.Scan(values...))
			plan = append(plan, fmt.Sprint(*values[len(values)-1].(*any)))
		}
		b.ok(rows.Err())
		b.ok(rows.Close())
		for _, line := range plan {
			for _, table := range []string{"findings", "verdicts", "changes", "rung_changes", "evidence", "runs", "alerts", "audit", "waivers", "workloads"} {
				if p.Scans(line, table) {
					t.Errorf("reads all of %s:\n%s\n%v\n%s", table, query, queries[query], strings.Join(plan, "\n"))
				}
			}
		}
	}
	t.Logf("%d different queries", len(order))
}
