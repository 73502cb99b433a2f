package workload

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
)

// Account is the name of the ServiceAccount that the pods run as.
func (w Workload) Account() string {
	switch {
	case w.Spec.ServiceAccountName != "":
		return w.Spec.ServiceAccountName
	case w.Spec.DeprecatedServiceAccount != "":
		return w.Spec.DeprecatedServiceAccount
	}
	return "default"
}

// injectedVolume begins the name of the volume in which the API server gives a
// pod its token.
const injectedVolume = "kube-api-access-"

// MountsToken reports whether the pods get a token of their account without asking
// for one. The pod's own setting wins over its account's; what a running pod was given
// is written in it. The caller needs ServiceAccounts.
func (w Workload) MountsToken(v *bailey.View) bool {
	if w.Fact.Kind == bailey.KindPod && w.Fact.UID != "" {
		for i := range w.Spec.Volumes {
			if strings.HasPrefix(w.Spec.Volumes[i].Name, injectedVolume) {
				return true
			}
		}
		return false
	}
	if set := w.Spec.AutomountServiceAccountToken; set != nil {
		return *set
	}
	a, ok := bailey.As[*corev1.ServiceAccount](v.Get(bailey.KindServiceAccount, w.Fact.Namespace, w.Account()))
	return !ok || a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken
}
