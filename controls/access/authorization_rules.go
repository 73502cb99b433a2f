package access

import (
	"slices"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/rbac"
)

var authorizationRules = []*bailey.Rule{wildcardGrant, roleEscalates, roleReachesKubelets, clusterRoleReadsSecrets, clusterAdminBound,
	commandingRoleBound, clusterRoleCreatesPods, clusterRoleEntersPods, roleMapsCloudIdentities, roleMintsTokens, roleChangesAdmission, roleCreatesVolumes, roleChangesNamespaces, roleChangesDevices}

// ownRoles are the ClusterRoles that every API server makes for itself and its controllers
// and that rules about roles would find (bootstrappolicy of Kubernetes 1.37).
var ownRoles = []string{rbac.ClusterAdmin, "system:aggregate-to-admin", "system:aggregate-to-edit", "system:kube-controller-manager",
	"system:kubelet-api-admin", "system:node", "system:controller:clusterrole-aggregation-controller", "system:controller:generic-garbage-collector",
	"system:controller:namespace-controller", "system:controller:resourcequota-controller", "system:controller:storage-version-migrator-controller",
	"system:controller:cronjob-controller", "system:controller:daemon-set-controller", "system:controller:deployment-controller", "system:controller:job-controller",
	"system:controller:replicaset-controller", "system:controller:replication-controller", "system:controller:statefulset-controller",
	"system:controller:persistent-volume-binder", "system:persistent-volume-provisioner", "system:controller:certificate-controller", clientApprover, legacyApprover}

// isOwnRole reports whether a role is one of ownRoles and bears the API server's label. A
// name alone can be anybody's.
func isOwnRole(f *bailey.Fact) bool {
	return slices.Contains(ownRoles, f.Name) && f.Labels[bootstrapping] == ownDefaults
}

// judgedRules gives the rules of a role that is judged: of none that the API server
// makes, nor of an aggregated one, whose parts are judged, unless those are the API
// server's own.
func judgedRules(f *bailey.Fact) []rbacv1.PolicyRule {
	if r, ok := bailey.As[*rbacv1.ClusterRole](f); ok && (r.AggregationRule != nil && !takesOwnRoles(r.AggregationRule) || isOwnRole(f)) {
		return nil
	}
	rules, _ := rbac.RulesOf(f)
	return rules
}

// The label of the roles that the API server makes.
const bootstrapping, ownDefaults = "kubernetes.io/bootstrapping", "rbac-defaults"

// takesOwnRoles reports whether an aggregation takes in the roles that the API server makes,
// cluster-admin among them: by an empty selector, or by the label of them all.
func takesOwnRoles(a *rbacv1.AggregationRule) bool {
	return slices.ContainsFunc(a.ClusterRoleSelectors, func(s metav1.LabelSelector) bool {
		for name, value := range s.MatchLabels {
			if name != bootstrapping || value != ownDefaults {
				return false
			}
		}
		return len(s.MatchExpressions) == 0
	})
}

// eachRule makes a Check of one that judges a single rule: what gives the field of the
// rule and what it says, or nothing.
func eachRule(check func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity)) func(*bailey.View, *bailey.Fact) []bailey.Finding {
	return func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		var found []bailey.Finding
		rules := judgedRules(f)
		for i := range rules {
			if field, message, severity := check(&rules[i]); field != "" {
				found = append(found, bailey.Finding{Field: "rules[" + strconv.Itoa(i) + "]." + field, Message: message, Severity: severity})
			}
		}
		return found
	}
}

// kubernetesGroups are the API groups that every API server serves, and "*". Others that
// end in ".k8s.io" are add-ons' own: metrics.k8s.io, gateway.networking.k8s.io.
var kubernetesGroups = []string{"", rbacv1.APIGroupAll, "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
	"authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
	"events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy",
	rbacGroup, "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io"}

func isKubernetesGroup(group string) bool { return slices.Contains(kubernetesGroups, group) }

