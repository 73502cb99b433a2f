package compute

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

// syscallsRules are the rules of compute/syscalls. They judge what confines a
// container once it runs, where the rules of compute/pod-security judge what
// the standard lets a pod say. One field can be wrong for both: the pod's
// seccomp profile is Unconfined, say. These rules name the containers that
// really run so, and leave out those that have a profile of their own. procMount
// and sysctls are left to compute/pod-security.
var syscallsRules = []*bailey.Rule{seccompUnconfined, seccompUnset, appArmorUnconfined, seLinuxUnconfined, privilegedUnconfined}

var (
	kernelConstraints = ref.Kubernetes("concepts/security/linux-kernel-security-constraints/", "Linux kernel security constraints for Pods and containers")
	seccompNode       = ref.Kubernetes("reference/node/seccomp/", "Seccomp and Kubernetes")
)

var seccompUnconfined = templateRule(bailey.Rule{
	Name:  "seccomp-unconfined",
	Title: "Container runs without a seccomp filter",
	Doc: `The container's own profile, or the pod's where it has none, is Unconfined: every system call of the kernel
is open to it. A pod-level Unconfined that every container overrides is not found here; seccomp-profile-baseline of
compute/pod-security finds it, since the standard forbids it all the same. Privileged containers are told by
privileged-unconfined. The old annotations have no effect since 1.27 and are not read.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{seccompNode, ref.CIS("5.6.2", "Pods set the runtime's default seccomp profile"), ref.ATTACK("T1611")},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {seccompProfile: {type: Unconfined}}}
`},
}, func(_ *bailey.View, w workload.Workload) (found []violation) {
	if isWindows(w.Spec) {
		return nil
	}
	if s := w.Spec.SecurityContext; s != nil && s.SeccompProfile != nil && s.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined {
		if open := inheriting(w, func(s *corev1.SecurityContext) bool { return s.SeccompProfile != nil }); len(open) > 0 {
			found = append(found, violation{
				fault: podFault(w, ".securityContext.seccompProfile.type", labels(open)+without(open)+"a seccomp filter: the pod's profile is Unconfined"),
				patch: func() []bailey.PatchOp { return setRuntimeDefault(w) },
			})
		}
	}
	for c := range w.Containers() {
		if s := c.SecurityContext; s == nil || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeUnconfined || isPrivileged(c.Container) {
			continue
		}
		found = append(found, violation{
			fault: containerFault(c, ".securityContext.seccompProfile.type", label(c)+" runs without a seccomp filter: its profile is Unconfined"),
			patch: func() []bailey.PatchOp {
				return setContainer(c, "seccompProfile", map[string]any{"type": string(corev1.SeccompProfileTypeRuntimeDefault)})
			},
		})
	}
	return found
})

// inheriting gives the containers that the pod's setting reaches: those that
// are not privileged and do not set their own.
func inheriting(w workload.Workload, sets func(*corev1.SecurityContext) bool) (open []workload.Container) {
	for c := range w.Containers() {
		if !isPrivileged(c.Container) && (c.SecurityContext == nil || !sets(c.SecurityContext)) {
			open = append(open, c)
		}
	}
	return open
}

// without is the verb for one or several containers.
func without(cs []workload.Container) string {
	if len(cs) == 1 {
		return " runs without "
	}
	return " run without "
}

// kubeletSeccomp says which kubelets give RuntimeDefault to containers that
// name no profile.
var kubeletSeccomp = &bailey.Derivation{
	Name:  "seccomp default of the kubelets",
	Needs: []bailey.Kind{bailey.KindKubelet},
	Compute: func(v *bailey.View) any {
		var d seccompDefaults
		for _, f := range v.List(bailey.KindKubelet, "") {
			c, ok := bailey.As[*bailey.Component](f)
			if !ok {
				continue
			}
			d.kubelets++
			if defaultsSeccomp(c) {
				continue
			}
			if d.without == 0 {
				d.first = c.Node
			}
			d.without++
		}
		return d
	},
}

// seccompDefaults counts the kubelets that were seen.
type seccompDefaults struct {
	kubelets int
	// without are those with no seccomp default; first is the node of one.
	without int
	first   string
}

func defaultsSeccomp(c *bailey.Component) bool {
	if on, ok := c.Config["seccompDefault"].(bool); ok {
		return on
	}
	return c.Flags["seccomp-default"] == "true"
}

