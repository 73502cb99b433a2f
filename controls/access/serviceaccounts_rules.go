package access

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/rbac"
	"github.com/baileyhq/bailey/derive/workload"
)

var serviceAccountRules = []*bailey.Rule{
	defaultAccountUsed, unusedToken, missingAccount, longProjectedToken,
	defaultAccountAutomounts, legacyTokenListed, longLivedToken,
	bindingToDefaultAccount, bindingToBroadGroup, accountAllowedEverything,
}

var (
	accountDocs   = ref.Kubernetes("concepts/security/service-accounts/", "Service Accounts")
	automountDocs = ref.Kubernetes("tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting", "Opt out of API credential automounting")
	cisDefault    = ref.CIS("5.1.5", "Default ServiceAccounts are not in use")
	cisAutomount  = ref.CIS("5.1.6", "Tokens are mounted only where they are needed")
	nsaTokens     = ref.NSA("Protecting Pod service account tokens")
)

const defaultAccount = "default"

// accountPath is the field that names the ServiceAccount, and its JSON pointer.
func accountPath(w workload.Workload) string {
	if w.Spec.ServiceAccountName == "" && w.Spec.DeprecatedServiceAccount != "" {
		return w.Path + ".serviceAccount"
	}
	return w.Path + ".serviceAccountName"
}

// tokenFinding is a finding about a field of a token that a volume projects.
func tokenFinding(w workload.Workload, volume, source int, field, message string) bailey.Finding {
	rest := "].projected.sources[" + strconv.Itoa(source) + "].serviceAccountToken" + field
	return bailey.Finding{Field: w.Path + ".volumes[" + strconv.Itoa(volume) + rest, Named: w.Path + ".volumes[" + w.Spec.Volumes[volume].Name + rest, Message: message}
}

// fixAutomount turns automounting off in the workload. What a volume projects somebody
// asked for.
func fixAutomount(note string) func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change {
	return func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok || w.Immutable() {
			return nil
		}
		if _, _, projects := w.ProjectedToken(); projects {
			return nil
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: note,
			Patch: []bailey.PatchOp{{Op: "add", Path: w.Pointer + "/automountServiceAccountToken", Value: false}}}}
	}
}

var defaultAccountUsed = &bailey.Rule{
	Name:  "default-account-used",
	Title: "Workload carries the token of the default ServiceAccount",
	Doc: `Reads the ServiceAccount that a workload names, and whether its token is mounted: the workload's own
` + "`automountServiceAccountToken`" + `, else the account's. Of a running pod it reads the volume that was injected.
A token that a volume projects counts too, if it has no audience or one that begins with
` + workload.APIAudience + `; what else the API server takes (--api-audiences) is not read. A token with the
audience of another service is no key to the API and is not found.

Every workload of the namespace that names no account shares this one. What it may do, all of them may,
and the audit log cannot tell them apart. Without a token in the pod the default account gives an
attacker nothing, and is not found.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{cisDefault, automountDocs, nsaTokens, ref.ATTACK("T1528")},
	On:       bailey.PodBearing,
	Needs:    []bailey.Kind{bailey.KindServiceAccount},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok || w.Account() != defaultAccount || !w.MountsToken(v) {
			return nil
		}
		return []bailey.Finding{{Field: accountPath(w), Message: "runs as the default ServiceAccount and carries its token"}}
	},
	Fix: fixAutomount("if the workload calls the Kubernetes API, give it a ServiceAccount of its own instead"),
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default}
`},
}

