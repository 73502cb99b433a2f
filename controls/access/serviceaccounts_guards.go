package access

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var serviceAccountGuards = []*bailey.Guard{tokensShort, secretTokensRefused, bindingsNarrow, clusterBindingsNarrow, defaultAccountKept, defaultAccountTokenless}

const serviceAccounts = "access/service-accounts"

var tokensShort = vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "tokens-short",
	Title: "Projected tokens are admitted for a day at most",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with a volume that projects a ServiceAccount
token for more than a day.`,
	Covers:    []*bailey.Rule{longProjectedToken},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "long", Expression: "variables.spec.?volumes.orValue([]).filter(v, v.?projected.?sources.orValue([]).exists(s, " +
			"s.?serviceAccountToken.?expirationSeconds.orValue(0) > 86400)).map(v, v.name)"},
	),
	Checks: []vap.Check{vap.Pods("size(variables.long) == 0", "'tokens that live for more than a day (expirationSeconds): ' + variables.long.join(', ')")},
})

var secretTokensRefused = vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "secret-tokens-refused",
	Title: "No Secret is admitted that would hold a token without an end",
	Doc: `A ValidatingAdmissionPolicy refuses new Secrets of the type kubernetes.io/service-account-token, which the control plane
fills with a token that never ends. Those that are there are left alone.`,
	Covers:    []*bailey.Rule{longLivedToken},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "secrets")},
	Checks: []vap.Check{{
		Expression: "object.?type.orValue('') != 'kubernetes.io/service-account-token' || (request.operation == 'UPDATE' && oldObject.?type.orValue('') == object.type)",
		Message:    "a Secret of this type holds a token that never ends: ask for one with an end (kubectl create token, or a projected volume)",
	}},
})

// broadVariables are the subjects of a binding that nobody joins by decision, and
// default ServiceAccounts. Those that the binding had before are not judged again.
var broadVariables = []admissionv1.Variable{
	{Name: "many", Expression: "size(object.?subjects.orValue([])) > 1000"},
	{Name: "added", Expression: "(variables.many ? [] : object.?subjects.orValue([])).filter(s, request.operation != 'UPDATE' || !(s in oldObject.?subjects.orValue([])))"},
	{Name: "defaults", Expression: "variables.added.filter(s, (s.kind == 'ServiceAccount' && s.name == 'default') || " +
		"(s.kind == 'User' && s.name.matches('^system:serviceaccount:[^:]+:default$'))).map(s, s.name)"},
	{Name: "broad", Expression: "variables.added.filter(s, (s.kind == 'User' && s.name == 'system:anonymous') || " +
		"(s.kind == 'Group' && s.name.matches('^system:(unauthenticated|authenticated|serviceaccounts(:.+)?)$'))).map(s, s.name)"},
}

var broadChecks = []vap.Check{
	{Expression: "!variables.many || (request.operation == 'UPDATE' && object.subjects == oldObject.?subjects.orValue([]))", Message: "more than 1000 subjects"},
	{Expression: "size(variables.defaults) == 0", Message: "bind the role to a ServiceAccount of the workload that needs it, not to the default one"},
	{Expression: "size(variables.broad) == 0", MessageExpression: "'bind the role to those identities that need it, not to ' + variables.broad.join(', ')"},
}

const bindingsDoc = `A ValidatingAdmissionPolicy refuses bindings that give rights to a default ServiceAccount, or to groups that nobody
joins by decision (and to system:anonymous). An update is judged by the subjects that it adds. More than 1000
subjects are refused: the API server bounds what an expression may cost.`

var bindingsNarrow = vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "bindings-narrow",
	Title:     "No RoleBinding is admitted for default ServiceAccounts or for everybody",
	Doc:       bindingsDoc,
	Covers:    []*bailey.Rule{bindingToDefaultAccount, bindingToBroadGroup},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("rbac.authorization.k8s.io", "rolebindings")},
	Variables: broadVariables, Checks: broadChecks,
})

var clusterBindingsNarrow = vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "cluster-bindings-narrow",
	Title: "No ClusterRoleBinding is admitted for default ServiceAccounts or for everybody",
	Doc: bindingsDoc + `

The bindings that every API server makes for itself at its start pass, as long as they bind the role and group that
they are made with.`,
	Covers:      []*bailey.Rule{bindingToDefaultAccount, bindingToBroadGroup},
	ClusterWide: true,
	Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource("rbac.authorization.k8s.io", "clusterrolebindings")},
	Variables: append(broadVariables,
		admissionv1.Variable{Name: "bootstrap", Expression: "object.roleRef.name == object.metadata.name && (" +
			"(object.metadata.name in ['system:discovery', 'system:basic-user'] && variables.broad.all(s, s == 'system:authenticated')) || " +
			"(object.metadata.name == 'system:public-info-viewer' && variables.broad.all(s, s in ['system:authenticated', 'system:unauthenticated'])) || " +
			"(object.metadata.name in ['system:service-account-issuer-discovery', 'system:cluster-trust-bundle-discovery'] && variables.broad.all(s, s == 'system:serviceaccounts')))"}),
	Checks: []vap.Check{broadChecks[0], broadChecks[1], {Expression: "size(variables.broad) == 0 || variables.bootstrap", MessageExpression: broadChecks[2].MessageExpression}},
})
