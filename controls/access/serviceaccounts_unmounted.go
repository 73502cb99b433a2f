package access

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

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
	admissionv1.Variable{Name: "carries", Expression: "variables.spec.?automountServiceAccountToken.orValue(params.?automountServiceAccountToken.orValue(true)) || " +
		"variables.spec.?volumes.orValue([]).exists(v, v.?projected.?sources.orValue([]).exists(s, s.?serviceAccountToken.hasValue() && " +
		"(s.serviceAccountToken.?audience.orValue('') == '' || s.serviceAccountToken.audience.startsWith('" + workload.APIAudience + "'))))"})

var defaultAccountKept = vap.Guard(vap.Policy{
	Control: serviceAccounts, Name: "default-account-kept",
	Title: "No workload is admitted with the token of the default ServiceAccount",
	Doc: `In namespaces with the label ` + accountsLabel + `=` + accountsOwn + ` a ValidatingAdmissionPolicy refuses pods, and everything that
makes pods, that run as the default ServiceAccount and carry its token: because they ask for it, because a volume of
theirs projects it, or because neither they nor the account say that they do not. The account is the policy's parameter,
so that its own setting counts. A projected token is the account's if it has no audience, or one that begins with
` + workload.APIAudience + ` (what an API server takes besides, --api-audiences, no policy sees); one with the
audience of another service passes.`,
	Covers: []*bailey.Rule{defaultAccountUsed},
	Labels: map[string]string{accountsLabel: accountsOwn},
	Resources: []admissionv1.NamedRuleWithOperations{
		vap.Resource("", "pods", "podtemplates", "replicationcontrollers"), // an ephemeral container changes no account
		vap.Resource("apps", "deployments", "replicasets", "statefulsets", "daemonsets"),
		vap.Resource("batch", "jobs", "cronjobs")},
	Param:     &vap.Param{APIVersion: "v1", Kind: bailey.KindServiceAccount, Name: defaultAccount},
	Variables: accountVariables,
	Checks: []vap.Check{vap.Pods("variables.account != '"+defaultAccount+"' || !variables.carries",
		"'runs as the default ServiceAccount and carries its token: name another account, or set automountServiceAccountToken: false and project no token for the API server'")},
})

var defaultAccountTokenless = &bailey.Guard{
	Name:  "default-account-tokenless",
	Title: "The default ServiceAccount gives its token to nobody who does not ask",
	Doc: `In namespaces with the label ` + accountsLabel + `=` + accountsOwn + ` the plan sets automountServiceAccountToken: false on the default
ServiceAccount, where it says nothing, no binding names it or a group of ServiceAccounts that it is in (but for those
that every API server makes for itself), and no workload asks for its token. Then default-account-kept refuses only what
asks for the token, and what starts anew without asking has none: whatever shows the token to somebody else than the API
server (a secret store) must be given an account of its own first.`,
	Covers: []*bailey.Rule{defaultAccountAutomounts},
	Scope:  bailey.ScopeNamespace,
	Needs:  append([]bailey.Kind{bailey.KindNamespace, bailey.KindServiceAccount, bailey.KindRoleBinding, bailey.KindClusterRoleBinding}, bailey.PodBearing...),
	Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
		if presence, plannable := tokenless(v, scope.Name); presence.InPlace || !plannable {
			return nil
		}
		f := v.Get(bailey.KindServiceAccount, scope.Name, defaultAccount)
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "add", Path: "/automountServiceAccountToken", Value: false}},
			Note:  "no binding names this account and no workload asks for its token: see whether something else reads it"}}
	},
	Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
		presence, _ := tokenless(v, scope.Name)
		return presence
	},
}

// tokenless says whether the namespace's default ServiceAccount keeps its token to itself;
// and where it does not, whether it may.
func tokenless(v *bailey.View, namespace string) (presence bailey.Presence, plannable bool) {
	f := v.Get(bailey.KindServiceAccount, namespace, defaultAccount)
	a, ok := bailey.As[*corev1.ServiceAccount](f)
	if !ok {
		return bailey.Presence{Why: "no ServiceAccount " + namespace + "/" + defaultAccount}, false
	}
	if set := a.AutomountServiceAccountToken; set != nil {
		return bailey.Presence{InPlace: !*set, Why: f.Ref.String() + " says so itself"}, false
	}
	if n := v.Get(bailey.KindNamespace, "", namespace); n == nil || n.Labels[accountsLabel] != accountsOwn {
		return bailey.Presence{Why: "namespace " + namespace + " does not ask for it by " + accountsLabel + "=" + accountsOwn}, false
	}
	if by := tokenNeeded(v, namespace); by != "" {
		return bailey.Presence{Why: "needed: " + by}, false
	}
	return bailey.Presence{Why: f.Ref.String() + " does not say so"}, len(v.Missing()) == 0
}

// tokenNeeded says by what somebody may need the token of the namespace's default
// ServiceAccount: a binding names it or its group, or a workload asks for it. It is empty
// if nobody that was seen does.
func tokenNeeded(v *bailey.View, namespace string) string {
	own := rbac.SubjectsOf(namespace, defaultAccount)
	for _, kind := range onBindings {
		for _, f := range v.List(kind, "") {
			role, subjects := bindingOf(f)
			for i := range subjects {
				s := rbac.SubjectOf(&subjects[i], f.Namespace)
				if s.Name != "system:authenticated" && slices.Contains(own, s) && !isBootstrap(f, role, s.Name) {
					return f.Ref.String() + " binds " + s.Kind + " " + s.Name
				}
			}
		}
	}
	for _, kind := range bailey.PodBearing {
		for _, f := range v.List(kind, namespace) {
			w, ok := workload.Of(f)
			if !ok || w.Account() != defaultAccount {
				continue
			}
			if set := w.Spec.AutomountServiceAccountToken; set != nil && *set {
				return f.Ref.String() + " asks for its token"
			}
			if _, _, projects := w.ProjectedToken(); projects {
				return f.Ref.String() + " projects its token"
			}
		}
	}
	return ""
}
