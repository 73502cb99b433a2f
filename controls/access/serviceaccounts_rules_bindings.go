package access

import (
	"slices"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/rbac"
)

var (
	onBindings = []bailey.Kind{bailey.KindRoleBinding, bailey.KindClusterRoleBinding}
	roleKinds  = []bailey.Kind{bailey.KindRole, bailey.KindClusterRole}
	rbacDocs   = ref.Kubernetes("reference/access-authn-authz/rbac/#service-account-permissions", "RBAC: ServiceAccount permissions")
	rbacGood   = ref.Kubernetes("concepts/security/rbac-good-practices/", "Role Based Access Control Good Practices")
)

// bindingOf gives what the two kinds of binding have in common.
func bindingOf(f *bailey.Fact) (role rbacv1.RoleRef, subjects []rbacv1.Subject) {
	switch b := f.Object.(type) {
	case *rbacv1.RoleBinding:
		return b.RoleRef, b.Subjects
	case *rbacv1.ClusterRoleBinding:
		return b.RoleRef, b.Subjects
	}
	return rbacv1.RoleRef{}, nil
}

// subjectFinding is a finding about one subject of a binding.
func subjectFinding(i int, s *rbacv1.Subject, message string) bailey.Finding {
	name := s.Name
	if s.Namespace != "" {
		name = s.Namespace + "/" + name
	}
	return bailey.Finding{Field: "subjects[" + strconv.Itoa(i) + "]", Named: "subjects[" + s.Kind + " " + name + "]", Message: message}
}

// fixSubject takes the subject out of the binding, or the whole binding's use
// away where it was the only one.
func fixSubject(note string) func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change {
	return func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		index := strings.TrimSuffix(strings.TrimPrefix(finding.Field, "subjects["), "]")
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: note,
			Patch: []bailey.PatchOp{{Op: "remove", Path: "/subjects/" + index}}}}
	}
}

var bindingToDefaultAccount = &bailey.Rule{
	Name:  "binding-to-default-account",
	Title: "Binding gives rights to a default ServiceAccount",
	Doc: `Reads the subjects of RoleBindings and ClusterRoleBindings for the ServiceAccount named default, by that
name or as a user.

Every pod of the namespace that names no account gets these rights, those that are made tomorrow
included. Rights in all namespaces weigh more than rights in one.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{cisDefault, rbacDocs, ref.NIST("AC-6")},
	On:       onBindings,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		role, subjects := bindingOf(f)
		var found []bailey.Finding
		for i := range subjects {
			s := rbac.SubjectOf(&subjects[i], f.Namespace)
			if s.Kind != rbacv1.ServiceAccountKind || s.Name != defaultAccount {
				continue
			}
			x := subjectFinding(i, &subjects[i], "gives "+role.Kind+" "+role.Name+" to every pod of namespace "+s.Namespace+" that names no ServiceAccount")
			if f.Kind == bailey.KindClusterRoleBinding {
				x.Severity = bailey.SeverityHigh
			}
			x.Related = []bailey.Ref{{Kind: bailey.KindServiceAccount, Namespace: s.Namespace, Name: s.Name}}
			found = append(found, x)
		}
		return found
	},
	Fix: fixSubject("bind the role to a ServiceAccount of the workload that needs it"),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bad, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
`},
}

var bindingToBroadGroup = &bailey.Rule{
	Name:  "binding-to-broad-group",
	Title: "Binding gives rights to everybody",
	Doc: `Reads the subjects of RoleBindings and ClusterRoleBindings for groups that nobody joins by decision:
system:unauthenticated (and the user system:anonymous), system:authenticated, system:serviceaccounts and
system:serviceaccounts:NAMESPACE. The bindings that every API server or kubeadm makes are left out, as
long as they bind the roles and groups that they are made with.

Where the role allows only to read what holds no credentials, the finding is low. Else anonymous rights
are critical, those of all identities high, those of one namespace's accounts medium.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{rbacGood, rbacDocs, ref.NIST("AC-6"), ref.ATTACK("T1078")},
	On:       onBindings,
	Needs:    roleKinds,
	Check:    checkBindingToBroadGroup,
	Fix:      fixSubject("bind the role to those identities that need it"),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts"}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bad, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:anonymous"}]
`},
}

