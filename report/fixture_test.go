package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

var at = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// catalogue is a small one with what renderers tell apart: two rules in one
// control, a rule without a fix, a control without rules.
func catalogue() []*bailey.Control {
	return []*bailey.Control{
		{
			ID: "compute/pod-security", Asks: "containers run with the least privilege that they need", Scope: bailey.ScopeWorkload,
			Refs: []bailey.Reference{{Source: bailey.SourceKubernetes, ID: "Pod Security Standards", URL: "https://kubernetes.io/docs/concepts/security/pod-security-standards/"}},
			Rules: []*bailey.Rule{
				{Name: "privileged", Title: "Container is privileged", Severity: bailey.SeverityCritical, Doc: "A `privileged` container has every capability and device of its node:\nwhoever gets into it owns the node.\n\nThe rule reads every kind of container.",
					Refs: []bailey.Reference{{Source: bailey.SourceATTACK, ID: "T1611", Title: "Escape to Host", URL: "https://attack.mitre.org/techniques/T1611/"}, {Source: bailey.SourceCIS, ID: "5.2.2"}}},
				{Name: "privilege-escalation", Title: "Container may gain privileges", Severity: bailey.SeverityMedium, Doc: "Without `allowPrivilegeEscalation: false` a setuid program raises the rights of whoever runs it."},
			},
		},
		{
			ID: "access/service-accounts", Asks: "workloads have an identity of their own with few rights", Scope: bailey.ScopeWorkload,
			Rules: []*bailey.Rule{{Name: "token-mounted", Title: "Token is mounted that nothing uses", Severity: bailey.SeverityHigh, Doc: "A mounted token is what an intruder tries first."}},
		},
		{
			ID: "network/policy", Asks: "workloads reach only what they must", Scope: bailey.ScopeNamespace,
			Rules: []*bailey.Rule{{Name: "no-default-deny", Title: "Namespace has no default-deny policy", Severity: bailey.SeverityHigh, Doc: "Without one, every pod may talk to every other."}},
		},
		{
			ID: "compute/quotas", Asks: "no workload can starve the others", Scope: bailey.ScopeNamespace,
			Rules: []*bailey.Rule{{Name: "no-quota", Title: "Namespace has no quota", Severity: bailey.SeverityLow, Doc: "A quota bounds what one tenant can take."}},
		},
		{ID: "storage/encryption", Asks: "data is encrypted where it rests", Scope: bailey.ScopeCluster},
		{ID: "observe/audit", Asks: "what happens is recorded", Scope: bailey.ScopeCluster},
	}
}

func deployment(ns, name string) bailey.Ref {
	return bailey.Ref{Kind: bailey.KindDeployment, Namespace: ns, Name: name}
}

func namespace(name string) bailey.Ref { return bailey.Ref{Kind: bailey.KindNamespace, Name: name} }

// found makes a finding as the engine does.
func found(rule string, s bailey.Severity, object bailey.Ref, field, message string) bailey.Finding {
	control := rule[:strings.LastIndexByte(rule, '/')]
	version := "v1"
	switch _, group := object.Kind.Split(); group {
	case "":
	case "apps":
		version = "apps/v1"
	default:
		version = group + "/v1"
	}
	return bailey.Finding{ID: bailey.FindingID(rule, object, field), Control: control, Rule: rule, Severity: s,
		Object: object, APIVersion: version, Field: field, Message: message, Cause: object}
}

// remedy is a fix for each rule but token-mounted.
func remedy(f *bailey.Finding) []bailey.Change {
	set := func(path string, value any) []bailey.Change {
		return []bailey.Change{{Object: f.Object, APIVersion: f.APIVersion, Patch: []bailey.PatchOp{{Op: "add", Path: path, Value: value}}}}
	}
	switch f.Rule {
	case "compute/pod-security/privileged":
		return set("/spec/template/spec/containers/0/securityContext/privileged", false)
	case "compute/pod-security/privilege-escalation":
		return set("/spec/template/spec/containers/0/securityContext", map[string]any{"allowPrivilegeEscalation": false})
	case "network/policy/no-default-deny":
		return []bailey.Change{{Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Namespace: f.Object.Name, Name: "default-deny"}, APIVersion: "networking.k8s.io/v1",
			Content: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": "default-deny", "namespace": f.Object.Name},
				"spec": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress", "Egress"}}},
			Note: "allow what the workloads need before this"}}
	case "compute/quotas/no-quota":
		return []bailey.Change{{Object: f.Object, APIVersion: "v1", Note: "decide how much the namespace may take"}}
	}
	return nil
}

