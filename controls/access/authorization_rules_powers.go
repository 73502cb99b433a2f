package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// roleGives reports whether a rule gives one of the verbs on one of the resources of a group,
// without names. Every group takes in the one; wildcards of verbs and resources are for
// wildcardGrant, which finds them anyway.
func roleGives(r *rbacv1.PolicyRule, group string, resources, verbs []string) bool {
	return len(r.ResourceNames) == 0 && inGroup(r, group) && meet(r.Resources, resources) != "" && meet(r.Verbs, verbs) != ""
}

// inGroup reports whether a rule is on an API group, by its name or as one of all.
func inGroup(r *rbacv1.PolicyRule, group string) bool {
	return slices.Contains(r.APIGroups, group) || slices.Contains(r.APIGroups, rbacv1.APIGroupAll)
}

// both gives the texts of the one list that are in the other, as they stand there.
func both(have, wanted []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(have), func(text string) bool { return !slices.Contains(wanted, text) }), ", ")
}

// meet gives the first text of the one list that is in the other; "" if none is.
func meet(have, wanted []string) string {
	for _, text := range have {
		if slices.Contains(wanted, text) {
			return text
		}
	}
	return ""
}

// workloads are the resources by which pods come about, by their API group.
var workloads = map[string][]string{
	"":      {"pods", "replicationcontrollers"},
	"apps":  {"deployments", "daemonsets", "statefulsets", "replicasets"},
	"batch": {"jobs", "cronjobs"},
}

var clusterRoleCreatesPods = &bailey.Rule{
	Name:  "cluster-role-creates-pods",
	Title: "ClusterRole creates pods",
	Doc: `Reads the rules of ClusterRoles for create on pods and on what makes them. Who creates a pod in a namespace mounts any
of its Secrets and acts as any of its ServiceAccounts, and bound in the cluster that is every namespace, kube-system
included: what Pod Security forbids is all that holds such a pod.

Operators need it for what they run; a binding in the namespaces that they serve is enough for many. The roles that
the API server makes are no finding, and a Role in one namespace is none.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.4", "Few can create pods"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1610")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		for _, group := range []string{"", "apps", "batch"} {
			if roleGives(r, group, workloads[group], []string{"create"}) {
				return "resources", "allows to create " + meet(r.Resources, workloads[group]) + ", and with them to use any Secret and ServiceAccount of the namespace", 0
			}
		}
		return "", "", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, create]}]
`},
}

var roleMintsTokens = &bailey.Rule{
	Name:  "role-mints-tokens",
	Title: "Role makes tokens of any ServiceAccount",
	Doc: `Reads the rules of Roles and ClusterRoles for create on serviceaccounts/token without names: whoever holds it is every
ServiceAccount of the namespace, or of the cluster. resourceNames with the accounts that are meant is no finding.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.13", "Few can mint ServiceAccounts' tokens"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1528")},
	On:       roleKinds,
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		if !roleGives(r, "", []string{"serviceaccounts/token", "*/token"}, []string{"create"}) {
			return "", "", 0
		}
		return "resources", "allows to make tokens of any ServiceAccount", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad, namespace: shop}
rules: [{apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}]
`},
}

// admitting are the objects that decide what is admitted.
var admitting = []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
	"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}

var roleChangesAdmission = &bailey.Rule{
	Name:  "role-changes-admission",
	Title: "ClusterRole changes what is admitted",
	Doc: `Reads the rules of ClusterRoles for writing admission webhooks and policies without names. Who writes a webhook reads
every object that is sent to the API server, Secrets included, and with a mutating one changes it; who deletes a policy
goes on unseen by it. An operator that brings its own webhooks can name them (resourceNames), but for create.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("5.1.12", "Few can change webhooks"), rbacGood, ref.NIST("CM-5"), ref.ATTACK("T1552.007")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		writes := []string{"create", "update", "patch", "delete", "deletecollection"}
		if !roleGives(r, "admissionregistration.k8s.io", admitting, writes) {
			return "", "", 0
		}
		return "resources", "allows " + both(r.Verbs, writes) + " on every one of " + both(r.Resources, admitting), 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [get, patch]}]
`},
}

var roleCreatesVolumes = &bailey.Rule{
	Name:  "role-creates-volumes",
	Title: "ClusterRole creates PersistentVolumes",
	Doc: `Reads the rules of ClusterRoles for create on PersistentVolumes. One may be a folder of the node, and a pod that claims
it has that folder with no hostPath of its own, past Pod Security. Provisioners need the right; the one that every API
server brings for them, and its controllers, are no finding.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.CIS("5.1.9", "Few can create PersistentVolumes"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1611")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		if !roleGives(r, "", []string{"persistentvolumes"}, []string{"create"}) {
			return "", "", 0
		}
		return "resources", "allows to create PersistentVolumes, which may be folders of a node", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [""], resources: [persistentvolumes], verbs: [create]}]
`},
}

var roleChangesNamespaces = &bailey.Rule{
	Name:  "role-changes-namespaces",
	Title: "Role changes the labels that hold its namespace",
	Doc: `Reads the rules of Roles for update and patch on namespaces, and of ClusterRoles for them with names: who may patch a
namespace sets its Pod Security level, lets administrators' device claims in
(resource.kubernetes.io/admin-access), and bears the labels that network policies and webhooks select by. To give a team
its own namespace to label is to give these.

ClusterRoles without names are those of operators that keep namespaces, and are no finding.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{rbacGood, ref.Kubernetes("concepts/security/hardening-guide/dynamic-resource-allocation/", "Hardening Guide - Dynamic Resource Allocation"),
		ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On: roleKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		return eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
			verb := meet(r.Verbs, []string{"update", "patch", rbacv1.VerbAll})
			if verb == "" || !inCore(r) || !slices.Contains(r.Resources, "namespaces") ||
				f.Kind == bailey.KindClusterRole && len(r.ResourceNames) == 0 {
				return "", "", 0
			}
			return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on its namespace: its Pod Security level and the labels that policies select by", 0
		})(v, f)
	},
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad, namespace: shop}
rules: [{apiGroups: [""], resources: [namespaces], resourceNames: [shop], verbs: [get, patch]}]
`},
}

var roleChangesDevices = &bailey.Rule{
	Name:  "role-changes-any-device",
	Title: "ClusterRole changes devices of any driver",
	Doc: `Reads the rules of ClusterRoles for resourceclaims/driver without the driver's name: one driver may then change what
another says of the devices of a claim, and with arbitrary-node verbs those of any node. Since 1.36 the API server asks
for the driver by resourceNames, and for associated-node of a driver that runs on the node.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/hardening-guide/dynamic-resource-allocation/", "Hardening Guide - Dynamic Resource Allocation"), ref.NIST("AC-6")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		if len(r.ResourceNames) > 0 || !inGroup(r, "resource.k8s.io") || !slices.Contains(r.Resources, "resourceclaims/driver") {
			return "", "", 0
		}
		return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on the devices of every driver", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [resource.k8s.io], resources: [resourceclaims/driver], verbs: ["arbitrary-node:update"]}]
`},
}