var unusedToken = &bailey.Rule{
	Name:  "unused-token",
	Title: "Workload carries a token that gives no rights",
	Doc: `Reads whether a workload's pods get the token of their own ServiceAccount without asking, or project one
for the API server (see default-account-used), and whether any RoleBinding or ClusterRoleBinding names that
account. Bindings of groups that every account is in do not count.

A token without rights is of no use to the workload, and still tells an attacker of the cluster: it
passes authentication, reads the API's discovery, and gets whatever is bound to all accounts later.

A service that asks the API server to review the token, such as a secret store, uses it without any
binding. There a projected token with the service's own audience is the better choice.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{cisAutomount, automountDocs, nsaTokens, ref.ATTACK("T1528")},
	On:       bailey.PodBearing,
	Needs:    []bailey.Kind{bailey.KindServiceAccount, bailey.KindRoleBinding, bailey.KindClusterRoleBinding},
	Derives:  []*bailey.Derivation{rbac.Bindings},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		account := w.Account()
		if account == defaultAccount || !w.MountsToken(v) {
			return nil
		}
		if len(rbac.From(v).OfServiceAccount(f.Namespace, account)) > 0 {
			return nil
		}
		rbac.Complete(v)
		found := bailey.Finding{Field: w.Path + ".automountServiceAccountToken", Message: "carries the token of ServiceAccount " + account + ", which no binding gives any right"}
		if volume, source, projects := w.ProjectedToken(); projects && !w.Automounts(v) {
			found = tokenFinding(w, volume, source, "", found.Message)
		}
		found.Related = []bailey.Ref{{Kind: bailey.KindServiceAccount, Namespace: f.Namespace, Name: account}}
		return []bailey.Finding{found}
	},
	Fix: fixAutomount(""),
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  serviceAccountName: app
  containers: [{name: app, image: app}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app}
`},
}

var missingAccount = &bailey.Rule{
	Name:  "missing-account",
	Title: "Workload names a ServiceAccount that is not there",
	Doc: `Reads the ServiceAccount that a workload names, and looks for it in the workload's namespace.

No pod of the workload is admitted until the account exists. Whoever may make ServiceAccounts decides
then what it is, and bindings that already name it take effect.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{accountDocs},
	On:       bailey.PodBearing,
	Needs:    []bailey.Kind{bailey.KindServiceAccount},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		account := w.Account()
		// The controller manager makes the default account of each namespace.
		if account == defaultAccount || v.Get(bailey.KindServiceAccount, f.Namespace, account) != nil {
			return nil
		}
		return []bailey.Finding{{Field: accountPath(w), Message: "ServiceAccount " + f.Namespace + "/" + account + " does not exist"}}
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  serviceAccountName: gone
  containers: [{name: app, image: app}]
`},
}

// dayOfSeconds is the longest a projected token may live without a finding.
const dayOfSeconds = 24 * 60 * 60

var longProjectedToken = &bailey.Rule{
	Name:  "long-projected-token",
	Title: "Projected token lives for more than a day",
	Doc: `Reads ` + "`expirationSeconds`" + ` of the ServiceAccount tokens that a workload's volumes project. The kubelet
renews a token before it ends, so a long life serves only whoever copied it. The default is an hour.

The API server may shorten it (--service-account-max-token-expiration), which is not read here.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Kubernetes("tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection", "ServiceAccount token volume projection"),
		ref.CNCF(210, "Secrets live for a short time")},
	On:    bailey.PodBearing,
	Check: checkLongProjectedToken,
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok || w.Immutable() {
			return nil
		}
		// The field is Path.volumes[i].projected.sources[j]. ...
		pointer := strings.NewReplacer(w.Path, w.Pointer, ".", "/", "[", "/", "]", "").Replace(finding.Field)
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "replace", Path: pointer, Value: 3600}}}}
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app}]
  volumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 604800}}]}
`},
}

func checkLongProjectedToken(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok {
		return nil
	}
	var found []bailey.Finding
	for i := range w.Spec.Volumes {
		volume := &w.Spec.Volumes[i]
		if volume.Projected == nil {
			continue
		}
		for j := range volume.Projected.Sources {
			t := volume.Projected.Sources[j].ServiceAccountToken
			if t == nil || t.ExpirationSeconds == nil || *t.ExpirationSeconds <= dayOfSeconds {
				continue
			}
			found = append(found, tokenFinding(w, i, j, ".expirationSeconds",
				"the token in volume "+volume.Name+" lives for "+strconv.FormatInt(*t.ExpirationSeconds/3600, 10)+" hours"))
		}
	}
	return found
}