func checkBindingToBroadGroup(v *bailey.View, f *bailey.Fact) []bailey.Finding {
	role, subjects := bindingOf(f)
	var found []bailey.Finding
	for i := range subjects {
		severity, who := breadth(&subjects[i])
		if severity == bailey.SeverityNone || isBootstrap(f, role, subjects[i].Name) {
			continue
		}
		if given := rbac.RoleOf(role, f.Namespace); onlyDescribes(given) {
			severity = bailey.SeverityLow
		} else if !isBuiltIn(given) {
			if rules, ok := rulesGiven(v, given); ok && rbac.OnlyReads(rules) {
				severity = bailey.SeverityLow
			}
		}
		x := subjectFinding(i, &subjects[i], "gives "+role.Kind+" "+role.Name+" to "+who)
		x.Severity = severity
		found = append(found, x)
	}
	return found
}

// breadth says who is in a subject that takes in more than was decided one by
// one, and how much that weighs; SeverityNone for every other subject.
func breadth(s *rbacv1.Subject) (bailey.Severity, string) {
	switch {
	case s.Kind == rbacv1.UserKind && s.Name == "system:anonymous",
		s.Kind == rbacv1.GroupKind && s.Name == "system:unauthenticated":
		return bailey.SeverityCritical, "whoever reaches the API server, without any credential"
	case s.Kind != rbacv1.GroupKind:
		return bailey.SeverityNone, ""
	case s.Name == "system:authenticated":
		return bailey.SeverityHigh, "every user and every ServiceAccount"
	case s.Name == "system:serviceaccounts":
		return bailey.SeverityHigh, "every ServiceAccount of every namespace"
	}
	if namespace, ok := strings.CutPrefix(s.Name, "system:serviceaccounts:"); ok {
		return bailey.SeverityMedium, "every ServiceAccount of namespace " + namespace
	}
	return bailey.SeverityNone, ""
}

// isBootstrap reports whether the binding is one that every API server makes
// at its start, or kubeadm for nodes that join, and the group one of its own.
func isBootstrap(f *bailey.Fact, role rbacv1.RoleRef, subject string) bool {
	if role.Name != f.Name {
		return false
	}
	if f.Kind == bailey.KindRoleBinding {
		// Nodes that join read the cluster's address and CA before they can log in.
		return f.Namespace == "kube-public" && f.Name == "kubeadm:bootstrap-signer-clusterinfo" && subject == "system:anonymous"
	}
	switch f.Name {
	case "system:discovery", "system:basic-user":
		return subject == "system:authenticated"
	case "system:public-info-viewer":
		return subject == "system:authenticated" || subject == "system:unauthenticated"
	case "system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery":
		return subject == "system:serviceaccounts"
	}
	return false
}

// rulesGiven gives the rules of a role, and false where there are none to read.
// A role that was not seen makes the verdict unknown, but for one that every API
// server makes and a folder does not hold. Where it is there it is read, since
// the API server does not take away what somebody adds to it.
func rulesGiven(v *bailey.View, role bailey.Ref) ([]rbacv1.PolicyRule, bool) {
	if isBuiltIn(role) && !slices.ContainsFunc(v.Held(role.Kind, role.Namespace), func(f *bailey.Fact) bool { return f.Ref == role }) {
		return nil, false
	}
	return rbac.RulesGiven(v, role)
}

