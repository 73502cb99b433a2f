package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func testClusters(t *testing.T, p Place) {
	b := open(t, p)
	b.ok(b.s.PutCluster(b.ctx, uid, "renamed", at(5)))
	b.ok(b.s.Heard(b.ctx, uid, at(7)))
	list, err := b.s.Clusters(b.ctx)
	b.ok(err)
	want := []store.Cluster{
		{UID: uid, Name: "renamed", First: at(0), Last: at(5), Heard: at(7)},
		{UID: other, Name: "staging", First: at(0), Last: at(0), Heard: at(0)},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if _, err := b.s.Cluster(b.ctx, "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown cluster: %v", err)
	}
	if err := b.s.Apply(b.ctx, "nobody", at(0), store.Delta{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a delta of an unknown cluster: %v", err)
	}

	hash := store.HashToken("secret")
	if strings.Contains(hash, "secret") {
		t.Error("the token itself is kept")
	}
	b.ok(b.s.SetToken(b.ctx, uid, hash))
	if got, err := b.s.ClusterOfToken(b.ctx, hash); err != nil || got != uid {
		t.Errorf("the token's cluster is %q, %v", got, err)
	}
	if err := b.s.SetToken(b.ctx, other, hash); err == nil {
		t.Error("two clusters have one token")
	}
	if err := b.s.SetToken(b.ctx, other, "secret"); err == nil {
		t.Error("a token was taken for a hash")
	}
	b.ok(b.s.SetToken(b.ctx, uid, ""))
	for _, hash := range []string{hash, ""} {
		if _, err := b.s.ClusterOfToken(b.ctx, hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token that was taken away: %v", err)
		}
	}
}

func testFindings(t *testing.T, p Place) {
	b := open(t, p)
	web := workload("shop", "web")
	f := finding("compute/pod-security/privileged", bailey.SeverityHigh, web, "container web is privileged")
	f.Base, f.Field, f.Named = bailey.SeverityMedium, "spec.template.spec.containers[0]", "spec.template.spec.containers[web]"
	f.Factors = []bailey.Factor{{Kind: bailey.FactorExposed, Text: "Ingress shop routes to it", By: bailey.Ref{Kind: bailey.KindIngress, Namespace: "shop", Name: "shop"}}}
	f.Related = []bailey.Ref{{Kind: bailey.KindPod, Namespace: "shop", Name: "web-1"}}
	f.Cause = bailey.Ref{Kind: "Application.argoproj.io", Namespace: "shop", Name: "store"}
	f.Source = bailey.Source{File: "deploy/web.yaml", Line: 12, Column: 3, Rendered: &bailey.Rendering{Medium: "chart", Path: "charts/web"}}
	f.Fix = []bailey.Change{{Object: web, APIVersion: "apps/v1", Patch: []bailey.PatchOp{{Op: "remove", Path: "/spec"}}}}
	f.Waiver = &bailey.Waiver{Rule: f.Rule, Reason: "legacy", Owner: "team", Expires: at(1000)}
	f.Baseline = true

	b.apply(1, store.Delta{Findings: []bailey.Finding{f}})
	get := func() store.Finding {
		t.Helper()
		got, err := b.s.Finding(b.ctx, store.Everything(), uid, f.ID)
		b.ok(err)
		return got
	}
	first := get()
	if diff := cmp.Diff(store.Finding{Finding: f, First: at(1), Opened: at(1), Last: at(1), Times: 1, Seq: 1}, first, cmpopts.IgnoreFields(bailey.Source{}, "Locate")); diff != "" {
		t.Error(diff)
	}

	b.ok(b.s.Heard(b.ctx, uid, at(10)))
	if got := get(); !got.Last.Equal(at(10)) {
		t.Errorf("an open finding was last seen %s, not when its cluster was last heard of", got.Last)
	}
	b.apply(20, store.Delta{Judged: []bailey.Ref{web}})
	if got := get(); got.IsOpen() || !got.Gone.Equal(at(20)) || !got.Last.Equal(at(10)) || got.Times != 1 {
		t.Errorf("after it went: %+v", got)
	}
	b.apply(30, store.Delta{Findings: []bailey.Finding{f}})
	if got := get(); !got.IsOpen() || !got.First.Equal(at(1)) || !got.Opened.Equal(at(30)) || got.Times != 2 {
		t.Errorf("after it came back: %+v", got)
	}
	f.Message, f.Severity = "container web is privileged still", bailey.SeverityLow
	b.apply(40, store.Delta{Findings: []bailey.Finding{f}})
	if got := get(); got.Message != f.Message || got.Severity != f.Severity || !got.Opened.Equal(at(30)) || got.Times != 2 {
		t.Errorf("after it changed: %+v", got)
	}
	b.apply(50, store.Delta{Gone: []bailey.Ref{web}})
	if got := get(); got.IsOpen() {
		t.Errorf("its object has gone: %+v", got)
	}
	changes, err := b.s.Changes(b.ctx, store.Everything(), uid, 0, 0)
	b.ok(err)
	var ops []string
	for _, c := range changes.Changes {
		ops = append(ops, c.Op)
		if c.ID != f.ID || c.Subject != "finding" || c.Namespace != "shop" {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"opened", "gone", "reopened", "changed", "gone"}; !slices.Equal(ops, want) {
		t.Errorf("changes %v, want %v", ops, want)
	}
	if _, err := b.s.Finding(b.ctx, store.Everything(), other, f.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("in another cluster: %v", err)
	}
	if err := b.s.Apply(b.ctx, uid, at(60), store.Delta{Findings: []bailey.Finding{{Rule: "a/b/c"}}}); err == nil {
		t.Error("a finding without an ID was taken")
	}
	b.check()
}

// testPaging walks pages while findings come, go and come back: what stays is seen once.
func testPaging(t *testing.T, p Place) {
	b := open(t, p)
	var all []bailey.Finding
	for i := range 300 {
		all = append(all, finding(rules[i%len(rules)], bailey.Severity(1+i%5), workload(spaces[i%3], "w"+string(rune('a'+i%26))+string(rune('a'+i/26))), "it is wrong"))
	}
	b.apply(1, store.Delta{Findings: all})
	for _, sort := range []store.Sort{store.BySeverity, store.ByNewest, store.ByObject} {
		q := store.FindingQuery{Cluster: uid, Access: store.Everything(), Sort: sort, Limit: 7}
		seen := map[string]int{}
		for n := 0; ; n++ {
			page := b.findings(q)
			for _, f := range page.Items {
				seen[f.ID]++
			}
			if q.After = page.Next; q.After == "" {
				break
			}
			// One comes, and one of every third goes and comes back.
			b.apply(2+n, store.Delta{Findings: []bailey.Finding{finding("network/policy/missing", bailey.SeverityHigh, workload("new", "n"+string(sort)+string(rune('a'+n%26))+string(rune('a'+n/26))), "new")}})
			moving := all[(n*3)%len(all)]
			b.apply(2+n, store.Delta{Judged: []bailey.Ref{moving.Object}})
			b.apply(2+n, store.Delta{Findings: []bailey.Finding{moving}})
		}
		moved := map[string]bool{}
		for i := 0; i < len(all); i += 3 {
			moved[all[i].ID] = true
		}
		for _, f := range all {
			if n := seen[f.ID]; n != 1 && !moved[f.ID] {
				t.Fatalf("sorted by %q, a finding that stayed was seen %d times", sort, n)
			}
		}
	}
	q := store.FindingQuery{Cluster: uid, Access: store.Everything(), Limit: 7}
	next := b.findings(q).Next
	for what, change := range map[string]func(q *store.FindingQuery){
		"another order":     func(q *store.FindingQuery) { q.Sort = store.ByObject },
		"another filter":    func(q *store.FindingQuery) { q.Rules = rules[:1] },
		"another access":    func(q *store.FindingQuery) { q.Access = store.Only("shop") },
		"another cluster":   func(q *store.FindingQuery) { q.Cluster = other },
		"a broken cursor":   func(q *store.FindingQuery) { q.After = q.After[:4] },
		"a very long one":   func(q *store.FindingQuery) { q.After = strings.Repeat("A", 1<<20) },
		"what is no cursor": func(q *store.FindingQuery) { q.After = "' OR 1=1 --" },
	} {
		q := q
		q.After = next
		change(&q)
		if _, err := b.s.Findings(b.ctx, q); !errors.Is(err, store.ErrCursor) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.check()
}

// testAccess asks as a tenant, in every way.
func testAccess(t *testing.T, p Place) {
	b := open(t, p)
	web := finding("compute/pod-security/privileged", bailey.SeverityHigh, workload("shop", "web"), "it is privileged")
	web.Related = []bailey.Ref{{Kind: bailey.KindPod, Namespace: "shop", Name: "web-1"}, {Kind: bailey.KindPod, Namespace: "bank", Name: "vault-1"}}
	web.Cause = bailey.Ref{Kind: bailey.KindDeployment, Namespace: "bank", Name: "vault"}
	web.Factors = []bailey.Factor{{Kind: bailey.FactorExposed, Text: "by bank", By: bailey.Ref{Kind: bailey.KindService, Namespace: "bank", Name: "s"}}}
	bank := finding("compute/pod-security/privileged", bailey.SeverityHigh, workload("bank", "vault"), "it is privileged")
	space := finding("compute/pod-security/namespace", bailey.SeverityHigh, bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}, "no label")
	role := finding("access/authorization/wildcard", bailey.SeverityHigh, bailey.Ref{Kind: bailey.KindClusterRole, Name: "admin"}, "it is privileged")
	verdict := func(o bailey.Ref) bailey.Verdict {
		return bailey.Verdict{Control: "compute/pod-security", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.RungGap, Findings: 1}
	}
	b.apply(1, store.Delta{
		Findings: []bailey.Finding{web, bank, space, role},
		Verdicts: []bailey.Verdict{verdict(web.Object), verdict(bank.Object), {Control: "compute/pod-security", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungGap}},
		Evidence: []store.Evidence{{Evidence: bailey.Evidence{ID: "e1", Control: "c", Scope: bailey.Scope{Kind: bailey.ScopeCluster}}},
			{Evidence: bailey.Evidence{ID: "e2", Control: "c", Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: space.Object}}}},
		Guards: []store.Guard{{Control: "c", Name: "g", Scope: bailey.Scope{Kind: bailey.ScopeCluster}}, {Control: "c", Name: "g", Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: space.Object}}},
	})
	b.ok(b.s.Raise(b.ctx, uid, at(1), store.Alert{Key: "a", Kind: store.AlertDetection, Object: web.Object}))
	b.ok(b.s.Raise(b.ctx, uid, at(1), store.Alert{Key: "b", Kind: store.AlertDetection}))
	b.ok(b.s.PutRun(b.ctx, uid, at(1), store.Run{ID: "r", State: store.RunPlanned}))
	b.ok(b.s.Audit(b.ctx, uid, at(1), store.Action{Who: "admin", Action: "login"}))
	for id, namespace := range map[string]string{"w1": "shop", "w2": "bank", "w3": "*", "w4": ""} {
		b.ok(b.s.AddWaiver(b.ctx, uid, at(1), id, "admin", bailey.Waiver{Rule: "a/b", Namespace: namespace, Reason: "r", Owner: "o", Expires: at(99)}))
	}

	// counts are how many of each list somebody sees.
	counts := func(a store.Access) map[string]int {
		got := map[string]int{}
		got["findings"] = len(b.findings(store.FindingQuery{Access: a, State: store.All}).Items)
		got["text"] = len(b.findings(store.FindingQuery{Access: a, Text: "privileged"}).Items)
		page := b.findings(store.FindingQuery{Access: a, Limit: 1})
		got["counted"] = page.Total
		for _, n := range page.Severities {
			got["by severity"] += n
		}
		matrix, err := b.s.Matrix(b.ctx, a, uid)
		b.ok(err)
		for _, c := range matrix {
			got["matrix"] += c.Verdicts
		}
		verdicts, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["verdicts"] = len(verdicts.Items)
		rungs, err := b.s.RungChanges(b.ctx, store.RungQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["rungs"] = len(rungs.Items)
		evidence, err := b.s.Evidence(b.ctx, store.EvidenceQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["evidence"] = len(evidence.Items)
		guards, err := b.s.Guards(b.ctx, store.GuardQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["guards"] = len(guards)
		alerts, err := b.s.Alerts(b.ctx, store.AlertQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["alerts"] = len(alerts.Items)
		runs, err := b.s.Runs(b.ctx, store.RunQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["runs"] = len(runs.Items)
		waivers, err := b.s.Waivers(b.ctx, store.WaiverQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["waivers"] = len(waivers.Items)
		actions, err := b.s.Actions(b.ctx, store.AuditQuery{Cluster: uid, Access: a})
		b.ok(err)
		got["audit"] = len(actions.Items)
		changes, err := b.s.Changes(b.ctx, a, uid, 0, 100)
		b.ok(err)
		got["changes"] = len(changes.Changes)
		for what, n := range got {
			if n == 0 {
				delete(got, what)
			}
		}
		return got
	}
	all := counts(store.Everything())
	if diff := cmp.Diff(map[string]int{"findings": 4, "text": 3, "counted": 4, "by severity": 4, "matrix": 3, "verdicts": 3, "rungs": 3, "evidence": 2, "guards": 2,
		"alerts": 2, "runs": 1, "waivers": 4, "audit": 1, "changes": int(b.seq()) - groupNumbers(b)}, all); diff != "" {
		t.Error(diff)
	}
	tenant := map[string]int{"findings": 2, "text": 1, "counted": 2, "by severity": 2, "matrix": 1, "verdicts": 1, "rungs": 1, "evidence": 1, "guards": 1, "alerts": 1,
		"waivers": 1, "changes": 2 + 1 + 1 + 1 + 1 + 1}
	if diff := cmp.Diff(tenant, counts(store.Only("shop"))); diff != "" {
		t.Error(diff)
	}
	for what, a := range map[string]store.Access{"nobody": {}, "no namespace": store.Only(), "another": store.Only("else"), "odd ones": store.Only("", "*", "%", "shop' OR '1'='1")} {
		if got := counts(a); len(got) > 0 {
			t.Errorf("%s sees %v", what, got)
		}
	}
	if got := b.findings(store.FindingQuery{Access: store.Only("shop"), Namespaces: []string{"bank"}}); len(got.Items) > 0 || got.Total > 0 {
		t.Errorf("a tenant that asks for another namespace sees %+v", got)
	}

	got, err := b.s.Finding(b.ctx, store.Only("shop"), uid, web.ID)
	b.ok(err)
	if len(got.Related) != 1 || got.Related[0].Namespace != "shop" || got.Cause != (bailey.Ref{}) || len(got.Factors) != 0 {
		t.Errorf("a tenant reads names of another namespace: %+v", got.Finding)
	}
	if _, err := b.s.Finding(b.ctx, store.Only("shop"), uid, bank.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another's finding: %v", err)
	}
	if _, err := b.s.Alert(b.ctx, store.Only("shop"), uid, "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another's alert: %v", err)
	}
	if _, err := b.s.Run(b.ctx, store.Only("shop"), uid, "r"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a run: %v", err)
	}
	b.check()
}

// groupNumbers is how many sequence numbers were given to groups, not to changes.
func groupNumbers(b *bench) int {
	changes, err := b.s.Changes(b.ctx, store.Everything(), uid, 0, 1000)
	b.ok(err)
	return int(b.seq()) - len(changes.Changes)
}

// testHostile keeps texts that break databases.
func testHostile(t *testing.T, p Place) {
	b := open(t, p)
	texts := []string{"'; DROP TABLE findings; --", `"quoted" and \ back`, "NUL \x00 inside", "no UTF-8 \xff\xfe\xc0\x80", "100% _under_ *star* ?mark $1", "\U0001F600 e\u0301 \u202Eabc",
		strings.Repeat("long ", 1<<18), "\r\n\t", "{{int}} {text}", "NEAR(a b) OR -x ^y col:z", "<script>alert(1)</script>"}
	var all []bailey.Finding
	for i, text := range texts {
		f := finding("compute/pod-security/privileged", bailey.SeverityHigh, workload("shop", text[:min(len(text), 60)]+string(rune('a'+i))), text)
		f.Field, f.Cause = text[:min(len(text), 1000)], bailey.Ref{Kind: "X", Namespace: "shop", Name: text[:min(len(text), 200)]}
		all = append(all, f)
	}
	b.apply(1, store.Delta{Findings: all})
	before := b.seq()
	b.apply(1, store.Delta{Findings: all})
	if b.seq() != before {
		t.Error("the same texts again made changes")
	}
	clean := strings.NewReplacer("\x00", "\uFFFD", "\xff\xfe\xc0\x80", "\uFFFD")
	for _, f := range all {
		got, err := b.s.Finding(b.ctx, store.Everything(), uid, f.ID)
		b.ok(err)
		// A document keeps NUL; what is no UTF-8 nobody can.
		if got.Message != strings.ToValidUTF8(f.Message, "\uFFFD") && got.Message != clean.Replace(f.Message) && strings.Count(got.Message, "\uFFFD") != 4 {
			t.Errorf("%.40q became %.40q", f.Message, got.Message)
		}
		page := b.findings(store.FindingQuery{Access: store.Everything(), Name: f.Object.Name})
		if len(page.Items) != 1 || page.Items[0].ID != f.ID {
			t.Errorf("by the name %.40q %d are found", f.Object.Name, len(page.Items))
		}
	}
	for _, text := range append(texts, "%", "_", "*", "'", `"`, "\x00", "\xff", "drop' table", "long*") {
		q := store.FindingQuery{Cluster: uid, Access: store.Everything(), Text: text}
		b.findings(q)
		b.findings(store.FindingQuery{Access: store.Only(text), Namespaces: []string{text}, Rules: []string{text}, Controls: []string{text}, Kinds: []bailey.Kind{bailey.Kind(text)}, Name: text})
	}
	if page := b.findings(store.FindingQuery{Access: store.Everything(), Text: "drop table"}); len(page.Items) != 1 {
		t.Errorf("%d findings speak of a dropped table", len(page.Items))
	}
	b.check()
}

// testClock sets the clock back: nothing is lost, and the order stays.
func testClock(t *testing.T, p Place) {
	b := open(t, p)
	hours := []time.Duration{0, 100, -200, 1, 2}
	var ids []string
	for i, h := range hours {
		f := finding(rules[i], bailey.SeverityHigh, workload("shop", "web"), "it is wrong")
		f.Object.Name += string(rune('a' + i))
		f.ID = bailey.FindingID(f.Rule, f.Object, "")
		ids = append([]string{f.ID}, ids...)
		b.ok(b.s.Apply(b.ctx, uid, begin.Add(h*time.Hour), store.Delta{Findings: []bailey.Finding{f},
			Verdicts: []bailey.Verdict{{Control: "compute/pod-security", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.Rung(i % 3)}}}))
	}
	got, _ := b.walk(store.FindingQuery{Cluster: uid, Access: store.Everything(), Sort: store.ByNewest, Limit: 2})
	if !slices.EqualFunc(got, ids, func(f store.Finding, id string) bool { return f.ID == id }) {
		t.Errorf("the newest are not the last: %s", showFindings(got))
	}
	for i, h := range hours {
		since := begin.Add(h * time.Hour)
		want := 0
		for _, o := range hours {
			if o >= h {
				want++
			}
		}
		for _, sort := range []store.Sort{store.BySeverity, store.ByNewest, store.ByObject} {
			if got, _ := b.walk(store.FindingQuery{Cluster: uid, Access: store.Everything(), Since: since, Sort: sort, Limit: 10}); len(got) != want {
				t.Errorf("%d: since %s: %d, want %d", i, since, len(got), want)
			}
		}
	}
	rungs, err := b.s.RungChanges(b.ctx, store.RungQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	var to []bailey.Rung
	for _, c := range rungs.Items {
		to = append(to, *c.To)
	}
	if want := []bailey.Rung{1, 0, 2, 1, 0}; !slices.Equal(to, want) {
		t.Errorf("rungs %v, want %v", to, want)
	}
	b.check()
}
