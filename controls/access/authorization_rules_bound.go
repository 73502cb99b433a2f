package access

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// commanding say of the ClusterRoles that every API server makes what a binding in the whole
// cluster gives of them, where that is enough to have the rest.
var commanding = map[string]string{
	"admin":                          "to read every Secret and make pods in kube-system",
	"edit":                           "to read every Secret and make pods in kube-system",
	"system:node":                    "to read every Secret, past the node authorizer",
	"system:kube-controller-manager": "to make tokens of every ServiceAccount",
	"system:controller:clusterrole-aggregation-controller": "to write any right into any ClusterRole",
}

var commandingRoleBound = &bailey.Rule{
	Name:  "commanding-role-bound",
	Title: "Binding gives in every namespace what is meant for one, or for a part of Kubernetes",
	Doc: `Reads ClusterRoleBindings of admin and edit, which are made for single namespaces: bound in the cluster they read the
Secrets of kube-system and make pods there that act as its ServiceAccounts, and that is a way to all other rights. The
same of the roles of nodes (system:node, of old bound to the group system:nodes), of the controller manager and of the
controller that fills ClusterRoles in, where somebody else is given them.

ServiceAccounts weigh more than people: whoever breaks into one of their pods has it. A RoleBinding in each namespace is
enough for most. The bindings that the API server makes are no finding.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{rbacGood, ref.Kubernetes("reference/access-authn-authz/rbac/#user-facing-roles", "RBAC: User-facing roles"),
		ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On: []bailey.Kind{bailey.KindClusterRoleBinding},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		role, subjects := bindingOf(f)
		gives := commanding[role.Name]
		if gives == "" || role.Kind != "ClusterRole" || role.Name == f.Name && f.Labels[bootstrapping] == ownDefaults {
			return nil
		}
		var who []string
		severity := bailey.SeverityLow
		if role.Name != "admin" && role.Name != "edit" {
			severity = bailey.SeverityMedium
		}
		for i := range subjects {
			s := &subjects[i]
			name := s.Name
			if s.Kind == rbacv1.ServiceAccountKind {
				name = s.Namespace + "/" + s.Name
				severity = bailey.SeverityMedium
			}
			who = append(who, s.Kind+" "+name)
		}
		if len(who) == 0 {
			return nil
		}
		return []bailey.Finding{{Field: "roleRef.name", Severity: severity,
			Message: "gives " + role.Name + " in the whole cluster to " + strings.Join(who, ", ") + ": " + gives}}
	},
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: runner, namespace: ci}]
`},
}
