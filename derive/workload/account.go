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

// MountsToken reports whether the pods carry a token of their account that the API server
// takes: because they get one without asking, or because a volume of theirs projects it.
// The caller needs ServiceAccounts.
func (w Workload) MountsToken(v *bailey.View) bool {
	if w.Automounts(v) {
		return true
	}
	_, _, projects := w.ProjectedToken()
	return projects
}

// APIAudience begins the audience that an API server takes for its own unless it is started
// with another issuer or other audiences (--api-audiences).
const APIAudience = "https://kubernetes.default.svc"

// ProjectedToken gives the volume and the source in it, by their indexes, of the first
// token for the API server that the workload asks for: one without an audience of its own,
// or with the API server's. A token for somebody else is none. Volumes that the API server
// injected into a running pod, which nobody asked for, are left out.
func (w Workload) ProjectedToken() (volume, source int, projects bool) {
	for i := range w.Spec.Volumes {
		v := &w.Spec.Volumes[i]
		if v.Projected == nil || w.runs() && strings.HasPrefix(v.Name, injectedVolume) {
			continue
		}
		for j := range v.Projected.Sources {
			if t := v.Projected.Sources[j].ServiceAccountToken; t != nil && (t.Audience == "" || strings.HasPrefix(t.Audience, APIAudience)) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// runs tells a pod of a cluster.
func (w Workload) runs() bool { return w.Fact.Kind == bailey.KindPod && w.Fact.UID != "" }

// Automounts reports whether the pods get a token of their account without asking
// for one. The pod's own setting wins over its account's; what a running pod was given
// is written in it. The caller needs ServiceAccounts.
func (w Workload) Automounts(v *bailey.View) bool {
	if w.runs() {
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
