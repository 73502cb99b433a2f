package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shopPolicy lets port 80 of the pods with the label app be dialled.
func shopPolicy(app string) map[string]any {
	return map[string]any{"metadata": map[string]any{"name": app},
		"spec": map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": app}}, "policyTypes": []string{"Ingress"},
			"ingress": []any{map[string]any{"ports": []any{map[string]any{"port": 80}}}}}}
}

func shopDeployment(name string, replicas int) map[string]any {
	return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"replicas": replicas, "selector": map[string]any{"matchLabels": map[string]any{"app": name}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": name}},
				"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": "registry.example/a:1"}}}}}}
}

// TestGateRules: a Deployment that is fine by itself is refused where no network policy of
// the cluster selects its pods; its twin, which one selects, is admitted, and so is what adds
// nothing to what was there. The gate reads the cluster by the rights that --print gives it.
func TestGateRules(t *testing.T) {
	rule := []string{"--rules", "network/policy/no-ingress-policy"}
	g := newGated(t, rule...)
	put(t, g.policy, "version: 1\nrules:\n- {name: none, images: [\"registry.example/none\"], unsigned: true}\nunmatched: admit\n")
	const policies, deployments = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", "/apis/apps/v1/namespaces/default/deployments"
	do := func(method, path string, in, out any) error { return g.cluster.Do(t.Context(), method, path, in, out) }
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "rules.gate.bailey.dev") || !strings.Contains(err.Error(), "rule network/policy/no-ingress-policy (medium)") ||
			!strings.Contains(err.Error(), "fix: create NetworkPolicy") || !strings.Contains(err.Error(), "the cluster was read") {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it did not come about that %s", what)
			}
		}
	}
	must("a network policy", do(http.MethodPost, policies, shopPolicy("web"), nil))
	conf := filepath.Join(t.TempDir(), "bailey.yaml")
	waiver := func(expires string) {
		put(t, conf, "waivers:\n- {rule: network/policy/no-ingress-policy, kind: Deployment, name: moving-*, reason: it goes tomorrow, owner: jane, expires: "+expires+"}\n")
	}
	waiver("2999-12-31")
	p := g.start(append(rule, "--snapshot-every", "1h", "--waivers", conf)...)
	until("the gate admits", func() bool {
		return do(http.MethodPost, deployments+"?dryRun=All", shopDeployment("web", 1), nil) == nil
	})
	refused("no policy selects it", do(http.MethodPost, deployments, shopDeployment("db", 1), nil))
	must("its twin", do(http.MethodPost, deployments, shopDeployment("web", 0), nil))

	// A waiver lets one through, until it has expired.
	moving := func() error {
		return do(http.MethodPost, deployments+"?dryRun=All", shopDeployment("moving-1", 1), nil)
	}
	must("a waiver takes it in", moving())
	waiver("2020-12-31")
	until("the file is read again", func() bool { return moving() != nil })
	if err := moving(); err == nil || !strings.Contains(err.Error(), "its waiver by jane ended with 2020-12-31") {
		t.Errorf("an expired waiver: %v", err)
	}

	// A policy that is made a moment before counts, though the cluster was read before it.
	must("another policy", do(http.MethodPost, policies, shopPolicy("db"), nil))
	must("what it selects", do(http.MethodPost, deployments, shopDeployment("db", 0), nil))

	// What is there goes on when its policy has gone: it adds nothing, and its controllers
	// make what they were told to.
	must("delete the policy", do(http.MethodDelete, policies+"/db", nil, nil))
	refused("the policy has gone", do(http.MethodPost, deployments, shopDeployment("db-2", 1), nil))
	must("written again", do(http.MethodPut, deployments+"/db", shopDeployment("db", 0), nil))
	must("scaled", do(http.MethodPut, deployments+"/db", shopDeployment("db", 1), nil))
	var pods struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	podsPath := "/api/v1/namespaces/default/pods"
	until("the Deployment has a pod", func() bool {
		must("list pods", do(http.MethodGet, podsPath+"?labelSelector=app%3Ddb", nil, &pods))
		return len(pods.Items) > 0
	})
	var pod map[string]any
	labels := func(app string) error {
		must("read the pod", do(http.MethodGet, podsPath+"/"+pods.Items[0].Metadata.Name, nil, &pod))
		metadata := pod["metadata"].(map[string]any)
		metadata["labels"], metadata["resourceVersion"] = map[string]any{"app": app}, nil
		return do(http.MethodPut, podsPath+"/"+pods.Items[0].Metadata.Name+"?dryRun=All", pod, nil)
	}
	must("a label that makes it right", labels("web"))
	must("a label that changes nothing", labels("evil"))

	// A pod that a policy selects does not lose it by a label.
	must("scale the twin", do(http.MethodPut, deployments+"/web", shopDeployment("web", 1), nil))
	until("the twin has a pod", func() bool {
		must("list pods", do(http.MethodGet, podsPath+"?labelSelector=app%3Dweb", nil, &pods))
		return len(pods.Items) > 0
	})
	refused("a label that takes it from its policy", labels("evil"))
	if text := p.text(); strings.Contains(text, "cannot be read") || strings.Contains(text, "lets more through") || !strings.Contains(text, "no-ingress-policy") {
		t.Errorf("the gate says:\n%s", text)
	}
}