var wildcardGrant = &bailey.Rule{
	Name:  "wildcard-grant",
	Title: "Role allows every verb or every resource of Kubernetes",
	Doc: `Reads the rules of Roles and ClusterRoles for "*" as a verb or as a resource, where the API group is one of
Kubernetes' own, or every group. Such a rule allows what nobody thought of when it was written: reading Secrets,
entering pods, and whatever the next version adds.

An operator's wildcard in its own API group is no finding, nor one in that of an add-on (metrics.k8s.io). Nor are
the roles that the API server makes, and aggregated ClusterRoles, whose parts are judged. Every verb on every
resource is high, and so is every verb on Secrets, which makes tokens of ServiceAccounts and reads all that there
are. Rules that only read, in a group without credentials, are low.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.3", "Roles and ClusterRoles use no wildcards"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On:       roleKinds,
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		everyVerb, everyResource := slices.Contains(r.Verbs, rbacv1.VerbAll), slices.Contains(r.Resources, rbacv1.ResourceAll)
		if !everyVerb && !everyResource || !slices.ContainsFunc(r.APIGroups, isKubernetesGroup) {
			return "", "", 0
		}
		everywhere := slices.Contains(r.APIGroups, "") || slices.Contains(r.APIGroups, rbacv1.APIGroupAll)
		switch {
		case everyVerb && everyResource && everywhere:
			return "resources", "allows every verb on every resource", bailey.SeverityHigh
		case everyResource && !everywhere && !everyVerb && !slices.ContainsFunc(r.Verbs, func(v string) bool { return v != "get" && v != "list" && v != "watch" }):
			return "resources", "allows to read every resource of " + strings.Join(r.APIGroups, ", "), bailey.SeverityLow
		case everyResource && !everywhere:
			return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on every resource of " + strings.Join(r.APIGroups, ", "), bailey.SeverityMedium
		case everyResource:
			return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on every resource", bailey.SeverityMedium
		}
		severity = bailey.SeverityMedium
		if inCore(r) && len(r.ResourceNames) == 0 && slices.Contains(r.Resources, "secrets") {
			severity = bailey.SeverityHigh
		}
		return "verbs", "allows every verb on " + strings.Join(r.Resources, ", "), severity
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad, namespace: shop}
rules: [{apiGroups: [apps], resources: [deployments], verbs: ["*"]}]
`},
}

var roleEscalates = &bailey.Rule{
	Name:  "role-escalates",
	Title: "Role allows to gain rights that it does not hold",
	Doc: `Reads the rules of Roles and ClusterRoles for the verbs by which an identity gets more than it was given: escalate
and bind, with which one writes oneself any role, and impersonate, with which one becomes somebody else (the verbs of
constrained impersonation included, but for those about a node of one's own). In API groups that are not Kubernetes' own
they do nothing.

A rule that names by resourceNames what may be bound or impersonated is no finding, unless it names a role that the API
server makes for itself (cluster-admin), or somebody to whom nothing is refused (system:masters). Names do not excuse
escalate: one who may write any rights into one role, and is bound to it, has them.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("5.1.8", "Few can bind, impersonate and escalate"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On:       roleKinds,
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		ofRoles, ofKubernetes := inGroup(r, rbacGroup), slices.ContainsFunc(r.APIGroups, isKubernetesGroup)
		for _, verb := range r.Verbs {
			switch {
			case ofRoles && (verb == "escalate" || verb == "bind" && namesAny(r, ownRoles)):
				return "verbs", "allows to " + verb + " " + strings.Join(r.Resources, ", ") + ": whoever holds it can hold any role", 0
			case ofKubernetes && (verb == "impersonate" || strings.HasPrefix(verb, "impersonate:") && verb != "impersonate:associated-node") && namesAny(r, almighty):
				return "verbs", "allows to " + verb + " " + strings.Join(r.Resources, ", "), 0
			}
		}
		return "", "", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [update, escalate]}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad, namespace: shop}
rules: [{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate]}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad-by-name}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [view, cluster-admin], verbs: [bind]}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bad-by-name, namespace: shop}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [roles], resourceNames: [own], verbs: [update, escalate]}]
`},
}

// almighty are those to whom RBAC or the policies of this control refuse nothing: groups,
// users, and a ServiceAccount by its own name and its user's.
var almighty = []string{"system:masters", "kubeadm:cluster-admins", "system:apiserver", "system:kube-controller-manager",
	"clusterrole-aggregation-controller", aggregationController}

// aggregationController fills aggregated ClusterRoles in.
const aggregationController = "system:serviceaccount:kube-system:clusterrole-aggregation-controller"

