package compute

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

// The baseline checks about what confines a container: seccomp, AppArmor,
// SELinux, /proc, sysctls, and the kubelet's probes.

const (
	seccompPodAnnotation       = corev1.SeccompPodAnnotationKey
	seccompContainerAnnotation = corev1.SeccompContainerAnnotationKeyPrefix
	appArmorAnnotation         = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix
)

var seccompBaselineCheck = standardCheck{
	Check: policy.CheckSeccompBaseline(),
	rule: bailey.Rule{
		Name:  "seccomp-profile-baseline",
		Title: "Seccomp is turned off",
		Doc: `The pod or a container says that no seccomp profile applies (Unconfined), so that every system call of the
kernel is open to it. The old annotations count at versions before 1.19 only; later API servers ignore them.

The rule seccomp-unconfined of compute/syscalls tells which containers really run without a filter.`,
		Severity: bailey.SeverityHigh,
		Refs:     []bailey.Reference{standards, ref.Kubernetes("reference/node/seccomp/", "Seccomp and Kubernetes"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {seccompProfile: {type: Unconfined}}
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		if s := w.Spec.SecurityContext; s != nil && s.SeccompProfile != nil && !filters(s.SeccompProfile) {
			return true
		}
		return anyContainer(w.Spec, func(c *corev1.Container) bool {
			return c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil && !filters(c.SecurityContext.SeccompProfile)
		}) || hasAnnotation(w.Meta, seccompPodAnnotation) || hasAnnotation(w.Meta, seccompContainerAnnotation)
	},
	locate: func(r refused) []violation {
		if !r.check(&metav1.ObjectMeta{}, r.Spec).Allowed {
			return seccompFields(r.Workload)
		}
		return badAnnotations(r, func(key string) bool {
			return key == seccompPodAnnotation || strings.HasPrefix(key, seccompContainerAnnotation)
		}, "turns seccomp off")
	},
}

// seccompFields gives the fields that turn seccomp off.
func seccompFields(w workload.Workload) (found []violation) {
	on := map[string]any{"type": string(corev1.SeccompProfileTypeRuntimeDefault)}
	if s := w.Spec.SecurityContext; s != nil && s.SeccompProfile != nil && !filters(s.SeccompProfile) {
		found = append(found, violation{
			fault: podFault(w, ".securityContext.seccompProfile.type", "seccomp profile of the pod is "+string(s.SeccompProfile.Type)),
			patch: func() []bailey.PatchOp { return setPod(w, "seccompProfile", on) },
		})
	}
	for c := range w.Containers() {
		s := c.SecurityContext
		if s == nil || s.SeccompProfile == nil || filters(s.SeccompProfile) || isPrivileged(c.Container) {
			continue
		}
		found = append(found, violation{
			fault: containerFault(c, ".securityContext.seccompProfile.type", "seccomp profile of "+label(c)+" is "+string(s.SeccompProfile.Type)),
			patch: func() []bailey.PatchOp { return setContainer(c, "seccompProfile", on) },
		})
	}
	return found
}

// filters reports whether the profile filters system calls.
func filters(p *corev1.SeccompProfile) bool {
	return p.Type == corev1.SeccompProfileTypeRuntimeDefault || p.Type == corev1.SeccompProfileTypeLocalhost
}

func hasAnnotation(m *metav1.ObjectMeta, prefix string) bool {
	for key := range m.Annotations {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// badAnnotations gives the annotations of the kind for which, each by itself,
// the check refuses the pod.
func badAnnotations(r refused, is func(key string) bool, what string) (found []violation) {
	// Annotations name containers: these keep their names and nothing else.
	var bare corev1.PodSpec
	for c := range r.Containers() {
		bare.Containers = append(bare.Containers, corev1.Container{Name: c.Name})
	}
	for _, key := range slices.Sorted(maps.Keys(r.Meta.Annotations)) {
		value := r.Meta.Annotations[key]
		if !is(key) || r.check(&metav1.ObjectMeta{Annotations: map[string]string{key: value}}, &bare).Allowed {
			continue
		}
		found = append(found, violation{
			fault: annotationFault(r.Workload, key, "annotation "+key+"="+strconv.Quote(value)+" "+what),
			patch: func() []bailey.PatchOp { return removeAnnotation(r.Workload, key) },
		})
	}
	return found
}

var appArmorCheck = standardCheck{
	Check: policy.CheckAppArmorProfile(),
	rule: bailey.Rule{
		Name:  "apparmor-profile",
		Title: "AppArmor is turned off",
		Doc: `On nodes that have AppArmor, the runtime's default profile applies by itself. The pod, a container or an
annotation of before 1.30 turns it off (Unconfined).`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.Kubernetes("tutorials/security/apparmor/", "Restrict a Container's Access to Resources with AppArmor"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {appArmorProfile: {type: Unconfined}}}
`},
	},
	suspect: func(w workload.Workload) bool {
		return w.Spec.SecurityContext != nil && w.Spec.SecurityContext.AppArmorProfile != nil ||
			anyContainer(w.Spec, func(c *corev1.Container) bool {
				return c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil
			}) || hasAnnotation(w.Meta, appArmorAnnotation)
	},
	locate: func(r refused) (found []violation) {
		if s := r.Spec.SecurityContext; s != nil && s.AppArmorProfile != nil && !mandatory(s.AppArmorProfile) {
			found = append(found, violation{
				fault: podFault(r.Workload, ".securityContext.appArmorProfile.type", "AppArmor profile of the pod is "+string(s.AppArmorProfile.Type)),
				patch: func() []bailey.PatchOp { return remove(r.Pointer + "/securityContext/appArmorProfile") },
			})
		}
		for c := range r.Containers() {
			s := c.SecurityContext
			if s == nil || s.AppArmorProfile == nil || mandatory(s.AppArmorProfile) || isPrivileged(c.Container) {
				continue
			}
			key := appArmorAnnotation + c.Name
			_, annotated := r.Meta.Annotations[key]
			found = append(found, violation{
				fault: containerFault(c, ".securityContext.appArmorProfile.type", "AppArmor profile of "+label(c)+" is "+string(s.AppArmorProfile.Type)),
				patch: func() []bailey.PatchOp {
					ops := remove(c.Pointer("/securityContext/appArmorProfile"))
					if annotated { // the API server would make the field anew from it
						ops = append(ops, removeAnnotation(r.Workload, key)...)
					}
					return ops
				},
			})
		}
		return append(found, badAnnotations(r, func(key string) bool { return r.ownAppArmor(key) }, "turns AppArmor off")...)
	},
}

// mandatory reports whether the profile confines.
func mandatory(p *corev1.AppArmorProfile) bool {
	return p.Type == corev1.AppArmorProfileTypeRuntimeDefault || p.Type == corev1.AppArmorProfileTypeLocalhost
}

// ownAppArmor reports whether the annotation is one for AppArmor that says more
// than its container's field does.
func (r refused) ownAppArmor(key string) bool {
	name, is := strings.CutPrefix(key, appArmorAnnotation)
	for c := range r.Containers() {
		if c.Name == name && (isPrivileged(c.Container) ||
			c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil && !mandatory(c.SecurityContext.AppArmorProfile)) {
			return false
		}
	}
	return is
}

var seLinuxCheck = standardCheck{
	Check: policy.CheckSELinuxOptions(),
	rule: bailey.Rule{
		Name:  "selinux-options",
		Title: "SELinux label is overridden",
		Doc: `On nodes that have SELinux, the runtime labels each container so that it reaches its own files only. A
custom user or role, or a type other than those made for containers, undoes that. Types that confine nothing
(spc_t, unconfined_t) are found by compute/syscalls too, which rates them by what they allow.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.CNCF(315, "Mandatory access control is in use"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {seLinuxOptions: {type: spc_t}}
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		return w.Spec.SecurityContext != nil && w.Spec.SecurityContext.SELinuxOptions != nil ||
			anyContainer(w.Spec, func(c *corev1.Container) bool {
				return c.SecurityContext != nil && c.SecurityContext.SELinuxOptions != nil
			})
	},
	locate: func(r refused) (found []violation) {
		if s := r.Spec.SecurityContext; s != nil && s.SELinuxOptions != nil {
			fields := r.badLabels(s.SELinuxOptions)
			if len(fields) > 0 {
				found = append(found, violation{
					fault: podFault(r.Workload, ".securityContext.seLinuxOptions."+fields[0].name, "SELinux options of the pod set "+said(fields)),
					patch: func() []bailey.PatchOp {
						return removeFields(r.Pointer+"/securityContext/seLinuxOptions/", fields)
					},
				})
			}
		}
		for c := range r.Containers() {
			if c.SecurityContext == nil || c.SecurityContext.SELinuxOptions == nil || isPrivileged(c.Container) {
				continue
			}
			fields := r.badLabels(c.SecurityContext.SELinuxOptions)
			if len(fields) > 0 {
				found = append(found, violation{
					fault: containerFault(c, ".securityContext.seLinuxOptions."+fields[0].name, "SELinux options of "+label(c)+" set "+said(fields)),
					patch: func() []bailey.PatchOp {
						return removeFields(c.Pointer("/securityContext/seLinuxOptions/"), fields)
					},
				})
			}
		}
		return found
	},
}

type setting struct{ name, value string }

// badLabels gives the parts of the options that the check refuses.
func (r refused) badLabels(o *corev1.SELinuxOptions) (bad []setting) {
	for _, part := range []struct {
		setting
		only corev1.SELinuxOptions
	}{
		{setting{"type", o.Type}, corev1.SELinuxOptions{Type: o.Type}},
		{setting{"user", o.User}, corev1.SELinuxOptions{User: o.User}},
		{setting{"role", o.Role}, corev1.SELinuxOptions{Role: o.Role}},
	} {
		if r.alone(&corev1.PodSecurityContext{SELinuxOptions: &part.only}) {
			bad = append(bad, part.setting)
		}
	}
	return bad
}

func said(fields []setting) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.name + " " + f.value
	}
	return strings.Join(parts, ", ")
}

func removeFields(base string, fields []setting) (ops []bailey.PatchOp) {
	for _, f := range fields {
		ops = append(ops, remove(base+f.name)...)
	}
	return ops
}

var procMountCheck = standardCheck{
	Check: policy.CheckProcMountBaseline(),
	rule: bailey.Rule{
		Name:  "proc-mount",
		Title: "Container sees an unmasked /proc",
		Doc: `Runtimes hide the parts of /proc through which a container could change the node. procMount: Unmasked
shows them. From 1.35 the standard allows it in a user namespace (hostUsers: false), where it does no harm; API
servers from 1.33 on take it nowhere else, so that this rule speaks mostly of files.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {procMount: Unmasked}}
`},
	},
	suspect: func(w workload.Workload) bool { return anyContainer(w.Spec, unmasked) },
	locate:  unmaskedProc,
}

func unmasked(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.ProcMount != nil && *c.SecurityContext.ProcMount != corev1.DefaultProcMount
}

func unmaskedProc(r refused) (found []violation) {
	for c := range r.Containers() {
		if unmasked(c.Container) && !isPrivileged(c.Container) {
			found = append(found, violation{
				fault: containerFault(c, ".securityContext.procMount", "procMount of "+label(c)+" is "+string(*c.SecurityContext.ProcMount)),
				patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/procMount")) },
			})
		}
	}
	return found
}

var sysctlsCheck = standardCheck{
	Check: policy.CheckSysctls(),
	rule: bailey.Rule{
		Name:  "sysctls",
		Title: "Pod sets an unsafe sysctl",
		Doc: `A sysctl is safe if it affects only the pod that sets it. The others can weaken or starve the node and
its other pods, and kubelets refuse them unless told otherwise. Which ones count as safe grows with the version.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.Kubernetes("tasks/administer-cluster/sysctl-cluster/", "Using sysctls in a Kubernetes Cluster")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {sysctls: [{name: kernel.msgmax, value: "65536"}]}
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		return w.Spec.SecurityContext != nil && len(w.Spec.SecurityContext.Sysctls) > 0
	},
	locate: func(r refused) (found []violation) {
		for i, s := range r.Spec.SecurityContext.Sysctls {
			if !r.alone(&corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{s}}) {
				continue
			}
			at := strconv.Itoa(i)
			found = append(found, violation{
				fault: fault{
					field:   r.Path + ".securityContext.sysctls[" + at + "]",
					named:   r.Path + ".securityContext.sysctls[" + s.Name + "]",
					message: "sets the unsafe sysctl " + s.Name,
				},
				patch: func() []bailey.PatchOp { return remove(r.Pointer + "/securityContext/sysctls/" + at) },
			})
		}
		return found
	},
}

var hostProbesCheck = standardCheck{
	Check: policy.CheckHostProbesAndHostLifecycle(),
	rule: bailey.Rule{
		Name:  "host-probes-and-host-lifecycle",
		Title: "Probe or lifecycle handler names a host",
		Doc: `The kubelet itself makes the requests of probes and lifecycle handlers. With a host of its own choice in
them, a pod makes the kubelet send requests where the pod may not: to the node's loopback, to the cloud's metadata
service, to other networks. In the standard from 1.34.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.ATTACK("T1046")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - name: main
    image: registry.example/app:1
    livenessProbe: {httpGet: {host: 169.254.169.254, path: /, port: 80}}
`},
	},
	suspect: func(w workload.Workload) bool {
		return anyContainer(w.Spec, func(c *corev1.Container) bool { return len(handlerHosts(c)) > 0 })
	},
	locate: func(r refused) (found []violation) {
		for c := range r.Containers() {
			hosts := handlerHosts(c.Container)
			if len(hosts) == 0 {
				continue
			}
			found = append(found, violation{
				fault: containerFault(c, "."+hosts[0].name, label(c)+" has "+said(hosts)),
				patch: func() (ops []bailey.PatchOp) {
					for _, h := range hosts {
						ops = append(ops, remove(c.Pointer("/"+strings.ReplaceAll(h.name, ".", "/")))...)
					}
					return ops
				},
				note: "Without a host, the request goes to the pod.",
			})
		}
		return found
	},
}

// handlerHosts gives the host fields that are set in probes and handlers.
func handlerHosts(c *corev1.Container) (hosts []setting) {
	look := func(at string, h *corev1.HTTPGetAction, t *corev1.TCPSocketAction) {
		if h != nil && h.Host != "" {
			hosts = append(hosts, setting{at + ".httpGet.host", h.Host})
		}
		if t != nil && t.Host != "" {
			hosts = append(hosts, setting{at + ".tcpSocket.host", t.Host})
		}
	}
	probe := func(at string, p *corev1.Probe) {
		if p != nil {
			look(at, p.HTTPGet, p.TCPSocket)
		}
	}
	probe("livenessProbe", c.LivenessProbe)
	probe("readinessProbe", c.ReadinessProbe)
	probe("startupProbe", c.StartupProbe)
	if l := c.Lifecycle; l != nil {
		if l.PostStart != nil {
			look("lifecycle.postStart", l.PostStart.HTTPGet, l.PostStart.TCPSocket)
		}
		if l.PreStop != nil {
			look("lifecycle.preStop", l.PreStop.HTTPGet, l.PreStop.TCPSocket)
		}
	}
	return hosts
}
