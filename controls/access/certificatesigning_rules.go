package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var certificateSigningRules = []*bailey.Rule{roleApproves, approverBound}

// The ClusterRoles that the API server makes for who approves certificates of its clients.
const (
	clientApprover = "system:certificates.k8s.io:kube-apiserver-client-approver"
	legacyApprover = "system:certificates.k8s.io:legacy-unknown-approver"
)

var signingDocs = ref.Kubernetes("reference/access-authn-authz/certificate-signing-requests/", "Certificates and Certificate Signing Requests")

// makesClients reports whether what a rule names holds the signers of clients of the API server.
func makesClients(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool {
		return name == "*" || name == "kubernetes.io/*" || name == "kubernetes.io/kube-apiserver-client" || name == "kubernetes.io/legacy-unknown"
	})
}

var roleApproves = &bailey.Rule{
	Name:  "role-approves-clients",
	Title: "ClusterRole approves certificates of any client",
	Doc: `Reads the rules of ClusterRoles for approve and sign on signers, where they hold kubernetes.io/kube-apiserver-client:
whoever may approve for it, and write approvals, makes a certificate of any user, which nobody can take back.
Approvers of kubelets' certificates, and of signers of one's own, name theirs and are no finding; nor are the API
server's own roles.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.11", "Few can approve certificate requests"), signingDocs, rbacGood, ref.NIST("AC-6"), ref.ATTACK("T1078")},
	On:       []bailey.Kind{bailey.KindClusterRole},
	Check: eachRule(func(r *rbacv1.PolicyRule) (field, message string, severity bailey.Severity) {
		verb := meet(r.Verbs, []string{"approve", "sign", rbacv1.VerbAll})
		if verb == "" || !inGroup(r, certificatesGroup) || !slices.Contains(r.Resources, "signers") || !makesClients(r.ResourceNames) {
			return "", "", 0
		}
		return "verbs", "allows to " + strings.ReplaceAll(verb, rbacv1.VerbAll, "approve and sign") + " certificates by which one is any user", 0
	}),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bad}
rules: [{apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve]}]
`},
}

var approverBound = &bailey.Rule{
	Name:  "client-approver-bound",
	Title: "Binding lets somebody approve certificates of any client",
	Doc: `Reads ClusterRoleBindings of the ClusterRoles that the API server makes for approvers of clients' certificates
(system:certificates.k8s.io:kube-apiserver-client-approver and legacy-unknown-approver). It binds them to nobody itself.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("5.1.11", "Few can approve certificate requests"), signingDocs, ref.NIST("AC-6")},
	On:       []bailey.Kind{bailey.KindClusterRoleBinding},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		role, subjects := bindingOf(f)
		if role.Name != clientApprover && role.Name != legacyApprover {
			return nil
		}
		var found []bailey.Finding
		for i := range subjects {
			found = append(found, subjectFinding(i, &subjects[i], "lets "+subjects[i].Kind+" "+subjects[i].Name+" approve certificates by which one is any user"))
		}
		return found
	},
	Fix: fixSubject("check who approves certificates instead"),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:certificates.k8s.io:kube-apiserver-client-approver"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`},
}