func sortAll(findings []bailey.Finding) {
	slices.SortStableFunc(findings, func(a, b bailey.Finding) int {
		if a.Severity != b.Severity {
			return int(b.Severity) - int(a.Severity)
		}
		if c := strings.Compare(a.Rule, b.Rule); c != 0 {
			return c
		}
		return a.Object.Compare(b.Object)
	})
}

// judge fills in verdicts for findings: one for the cluster, one for each
// scope that a finding or the list names.
func judge(r *bailey.Report, scopes map[bailey.ScopeKind][]bailey.Ref, missing map[string][]bailey.Missing) {
	for _, c := range r.Controls {
		cluster := bailey.Verdict{Control: c.ID, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungSound}
		var below []bailey.Verdict
		refs := slices.Clone(scopes[c.Scope])
		for i := range r.Findings {
			if f := &r.Findings[i]; f.Control == c.ID && !slices.Contains(refs, f.Cause) {
				refs = append(refs, f.Cause)
			}
		}
		for _, ref := range refs {
			v := bailey.Verdict{Control: c.ID, Scope: bailey.Scope{Kind: c.Scope, Object: ref}, Rung: bailey.RungSound, Coverage: bailey.Coverage{Seen: 3, Needed: 3}, Next: "prove it: `bailey prove " + c.ID + "`"}
			waived := 0
			for i := range r.Findings {
				f := &r.Findings[i]
				if f.Control != c.ID || f.Object != ref && f.Cause != ref {
					continue
				}
				v.Rung = bailey.RungGap
				v.Findings++
				v.Next = "fix it: `bailey explain " + c.ID + "`"
				if f.Waiver != nil {
					waived++
					v.WaivedUntil = f.Waiver.Expires
				}
			}
			if waived < v.Findings {
				v.WaivedUntil = time.Time{}
			}
			below = append(below, v)
		}
		for _, v := range below {
			cluster.Rung = min(cluster.Rung, v.Rung)
			cluster.Findings += v.Findings
			cluster.Coverage.Seen += v.Coverage.Seen
			cluster.Coverage.Needed += v.Coverage.Needed
		}
		cluster.Coverage.Seen += 2
		cluster.Coverage.Needed += 2
		switch lost := missing[c.ID]; {
		case len(c.Rules) == 0:
			cluster.Rung, cluster.Coverage, cluster.Next = bailey.RungUnknown, bailey.Coverage{}, "this version does not check it"
		case len(lost) > 0:
			cluster.Coverage.Needed += len(lost)
			cluster.Coverage.Missing = lost
			cluster.Rung = min(cluster.Rung, bailey.RungUnknown)
			cluster.Next = lost[0].Hint
		case cluster.Rung == bailey.RungSound:
			cluster.Next = "prove it: `bailey prove " + c.ID + "`"
		default:
			cluster.Next = "fix it: `bailey explain " + c.ID + "`"
		}
		r.Coverage.Seen += cluster.Coverage.Seen
		r.Coverage.Needed += cluster.Coverage.Needed
		r.Coverage.Missing = append(r.Coverage.Missing, cluster.Coverage.Missing...)
		r.Verdicts = append(append(r.Verdicts, cluster), below...)
	}
}

var shopScopes = map[bailey.ScopeKind][]bailey.Ref{
	bailey.ScopeWorkload: {
		deployment("ci", "runner"), deployment("shop", "api"), deployment("shop", "cart"), deployment("shop", "web"),
		{Kind: bailey.KindStatefulSet, Namespace: "db", Name: "postgres"},
	},
	bailey.ScopeNamespace: {namespace("ci"), namespace("db"), namespace("shop")},
}

