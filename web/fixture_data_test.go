package web_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/server"
)

// hostile is text that must never become markup, in a page nor in a spreadsheet.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)> {{.}} javascript:alert(3)`

// now is a Thursday afternoon.
var now = time.Date(2026, 11, 26, 15, 4, 5, 0, time.UTC)

func newFixture() *fixture {
	f := &fixture{now: now, controls: controls.All(), gate: &server.GateState{Mode: "warn", Asked: true, Judged: 1204, Objected: 3}}
	f.namespaces = append(f.namespaces, "shop", "payments", "kube-system", "ingress", "observability", "data-platform", "ml-training",
		strings.Repeat("very-long-namespace-name-", 2)+"thirteen-char")
	for i := range 112 {
		f.namespaces = append(f.namespaces, fmt.Sprintf("team-%s-%02d", []string{"anchovy", "borage", "cumin", "dill"}[i%4], i/4))
	}
	f.found = f.findings(3000)
	f.waivers = f.startWaivers()
	f.run = server.Run{ID: "01JD9W6Q4T8X2N5V7B3M", Controls: []string{"compute/pod-security", "network/policy", "access/authorization"}, Trigger: "person", By: "rosa@example.org", State: "running",
		Danger: bailey.DangerIsolated, Planned: now.Add(-50 * time.Second), Started: now.Add(-40 * time.Second), Held: 212, Tried: 216, Inconclusive: 4, Done: 216, Total: 640,
		Experiments: []server.RunExperiment{{Control: "compute/pod-security", Experiment: "privileged-pods", Scopes: 13, Held: 208, Tried: 208}, {Control: "access/authorization", Experiment: "escalate", Scopes: 1, Held: 4, Tried: 8, Inconclusive: 4}}}
	return f
}

func (f *fixture) workload(i int) server.Object {
	kinds := []bailey.Kind{bailey.KindDeployment, bailey.KindStatefulSet, bailey.KindDaemonSet, bailey.KindCronJob}
	names := []string{"checkout", "web", "ledger-writer", "nightly-settlement-report-generator-with-a-name-that-reaches-far", "redis", "gateway"}
	return server.Object{APIVersion: "apps/v1", Kind: kinds[i%len(kinds)], Namespace: f.namespaces[i*7%len(f.namespaces)], Name: names[i%len(names)] + "-" + strconv.Itoa(i)}
}

func (f *fixture) findings(n int) []server.Finding {
	type ruled struct {
		c *bailey.Control
		r *bailey.Rule
	}
	var rules []ruled
	for _, c := range f.controls {
		for _, r := range c.Rules {
			rules = append(rules, ruled{c, r})
		}
	}
	var all []server.Finding
	for i := range n {
		one := rules[(i*13)%len(rules)]
		o := f.workload(i % 400)
		if i%17 == 0 {
			o = server.Object{APIVersion: "rbac.authorization.k8s.io/v1", Kind: bailey.KindClusterRole, Name: "system:controller:operator-" + strconv.Itoa(i%40)}
		}
		x := server.Finding{ID: fmt.Sprintf("%016x", 0x9e3779b97f4a7c15*uint64(i+1)), Control: one.c.ID, Rule: one.c.RuleID(one.r), Title: one.r.Title, Severity: one.r.Severity, Object: o,
			Field: "spec.template.spec.containers[0].securityContext.privileged", Message: "container app is privileged: it has every capability and every device of the node",
			First: f.now.Add(-time.Duration(i+50) * time.Hour), Opened: f.now.Add(-time.Duration(i%900+1) * 37 * time.Minute), Last: f.now, Times: 1 + i%4}
		switch i % 9 {
		case 0:
			x.Base, x.Factors = bailey.SeverityMedium, []string{"a Service of type LoadBalancer exposes it", "its ServiceAccount may read Secrets"}
			x.Fix = "spec:\n  template:\n    spec:\n      containers:\n      - name: app\n        securityContext:\n          privileged: false\n          allowPrivilegeEscalation: false\n          capabilities:\n            drop: [ALL]\n"
			x.Command = "kubectl patch " + strings.ToLower(string(o.Kind)) + " -n " + o.Namespace + " " + o.Name + ` --type json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/securityContext/privileged","value":false}]'`
			x.Note = "Whether the workload needs the device that it opens."
			x.Related = []server.Object{f.workload(i + 1), f.workload(i + 2)}
			cause := f.workload(i + 3)
			x.Cause = &cause
		case 4:
			x.Waiver = &bailey.Waiver{Rule: x.Rule, Reason: "The vendor's agent needs it until version 5 is out.", Owner: "team-observability", Expires: f.now.Add(20 * 24 * time.Hour)}
		case 5:
			x.Baseline = true
		case 7:
			gone := f.now.Add(-time.Duration(i) * time.Minute)
			x.Gone = &gone
		case 8:
			x.Message, x.File, x.Line = "the value of "+hostile+" is written into the manifest", "deploy/"+hostile+".yaml", 41
		}
		all = append(all, x)
	}
	return all
}

