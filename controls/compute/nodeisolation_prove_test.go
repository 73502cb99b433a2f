package compute

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// nodeCluster starts a cluster with two nodes, of which the second is dedicated.
func nodeCluster(t *testing.T) *devcluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{ExtraControllerManagerArgs: []string{"--controllers=*,-node-lifecycle-controller"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err = cluster.RegisterNodes(ctx, 2, func(i int, node map[string]any) {
		if i == 1 {
			spec, labels := node["spec"].(map[string]any), node["metadata"].(map[string]any)["labels"].(map[string]any)
			spec["taints"] = []any{map[string]any{"key": "example.com/keys", "value": "yes", "effect": "NoSchedule"}}
			labels[restriction+"keys"] = "yes"
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func send(t *testing.T, cluster *devcluster.Cluster, path, text string) {
	t.Helper()
	var o map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Do(t.Context(), http.MethodPost, path, o, nil); err != nil {
		t.Fatal(err)
	}
}

func TestProveNodeIsolation(t *testing.T) {
	cluster := nodeCluster(t)
	bounded := provetest.Options{Only: []string{nodesAreBounded.Name}}
	records := provetest.Run(t, cluster, NodeIsolation, bounded)
	provetest.AllHeld(t, records)
	if got := len(provetest.Outcomes(records)); got != 12 {
		t.Errorf("%d probes of two nodes:\n%s", got, provetest.Text(records))
	}

	send(t, cluster, "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: agents},
  rules: [{apiGroups: [""], resources: [secrets], verbs: [list]}]}`)
	send(t, cluster, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: agents},
  subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: "system:node:node-00001"}], roleRef: {kind: ClusterRole, apiGroup: rbac.authorization.k8s.io, name: agents}}`)
	time.Sleep(time.Second) // the authorizer reads by watch
	provetest.Want(t, provetest.Run(t, cluster, NodeIsolation, bounded), map[string]prove.Outcome{"all Secrets (list secrets as node node-00001)": prove.Broken})

	nobody, err := cluster.KubeconfigFor("nobody")
	if err != nil {
		t.Fatal(err)
	}
	bounded.Config, bounded.Snapshot = configOf(t, nobody), provetest.Collect(t, cluster)
	provetest.Want(t, provetest.Run(t, cluster, NodeIsolation, bounded), map[string]prove.Outcome{"*": prove.Inconclusive})

	proveDedicated(t, cluster)
}

func proveDedicated(t *testing.T, cluster *devcluster.Cluster) {
	t.Helper()
	send(t, cluster, "/api/v1/namespaces", `{apiVersion: v1, kind: Namespace, metadata: {name: strangers, labels: {bailey.dev/trust: untrusted}}}`)
	waitFor(t, func() string {
		if err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/strangers/serviceaccounts/default", nil, nil); err != nil {
			return err.Error()
		}
		return ""
	})
	// No node is large enough, so that it waits.
	send(t, cluster, "/api/v1/namespaces/strangers/pods", strings.ReplaceAll(strings.ReplaceAll(compliantPod, "NAME", "app"), "cpu: 10m, memory: 16Mi}, limits: {cpu: 20m", "cpu: 1k, memory: 16Mi}, limits: {cpu: 1k"))
	dedicated := provetest.Options{Only: []string{dedicatedNodesKept.Name}}
	provetest.Want(t, provetest.Run(t, cluster, NodeIsolation, dedicated), map[string]prove.Outcome{"*": prove.Unclaimed})

	remove := controltest.Install(t, cluster, provetest.Collect(t, cluster), untrustedKept)
	waitFor(t, func() string {
		records := provetest.Run(t, cluster, NodeIsolation, dedicated)
		outcomes := provetest.Outcomes(records)
		for _, outcome := range outcomes {
			if outcome != prove.Held || len(outcomes) != 4 {
				return "the guard does not hold: " + provetest.Text(records)
			}
		}
		return ""
	})
	remove()
	waitFor(t, func() string {
		records := provetest.Run(t, cluster, NodeIsolation, dedicated)
		for _, outcome := range provetest.Outcomes(records) {
			if outcome != prove.Unclaimed {
				return "the guard has not gone: " + provetest.Text(records)
			}
		}
		return ""
	})

	policy := func(name, resource, expression string) {
		send(t, cluster, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: `+name+`}, spec: {
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [`+resource+`]}]},
  validations: [{message: not there, expression: "`+expression+`"}]}}`)
		send(t, cluster, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: `+name+`}, spec: {
  policyName: `+name+`, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {bailey.dev/trust: untrusted}}}}}`)
	}
	policy("tolerations", "pods", `object.spec.?tolerations.orValue([]).all(t, t.?key.orValue('').startsWith('node.kubernetes.io/'))`)
	policy("bindings", "pods/binding", `object.target.name != 'node-00001'`)
	var records []*prove.Record
	waitFor(t, func() string {
		records = provetest.Run(t, cluster, NodeIsolation, dedicated)
		outcomes := provetest.Outcomes(records)
		if outcomes["binding (create pods/binding)"] != prove.Held || outcomes["toleration and selector (create pods)"] != prove.Held ||
			outcomes["toleration of everything (create pods)"] != prove.Held {
			return "the policies are not in force: " + provetest.Text(records)
		}
		return ""
	})
	provetest.Want(t, records, map[string]prove.Outcome{"the node's name*": prove.Broken})
	policy("names", "pods", `!has(object.spec.nodeName)`)
	waitFor(t, func() string {
		records = provetest.Run(t, cluster, NodeIsolation, dedicated)
		if provetest.Outcomes(records)["the node's name (create pods)"] != prove.Held {
			return "the policy is not in force: " + provetest.Text(records)
		}
		return ""
	})
	provetest.AllHeld(t, records)
}
