package access

import (
	"time"

	"github.com/baileyhq/bailey"
)

// serviceAccountExperiments try tokens outside what they are good for.
var serviceAccountExperiments = []*bailey.Experiment{tokensEnd}

// cacheLag is how long the API server may believe a token whose object has gone:
// its caches keep an answer for 10 s, and watch for deletions with a grace of 60 s.
const cacheLag = 75 * time.Second

var tokensEnd = &bailey.Experiment{
	Name:  "tokens-end",
	Title: "A token is good for its audience and as long as what it is bound to",
	Doc: `In a namespace of its own Bailey makes ServiceAccounts and pods that are never scheduled (no node is needed),
and has tokens of 10 minutes minted for them. With them it asks the API server for its API groups: with a token
for another audience, with one bound to a pod that was deleted, with one whose ServiceAccount was deleted, with
one whose ServiceAccount was deleted and made anew under the same name, and with one that was altered to name
another ServiceAccount. Each must be refused by authentication; what was deleted may be believed for 75 seconds
(caches). The twin is a token of the same kind that is still good. Everything that was made is removed.

A token that is stolen from a pod works from everywhere while the pod lives: Kubernetes does not bind it to a
place, so that is not tried. Nor is the end of a token's life, which is 10 minutes off at least. Whether a
service beside the API server heeds the audience and the end of tokens cannot be seen from here.`,
	Hypothesis: "A token is refused outside its audience, and once its pod or its ServiceAccount has gone.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1528",
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		const open = "/apis" // to everybody who is authenticated
		namespace := probeNamespace("tokens")
		prober := bailey.Identity{}
		with := func(name string, refusers ...bailey.Refuser) bailey.Step {
			return getPath(bailey.Identity{Token: "${" + name + "}"}, open, refusers...)
		}
		late := func(name string) bailey.Step {
			step := with(name, bailey.RefuserAuthentication)
			step.Within = cacheLag
			return step
		}
		remove := func(resource, name string) bailey.Step {
			return request(prober, bailey.Request{Verb: "delete", APIVersion: "v1", Resource: resource, Namespace: namespace, Name: name, Real: true})
		}
		gone := func(resource, name string) bailey.Step {
			return bailey.Step{Await: &bailey.Await{APIVersion: "v1", Resource: resource, Namespace: namespace, Name: name, Gone: true}}
		}
		boundTo := func(pod, bound string) bailey.Step {
			return mint(prober, namespace, "account", bound, map[string]any{"boundObjectRef": map[string]any{"apiVersion": "v1", "kind": "Pod", "name": pod}})
		}
		// All probes share one setup, so that they wait for the caches together.
		// Each stale token is used while it is good, so that the caches know it.
		setup := []bailey.Step{
			makeNamespace(namespace), makeAccount(namespace, "account"), makeAccount(namespace, "gone"), makeAccount(namespace, "remade"),
			unscheduledPod(namespace, "gone"), unscheduledPod(namespace, "still-there"),
			mint(prober, namespace, "account", "good", nil),
			mint(prober, namespace, "account", "elsewhere", map[string]any{"audiences": []any{"https://elsewhere.bailey.invalid"}}),
			{Bind: map[string]string{"altered": "token"},
				Forge: &bailey.Forge{What: bailey.ForgeAlteredToken, Token: "${good}", CommonName: "system:serviceaccount:kube-system:default"}},
			boundTo("gone", "ofPod"), boundTo("still-there", "ofOther"),
			mint(prober, namespace, "gone", "ofGone", nil), mint(prober, namespace, "remade", "ofEarlier", nil),
			with("ofPod"), with("ofGone"), with("ofEarlier"),
			remove("pods", "gone"), gone("pods", "gone"),
			remove("serviceaccounts", "gone"), gone("serviceaccounts", "gone"),
			remove("serviceaccounts", "remade"), gone("serviceaccounts", "remade"),
			makeAccount(namespace, "remade"), mint(prober, namespace, "remade", "ofLater", nil),
		}
		return []bailey.Probe{
			{Name: "token for another audience", Path: "audience", Setup: setup,
				Twin: with("good"), Try: with("elsewhere", bailey.RefuserAuthentication)},
			{Name: "token altered to name another ServiceAccount", Path: "signature", Setup: setup,
				Twin: with("good"), Try: with("altered", bailey.RefuserAuthentication)},
			{Name: "token of a pod that has gone", Path: "bound to a pod", Setup: setup,
				Twin: with("ofOther"), Try: late("ofPod")},
			{Name: "token of a ServiceAccount that has gone", Path: "bound to a ServiceAccount", Setup: setup,
				Twin: with("good"), Try: late("ofGone")},
			{Name: "token of an earlier ServiceAccount of the same name", Path: "bound to a ServiceAccount", Setup: setup,
				Twin: with("ofLater"), Try: late("ofEarlier")},
		}
	},
}

// unscheduledPod makes a pod that no scheduler may place, and that the strictest
// Pod Security level admits.
func unscheduledPod(namespace, name string) bailey.Step {
	return makeReal("v1", "pods", namespace, object("v1", "Pod", namespace, name, map[string]any{"spec": map[string]any{
		"serviceAccountName": "account", "automountServiceAccountToken": false,
		"schedulingGates": []any{map[string]any{"name": "bailey.dev/never"}},
		"securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{"name": "never", "image": "bailey.invalid/never",
			"resources":       map[string]any{"requests": map[string]any{"cpu": "1m", "memory": "1Mi"}, "limits": map[string]any{"cpu": "1m", "memory": "1Mi"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}}}},
	}}))
}