// unpushed reports whether the cluster that is asked about is a spoke's, which pushes no runs, waivers and deeds.
func unpushed(ask server.Ask) bool { return ask.Cluster != "" && ask.Cluster != ownUID }

func (f *fixture) Runs(_ context.Context, ask server.Ask, filter server.RunFilter) ([]server.Run, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if unpushed(ask) {
		return nil, "", nil
	}
	all := []server.Run{f.run}
	for i := range 90 {
		r := server.Run{ID: "run-" + strconv.Itoa(i), Trigger: "schedule", State: "done", Danger: bailey.DangerDryRun, Started: f.now.Add(-time.Duration(i+1) * 4 * time.Hour), Held: 5320 - i, Tried: 5320, Inconclusive: i}
		r.Ended = r.Started.Add(4 * time.Minute)
		switch i {
		case 2:
			r.State, r.Trigger, r.By, r.Error, r.Controls = "failed", "api", "ci@"+hostile, "etcd: connection refused "+hostile, []string{"storage/api-encryption"}
		case 3:
			r.State, r.Controls, r.Trigger, r.By = "stopped", []string{"network/policy", "network/mesh"}, "person", "rosa@example.org"
		case 6:
			r.Broken, r.Held = 12, r.Held-12
		}
		all = append(all, r)
	}
	all = slices.DeleteFunc(all, func(r server.Run) bool {
		return filter.State == "broken" && r.Broken == 0 || filter.State != "" && filter.State != "broken" && r.State != filter.State || filter.Trigger != "" && r.Trigger != filter.Trigger ||
			filter.Control != "" && len(r.Controls) > 0 && !slices.Contains(r.Controls, filter.Control) || !strings.Contains(r.ID+r.By+r.Error, filter.Text)
	})
	if filter.Order == "oldest" {
		slices.Reverse(all)
	}
	if filter.Text == "slow" { // what takes long to find: a page without a row, and more to look at
		next := "50"
		if filter.Cursor != "" {
			next = ""
		}
		return nil, next, nil
	}
	return piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
}

func (f *fixture) Run(ctx context.Context, ask server.Ask, id string) (server.Run, error) {
	list, _, _ := f.Runs(ctx, ask, server.RunFilter{Limit: 1000})
	for _, r := range list {
		if r.ID == id {
			return r, nil
		}
	}
	return server.Run{}, server.ErrNotFound
}

