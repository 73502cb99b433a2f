package access

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
	"github.com/baileyhq/bailey/derive/rbac"
	"github.com/baileyhq/bailey/derive/workload"
)

// accountsLabel on a namespace asks that its workloads have accounts of their own, or no
// token: "own".
const accountsLabel, accountsOwn = "bailey.dev/accounts", "own"

// accountVariables are of a policy about PodBearing requests whose parameter is the default
// ServiceAccount of the namespace.
var accountVariables = append(slices.Clone(vap.PodVariables),
	admissionv1.Variable{Name: "account", Expression: "variables.spec.?serviceAccountName.orValue('') != '' ? variables.spec.serviceAccountName : " +
		"variables.spec.?serviceAccount.orValue('') != '' ? variables.spec.serviceAccount : dyn('" + defaultAccount + "')"},
	admissionv1.Variable{Name: "carries", Expression: "variables.spec.?automountServiceAccountToken.orValue(params.?automountServiceAccountToken.orValue(true))"})

var defaultAccountKept = withTokenless(vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "default-account-kept",
	Title: "No workload is admitted with the token of the default ServiceAccount",
	Doc: `In namespaces with the label ` + accountsLabel + `=` + accountsOwn + ` a ValidatingAdmissionPolicy refuses pods, and everything that
makes pods, that run as the default ServiceAccount and carry its token: because they ask for it, or because neither they
nor the account say that they do not. The account is the policy's parameter, so that its own setting counts.

Where no binding names the default account, and no workload asks for its token, the plan sets
automountServiceAccountToken: false on it. Then only what asks for the token is refused, and what starts anew without
asking has none: whatever shows the token to somebody else than the API server (a secret store) must be given an account
of its own first.`,
	Covers: []*bailey.Rule{defaultAccountUsed},
	Labels: map[string]string{accountsLabel: accountsOwn},
	Resources: []admissionv1.NamedRuleWithOperations{
		vap.Resource("", "pods", "podtemplates", "replicationcontrollers"), // an ephemeral container changes no account
		vap.Resource("apps", "deployments", "replicasets", "statefulsets", "daemonsets"),
		vap.Resource("batch", "jobs", "cronjobs")},
	Param:     &vap.Param{APIVersion: "v1", Kind: bailey.KindServiceAccount, Name: defaultAccount},
	Variables: accountVariables,
	Checks: []vap.Check{vap.Pods("variables.account != '"+defaultAccount+"' || !variables.carries",
		"'runs as the default ServiceAccount and carries its token: name another account, or set automountServiceAccountToken: false'")},
}))

// withTokenless adds to what puts a guard in place that the default ServiceAccount of the
// namespace gives its token to nobody who does not ask, where nobody needs it.
func withTokenless(g *bailey.Guard) *bailey.Guard {
	policies := g.Objects
	g.Needs = append(append(g.Needs, bailey.KindServiceAccount, bailey.KindRoleBinding, bailey.KindClusterRoleBinding), bailey.PodBearing...)
	g.Objects = func(v *bailey.View, scope bailey.Ref) []bailey.Change {
		changes := policies(v, scope)
		if len(changes) == 0 {
			return nil
		}
		f := v.Get(bailey.KindServiceAccount, scope.Name, defaultAccount)
		a, ok := bailey.As[*corev1.ServiceAccount](f)
		if !ok || a.AutomountServiceAccountToken != nil || tokenNeeded(v, scope.Name) {
			return changes
		}
		return append(changes, bailey.Change{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "add", Path: "/automountServiceAccountToken", Value: false}},
			Note:  "no binding names this account and no workload asks for its token: see whether something else reads it"})
	}
	return g
}

// tokenNeeded reports whether somebody may need the token of the namespace's default
// ServiceAccount: a binding names it, or a workload asks for it.
func tokenNeeded(v *bailey.View, namespace string) bool {
	account := rbac.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: defaultAccount}
	for _, kind := range []bailey.Kind{bailey.KindRoleBinding, bailey.KindClusterRoleBinding} {
		for _, f := range v.List(kind, "") {
			_, subjects := bindingOf(f)
			for i := range subjects {
				if rbac.SubjectOf(&subjects[i], f.Namespace) == account {
					return true
				}
			}
		}
	}
	for _, kind := range bailey.PodBearing {
		for _, f := range v.List(kind, namespace) {
			w, ok := workload.Of(f)
			if ok && w.Account() == defaultAccount && w.Spec.AutomountServiceAccountToken != nil && *w.Spec.AutomountServiceAccountToken {
				return true
			}
		}
	}
	return len(v.Missing()) > 0
}
