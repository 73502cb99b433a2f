package rbac

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

func roleBinding(namespace, name string, role rbacv1.RoleRef, subjects ...rbacv1.Subject) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindRoleBinding, Namespace: namespace, Name: name},
		Object: &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: role, Subjects: subjects}}
}

func clusterRoleBinding(name string, role rbacv1.RoleRef, subjects ...rbacv1.Subject) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindClusterRoleBinding, Name: name},
		Object: &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role, Subjects: subjects}}
}

func viewOf(saw []bailey.Kind, facts ...*bailey.Fact) *bailey.View {
	b := bailey.NewBuilder(bailey.Meta{})
	for _, k := range saw {
		b.Saw(k, "")
	}
	b.Add(facts...)
	v := bailey.NewView(b.Snapshot())
	v.Allow(nil, Bindings.Needs, []*bailey.Derivation{Bindings})
	return v
}

func TestIndex(t *testing.T) {
	role, clusterRole := rbacv1.RoleRef{Kind: "Role", Name: "reader"}, rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"}
	v := viewOf(Bindings.Needs,
		roleBinding("shop", "named", role, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "cart"},
			rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "cart"}),
		roleBinding("shop", "no-namespace", role, rbacv1.Subject{Kind: "ServiceAccount", Name: "cart"}),
		roleBinding("other", "from-elsewhere", clusterRole, rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:shop:cart"}),
		clusterRoleBinding("everywhere", clusterRole, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "cart"}),
		clusterRoleBinding("group", clusterRole, rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:shop"}),
	)
	want := []Grant{
		{bailey.Ref{Kind: bailey.KindRoleBinding, Namespace: "other", Name: "from-elsewhere"}, bailey.Ref{Kind: bailey.KindClusterRole, Name: "view"}},
		{bailey.Ref{Kind: bailey.KindRoleBinding, Namespace: "shop", Name: "named"}, bailey.Ref{Kind: bailey.KindRole, Namespace: "shop", Name: "reader"}},
		{bailey.Ref{Kind: bailey.KindRoleBinding, Namespace: "shop", Name: "no-namespace"}, bailey.Ref{Kind: bailey.KindRole, Namespace: "shop", Name: "reader"}},
		{bailey.Ref{Kind: bailey.KindClusterRoleBinding, Name: "everywhere"}, bailey.Ref{Kind: bailey.KindClusterRole, Name: "view"}},
	}
	if diff := cmp.Diff(want, From(v).OfServiceAccount("shop", "cart")); diff != "" {
		t.Error(diff)
	}
	if got := From(v).Of(Subject{Kind: "Group", Name: "system:serviceaccounts:shop"}); len(got) != 1 {
		t.Errorf("the group has %v", got)
	}
	if got := From(v).OfServiceAccount("other", "cart"); got != nil {
		t.Errorf("another namespace's account has %v", got)
	}
	if m := v.Missing(); len(m) != 0 {
		t.Errorf("missing %v", m)
	}
}

// What is there answers even where not all was seen; what is not there is
// unknown as soon as somebody relies on it.
func TestIndexOfAnOpenWorld(t *testing.T) {
	v := viewOf([]bailey.Kind{bailey.KindRoleBinding},
		clusterRoleBinding("everywhere", rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"}, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "cart"}))
	if len(From(v).OfServiceAccount("shop", "cart")) != 1 || len(v.Missing()) != 0 {
		t.Errorf("a binding that is there: %v, missing %v", From(v).OfServiceAccount("shop", "cart"), v.Missing())
	}
	Complete(v)
	if m := v.Missing(); len(m) != 1 || m[0].Kind != bailey.KindClusterRoleBinding {
		t.Errorf("missing %v, want ClusterRoleBindings", m)
	}
}

func TestFromUndeclared(t *testing.T) {
	v := viewOf(Bindings.Needs)
	v.Allow(nil, Bindings.Needs, nil)
	if From(v).OfServiceAccount("a", "b") != nil || len(v.Missing()) == 0 {
		t.Error("an undeclared read went unnoticed")
	}
}

func TestRoles(t *testing.T) {
	rule := func(groups, resources, verbs string) rbacv1.PolicyRule {
		split := func(s string) []string {
			var out []string
			for start, i := 0, 0; i <= len(s); i++ {
				if i == len(s) || s[i] == ' ' {
					out = append(out, s[start:i])
					start = i + 1
				}
			}
			return out
		}
		return rbacv1.PolicyRule{APIGroups: split(groups), Resources: split(resources), Verbs: split(verbs)}
	}
	named := rule("*", "*", "*")
	named.ResourceNames = []string{"one"}
	for name, c := range map[string]struct {
		rules             []rbacv1.PolicyRule
		everything, reads bool
	}{
		"nothing":          {nil, false, true},
		"everything":       {[]rbacv1.PolicyRule{rule("*", "*", "*")}, true, false},
		"every verb named": {[]rbacv1.PolicyRule{rule("*", "*", "delete get list watch create update patch")}, true, false},
		"no delete":        {[]rbacv1.PolicyRule{rule("*", "*", "get list watch create update patch")}, false, false},
		"one group":        {[]rbacv1.PolicyRule{rule("apps", "*", "*")}, false, false},
		"one object":       {[]rbacv1.PolicyRule{named}, false, false},
		"second rule":      {[]rbacv1.PolicyRule{rule("", "pods", "get"), rule("*", "*", "*")}, true, false},
		"reads pods":       {[]rbacv1.PolicyRule{rule("", "pods nodes/metrics", "get list watch")}, false, true},
		"reads all":        {[]rbacv1.PolicyRule{rule("*", "*", "get list watch")}, false, false},
		"reads secrets":    {[]rbacv1.PolicyRule{rule("", "secrets", "get")}, false, false},
		"gets nodes/proxy": {[]rbacv1.PolicyRule{rule("", "nodes/proxy", "get")}, false, false},
		"gets pods/exec":   {[]rbacv1.PolicyRule{rule("", "pods/exec", "get")}, false, false},
		"reads logs":       {[]rbacv1.PolicyRule{rule("", "pods/log", "get")}, false, false},
		"asks of itself":   {[]rbacv1.PolicyRule{rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create")}, false, true},
		"creates reviews":  {[]rbacv1.PolicyRule{rule("authorization.k8s.io", "subjectaccessreviews", "create")}, false, false},
		"impersonates":     {[]rbacv1.PolicyRule{rule("", "users", "impersonate")}, false, false},
		"uses a PSP":       {[]rbacv1.PolicyRule{rule("policy", "podsecuritypolicies", "use")}, false, true},
		"uses an SCC":      {[]rbacv1.PolicyRule{rule("security.openshift.io", "securitycontextconstraints", "use")}, false, false},
		"health":           {[]rbacv1.PolicyRule{{NonResourceURLs: []string{"/healthz"}, Verbs: []string{"get"}}}, false, true},
		"every path":       {[]rbacv1.PolicyRule{{NonResourceURLs: []string{"*"}, Verbs: []string{"*"}}}, false, false},
	} {
		if got := AllowsEverything(c.rules); got != c.everything {
			t.Errorf("%s: AllowsEverything = %v", name, got)
		}
		if got := OnlyReads(c.rules); got != c.reads {
			t.Errorf("%s: OnlyReads = %v", name, got)
		}
	}
	if rules, ok := RulesOf(&bailey.Fact{Object: &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{named}}}); !ok || len(rules) != 1 {
		t.Errorf("RulesOf a ClusterRole = %v, %v", rules, ok)
	}
	if _, ok := RulesOf(nil); ok {
		t.Error("RulesOf nothing")
	}
}
