package access

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// entering are the resources by which one runs a command in a pod that is there.
var entering = []string{"pods/exec", "pods/attach", "*/exec", "*/attach"}

var clusterRoleEntersPods = &bailey.Rule{
	Name:  "cluster-role-enters-pods",
	Title: "ClusterRole runs commands in pods",
	Doc: `Reads the rules of ClusterRoles for create or get on pods/exec and pods/attach, and for update or patch on
pods/ephemeralcontainers, without names. Who enters a pod has what it mounts, its Secrets and its ServiceAccount's token
among it, and bound in the cluster that is every pod, kube-system's included. Before Kubernetes 1.35 get was enough to
run a command over a WebSocket.

Backup and database operators that run a dump in a pod need it; a binding in the namespaces that they serve is enough
for many. The roles that the API server makes are no finding, and a Role in one namespace is none.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1609")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		resource := "pods/ephemeralcontainers"
		switch {
		case roleGives(r, "", entering, []string{"create", "get"}):
			resource = meet(r.Resources, entering)
		case !roleGives(r, "", []string{resource}, []string{"update", "patch"}):
			return "", "", 0
		}
		return "resources", "allows to run commands in any pod (" + resource + "), with its Secrets and as its ServiceAccount", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [""], resources: [pods/exec], verbs: [create]}]
`},
}

// cloudIdentities is the ConfigMap by which EKS makes AWS identities members of groups.
const cloudIdentities = "aws-auth"

var roleMapsCloudIdentities = &bailey.Rule{
	Name:  "role-maps-cloud-identities",
	Title: "Role makes AWS identities members of any group",
	Doc: `Reads the rules of Roles and ClusterRoles for update and patch on the ConfigMap aws-auth, by that name. On EKS it says
which IAM roles and users are in which groups, and whoever writes it puts themselves into system:masters. In a Role it
counts in kube-system, where the ConfigMap is.

A rule about every ConfigMap is no finding: it reaches aws-auth too where it is bound in kube-system or in the cluster.
Clusters whose authentication mode is API alone do not read it.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Page("Amazon EKS", "Grant IAM users access to Kubernetes with a ConfigMap", "https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html"),
		ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On: roleKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if f.Kind == bailey.KindRole && f.Namespace != "kube-system" {
			return nil
		}
		return mapsCloudIdentities(v, f)
	},
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad, namespace: kube-system}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [aws-auth], verbs: [get, patch]}]
`},
}

var mapsCloudIdentities = eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
	if !inCore(r) || !slices.Contains(r.Resources, "configmaps") || !slices.Contains(r.ResourceNames, cloudIdentities) ||
		meet(r.Verbs, []string{"update", "patch"}) == "" {
		return "", "", 0
	}
	return "resourceNames", "allows to write aws-auth, which puts AWS identities into any group, system:masters included", 0
})
