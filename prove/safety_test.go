package prove

import (
	"testing"

	"github.com/baileyhq/bailey"
)

// TestHarmless: whatever a plan says, no step does more than its experiment's
// danger allows, and what is made for real is the run's own.
func TestHarmless(t *testing.T) {
	const run = "abc123"
	ns := bailey.ProbePrefix + run + "-x"
	pod := func(change func(*bailey.Request)) bailey.Step {
		r := &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: "shop", Object: map[string]any{"metadata": map[string]any{"name": "p"}}}
		change(r)
		return bailey.Step{Request: r}
	}
	named := func(namespace string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": namespace}}
	}
	webhook := func(change func(map[string]any)) bailey.Step {
		w := map[string]any{"name": "a.b.c", "namespaceSelector": named(ns), "rules": []any{map[string]any{"scope": "Namespaced"}}}
		change(w)
		return bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "admissionregistration.k8s.io/v1", Resource: "validatingwebhookconfigurations", Real: true,
			Object: map[string]any{"metadata": map[string]any{"name": ns}, "webhooks": []any{w}}}}
	}
	for name, c := range map[string]struct {
		danger bailey.Danger
		step   bailey.Step
		may    bool
	}{
		"a dry-run":                            {bailey.DangerDryRun, pod(func(*bailey.Request) {}), true},
		"a dry-run where only asking is meant": {bailey.DangerNone, pod(func(*bailey.Request) {}), false},
		"for real, in a dry-run experiment":    {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Real = true }), false},
		"for real, in a strange namespace":     {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Real = true }), false},
		"for real, in its own":                 {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Real, r.Namespace = true, ns }), true},
		"in another run's namespace":           {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Real, r.Namespace = true, bailey.ProbePrefix+"other-x" }), false},
		"a token, which dry-run mints":         {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Resource, r.Subresource, r.Name = "serviceaccounts", "token", "default" }), false},
		"a token of its own": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Resource, r.Subresource, r.Name, r.Namespace = "serviceaccounts", "token", "a", ns
		}), true},
		"exec by dry-run":           {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Subresource, r.Name = "exec", "p" }), false},
		"exec by get":               {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Verb, r.Subresource, r.Name = "get", "exec", "p" }), false},
		"a proxy to a node":         {bailey.DangerNone, pod(func(r *bailey.Request) { r.Verb, r.Resource, r.Subresource, r.Name = "get", "nodes", "proxy", "n" }), false},
		"the content of Secrets":    {bailey.DangerNone, pod(func(r *bailey.Request) { r.Verb, r.Resource, r.Content = "list", "secrets", true }), false},
		"the names of Secrets":      {bailey.DangerNone, pod(func(r *bailey.Request) { r.Verb, r.Resource = "list", "secrets" }), true},
		"Secrets by their path":     {bailey.DangerNone, bailey.Step{Request: &bailey.Request{Verb: "get", Path: "/api/v1/secrets"}}, false},
		"a proxy by its path":       {bailey.DangerNone, bailey.Step{Request: &bailey.Request{Verb: "get", Path: "/api/v1/nodes/n/proxy/pods"}}, false},
		"the API's groups":          {bailey.DangerNone, bailey.Step{Request: &bailey.Request{Verb: "get", Path: "/apis/apps/v1"}}, true},
		"metrics":                   {bailey.DangerNone, bailey.Step{Request: &bailey.Request{Verb: "get", Path: "/metrics"}}, true},
		"exec in its own namespace": {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "exec", "p", ns, true }), true},
		"exec somewhere else":       {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "exec", "p", "shop", true }), false},
		"exec by get somewhere else": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Verb, r.Subresource, r.Name, r.Namespace, r.Real = "get", "exec", "p", "shop", true
		}), false},
		"a proxy in its own namespace": {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "proxy", "p", ns, true }), true},
		"a proxy somewhere else":       {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "proxy", "p", "shop", true }), false},
		"a proxy to a Service of its own": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Verb, r.Resource, r.Subresource, r.Name, r.Namespace, r.Real = "get", "services", "proxy", "s", ns, true
		}), true},
		"a proxy to somebody's Service": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Verb, r.Resource, r.Subresource, r.Name, r.Namespace, r.Real = "get", "services", "proxy", "s", "shop", true
		}), false},
		"a proxy to a node by an isolated one": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Verb, r.Resource, r.Subresource, r.Name, r.Namespace, r.Real = "get", "nodes", "proxy", "n", "", true
		}), false},
		"exec in another run's namespace": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Subresource, r.Name, r.Namespace, r.Real = "exec", "p", bailey.ProbePrefix+"other-x", true
		}), false},
		"attach in its own namespace": {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "attach", "p", ns, true }), true},
		"port-forward somewhere else": {bailey.DangerDisruptive, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace, r.Real = "portforward", "p", "shop", true }), false},
		"exec by dry-run in its own":  {bailey.DangerIsolated, pod(func(r *bailey.Request) { r.Subresource, r.Name, r.Namespace = "exec", "p", ns }), false},
		"somebody's namespace under a false flag": {bailey.DangerDisruptive, pod(func(r *bailey.Request) {
			r.Verb, r.Resource, r.Namespace, r.Name, r.Real = "delete", "namespaces", ns, "kube-system", true
		}), false},
		"somebody's node by a subresource": {bailey.DangerIsolated, pod(func(r *bailey.Request) {
			r.Resource, r.Subresource, r.Namespace, r.Name, r.Real = "nodes", "status", "", "n1", true
			r.Object = map[string]any{"metadata": map[string]any{"name": ns}}
		}), false},
		"deleting somebody's namespace": {bailey.DangerDisruptive, pod(func(r *bailey.Request) {
			r.Verb, r.Resource, r.Namespace, r.Name, r.Real = "delete", "namespaces", "", "shop", true
		}), false},
		"a binding to cluster-admin": {bailey.DangerIsolated, bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "rbac.authorization.k8s.io/v1", Resource: "clusterrolebindings", Real: true,
			Object: map[string]any{"metadata": map[string]any{"name": ns}, "roleRef": map[string]any{"name": "cluster-admin"}}}}, false},
		"a probe pod of a dry-run":                    {bailey.DangerDryRun, bailey.Step{Task: &bailey.Task{Syscall: "getpid", In: &bailey.ProbePod{Namespace: ns}}}, false},
		"a probe pod in its own":                      {bailey.DangerIsolated, bailey.Step{Task: &bailey.Task{Syscall: "getpid", In: &bailey.ProbePod{Namespace: ns}}}, true},
		"a probe pod among others":                    {bailey.DangerIsolated, bailey.Step{Task: &bailey.Task{Syscall: "getpid", In: &bailey.ProbePod{Namespace: "shop"}}}, false},
		"a system call where the prober is":           {bailey.DangerIsolated, bailey.Step{Task: &bailey.Task{Syscall: "getpid"}}, false},
		"the wire, for its own marker":                {bailey.DangerIsolated, bailey.Step{Task: &bailey.Task{Wire: &bailey.Wire{Marker: run + " x"}, In: &bailey.ProbePod{Namespace: ns}}}, true},
		"the wire, for somebody's words":              {bailey.DangerIsolated, bailey.Step{Task: &bailey.Task{Wire: &bailey.Wire{Marker: "password"}, In: &bailey.ProbePod{Namespace: ns}}}, false},
		"a connection":                                {bailey.DangerNone, bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: "127.0.0.1:1"}}}, true},
		"a write to etcd, isolated":                   {bailey.DangerIsolated, bailey.Step{Origin: &bailey.Origin{Namespace: ns, Name: "a", Past: true}}, false},
		"a write to etcd, disruptive":                 {bailey.DangerDisruptive, bailey.Step{Origin: &bailey.Origin{Namespace: ns, Name: "a", Past: true}}, true},
		"a write to etcd, somewhere else":             {bailey.DangerDisruptive, bailey.Step{Origin: &bailey.Origin{Namespace: "shop", Name: "a", Past: true}}, false},
		"an object of its own":                        {bailey.DangerIsolated, bailey.Step{Origin: &bailey.Origin{Namespace: ns, Name: "a"}}, true},
		"an object, by dry-run":                       {bailey.DangerDryRun, bailey.Step{Origin: &bailey.Origin{Namespace: ns, Name: "a"}}, false},
		"a webhook for its own namespace":             {bailey.DangerDisruptive, webhook(func(map[string]any) {}), true},
		"a webhook of an isolated one":                {bailey.DangerIsolated, webhook(func(map[string]any) {}), false},
		"a webhook for somebody's namespace":          {bailey.DangerDisruptive, webhook(func(w map[string]any) { w["namespaceSelector"] = named("shop") }), false},
		"a webhook for another run's namespace":       {bailey.DangerDisruptive, webhook(func(w map[string]any) { w["namespaceSelector"] = named(bailey.ProbePrefix + "other-x") }), false},
		"a webhook for all namespaces":                {bailey.DangerDisruptive, webhook(func(w map[string]any) { delete(w, "namespaceSelector") }), false},
		"a webhook for cluster-wide objects":          {bailey.DangerDisruptive, webhook(func(w map[string]any) { w["rules"] = []any{map[string]any{"scope": "*"}} }), false},
		"a webhook for objects of an unsaid scope":    {bailey.DangerDisruptive, webhook(func(w map[string]any) { w["rules"] = []any{map[string]any{}} }), false},
		"a webhook that is changed after it was made": {bailey.DangerDisruptive, bailey.Step{Request: &bailey.Request{Verb: "patch", APIVersion: "admissionregistration.k8s.io/v1", Resource: "validatingwebhookconfigurations", Name: ns, Real: true}}, false},
		"somebody's webhook":                          {bailey.DangerDisruptive, bailey.Step{Request: &bailey.Request{Verb: "delete", APIVersion: "admissionregistration.k8s.io/v1", Resource: "validatingwebhookconfigurations", Name: "bailey-gate", Real: true}}, false},
		"deleting by dry-run":                         {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Verb, r.Name, r.Object = "delete", "p", nil }), true},
		"deleting by dry-run with a body, in which the API server would look for dryRun": {bailey.DangerDryRun, pod(func(r *bailey.Request) { r.Verb, r.Name = "delete", "p" }), false},
	} {
		if err := harmless(c.danger, &c.step, run); (err == nil) != c.may {
			t.Errorf("%s: %v", name, err)
		}
	}
}
