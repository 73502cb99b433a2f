package compute

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// stateTaint begins the keys of taints that tell a node's state, not its purpose.
const stateTaint = "node.kubernetes.io/"

var untrustedKept = vap.Guard(vap.Policy{
	Control: "compute/node-isolation", Name: "untrusted-kept-from-dedicated-nodes",
	Title: "Untrusted workloads cannot ask for dedicated nodes",
	Doc: `ValidatingAdmissionPolicies refuse pods, and everything that makes pods, that are untrusted (by the label
bailey.dev/trust: untrusted of their own or of their namespace) and tolerate more than the taints by which Kubernetes
tells a node's state, name a node, or select one by a label of node-restriction.kubernetes.io/. In namespaces with that
label nobody can bind a pod to a node with another taint, either; the nodes are that policy's parameters. Mirror pods
that a kubelet makes pass.`,
	Tried:     []*bailey.Experiment{dedicatedNodesKept},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables, untrustedVariable,
		admissionv1.Variable{Name: "kept", Expression: "variables.untrusted && !('system:nodes' in request.userInfo.?groups.orValue([]))"},
		admissionv1.Variable{Name: "tolerated", Expression: "variables.spec.?tolerations.orValue([]).filter(t, !t.?key.orValue('').startsWith('" + stateTaint + "')).map(t, t.?key.orValue('')).map(k, k == '' ? 'everything' : k)"},
		admissionv1.Variable{Name: "named", Expression: "(object.kind == 'Pod' && request.operation == 'UPDATE') ? '' : variables.spec.?nodeName.orValue('')"},
		admissionv1.Variable{Name: "selected", Expression: "variables.spec.?nodeSelector.orValue({}).map(k, k).filter(k, k.startsWith('" + restriction + "')) + " +
			"variables.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])" +
			".filter(t, t.?matchExpressions.orValue([]).exists(e, e.key.startsWith('" + restriction + "') && e.operator in ['In', 'Exists'])).map(t, 'nodeAffinity')"},
	),
	Checks: []vap.Check{
		vap.Pods("!variables.kept || size(variables.tolerated) == 0", "'an untrusted workload cannot tolerate: ' + variables.tolerated.join(', ')"),
		vap.Pods("!variables.kept || variables.named == ''", "'an untrusted workload cannot name a node: ' + variables.named"),
		vap.Pods("!variables.kept || size(variables.selected) == 0", "'an untrusted workload cannot select nodes by: ' + variables.selected.join(', ')"),
	},
	With: []vap.Policy{{
		Name:   "untrusted-kept-binding",
		Labels: map[string]string{trustLabel: untrusted},
		Param:  &vap.Param{APIVersion: "v1", Kind: bailey.KindNode},
		Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/binding", "bindings"}}}}},
		Checks: []vap.Check{{
			Expression:        "object.target.name != params.metadata.name || params.?spec.?taints.orValue([]).all(t, t.effect == 'PreferNoSchedule' || t.key.startsWith('" + stateTaint + "'))",
			MessageExpression: "'a pod of an untrusted namespace cannot be bound to node ' + params.metadata.name + ', which is dedicated'"}},
	}},
})
