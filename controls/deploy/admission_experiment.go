package deploy

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

// trialNeeds are the kinds that tryWays reads.
var trialNeeds = []bailey.Kind{
	bailey.KindNamespace, bailey.KindPod,
	bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration,
	bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding,
	bailey.KindClusterRole, bailey.KindRole,
}

const trialDoc = `A way is an init container, a sidecar, an ephemeral container in a pod that is there, and for images a volume
and the change of a running pod's image; another namespace that the same gates look into; and, where a policy
reads who asks, the users that its text names and the controllers that make pods, as far as RBAC lets them
create pods. The prober impersonates these and nobody else. Each has an allowed twin in the form of an ordinary
pod of the namespace, with the image and labels of one that is there. All are dry-runs: nothing is created, and
nothing runs.

What no gate refuses is left out: it is not claimed. Nor is it where the gate refuses, in the thing's place,
what cannot be left out beside it: a privileged container where privilege escalation must be switched off. So is
what Pod Security refuses by the namespace's labels, which compute/pod-security tries. It samples: of the
namespaces that the same gates look into, one is tried in every way and 8 others in one; at most 4 such groups;
kube-system and its like are left out. Where a webhook belongs to a policy engine (Kyverno, Gatekeeper,
Kubewarden, OPA), or a policy has parameters or reads the namespace, other namespaces are not tried: they may be
treated differently by design. Refusals by quota, schema, RBAC or a webhook's server that is down count for
nothing.`

// admissionExperiments try whether the gates have side doors.
var admissionExperiments = []*bailey.Experiment{refusedByEveryWay, enteringRefused}

var refusedByEveryWay = &bailey.Experiment{
	Name:  "refused-by-every-way",
	Title: "What a gate refuses one way is refused every way",
	Doc: `Where webhooks that look at pods, or ValidatingAdmissionPolicies that deny, are in place, things that gates
commonly forbid are tried: a privileged container, privilege escalation, a capability, root, the node's network,
process namespace and files. What the platform refuses as the container of a new pod must be refused in every
other way.

` + trialDoc + `

Not tried: exec, attach and port-forward, which have no dry-run and are entering-refused's; bindings, which
compute/node-isolation tries; evictions and other kinds than pods.`,
	Hypothesis: "What webhooks and policies refuse in one way they refuse in every way, in every namespace they see, from everybody.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1610",
	Detections: []string{"privileged-container", "host-path", "host-namespaces", "ephemeral-container", "impersonation", "impersonation-privileged"},
	Scope:      bailey.ScopeCluster,
	Needs:      trialNeeds,
	Derives:    []*bailey.Derivation{rbac.Bindings},
	Window:     7 * 24 * time.Hour,
	Plan:       func(v *bailey.View, _ bailey.Ref) []bailey.Probe { return tryWays(v, forbiddenPower) },
}

// forbiddenPower is what gives a pod power over its node.
var forbiddenPower = []forbidden{
	{name: "privileged", inContainer: func(c *corev1.Container) {
		yes := true
		c.SecurityContext.Privileged = &yes
	}, beside: func(c *corev1.Container) {
		c.SecurityContext.AllowPrivilegeEscalation = nil // validation refuses "privileged" beside "false"
	}},
	{name: "privilege escalation", inContainer: func(c *corev1.Container) {
		c.SecurityContext.AllowPrivilegeEscalation = nil
	}},
	{name: "capability SYS_ADMIN", inContainer: func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
	}},
	{name: "root", inContainer: func(c *corev1.Container) {
		root, no := int64(0), false
		c.SecurityContext.RunAsUser, c.SecurityContext.RunAsNonRoot = &root, &no
	}},
	{name: "hostNetwork", inPod: func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
	{name: "hostPID", inPod: func(p *corev1.Pod) { p.Spec.HostPID = true }},
	{name: "hostPath", inPod: func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "try", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
	}},
}
