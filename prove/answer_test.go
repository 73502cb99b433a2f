package prove

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// TestRefuser: who refused is told from the refusal's own form, not from words
// that a policy or a webhook puts into its message.
func TestRefuser(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		message string
		want    bailey.Refuser
	}{
		"Pod Security": {403, `pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`, bailey.RefuserPodSecurity},
		"a policy that speaks of Pod Security": {403,
			`pods "p" is forbidden: ValidatingAdmissionPolicy 'pss' with binding 'all' denied request: it violates PodSecurity "restricted"`, bailey.RefuserPolicy},
		"a webhook that speaks of Pod Security": {403,
			`admission webhook "validate.example.com" denied the request: pods "p" is forbidden: violates PodSecurity "restricted"`, bailey.RefuserWebhook},
		"a webhook that speaks of a policy": {400,
			`admission webhook "a.example.com" denied the request: ValidatingAdmissionPolicy 'x' denied request`, bailey.RefuserWebhook},
		"quota":                {403, `pods "p" is forbidden: exceeded quota: small, requested: pods=1`, bailey.RefuserQuota},
		"authorization":        {403, `pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "a"`, bailey.RefuserAuthorization},
		"authorization, paths": {403, `forbidden: User "system:anonymous" cannot get path "/metrics"`, bailey.RefuserAuthorization},
		"the prober may not impersonate": {403,
			`users "bob" is forbidden: User "prober" cannot impersonate resource "users" in API group "" at the cluster scope`, ""},
		"authentication": {401, `Unauthorized`, bailey.RefuserAuthentication},
		"escalation": {403, `roles.rbac.authorization.k8s.io "r" is forbidden: user "bob" (groups=["a"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`, bailey.RefuserEscalation},
		"a powerful certificate":               {403, `certificatesigningrequests.certificates.k8s.io "x" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`, bailey.RefuserSigning},
		"a node":                               {403, `nodes "n1" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/zone`, bailey.RefuserNodes},
		"conflict":                             {409, `violates PodSecurity `, ""},
		"throttling":                           {429, `pods "p" is forbidden: violates PodSecurity "x"`, ""},
		"a timeout":                            {504, `admission webhook "a" denied the request`, ""},
		"a webhook that is down":               {500, `Internal error occurred: failed calling webhook "a"`, ""},
		"an experiment's webhook that is down": {500, `Internal error occurred: failed calling webhook "` + bailey.ProbePrefix + `abc.images.gate.bailey.dev": failed to call webhook: Post "https://127.0.0.1:1": connection refused`, bailey.RefuserFailedCall},
		"its name in another's words":          {403, `admission webhook "a" said: failed calling webhook "` + bailey.ProbePrefix + `abc"`, ""},
		"its name in another that is down":     {500, `Internal error occurred: failed calling webhook "a": failed calling webhook "` + bailey.ProbePrefix + `abc"`, ""},
		"schema":                               {422, `Pod "p" is invalid: spec.containers: violates PodSecurity `, ""},
	} {
		if got := refuserOf(c.code, metav1.Status{Message: c.message}, bailey.Identity{}); got != c.want {
			t.Errorf("%s: refused by %q, want %q", name, got, c.want)
		}
	}
}