var seccompUnset = templateRule(bailey.Rule{
	Name:  "seccomp-unset",
	Title: "No seccomp profile, and kubelets set none",
	Doc: `A container for which neither it nor its pod names a profile gets RuntimeDefault if the kubelet's
configuration says seccompDefault: true, and runs unconfined otherwise, which is the kubelet's default. The rule
reads the configuration of the kubelets: where all have the default, nothing is wrong; where one lacks it, or none was
seen, the container may run unconfined. Unlike seccomp-profile-restricted of compute/pod-security, which wants the
profile to be written down, it judges what happens.

Where the kubelets' configuration was not read, the rule cannot tell, and the verdict is unknown.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{seccompNode, ref.CIS("4.2.14", "Kubelets apply a seccomp profile by default"),
		ref.CIS("5.6.2", "Pods set the runtime's default seccomp profile")},
	Derives: []*bailey.Derivation{kubeletSeccomp},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
---
apiVersion: bailey.dev/v1
kind: Kubelet
metadata: {name: n1}
node: n1
config: {seccompDefault: false}
`},
}, func(v *bailey.View, w workload.Workload) []violation {
	if isWindows(w.Spec) || !unsetSeccomp(w.Spec) {
		return nil
	}
	d, _ := v.Derived(kubeletSeccomp).(seccompDefaults)
	if d.kubelets > 0 && d.without == 0 {
		return nil
	}
	why := "no kubelet with seccompDefault was seen"
	if d.without > 0 {
		why = "the kubelet of node " + d.first + " sets no default"
	}
	open := withoutSeccomp(w)
	return []violation{{
		fault: podFault(w, ".securityContext.seccompProfile", labels(open)+" may run without a seccomp filter: no profile is set, and "+why),
		patch: func() []bailey.PatchOp { return setRuntimeDefault(w) },
	}}
})

// unsetSeccomp reports whether withoutSeccomp would give a container.
func unsetSeccomp(s *corev1.PodSpec) bool {
	if s.SecurityContext != nil && s.SecurityContext.SeccompProfile != nil {
		return false
	}
	return anyContainer(s, func(c *corev1.Container) bool {
		return !isPrivileged(c) && (c.SecurityContext == nil || c.SecurityContext.SeccompProfile == nil)
	})
}

var appArmorUnconfined = templateRule(bailey.Rule{
	Name:  "apparmor-unconfined",
	Title: "Container runs without an AppArmor profile",
	Doc: `On nodes that have AppArmor, a container without a profile gets the runtime's. This one is told to have
none: by its own field, by the pod's where it has no field, or by the annotation of before 1.30. The fix takes the
setting away rather than asking for RuntimeDefault, which nodes without AppArmor refuse.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{kernelConstraints,
		ref.Kubernetes("tutorials/security/apparmor/", "Restrict a Container's Access to Resources with AppArmor"), ref.ATTACK("T1611")},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {appArmorProfile: {type: Unconfined}}
  containers:
  - {name: main, image: registry.example/app:1}
`},
}, func(_ *bailey.View, w workload.Workload) (found []violation) {
	if isWindows(w.Spec) {
		return nil
	}
	if s := w.Spec.SecurityContext; s != nil && s.AppArmorProfile != nil && s.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined {
		if open := inheriting(w, func(s *corev1.SecurityContext) bool { return s.AppArmorProfile != nil }); len(open) > 0 {
			found = append(found, violation{
				fault: podFault(w, ".securityContext.appArmorProfile.type", labels(open)+without(open)+"AppArmor: the pod's profile is Unconfined"),
				patch: func() []bailey.PatchOp { return remove(w.Pointer + "/securityContext/appArmorProfile") },
			})
		}
	}
	for c := range w.Containers() {
		key, own := "", c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil
		if len(w.Meta.Annotations) > 0 {
			key = appArmorAnnotation + c.Name
		}
		off := key != "" && w.Meta.Annotations[key] == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
		switch {
		case isPrivileged(c.Container):
		case own && c.SecurityContext.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined:
			found = append(found, violation{
				fault: containerFault(c, ".securityContext.appArmorProfile.type", label(c)+" runs without AppArmor: its profile is Unconfined"),
				patch: func() []bailey.PatchOp {
					ops := remove(c.Pointer("/securityContext/appArmorProfile"))
					if off { // the API server would make the field anew from it
						ops = append(ops, removeAnnotation(w, key)...)
					}
					return ops
				},
			})
		case !own && off:
			found = append(found, violation{
				fault: annotationFault(w, key, label(c)+" runs without AppArmor: its annotation says unconfined"),
				patch: func() []bailey.PatchOp { return removeAnnotation(w, key) },
			})
		}
	}
	return found
})