// emptyReport is a cluster where all was seen and nothing found.
func emptyReport() *bailey.Report {
	r := &bailey.Report{
		Meta: bailey.Meta{At: at, Medium: "cluster", ClusterUID: "1c5f0c1e-5a0f-4e0e-9c43-0f6a4d6b1c11", Context: "prod-eu", Version: bailey.Version{Major: 1, Minor: 37},
			Targets: []bailey.Target{{Name: "prod-eu", Medium: "cluster", Objects: 118}}},
		Controls: catalogue()[:4], Facts: 118, Took: 412 * time.Millisecond, Remedy: remedy,
	}
	judge(r, shopScopes, nil)
	return r
}

// clusterReport has findings of several severities, pods below their owners,
// waivers, a baseline, and facts that were not seen.
func clusterReport() *bailey.Report {
	r := &bailey.Report{
		Meta: bailey.Meta{At: at, Medium: "cluster", ClusterUID: "1c5f0c1e-5a0f-4e0e-9c43-0f6a4d6b1c11", Context: "prod-eu", Version: bailey.Version{Major: 1, Minor: 37},
			Targets: []bailey.Target{{Name: "prod-eu", Medium: "cluster", Objects: 1204}}},
		Controls: catalogue(), Facts: 1204, Took: 3200 * time.Millisecond, Remedy: remedy,
	}
	privileged := found("compute/pod-security/privileged", bailey.SeverityCritical, deployment("ci", "runner"), "spec.template.spec.containers[0].securityContext.privileged", "container build is privileged")
	for i := range 40 {
		privileged.Related = append(privileged.Related, bailey.Ref{Kind: bailey.KindPod, Namespace: "ci", Name: fmt.Sprintf("runner-7d9f-%02d", i)})
	}
	waived := found("compute/pod-security/privileged", bailey.SeverityCritical, bailey.Ref{Kind: bailey.KindDaemonSet, Namespace: "kube-system", Name: "node-agent"}, "spec.template.spec.containers[0].securityContext.privileged", "container agent is privileged")
	waived.Waiver = &bailey.Waiver{Rule: "compute/pod-security/privileged", Kind: "DaemonSet", Namespace: "kube-system", Name: "node-*", Reason: "loads kernel modules", Owner: "platform team", Expires: at.AddDate(0, 3, 0)}
	r.Findings = []bailey.Finding{privileged, waived}
	for _, name := range []string{"api", "cart", "web"} {
		for i, container := range []string{name, "proxy"} {
			field := fmt.Sprintf("spec.template.spec.containers[%d].securityContext", i)
			r.Findings = append(r.Findings, found("compute/pod-security/privilege-escalation", bailey.SeverityMedium, deployment("shop", name), field, "container "+container+" does not set allowPrivilegeEscalation to false"))
		}
	}
	for i := range 9 {
		r.Findings = append(r.Findings, found("access/service-accounts/token-mounted", bailey.SeverityHigh, deployment(fmt.Sprintf("tenant-%d", i%4), fmt.Sprintf("worker-%d", i)), "spec.template.spec.automountServiceAccountToken", "the token of ServiceAccount default is mounted, and the pods' programs do not call the API server"))
	}
	for _, ns := range []string{"ci", "shop"} {
		r.Findings = append(r.Findings, found("network/policy/no-default-deny", bailey.SeverityHigh, namespace(ns), "", "no NetworkPolicy selects all pods of the namespace, so that every pod of the cluster may reach them"))
	}
	old := found("compute/quotas/no-quota", bailey.SeverityLow, namespace("db"), "", "the namespace has no ResourceQuota")
	old.Baseline = true
	r.Findings = append(r.Findings, old, found("compute/quotas/no-quota", bailey.SeverityLow, namespace("ci"), "", "the namespace has no ResourceQuota"))
	sortAll(r.Findings)
	judge(r, shopScopes, map[string][]bailey.Missing{
		"access/service-accounts": {
			{Kind: bailey.KindRole, Reason: bailey.ReasonForbidden, Detail: `User "auditor" cannot list roles.rbac.authorization.k8s.io at the cluster scope`, Hint: "grant it list on roles and rolebindings: `bailey scan --print-rbac | kubectl apply -f -`"},
			{Kind: bailey.KindRoleBinding, Reason: bailey.ReasonForbidden, Detail: `User "auditor" cannot list rolebindings.rbac.authorization.k8s.io at the cluster scope`, Hint: "grant it list on roles and rolebindings: `bailey scan --print-rbac | kubectl apply -f -`"},
		},
		"compute/quotas": {
			{Kind: bailey.KindResourceQuota, Namespace: "tenant-0", Reason: bailey.ReasonForbidden, Detail: `User "auditor" cannot list resourcequotas in namespace tenant-0`},
			{Kind: bailey.KindResourceQuota, Namespace: "tenant-1", Reason: bailey.ReasonForbidden, Detail: `User "auditor" cannot list resourcequotas in namespace tenant-1`},
			{Kind: bailey.KindAPIServer, Reason: bailey.ReasonNotCollected, Hint: "the flags of a managed control plane cannot be read"},
		},
	})
	return r
}