func (f *fixture) Alerts(_ context.Context, _ server.Ask, filter server.AlertFilter) ([]server.Alert, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty || f.calm {
		return nil, "", nil
	}
	var all []server.Alert
	titles := []string{"Container is privileged in team-0", "compute/pod-security fell from proven to gap", "The cluster is out of sight", hostile}
	for i := range 70 {
		o := f.workload(i * 3)
		a := server.Alert{Key: strconv.Itoa(i), Kind: []string{"finding", "rung", "staleness", "detection"}[i%4], Severity: bailey.Severity(5 - i%4), Title: titles[i%4], Text: "3 new findings of compute/pod-security/privileged: Deployment team-0/api, Deployment team-0/web, Pod team-0/debug.", Object: &o,
			First: f.now.Add(-time.Duration(i+3) * time.Hour), Since: f.now.Add(-time.Duration(i+2) * time.Hour), Last: f.now.Add(-time.Duration(i*7+1) * time.Minute), Count: 1 + i%9}
		if i%3 < 2 {
			a.Control = "compute/pod-security"
		}
		if i%3 == 0 {
			a.Rule = "compute/pod-security/privileged"
			a.Object = &server.Object{Kind: bailey.KindNamespace, Name: o.Namespace}
		}
		if i%2 == 0 {
			sent := f.now.Add(-time.Duration(i) * time.Minute)
			a.Delivered = &sent
		}
		if i%5 == 4 {
			over := f.now.Add(-time.Hour)
			a.Resolved = &over
		}
		if filter.State == "open" && a.Resolved != nil || filter.State == "over" && a.Resolved == nil || filter.Kind != "" && a.Kind != filter.Kind || a.Severity < filter.Least ||
			filter.Control != "" && a.Control != filter.Control || filter.Namespace != "" && filter.Namespace != o.Namespace || !strings.Contains(a.Title+a.Text, filter.Text) {
			continue
		}
		all = append(all, a)
	}
	switch filter.Order {
	case "oldest":
		slices.Reverse(all)
	case "severity":
		slices.SortStableFunc(all, func(a, b server.Alert) int { return cmp.Compare(b.Severity, a.Severity) })
	}
	return piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
}

func (f *fixture) startWaivers() []server.WaiverEntry {
	day := 24 * time.Hour
	ended := f.now.Add(-3 * day)
	return []server.WaiverEntry{
		{ID: "1", Waiver: bailey.Waiver{Rule: "compute/pod-security/privileged", Kind: "DaemonSet", Namespace: "observability", Name: "node-agent", Reason: "The agent reads the node's devices; the vendor works on a version that does not.", Owner: "team-observability", Expires: f.now.Add(60 * day)}, AddedBy: "rosa@example.org", AddedAt: f.now.Add(-9 * day), Accepts: 3},
		{ID: "2", Waiver: bailey.Waiver{Rule: "network/policy/*", Namespace: "team-*", Reason: hostile, Owner: hostile, Expires: f.now.Add(5 * day)}, AddedAt: f.now.Add(-30 * day), Accepts: 118,
			Extended: []server.WaiverExtension{{At: f.now.Add(-9 * day), By: hostile, From: f.now.Add(-8 * day), Expires: f.now.Add(5 * day), Reason: hostile}}},
		{ID: "3", Waiver: bailey.Waiver{Rule: "storage/backups", Reason: "Bought, not delivered.", Owner: "platform", Expires: f.now.Add(-2 * day)}, Configured: true},
		{ID: "4", Waiver: bailey.Waiver{Rule: "access/tls", Reason: "An old one.", Owner: "platform", Expires: f.now.Add(90 * day)}, AddedBy: "kai", AddedAt: f.now.Add(-40 * day), RemovedBy: "rosa", RemovedAt: &ended},
	}
}

func (f *fixture) Waivers(_ context.Context, ask server.Ask, filter server.WaiverFilter) ([]server.WaiverEntry, int, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if unpushed(ask) {
		return nil, 0, "", nil
	}
	all, err := filter.Of(f.waivers, f.now)
	if err != nil {
		return nil, 0, "", err
	}
	some, next, err := piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
	return some, len(all), next, err
}

func (f *fixture) Waiver(_ context.Context, _ server.Ask, id string) (server.WaiverEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.waivers {
		if w.ID == id && !w.Configured {
			w.State = w.StateAt(f.now)
			return w, nil
		}
	}
	return server.WaiverEntry{}, server.ErrNotFound
}

func (f *fixture) ExtendWaiver(_ context.Context, _ server.Ask, by, id, reason string, expires time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.waivers {
		if w := &f.waivers[i]; w.ID == id && !w.Configured && w.RemovedAt == nil {
			w.Extended = append(w.Extended, server.WaiverExtension{At: f.now, By: by, From: w.Expires, Expires: expires, Reason: reason})
			w.Expires = expires
			return nil
		}
	}
	return server.ErrNotFound
}

