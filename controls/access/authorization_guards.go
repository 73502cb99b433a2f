package access

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var authorizationGuards = []*bailey.Guard{rolesContained, clusterRolesContained, clusterAdminKept, authorizerChain}

const authorizationID = "access/authorization"

// ruleVariables are of a policy about roles:
//
//	parts      the role is an aggregated one, whose parts are judged (judgedRules)
//	judged     the rules of another; none where they are too many to look at, which is refused
//	unchanged  an update leaves the rules as they were, or the request is the server's own:
//	           by it, and by no name, its own roles are told from others
var ruleVariables = []admissionv1.Variable{
	{Name: "many", Expression: "object.?rules.orValue(null) != null && size(object.rules) > 1000"},
	{Name: "parts", Expression: "object.kind == 'ClusterRole' && object.?aggregationRule.orValue(null) != null && " +
		"!object.aggregationRule.?clusterRoleSelectors.orValue([]).exists(s, size(s.?matchExpressions.orValue([])) == 0 && " +
		"s.?matchLabels.orValue({}).all(k, k == '" + bootstrapping + "' && s.matchLabels[k] == '" + ownDefaults + "'))"},
	{Name: "judged", Expression: "object.?rules.orValue(null) == null || variables.many || variables.parts ? [] : object.rules"},
	{Name: "unchanged", Expression: "(request.operation == 'UPDATE' && object.?rules == oldObject.?rules && object.?aggregationRule == oldObject.?aggregationRule) || " +
		"request.userInfo.username in ['system:apiserver', '" + aggregationController + "']"},
	{Name: "wide", Expression: "variables.judged.filter(r, ('*' in r.verbs || '*' in r.?resources.orValue([])) && " +
		"r.?apiGroups.orValue([]).exists(g, g in ['" + strings.Join(kubernetesGroups, "', '") + "']))"},
	{Name: "escalating", Expression: "variables.judged.filter(r, " +
		"(r.?apiGroups.orValue([]).exists(g, g in ['*', '" + rbacGroup + "']) && ('escalate' in r.verbs || ('bind' in r.verbs && " + namesAnyCEL(ownRoles) + "))) || " +
		"(r.?apiGroups.orValue([]).exists(g, g in ['" + strings.Join(kubernetesGroups, "', '") + "']) && r.verbs.exists(v, v == 'impersonate' || (v.startsWith('impersonate:') && v != 'impersonate:associated-node')) && " + namesAnyCEL(almighty) + "))"},
}

// namesAnyCEL is namesAny in CEL, of the rule r.
func namesAnyCEL(names []string) string {
	return "(size(r.?resourceNames.orValue([])) == 0 || r.resourceNames.exists(n, n in ['" + strings.Join(names, "', '") + "']))"
}

var roleChecks = []vap.Check{
	{Expression: "variables.unchanged || !variables.many", Message: "more than 1000 rules"},
	{Expression: "variables.unchanged || size(variables.wide) == 0",
		MessageExpression: "'name verbs and resources in the place of \"*\" (groups: ' + variables.wide.map(r, r.apiGroups.map(g, '\"' + g + '\"').join(', ')).join('; ') + ')'"},
	{Expression: "variables.unchanged || size(variables.escalating) == 0",
		MessageExpression: "'gives more than it says, on ' + variables.escalating.map(r, r.?resources.orValue([]).join(', ')).join('; ') + ': name by resourceNames what may be bound or impersonated, and nothing that holds every right'"},
}

const rolesDoc = `More than 1000 rules are refused: the API server bounds what an expression may cost.

An update that leaves the rules as they were passes, and so do the API server's own upkeep of its roles and the
controller that fills aggregated ones in. Whoever else writes a role under the name of one of the server's is judged
like for any other.`

var rolesContained = vap.Guard(vap.Policy{
	Control: authorizationID, Name: "roles-contained",
	Title: "No Role is admitted with wildcards or with rights to gain rights",
	Doc: `A ValidatingAdmissionPolicy refuses Roles that allow every verb or every resource of Kubernetes' own API groups, and
those that allow to escalate, or to bind or impersonate without naming whom, or one who holds every right.

` + rolesDoc,
	Covers:    []*bailey.Rule{wildcardGrant, roleEscalates},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource(rbacGroup, "roles")},
	Variables: ruleVariables, Checks: roleChecks,
})