var defaultAccountAutomounts = &bailey.Rule{
	Name:  "default-account-automounts",
	Title: "Default ServiceAccount gives its token to every pod",
	Doc: `Reads ` + "`automountServiceAccountToken`" + ` of the ServiceAccount named default. With false, a workload that names
no account and asks for nothing carries no token.

kube-public and kube-node-lease run no pods and are not judged. Workloads that do carry the token are
found by default-account-used.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{cisDefault, automountDocs},
	On:       []bailey.Kind{bailey.KindServiceAccount},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		a, ok := bailey.As[*corev1.ServiceAccount](f)
		if !ok || f.Name != defaultAccount || a.AutomountServiceAccountToken != nil && !*a.AutomountServiceAccountToken ||
			f.Namespace == "kube-public" || f.Namespace == "kube-node-lease" {
			return nil
		}
		return []bailey.Finding{{Field: "automountServiceAccountToken", Message: "pods that name no ServiceAccount carry the default one's token"}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "add", Path: "/automountServiceAccountToken", Value: false}}}}
	},
	Bad: []string{`apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop}
`},
}

var legacyTokenListed = &bailey.Rule{
	Name:  "legacy-token-listed",
	Title: "ServiceAccount lists a token Secret",
	Doc: `Reads ` + "`secrets`" + ` of ServiceAccounts for names of the form that Kubernetes gave to token Secrets up to 1.23
(ACCOUNT-token-xxxxx). Such a token has no end, no audience and no pod that it is bound to.

That the Secret still exists is not read: Bailey does not read Secrets by default.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Kubernetes("reference/access-authn-authz/service-accounts-admin/#auto-generated-legacy-serviceaccount-token-clean-up", "Auto-generated legacy ServiceAccount token clean up"),
		ref.CNCF(210, "Secrets live for a short time"), ref.ATTACK("T1528")},
	On: []bailey.Kind{bailey.KindServiceAccount},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		a, ok := bailey.As[*corev1.ServiceAccount](f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for i := range a.Secrets {
			name := a.Secrets[i].Name
			if rest, ok := strings.CutPrefix(name, f.Name); ok && strings.HasPrefix(rest, "-token-") {
				found = append(found, bailey.Finding{Field: "secrets[" + strconv.Itoa(i) + "]", Named: "secrets[" + name + "]",
					Message: "lists token Secret " + name + ", which never expires"})
			}
		}
		return found
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		index := strings.TrimSuffix(strings.TrimPrefix(finding.Field, "secrets["), "]")
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: []bailey.PatchOp{{Op: "remove", Path: "/secrets/" + index}},
			Note: "delete the Secret too, once nothing uses its token"}}
	},
	Bad: []string{`apiVersion: v1
kind: ServiceAccount
metadata: {name: builder}
secrets: [{name: builder-token-x7k2p}]
`},
}

var longLivedToken = &bailey.Rule{
	Name:  "long-lived-token",
	Title: "Secret holds a ServiceAccount token without an end",
	Doc: `Reads the type of Secrets: kubernetes.io/service-account-token. The control plane fills such a Secret with a
token that has no end and no audience, and that works from everywhere.

In a folder the Secrets are read, with names and types only. In a cluster they are not, unless the
collector of Secrets is switched on; the control is unknown without it.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/configuration/secret/#serviceaccount-token-secrets", "ServiceAccount token Secrets"),
		ref.CNCF(210, "Secrets live for a short time"), ref.ATTACK("T1528"), ref.ATTACK("T1550.001"),
	},
	On: []bailey.Kind{kindSecret},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		s, ok := bailey.As[*corev1.Secret](f)
		if !ok || s.Type != corev1.SecretTypeServiceAccountToken {
			return nil
		}
		account := s.Annotations[corev1.ServiceAccountNameKey]
		if account == "" {
			account = "an account that it does not name"
		}
		return []bailey.Finding{{Field: "type", Message: "holds a token of ServiceAccount " + account + " that never expires"}}
	},
	Bad: []string{`apiVersion: v1
kind: Secret
metadata:
  name: bad
  annotations: {kubernetes.io/service-account.name: robot}
type: kubernetes.io/service-account-token
`},
}

const kindSecret bailey.Kind = "Secret"