var accountAllowedEverything = &bailey.Rule{
	Name:  "account-allowed-everything",
	Title: "ServiceAccount may do everything",
	Doc: `Reads bindings of ServiceAccounts to the ClusterRole cluster-admin, and to Roles and ClusterRoles with a
rule that allows every verb (or every verb that reads and writes) on every resource of every API group.

Whoever breaks into one pod of such an account has the cluster, or the namespace where a RoleBinding
limits it. Bindings that the API server itself makes and keeps are left out: none of them gives this much
to a ServiceAccount. Users and groups are judged by access/authorization.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{
		ref.CIS("5.1.1", "cluster-admin is given only where it is needed"),
		ref.CIS("5.1.3", "Roles and ClusterRoles use no wildcards"),
		rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1078"), ref.ATTACK("T1098.006"),
	},
	On:    onBindings,
	Needs: roleKinds,
	Check: checkAccountAllowedEverything,
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: runner, namespace: ci}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bad, namespace: ci}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: anything}
subjects: [{kind: ServiceAccount, name: runner, namespace: ci}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: anything, namespace: ci}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
`},
}

func checkAccountAllowedEverything(v *bailey.View, f *bailey.Fact) []bailey.Finding {
	role, subjects := bindingOf(f)
	if !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		return rbac.SubjectOf(&s, f.Namespace).Kind == rbacv1.ServiceAccountKind
	}) || f.Kind == bailey.KindClusterRoleBinding && f.Labels["kubernetes.io/bootstrapping"] == "rbac-defaults" && strings.HasPrefix(f.Name, "system:") {
		return nil
	}
	given := rbac.RoleOf(role, f.Namespace)
	if given.Kind != bailey.KindClusterRole || given.Name != rbac.ClusterAdmin {
		if rules, ok := rulesGiven(v, given); !ok || !rbac.AllowsEverything(rules) {
			return nil
		}
	}
	where, severity := "in the whole cluster", bailey.SeverityHigh
	if f.Kind == bailey.KindRoleBinding {
		where, severity = "in namespace "+f.Namespace, bailey.SeverityMedium
		if f.Namespace == "kube-system" {
			severity = bailey.SeverityHigh // who owns kube-system owns the cluster
		}
	}
	var found []bailey.Finding
	for i := range subjects {
		s := rbac.SubjectOf(&subjects[i], f.Namespace)
		if s.Kind != rbacv1.ServiceAccountKind {
			continue
		}
		x := subjectFinding(i, &subjects[i], "ServiceAccount "+s.Namespace+"/"+s.Name+" may do everything "+where+" by "+role.Kind+" "+role.Name)
		x.Severity = severity
		x.Related = []bailey.Ref{{Kind: bailey.KindServiceAccount, Namespace: s.Namespace, Name: s.Name}, given}
		found = append(found, x)
	}
	return found
}

// onlyDescribes reports whether the role is one that every API server makes to
// describe itself.
func onlyDescribes(role bailey.Ref) bool {
	switch role.Name {
	case "system:discovery", "system:basic-user", "system:public-info-viewer", "system:service-account-issuer-discovery",
		"system:cluster-trust-bundle-discovery":
		return role.Kind == bailey.KindClusterRole
	}
	return false
}

// isBuiltIn reports whether the role is one that every API server makes. Of
// these, as it makes them, only cluster-admin allows everything.
func isBuiltIn(role bailey.Ref) bool {
	if role.Kind != bailey.KindClusterRole {
		return role.Kind == bailey.KindRole && role.Namespace == "kube-system" && role.Name == "extension-apiserver-authentication-reader"
	}
	switch role.Name {
	case rbac.ClusterAdmin, "admin", "edit", "view", "system:auth-delegator", "system:discovery", "system:basic-user",
		"system:public-info-viewer", "system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery", "system:kube-dns",
		"system:node-proxier", "system:kube-scheduler", "system:volume-scheduler", "system:kube-controller-manager",
		"system:persistent-volume-provisioner", "system:monitoring", "system:heapster":
		return true
	}
	return strings.HasPrefix(role.Name, "system:controller:")
}
