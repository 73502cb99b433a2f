package devclustertest

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/devcluster"
)

// TestRules looks at rules for what the test with a node does not try.
func TestRules(t *testing.T) {
	var w world
	for _, text := range []string{
		"metadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {nodeName: here, containers: [{ports: [{name: http, containerPort: 8080, protocol: TCP}]}]}\nstatus: {podIP: 10.88.1.2}",
		"metadata: {name: db, namespace: shop, labels: {app: db}}\nspec: {nodeName: other, containers: [{ports: [{name: sql, containerPort: 5432, protocol: TCP}]}]}\nstatus: {podIP: 10.88.2.2}",
		"metadata: {name: done, namespace: shop, labels: {app: db}}\nspec: {nodeName: here}\nstatus: {podIP: 10.88.1.9, phase: Succeeded}",
		"metadata: {name: monitor, namespace: watch, labels: {app: db}}\nspec: {nodeName: here}\nstatus: {podIP: 10.88.1.3}",
	} {
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
			t.Fatal(err)
		}
		w.pods.Items = append(w.pods.Items, pod)
	}
	for _, text := range []string{"metadata: {name: shop}", "metadata: {name: watch, labels: {role: ops}}"} {
		var namespace corev1.Namespace
		if err := yaml.UnmarshalStrict([]byte(text), &namespace); err != nil {
			t.Fatal(err)
		}
		w.namespaces.Items = append(w.namespaces.Items, namespace)
	}
	for _, test := range []struct{ name, spec, want string }{
		{"deny all", "{policyTypes: [Ingress], podSelector: {}}", "ingress_10_88_1_2: "},
		{"another pod", "{policyTypes: [Ingress], podSelector: {matchLabels: {app: none}}}", ""},
		{"allow all", "{policyTypes: [Egress], podSelector: {}, egress: [{}]}", "egress_10_88_1_2: *"},
		{"own namespace", "{policyTypes: [Ingress], podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
			"ingress_10_88_1_2: ip saddr 10.88.1.2 | ip saddr 10.88.2.2"},
		{"other namespace", "{policyTypes: [Ingress], podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {role: ops}}}], ports: [{port: http}]}]}",
			"ingress_10_88_1_2: ip saddr 10.88.1.3 tcp dport 8080"},
		{"both selectors", "{policyTypes: [Ingress], podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]}]}",
			"ingress_10_88_1_2: ip saddr 10.88.2.2 | ip saddr 10.88.1.3"},
		{"named port of the other end", "{policyTypes: [Egress], podSelector: {}, egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: sql}, {port: http}]}]}",
			"egress_10_88_1_2: ip daddr 10.88.2.2 tcp dport 5432"},
		{"block", "{policyTypes: [Egress], podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.99.0.0/24]}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 1000, endPort: 2000}, {protocol: SCTP}]}]}",
			"egress_10_88_1_2: ip daddr 10.0.0.0/8 ip daddr != { 10.99.0.0/24 } udp dport 53 | ip daddr 10.0.0.0/8 ip daddr != { 10.99.0.0/24 } tcp dport 1000-2000 | ip daddr 10.0.0.0/8 ip daddr != { 10.99.0.0/24 } meta l4proto sctp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy := networkingv1.NetworkPolicy{}
			policy.Name, policy.Namespace = "p", "shop"
			if err := yaml.UnmarshalStrict([]byte(test.spec), &policy.Spec); err != nil {
				t.Fatal(err)
			}
			w.policies.Items = []networkingv1.NetworkPolicy{policy}
			rules, err := w.rules("here", Gaps{})
			if err != nil {
				t.Fatal(err)
			}
			if got := chainsOf(rules); got != test.want {
				t.Errorf("got  %s\nwant %s\n%s", got, test.want, rules)
			}
			for name, gaps := range map[string]Gaps{
				"policy": {Policy: func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == "shop" }},
				"pod":    {Pod: func(p *corev1.Pod) bool { return p.Name == "web" }},
				"both":   {Ingress: true, Egress: true},
			} {
				if rules, err := w.rules("here", gaps); err != nil || chainsOf(rules) != "" {
					t.Errorf("gap %s: %v\n%s", name, err, rules)
				}
			}
			if test.want != "" {
				rules, err := w.rules("here", Gaps{Port: 8081})
				if got := chainsOf(rules); err != nil || !strings.Contains(got, "ress_10_88_1_2: tcp dport 8081") {
					t.Errorf("gap port: %v: %s\n%s", err, got, rules)
				}
			}
		})
	}
}