// namesAny reports whether a rule is about one of the names, or about all.
func namesAny(r *rbacv1.PolicyRule, names []string) bool {
	return len(r.ResourceNames) == 0 || slices.ContainsFunc(r.ResourceNames, func(n string) bool { return slices.Contains(names, n) })
}

var roleReachesKubelets = &bailey.Rule{
	Name:  "role-reaches-kubelets",
	Title: "ClusterRole reaches kubelets through the API server",
	Doc: `Reads the rules of ClusterRoles for nodes/proxy. With get or create on it one runs commands in every container of
every node, past admission, and the audit log shows no exec. For metrics, logs and health the finer nodes/metrics,
nodes/log, nodes/healthz, nodes/stats and nodes/pods are enough since 1.36.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("5.1.10", "Few can reach kubelets through nodes/proxy"), rbacGood,
		ref.Kubernetes("reference/access-authn-authz/kubelet-authn-authz/", "Kubelet authentication and authorization"),
		ref.NIST("AC-6"), ref.ATTACK("T1609")},
	On: []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		if !inCore(r) || !slices.Contains(r.Resources, "nodes/proxy") && !slices.Contains(r.Resources, "*/proxy") {
			return "", "", 0
		}
		return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on nodes/proxy, which runs commands in every pod", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [""], resources: [nodes, nodes/proxy], verbs: [get]}]
`},
}

var clusterRoleReadsSecrets = &bailey.Rule{
	Name:  "cluster-role-reads-secrets",
	Title: "ClusterRole reads Secrets",
	Doc: `Reads the rules of ClusterRoles for get, list or watch on Secrets, without names. A binding of the cluster gives
them of every namespace, the tokens and keys of Kubernetes' own parts included; and a role that adds to a built-in
one (by an aggregation label) gives them to everybody who holds that.

A Role in the namespace, or resourceNames, is enough for nearly everything that is no secret store.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.2", "Few can read secrets"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1552.007")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		if !inCore(r) || len(r.ResourceNames) > 0 || !slices.Contains(r.Resources, "secrets") ||
			!slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "get" || v == "list" || v == "watch" }) {
			return "", "", 0
		}
		return "resources", "allows " + strings.Join(r.Verbs, ", ") + " on Secrets", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list]}]
`},
}

func inCore(r *rbacv1.PolicyRule) bool { return inGroup(r, "") }

var clusterAdminBound = &bailey.Rule{
	Name:  "cluster-admin-bound",
	Title: "Binding gives cluster-admin",
	Doc: `Reads bindings of the ClusterRole cluster-admin to anybody but the groups for which the API server
(system:masters) and kubeadm (kubeadm:cluster-admins) bind it themselves. A ServiceAccount with it hands the cluster
to whoever breaks into one of its pods; for people, a role that does what they do leaves less to mistakes. Bound in one
namespace, it still gives what the role admin holds back: quotas, and the namespace itself.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.1", "cluster-admin is given only where it is needed"), rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1098.006")},
	On:       onBindings,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		role, subjects := bindingOf(f)
		if role.Kind != "ClusterRole" || role.Name != rbac.ClusterAdmin {
			return nil
		}
		var who []string
		severity := bailey.SeverityMedium
		for i := range subjects {
			s := &subjects[i]
			if isAdministrators(f, s) {
				continue
			}
			name := s.Name
			if s.Kind == rbacv1.ServiceAccountKind {
				name = s.Namespace + "/" + s.Name
				severity = bailey.SeverityHigh
			}
			who = append(who, s.Kind+" "+name)
		}
		if len(who) == 0 {
			return nil
		}
		where := "in the whole cluster"
		if f.Kind == bailey.KindRoleBinding {
			where, severity = "in namespace "+f.Namespace, bailey.SeverityLow
		}
		return []bailey.Finding{{Field: "roleRef.name", Severity: severity, Message: "gives cluster-admin " + where + " to " + strings.Join(who, ", ")}}
	},
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bad, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: ci}]
`},
}

// isAdministrators reports whether the subject is the group for which the API server
// or kubeadm made the binding.
func isAdministrators(f *bailey.Fact, s *rbacv1.Subject) bool {
	return f.Kind == bailey.KindClusterRoleBinding && s.Kind == rbacv1.GroupKind &&
		(f.Name == rbac.ClusterAdmin && s.Name == "system:masters" || f.Name == "kubeadm:cluster-admins" && s.Name == f.Name)
}
