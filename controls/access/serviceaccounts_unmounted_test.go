package access

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
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
	runs := func(spec string) string { return strings.Replace(pod, "SPEC", spec, 1) }
	for name, c := range map[string]struct {
		text    string
		missing bailey.Kind
		changes int
		patched bool
	}{
		"nothing needs it":         {text: labelled + account + runs(""), changes: 3, patched: true},
		"without the label":        {text: strings.Replace(labelled, "own", "any", 1) + account},
		"bound":                    {text: labelled + account + bound("{kind: ServiceAccount, name: default, namespace: shop}"), changes: 2},
		"bound by its user":        {text: labelled + account + bound(`{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:serviceaccount:shop:default"}`), changes: 2},
		"another is bound":         {text: labelled + account + bound("{kind: ServiceAccount, name: default, namespace: other}"), changes: 3, patched: true},
		"a pod asks for it":        {text: labelled + account + runs(", automountServiceAccountToken: true"), changes: 2},
		"a pod asks for another's": {text: labelled + account + runs(", serviceAccountName: app, automountServiceAccountToken: true"), changes: 3, patched: true},
		"it says so already":       {text: labelled + strings.Replace(account, "}}", "}, automountServiceAccountToken: false}", 1), changes: 2},
		"bindings were not seen":   {text: labelled + account, missing: bailey.KindRoleBinding, changes: 2},
		"no account yet":           {text: labelled, changes: 2},
	} {
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(controltest.Facts(t, []byte(c.text))...)
		if c.missing != "" {
			b.Miss(bailey.Missing{Kind: c.missing, Reason: bailey.ReasonForbidden})
		}
		v := bailey.NewView(b.Snapshot())
		v.Allow(nil, defaultAccountKept.Needs, nil)
		changes := defaultAccountKept.Objects(v, bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"})
		patched := false
		for _, change := range changes {
			if change.Object == (bailey.Ref{Kind: bailey.KindServiceAccount, Namespace: "shop", Name: "default"}) {
				patched = len(change.Patch) == 1 && change.Patch[0].Value == false && change.Note != ""
			}
		}
		if len(changes) != c.changes || patched != c.patched {
			t.Errorf("%s: %d changes, patched %t", name, len(changes), patched)
		}
	}
}