// chainsOf writes the chains of pods on one line.
func chainsOf(rules string) string {
	var all []string
	for _, part := range strings.Split(rules, "\tchain ")[1:] {
		name, body, _ := strings.Cut(part, " {\n")
		if name == "forward" || name == "input" {
			continue
		}
		var matches []string
		for line := range strings.Lines(body) {
			if match, ok := strings.CutSuffix(strings.TrimSpace(line), "return"); ok {
				if match = strings.TrimSpace(match); match == "" {
					match = "*"
				}
				matches = append(matches, match)
			}
		}
		all = append(all, name+": "+strings.Join(matches, " | "))
	}
	return strings.Join(all, "; ")
}

func TestEnforce(t *testing.T) {
	cluster, node := SharedNode(t)
	probe(t, node)
	shop := NamespaceIn(t, cluster, map[string]string{"team": "shop"})
	other := NamespaceIn(t, cluster, nil)
	server := startPod(t, cluster, shop, "server", "serve", "8080") + ":8080"
	startPod(t, cluster, shop, "client", "wait")
	startPod(t, cluster, other, "stranger", "wait")
	reaches := func(namespace, pod string) bool {
		out, err := cluster.Kubectl(t.Context(), "exec", "-n", namespace, pod, "--", "/probe", "dial", server)
		if err == nil && strings.TrimSpace(string(out)) != "server" {
			t.Fatalf("%s answers as %q", server, out)
		}
		if err != nil && !strings.Contains(err.Error(), "i/o timeout") {
			t.Fatal(err)
		}
		return err == nil
	}
	// who may reach the server
	expect := func(when string, client, stranger bool) {
		t.Helper()
		for _, from := range []struct {
			namespace, pod string
			want           bool
		}{{shop, "client", client}, {other, "stranger", stranger}} {
			got := reaches(from.namespace, from.pod)
			for range 5 { // a busy machine may be late to answer, but not to refuse
				if got == from.want || !from.want {
					break
				}
				got = reaches(from.namespace, from.pod)
			}
			if got != from.want {
				t.Errorf("%s: the %s reaches the server: %v", when, from.pod, got)
			}
		}
	}
	policy := func(namespace, name string, spec map[string]any) {
		t.Helper()
		err := cluster.Do(t.Context(), http.MethodPost, "/apis/networking.k8s.io/v1/namespaces/"+namespace+"/networkpolicies",
			map[string]any{"metadata": map[string]any{"name": name}, "spec": spec}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	policy(shop, "own", map[string]any{"podSelector": map[string]any{}, "policyTypes": []string{"Ingress"},
		"ingress": []any{map[string]any{"from": []any{map[string]any{"podSelector": map[string]any{}}}}}})
	expect("nobody enforces the policy", true, true)
	t.Run("enforced", func(t *testing.T) {
		e := Enforce(t, cluster, node, Gaps{})
		expect("with a policy for the namespace", true, false)
		policy(shop, "egress", map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": "client"}}, "policyTypes": []string{"Egress"}})
		e.Sync(t)
		expect("without any way out", false, false)
	})
	expect("the enforcement has ended", true, true)
	t.Run("with a gap", func(t *testing.T) {
		Enforce(t, cluster, node, Gaps{Ingress: true})
		expect("incoming connections are not looked at", false, true)
	})
}

// probe gives the node an image of the program for pods.
func probe(t *testing.T, node *devcluster.Node) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	build(t, "", "../testdata/probe", program)
	if _, err := node.Import(t.Context(), "localhost/probe:dev", map[string]string{"/probe": program}, []string{"/probe"}); err != nil {
		t.Fatal(err)
	}
}

// startPod starts a pod and returns its address.
func startPod(t *testing.T, cluster *devcluster.Cluster, namespace, name string, args ...string) string {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/pods"
	err := cluster.Do(t.Context(), http.MethodPost, path, map[string]any{
		"metadata": map[string]any{"name": name, "labels": map[string]any{"app": name}},
		"spec": map[string]any{
			"containers":                    []any{map[string]any{"name": "c", "image": "localhost/probe:dev", "args": args}},
			"terminationGracePeriodSeconds": 0,
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	for begin := time.Now(); pod.Status.Phase != corev1.PodRunning; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%s is not running: %+v", name, pod.Status)
		}
		if err := cluster.Do(t.Context(), http.MethodGet, path+"/"+name, nil, &pod); err != nil {
			t.Fatal(err)
		}
	}
	return pod.Status.PodIP
}
