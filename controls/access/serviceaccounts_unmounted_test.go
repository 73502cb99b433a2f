package access

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/internal/controltest"
)

// TestTokenOfDefaultAccountTurnedOff: the plan for a namespace that asks for it turns the
// token off where nothing needs it, and nowhere else.
func TestTokenOfDefaultAccountTurnedOff(t *testing.T) {
	const (
		labelled = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {bailey.dev/accounts: own}}}\n---\n"
		account  = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: shop}}\n---\n"
		binding  = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: shop}, " +
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}, subjects: [SUBJECT]}\n---\n"
		pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {containers: [{name: c, image: i}]SPEC}}\n"
	)
	bound := func(subject string) string { return strings.Replace(binding, "SUBJECT", subject, 1) }
	group := func(name string) string {
		return `{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "` + name + `"}`
	}
	const bootstrap = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: 'system:service-account-issuer-discovery'}, " +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:service-account-issuer-discovery'}, " +
		"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts'}]}\n---\n"
	runs := func(spec string) string { return strings.Replace(pod, "SPEC", spec, 1) }
	for name, c := range map[string]struct {
		text    string
		missing bailey.Kind
		policy  bool // whether default-account-kept is in place
		patched bool
	}{
		"nothing needs it":            {text: labelled + account + runs(""), patched: true},
		"without the label":           {text: strings.Replace(labelled, "own", "any", 1) + account},
		"bound":                       {text: labelled + account + bound("{kind: ServiceAccount, name: default, namespace: shop}")},
		"bound by its user":           {text: labelled + account + bound(`{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:serviceaccount:shop:default"}`)},
		"another is bound":            {text: labelled + account + bound("{kind: ServiceAccount, name: default, namespace: other}"), patched: true},
		"a pod asks for it":           {text: labelled + account + runs(", automountServiceAccountToken: true")},
		"a pod asks for another's":    {text: labelled + account + runs(", serviceAccountName: app, automountServiceAccountToken: true"), patched: true},
		"it says so already":          {text: labelled + strings.Replace(account, "}}", "}, automountServiceAccountToken: false}", 1)},
		"bindings were not seen":      {text: labelled + account, missing: bailey.KindRoleBinding},
		"its group is bound":          {text: labelled + account + bound(group("system:serviceaccounts:shop"))},
		"the group of all is bound":   {text: labelled + account + bound(group("system:serviceaccounts"))},
		"another's group is bound":    {text: labelled + account + bound(group("system:serviceaccounts:other")), patched: true},
		"everybody is bound":          {text: labelled + account + bound(group("system:authenticated")), patched: true},
		"what each API server binds":  {text: labelled + account + bootstrap, patched: true},
		"a pod projects it":           {text: labelled + account + runs(", automountServiceAccountToken: false, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]")},
		"a pod projects another":      {text: labelled + account + runs(", volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}}]"), patched: true},
		"a pod was given it":          {text: labelled + account + strings.Replace(runs(", volumes: [{name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: t}}]}}]"), "namespace: shop}", "namespace: shop, uid: u}", 1), patched: true},
		"the policy is there already": {text: labelled + account, policy: true, patched: true},
		"no account yet":              {text: labelled},
	} {
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(controltest.Facts(t, []byte(c.text))...)
		if c.missing != "" {
			b.Miss(bailey.Missing{Kind: c.missing, Reason: bailey.ReasonForbidden})
		}
		shop := bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}
		if c.policy {
			v := bailey.NewView(b.Snapshot())
			v.Allow(nil, defaultAccountKept.Needs, nil)
			for _, change := range defaultAccountKept.Objects(v, shop) {
				text, err := json.Marshal(change.Content)
				if err != nil {
					t.Fatal(err)
				}
				b.Add(controltest.Facts(t, text)...)
			}
		}
		plan, err := enforce.Make(b.Snapshot(), []*bailey.Control{{ID: serviceAccounts, Guards: []*bailey.Guard{defaultAccountKept, defaultAccountTokenless}}})
		if err != nil {
			t.Fatal(err)
		}
		changes := 2
		if c.policy || !strings.Contains(c.text, "accounts: own") {
			changes = 0
		}
		if c.patched {
			changes++
		}
		patched := false
		for _, change := range plan.Changes {
			if change.Object == (bailey.Ref{Kind: bailey.KindServiceAccount, Namespace: "shop", Name: "default"}) {
				patched = len(change.Differs) == 1 && change.Differs[0].Value == false && len(change.Notes) == 1
			}
		}
		if len(plan.Changes) != changes || patched != c.patched {
			t.Errorf("%s: %d changes, patched %t", name, len(plan.Changes), patched)
		}
	}
}