// filesReport is a folder: positions, parts that were not read, an assumed version.
func filesReport() *bailey.Report {
	r := &bailey.Report{
		Meta: bailey.Meta{At: at, Medium: "files", Version: bailey.Version{Major: 1, Minor: 37}, AssumedVersion: true,
			Targets: []bailey.Target{{Name: "./deploy", Medium: "folder", Objects: 12,
				Skipped: []bailey.Skip{{What: "deploy/broken.yaml, document 2", Why: "line 14: mapping values are not allowed in this context", Hint: "mend the indentation there"}},
				Ignored: []bailey.Skip{{What: "deploy/README.md", Why: "no manifest"}, {What: "deploy/values.yaml", Why: "no manifest"}}}}},
		Controls: catalogue(), Facts: 12, Took: 38 * time.Millisecond, Remedy: remedy,
	}
	for i, name := range []string{"api", "cart", "web"} {
		f := found("compute/pod-security/privilege-escalation", bailey.SeverityMedium, deployment("shop", name), "spec.template.spec.containers[0].securityContext", "container "+name+" does not set allowPrivilegeEscalation to false")
		f.Source = bailey.Source{File: "deploy/shop " + name + ".yaml", Line: 20 + i, Column: 9}
		r.Findings = append(r.Findings, f)
	}
	f := found("access/service-accounts/token-mounted", bailey.SeverityHigh, deployment("shop", "web"), "", "the token of ServiceAccount default is mounted")
	f.Source = bailey.Source{File: "/src/repo/deploy/web.yaml", Line: 3}
	r.Findings = append(r.Findings, f)
	sortAll(r.Findings)
	judge(r, map[bailey.ScopeKind][]bailey.Ref{bailey.ScopeWorkload: shopScopes[bailey.ScopeWorkload][1:4]}, map[string][]bailey.Missing{
		"network/policy": {{Kind: bailey.KindNamespace, Reason: bailey.ReasonOpenWorld, Hint: "list it under complete: in bailey.yaml if the folder holds all of them"}},
	})
	return r
}

// diffReport is the cluster some days later: the runner is mended, the waiver
// still there, one thing new, and quotas may no longer be read.
func diffReport() *bailey.Report {
	old := clusterReport()
	old.Meta.At = at.AddDate(0, 0, -3)
	now := clusterReport()
	now.Verdicts, now.Coverage = nil, bailey.Coverage{}
	now.Findings = slices.DeleteFunc(now.Findings, func(f bailey.Finding) bool {
		return f.Object.Name == "runner" || f.Control == "compute/quotas"
	})
	now.Findings = append(now.Findings, found("compute/pod-security/privileged", bailey.SeverityCritical, deployment("shop", "web"), "spec.template.spec.containers[1].securityContext.privileged", "container debug is privileged"))
	sortAll(now.Findings)
	judge(now, shopScopes, map[string][]bailey.Missing{
		"compute/quotas": {{Kind: bailey.KindNamespace, Reason: bailey.ReasonForbidden, Detail: `User "auditor" cannot list namespaces`}},
	})
	return Compare(old, now)
}

// hostile is what a stranger may write where text is expected.
const hostile = "x\"'`<script>alert(1)</script>|@everyone #1 \\*b* [a](javascript:b) ${{c}} $(d) %0A::error::\r\n::error::e\x1b[31mred\x1b]0;t\x07\u202eevil\u2066\x9f\x00\xff,:;&amp; https://x.example www.x.example --><!-- ]]> {{.}} \u2028 \U000e0041"