// unconfinedTypes are the SELinux types that confine nothing, or little.
var unconfinedTypes = []string{"spc_t", "unconfined_t", "unconfined_service_t", "container_runtime_t", "kernel_t", "init_t", "initrc_t"}

func confinesNothing(seLinuxType string) bool { return slices.Contains(unconfinedTypes, seLinuxType) }

var seLinuxUnconfined = templateRule(bailey.Rule{
	Name:  "selinux-unconfined",
	Title: "Container runs with an unconfined SELinux type",
	Doc: `On nodes that have SELinux, the type of the container's label decides what it may touch. The types found
here (spc_t, unconfined_t, container_runtime_t and the like) let it touch the node. Custom types, such as those that
udica makes, confine, and are not found; selinux-options of compute/pod-security finds every type that the standard
does not name.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{kernelConstraints, ref.CNCF(315, "Mandatory access control is in use"), ref.ATTACK("T1611")},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {seLinuxOptions: {type: spc_t}}}
`},
}, func(_ *bailey.View, w workload.Workload) (found []violation) {
	if isWindows(w.Spec) {
		return nil
	}
	if s := w.Spec.SecurityContext; s != nil && s.SELinuxOptions != nil && confinesNothing(s.SELinuxOptions.Type) {
		if open := inheriting(w, func(s *corev1.SecurityContext) bool { return s.SELinuxOptions != nil }); len(open) > 0 {
			found = append(found, violation{
				fault: podFault(w, ".securityContext.seLinuxOptions.type", labels(open)+without(open)+"SELinux confinement: the pod's type is "+s.SELinuxOptions.Type),
				patch: func() []bailey.PatchOp { return remove(w.Pointer + "/securityContext/seLinuxOptions/type") },
			})
		}
	}
	for c := range w.Containers() {
		if s := c.SecurityContext; s == nil || s.SELinuxOptions == nil || !confinesNothing(s.SELinuxOptions.Type) || isPrivileged(c.Container) {
			continue
		}
		found = append(found, violation{
			fault: containerFault(c, ".securityContext.seLinuxOptions.type", label(c)+" runs without SELinux confinement: its type is "+c.SecurityContext.SELinuxOptions.Type),
			patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/seLinuxOptions/type")) },
		})
	}
	return found
})

var privilegedUnconfined = templateRule(bailey.Rule{
	Name:  "privileged-unconfined",
	Title: "Privileged container is not confined",
	Doc: `A privileged container always runs without a seccomp filter, and outside of AppArmor's and SELinux's default
confinement. A seccomp profile that it names has no effect: the message says so, since whoever wrote it believed
otherwise. One that names an AppArmor profile of the node is left out.
That the container is privileged is told, with its severity, by compute/pod-security; this finding is low, so that
one fault does not count twice.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{kernelConstraints, ref.ATTACK("T1611")},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {privileged: true, seccompProfile: {type: RuntimeDefault}}}
`},
}, func(_ *bailey.View, w workload.Workload) (found []violation) {
	if isWindows(w.Spec) {
		return nil
	}
	for c := range w.Containers() {
		if !isPrivileged(c.Container) || ownAppArmorProfile(c.Container) {
			continue
		}
		message := label(c) + " is not confined, since it is privileged"
		if ignoresSeccomp(w, c) {
			message += "; its seccomp profile has no effect"
		}
		found = append(found, violation{
			fault: containerFault(c, ".securityContext.privileged", message),
			patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/privileged")) },
			note:  "Give the container the single capabilities and devices that it needs instead.",
		})
	}
	return found
})

// ownAppArmorProfile reports whether the container names an AppArmor profile of
// the node, which runtimes apply to privileged containers too.
func ownAppArmorProfile(c *corev1.Container) bool {
	p := c.SecurityContext.AppArmorProfile
	return p != nil && p.Type == corev1.AppArmorProfileTypeLocalhost
}

// ignoresSeccomp reports whether a seccomp profile is asked for that the
// container, being privileged, does not get.
func ignoresSeccomp(w workload.Workload, c workload.Container) bool {
	if own := c.SecurityContext.SeccompProfile; own != nil {
		return filters(own)
	}
	return w.Spec.SecurityContext != nil && w.Spec.SecurityContext.SeccompProfile != nil && filters(w.Spec.SecurityContext.SeccompProfile)
}