var clusterRolesContained = vap.Guard(vap.Policy{
	Control: authorizationID, Name: "cluster-roles-contained",
	Title: "No ClusterRole is admitted with wildcards, rights to gain rights, kubelets or Secrets",
	Doc: `A ValidatingAdmissionPolicy refuses ClusterRoles that allow every verb or every resource of Kubernetes' own API
groups, that allow to escalate, or to bind or impersonate without naming whom, or one who holds every right, that reach
kubelets through nodes/proxy, or that read Secrets without naming which.

` + rolesDoc + `

An operator that needs one of these is let in by whoever may change the policy's binding: an objectSelector that leaves
its role out, and the plan then says that it is.`,
	Covers:      []*bailey.Rule{wildcardGrant, roleEscalates, roleReachesKubelets, clusterRoleReadsSecrets},
	ClusterWide: true,
	Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource(rbacGroup, "clusterroles")},
	Variables: append(ruleVariables,
		admissionv1.Variable{Name: "core", Expression: "variables.judged.filter(r, r.?apiGroups.orValue([]).exists(g, g in ['', '*']))"},
		admissionv1.Variable{Name: "kubelets", Expression: "variables.core.filter(r, r.?resources.orValue([]).exists(x, x in ['nodes/proxy', '*/proxy']))"},
		admissionv1.Variable{Name: "secrets", Expression: "variables.core.filter(r, 'secrets' in r.?resources.orValue([]) && size(r.?resourceNames.orValue([])) == 0 && r.verbs.exists(v, v in ['get', 'list', 'watch']))"},
	),
	Checks: append(roleChecks,
		vap.Check{Expression: "variables.unchanged || size(variables.kubelets) == 0", Message: "nodes/proxy runs commands in every pod: nodes/metrics, nodes/log, nodes/stats, nodes/healthz and nodes/pods are finer"},
		vap.Check{Expression: "variables.unchanged || size(variables.secrets) == 0", Message: "reads Secrets of every namespace: use a Role, or resourceNames"}),
})

// newAdministrators are the subjects to whom a binding gives cluster-admin, but for those
// that it had before and those for whom the API server and kubeadm bind it.
var newAdministrators = admissionv1.Variable{Name: "administrators", Expression: "object.roleRef.kind != 'ClusterRole' || object.roleRef.name != 'cluster-admin' ? [] : " +
	"size(object.?subjects.orValue([])) > 1000 ? ['more than 1000 subjects'] : object.?subjects.orValue([]).filter(s, (request.operation != 'UPDATE' || !(s in oldObject.?subjects.orValue([]))) && " +
	"!(object.kind == 'ClusterRoleBinding' && s.kind == 'Group' && ((object.metadata.name == 'cluster-admin' && s.name == 'system:masters') || " +
	"(object.metadata.name == 'kubeadm:cluster-admins' && s.name == 'kubeadm:cluster-admins')))).map(s, s.kind + ' ' + s.name)"}

const keptMessage = "'only who may do everything may give cluster-admin, here to ' + variables.administrators.join(', ')"

var clusterAdminKept = vap.Guard(vap.Policy{
	Control: authorizationID, Name: "cluster-admin-kept",
	Title: "Only who may do everything can give cluster-admin",
	Doc: `ValidatingAdmissionPolicies refuse bindings of cluster-admin, and subjects that are added to them, by everybody whom the
authorizer does not allow every verb on every resource: of the cluster, or of the namespace for a RoleBinding. RBAC by
itself lets everybody who holds the verb bind do that. The bindings that the API server and kubeadm make for themselves
pass.`,
	Covers:      []*bailey.Rule{clusterAdminBound},
	ClusterWide: true,
	Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource(rbacGroup, "clusterrolebindings")},
	Variables:   []admissionv1.Variable{newAdministrators},
	Checks: []vap.Check{{Expression: "size(variables.administrators) == 0 || authorizer.group('*').resource('*').check('*').allowed()",
		MessageExpression: keptMessage}},
	With: []vap.Policy{{
		Name:      "cluster-admin-kept-in-namespaces",
		Resources: []admissionv1.NamedRuleWithOperations{vap.Resource(rbacGroup, "rolebindings")},
		Variables: []admissionv1.Variable{newAdministrators},
		Checks: []vap.Check{{Expression: "size(variables.administrators) == 0 || authorizer.group('*').resource('*').namespace(object.metadata.namespace).check('*').allowed()",
			MessageExpression: keptMessage}},
	}},
})