func (f *fixture) AddWaiver(_ context.Context, _ server.Ask, by string, w bailey.Waiver) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := strconv.Itoa(len(f.waivers) + 1)
	f.waivers = append(f.waivers, server.WaiverEntry{ID: id, Waiver: w, AddedBy: by, AddedAt: f.now})
	return id, nil
}

func (f *fixture) EndWaiver(_ context.Context, _ server.Ask, by, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.waivers {
		if f.waivers[i].ID == id && !f.waivers[i].Configured {
			f.waivers[i].RemovedBy, f.waivers[i].RemovedAt = by, &f.now
			return nil
		}
	}
	return server.ErrNotFound
}

func (f *fixture) Actions(_ context.Context, ask server.Ask, filter server.ActionFilter) ([]server.Action, string, error) {
	if !ask.Sees.All {
		return nil, "", server.ErrForbidden
	}
	if unpushed(ask) {
		return nil, "", nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.refused)
	for i := range 130 {
		a := server.Action{At: f.now.Add(-time.Duration(i*i) * time.Minute), Who: "rosa@example.org", Outcome: "done"}
		switch i % 6 {
		case 0:
			a.Action, a.Target = server.ActOrderRun, f.run.ID+": compute/pod-security, network/policy, isolated"
		case 1:
			a.Action, a.Target = server.ActAddWaiver, "b7Qk2mX9vT4nR8sL: compute/pod-security/privileged DaemonSet observability/node-agent"
		case 2:
			a.Action, a.Target, a.Who = server.ActStopRun, "run-3", "system:serviceaccount:continuous-integration:"+strings.Repeat("deployer-", 4)+"1"
		case 3:
			a.Action, a.Target, a.Who, a.Outcome, a.Why = server.ActOrderRun, "all controls", "kai@shop.example.org", "refused", "no right to it"
		case 4:
			a.Action, a.Target, a.Outcome, a.Why = server.ActAddWaiver, hostile, "refused", "the waiver's end is past"
		case 5:
			a.Action, a.Target, a.Who = server.ActEndWaiver, "b7Qk2mX9vT4nR8sL", hostile
		}
		all = append(all, a)
	}
	all = slices.DeleteFunc(all, func(a server.Action) bool {
		return filter.Who != "" && a.Who != filter.Who || filter.Action != "" && a.Action != filter.Action || filter.Outcome != "" && a.Outcome != filter.Outcome ||
			a.At.Before(filter.Since) || !filter.Until.IsZero() && !a.At.Before(filter.Until) || !strings.Contains(a.Who+a.Target+a.Why, filter.Text)
	})
	if filter.Order == "oldest" {
		slices.Reverse(all)
	}
	return piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
}

func (f *fixture) Refused(_ context.Context, _ server.Ask, by, action, target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, server.Action{At: f.now, Who: by, Action: action, Target: target, Outcome: "refused", Why: "no right to it"})
}

func (f *fixture) Search(_ context.Context, ask server.Ask, text string) ([]server.Hit, error) {
	var hits []server.Hit
	for _, c := range f.controls {
		if strings.Contains(c.ID+c.Asks, text) {
			hits = append(hits, server.Hit{Kind: "control", ID: c.ID, Text: c.Asks})
		}
		for _, r := range c.Rules {
			if strings.Contains(r.Title, text) {
				hits = append(hits, server.Hit{Kind: "rule", ID: c.RuleID(r), Text: r.Title})
			}
		}
	}
	for i := range 400 {
		if o := f.workload(i); strings.Contains(o.Name, text) && ask.Sees.Has(o.Namespace) {
			hits = append(hits, server.Hit{Kind: "object", ID: strconv.Itoa(i), Object: &o})
		}
	}
	for _, x := range f.visible(ask, server.FindingFilter{Text: text}) {
		hits = append(hits, server.Hit{Kind: "finding", ID: x.ID, Text: x.Message, Object: &x.Object})
	}
	hits = hits[:min(len(hits), 200)]
	for _, kind := range []string{"experiment", "alert", "waiver", "run"} {
		if text == "web" && ask.Sees.All {
			hits = append(hits, server.Hit{Kind: kind, ID: map[string]string{"run": f.run.ID, "experiment": f.isolated()}[kind], Text: "one with web in it " + hostile})
		}
	}
	return hits, nil
}