// hostileReport has the worst in every text that can come from outside.
func hostileReport() *bailey.Report {
	ref := bailey.Ref{Kind: bailey.Kind("K" + hostile), Namespace: "n" + hostile, Name: hostile}
	f := found("compute/pod-security/privileged", bailey.SeverityCritical, ref, hostile, hostile)
	f.APIVersion, f.Named, f.Related = hostile, hostile, []bailey.Ref{ref, {Kind: bailey.KindPod, Namespace: hostile, Name: hostile}}
	f.Source = bailey.Source{File: "a" + hostile, Line: 1, Column: 1}
	f.Fix = []bailey.Change{{Object: deployment("a", "b"), Patch: []bailey.PatchOp{{Op: "add", Path: "/" + hostile, Value: map[string]any{hostile: hostile}}}, Note: hostile}}
	live := found("access/service-accounts/token-mounted", bailey.SeverityHigh, deployment("a", "b"), hostile, hostile)
	live.Fix = f.Fix
	waived := found("network/policy/no-default-deny", bailey.SeverityHigh, ref, "", hostile)
	waived.Waiver = &bailey.Waiver{Rule: hostile, Reason: hostile, Owner: hostile, Expires: at}
	r := &bailey.Report{
		Meta: bailey.Meta{At: at, Medium: "mixed", ClusterUID: hostile, Context: hostile, Version: bailey.Version{Major: 1, Minor: 36},
			Targets: []bailey.Target{{Name: hostile, Medium: "folder", Objects: 1, Skipped: []bailey.Skip{{What: hostile, Why: hostile, Hint: hostile}}, Ignored: []bailey.Skip{{What: hostile, Why: hostile}}}}},
		Controls: catalogue(), Facts: 3, Findings: []bailey.Finding{f, live, waived},
	}
	judge(r, map[bailey.ScopeKind][]bailey.Ref{bailey.ScopeWorkload: {ref}, bailey.ScopeNamespace: {ref}}, map[string][]bailey.Missing{
		"compute/quotas": {{Kind: bailey.Kind(hostile), Namespace: hostile, Name: hostile, Reason: bailey.Reason(hostile), Detail: hostile, Hint: hostile}},
	})
	return r
}

// fixtures are the reports that every format is tried on, by name.
func fixtures() map[string]*bailey.Report {
	return map[string]*bailey.Report{
		"empty": emptyReport(), "cluster": clusterReport(), "files": filesReport(), "diff": diffReport(), "hostile": hostileReport(), "proven": provenReport(),
		"nothing": {Meta: bailey.Meta{At: at, Medium: "files", Version: bailey.LatestVersion, AssumedVersion: true, Targets: []bailey.Target{{Name: "./empty", Medium: "folder"}}}, Controls: catalogue()},
		"zero":    {},
	}
}

// largeReport has n findings over n/4 Deployments.
func largeReport(n int) *bailey.Report {
	r := &bailey.Report{Meta: clusterReport().Meta, Controls: catalogue(), Facts: n, Remedy: remedy}
	rules := []string{"compute/pod-security/privileged", "compute/pod-security/privilege-escalation", "access/service-accounts/token-mounted", "network/policy/no-default-deny"}
	severities := []bailey.Severity{bailey.SeverityCritical, bailey.SeverityMedium, bailey.SeverityHigh, bailey.SeverityHigh}
	var refs []bailey.Ref
	for i := range n {
		k := i % 4
		ref := deployment(fmt.Sprintf("team-%d", i/400), fmt.Sprintf("service-%d", i/4))
		if k == 0 {
			refs = append(refs, ref)
		}
		r.Findings = append(r.Findings, found(rules[k], severities[k], ref, "spec.template.spec.containers[0].securityContext", "container main does something that it should not do"))
	}
	sortAll(r.Findings)
	for _, c := range r.Controls {
		r.Verdicts = append(r.Verdicts, bailey.Verdict{Control: c.ID, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Coverage: bailey.Coverage{Seen: 1, Needed: 1}})
		if c.Scope == bailey.ScopeWorkload {
			for _, ref := range refs {
				r.Verdicts = append(r.Verdicts, bailey.Verdict{Control: c.ID, Scope: bailey.Scope{Kind: c.Scope, Object: ref}, Coverage: bailey.Coverage{Seen: 1, Needed: 1}})
			}
		}
	}
	return r
}
