package compute

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

// sandboxRules are the rules of compute/sandbox.
var sandboxRules = []*bailey.Rule{runtimeClassMissing, untrustedWithoutSandbox, rootInHostUserNamespace}

// trustLabel marks workloads, or all of a namespace, by how far their code is
// trusted. Its value untrusted is for code that nobody in the house has
// reviewed: builds of pull requests, plugins of customers.
const (
	trustLabel = "bailey.dev/trust"
	untrusted  = "untrusted"
)

var runtimeClassPage = ref.Kubernetes("concepts/containers/runtime-class/", "Runtime Class")

var runtimeClassMissing = templateRule(bailey.Rule{
	Name:  "runtime-class-missing",
	Title: "RuntimeClass does not exist",
	Doc: `The pod asks for a RuntimeClass that the cluster does not have. The API server refuses such pods when they
are created, so that the workload does not run, or runs pods from before the class was deleted. Who then removes the
name to make it run loses the sandbox.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{runtimeClassPage},
	Needs:    []bailey.Kind{bailey.KindRuntimeClass},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  runtimeClassName: gvisor
  containers:
  - {name: main, image: registry.example/app:1}
`},
}, func(v *bailey.View, w workload.Workload) []violation {
	name := w.Spec.RuntimeClassName
	if name == nil || *name == "" || v.Get(bailey.KindRuntimeClass, "", *name) != nil {
		return nil
	}
	return []violation{{fault: podFault(w, ".runtimeClassName", "there is no RuntimeClass "+strconv.Quote(*name))}}
})

var untrustedWithoutSandbox = templateRule(bailey.Rule{
	Name:  "untrusted-without-sandbox",
	Title: "Untrusted workload shares the kernel of its node",
	Doc: `Trust cannot be guessed from a manifest: a workload is untrusted if it, its pods or its namespace bear the label
bailey.dev/trust: untrusted. Such a workload needs a RuntimeClass with a kernel of its own (Kata Containers) or a
kernel in user space (gVisor). A class whose handler is a plain runtime (runc, crun, youki, nvidia) gives it none. A
workload of an untrusted namespace cannot trust itself: a label with another value changes nothing.

Handlers are names that the node's runtime configuration gives a meaning, so that an unknown one is believed.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{runtimeClassPage, ref.Kubernetes("concepts/security/multi-tenancy/", "Multi-tenancy"),
		ref.CNCF(217, "Workloads with different sensitive data share no kernel"), ref.ATTACK("T1611")},
	Needs: []bailey.Kind{bailey.KindNamespace, bailey.KindRuntimeClass},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default, labels: {bailey.dev/trust: untrusted}}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`, `apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: ci, labels: {bailey.dev/trust: untrusted}}
spec:
  runtimeClassName: plain
  containers:
  - {name: main, image: registry.example/app:1}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: plain}
handler: runc
`},
}, func(v *bailey.View, w workload.Workload) []violation {
	who := markedUntrusted(v, w)
	if who == "" {
		return nil
	}
	if w.Spec.RuntimeClassName == nil || *w.Spec.RuntimeClassName == "" {
		return []violation{{fault: podFault(w, ".runtimeClassName", who+" is marked untrusted, and no RuntimeClass is set")}}
	}
	class, ok := bailey.As[*nodev1.RuntimeClass](v.Get(bailey.KindRuntimeClass, "", *w.Spec.RuntimeClassName))
	if !ok || !slices.Contains(plainRuntimes, class.Handler) {
		return nil
	}
	return []violation{{fault: podFault(w, ".runtimeClassName",
		who+" is marked untrusted, and the handler "+class.Handler+" of RuntimeClass "+strconv.Quote(class.Name)+" shares the kernel of the node")}}
})

// markedUntrusted says what marks the workload as untrusted; empty if nothing does.
func markedUntrusted(v *bailey.View, w workload.Workload) string {
	if w.Meta.Labels[trustLabel] == untrusted || w.Fact.Labels[trustLabel] == untrusted {
		return "the workload"
	}
	if ns := v.Get(bailey.KindNamespace, "", w.Fact.Namespace); ns != nil && ns.Labels[trustLabel] == untrusted {
		return "the namespace"
	}
	return ""
}

// plainRuntimes are the handlers known to run containers on the kernel of the node.
var plainRuntimes = []string{"runc", "crun", "youki", "nvidia", "nvidia-cdi", "nvidia-legacy"}

var rootInHostUserNamespace = templateRule(bailey.Rule{
	Name:  "root-in-host-user-namespace",
	Title: "Root of the container is root of the node",
	Doc: `The pod runs as user 0, or adds capabilities, and is in no user namespace: whoever breaks out of it is root
on the node. With hostUsers: false, user and capabilities count inside the container only. On by default from 1.33, the
version from which the rule speaks, generally available in 1.36.

Only what is written down counts: an image that runs as root by itself is told by run-as-non-root of
compute/pod-security. Left out are pods that cannot be in a user namespace (privileged ones, those that share a
namespace of the node or mount a raw device), pods with a RuntimeClass, and Windows.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/workloads/pods/user-namespaces/", "User Namespaces"), ref.NIST("SC-39"), ref.ATTACK("T1611")},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {runAsUser: 0}
  containers:
  - {name: main, image: registry.example/app:1}
`},
}, func(v *bailey.View, w workload.Workload) []violation {
	s := w.Spec
	if s.HostUsers != nil && !*s.HostUsers || s.RuntimeClassName != nil && *s.RuntimeClassName != "" ||
		s.HostNetwork || s.HostPID || s.HostIPC || isWindows(s) || !v.Version().IsZero() && !v.Version().AtLeast(1, 33) {
		return nil
	}
	var strong []workload.Container
	for c := range w.Containers() {
		if isPrivileged(c.Container) || len(c.VolumeDevices) > 0 {
			return nil
		}
		if runsAsRoot(s, c.Container) || addsPower(c.Container) {
			strong = append(strong, c)
		}
	}
	if len(strong) == 0 {
		return nil
	}
	verb := " has"
	if len(strong) > 1 {
		verb = " have"
	}
	return []violation{{
		fault: podFault(w, ".hostUsers", labels(strong)+verb+" rights of root that count on the node: hostUsers is not false"),
		patch: func() []bailey.PatchOp { return []bailey.PatchOp{add(w.Pointer+"/hostUsers", false)} },
		note:  "The node's kernel and runtime, and the file systems of the pod's volumes, must support user namespaces.",
	}}
})

// runsAsRoot reports whether the user that the container is told to run as is 0.
func runsAsRoot(pod *corev1.PodSpec, c *corev1.Container) bool {
	if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
		return *c.SecurityContext.RunAsUser == 0
	}
	return podUserZero(pod)
}

// addsPower reports whether the container adds a capability that runtimes do
// not commonly grant. NET_RAW, which baseline forbids, they do grant.
func addsPower(c *corev1.Container) bool {
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return false
	}
	for _, name := range c.SecurityContext.Capabilities.Add {
		if beyondDefault(name) && name != "NET_RAW" {
			return true
		}
	}
	return false
}
