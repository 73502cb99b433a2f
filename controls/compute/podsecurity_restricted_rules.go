package compute

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var runAsNonRootCheck = standardCheck{
	Check: policy.CheckRunAsNonRoot(),
	rule: bailey.Rule{
		Name:  "run-as-non-root",
		Title: "Container may run as root",
		Doc: `Without runAsNonRoot: true, the image decides whether the program runs as root, and the next version of the
image may decide otherwise. Root in a container is root of the node for every flaw of the kernel and of the
runtime. From 1.35 a pod in a user namespace (hostUsers: false) is left out, since its root is nobody on the node.

Where the pod sets nothing and containers lack the field, there is one finding for all of them. Where runAsUser
names a user other than 0 for each of them, nothing runs as root today: low.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{ref.CIS("5.6.3", "Pods and containers have security contexts"), standards, ref.CIS("5.2.7", "Few or no root containers are admitted"), ref.NSA("\"Non-root\" containers and \"rootless\" container engines")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		if s := w.Spec.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot {
			return true
		}
		return anyContainer(w.Spec, func(c *corev1.Container) bool { return saysRoot(c) })
	},
	locate: func(r refused) (found []violation) {
		const note = "The image must run as a numeric user other than 0, or runAsUser must name one."
		const kept = "Nothing changes for these containers: a pod that asks for root later is refused."
		pod := r.Spec.SecurityContext
		give := func(x violation, containers ...workload.Container) {
			if users, all := usersOf(r.Spec, containers); all {
				x.severity, x.note = bailey.SeverityLow, kept
				x.message += ", though runAsUser is " + users
			}
			found = append(found, x)
		}
		switch {
		case pod == nil || pod.RunAsNonRoot == nil:
			var open []workload.Container
			for c := range r.Containers() {
				if c.SecurityContext == nil || c.SecurityContext.RunAsNonRoot == nil {
					open = append(open, c)
				}
			}
			if len(open) > 0 {
				give(violation{
					fault: podFault(r.Workload, ".securityContext.runAsNonRoot", "runAsNonRoot is not set for "+labels(open)),
					patch: func() []bailey.PatchOp { return setPod(r.Workload, "runAsNonRoot", true) },
					note:  note,
				}, open...)
			}
		case !*pod.RunAsNonRoot:
			give(violation{
				fault: podFault(r.Workload, ".securityContext.runAsNonRoot", "runAsNonRoot is false for the pod"),
				patch: func() []bailey.PatchOp { return setPod(r.Workload, "runAsNonRoot", true) },
				note:  note,
			}, slices.Collect(r.Containers())...)
		}
		for c := range r.Containers() {
			if saysRoot(c.Container) {
				give(violation{
					fault: containerFault(c, ".securityContext.runAsNonRoot", "runAsNonRoot of "+label(c)+" is false"),
					patch: func() []bailey.PatchOp { return setContainer(c, "runAsNonRoot", true) },
					note:  note,
				}, c)
			}
		}
		return found
	},
}

// usersOf gives the users that runAsUser names for the containers, each once, and reports
// whether it names one other than 0 for all of them.
func usersOf(spec *corev1.PodSpec, containers []workload.Container) (users string, all bool) {
	var seen []string
	for _, c := range containers {
		var user *int64
		if spec.SecurityContext != nil {
			user = spec.SecurityContext.RunAsUser
		}
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			user = c.SecurityContext.RunAsUser
		}
		if user == nil || *user == 0 {
			return "", false
		}
		if text := strconv.FormatInt(*user, 10); !slices.Contains(seen, text) {
			seen = append(seen, text)
		}
	}
	return strings.Join(seen, ", "), len(containers) > 0
}

func saysRoot(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.RunAsNonRoot != nil && !*c.SecurityContext.RunAsNonRoot
}

var runAsUserCheck = standardCheck{
	Check: policy.CheckRunAsUser(),
	rule: bailey.Rule{
		Name:  "run-as-user",
		Title: "Container runs as root",
		Doc: `The pod or a container asks for user 0. From 1.35 a pod in a user namespace (hostUsers: false) is left
out, since its root is nobody on the node.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.7", "Few or no root containers are admitted"), ref.NSA("\"Non-root\" containers and \"rootless\" container engines")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  securityContext: {runAsUser: 0}
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool { return podUserZero(w.Spec) || anyContainer(w.Spec, userZero) },
	locate: func(r refused) (found []violation) {
		const note = "The image must run as a user other than 0, or runAsUser must name one."
		if podUserZero(r.Spec) {
			found = append(found, violation{
				fault: podFault(r.Workload, ".securityContext.runAsUser", "the pod runs as user 0 (root)"),
				patch: func() []bailey.PatchOp { return remove(r.Pointer + "/securityContext/runAsUser") },
				note:  note,
			})
		}
		for c := range r.Containers() {
			if userZero(c.Container) {
				found = append(found, violation{
					fault: containerFault(c, ".securityContext.runAsUser", label(c)+" runs as user 0 (root)"),
					patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/runAsUser")) },
					note:  note,
				})
			}
		}
		return found
	},
}

func podUserZero(s *corev1.PodSpec) bool {
	return s.SecurityContext != nil && s.SecurityContext.RunAsUser != nil && *s.SecurityContext.RunAsUser == 0
}

func userZero(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil && *c.SecurityContext.RunAsUser == 0
}

var allowPrivilegeEscalationCheck = standardCheck{
	Check: policy.CheckAllowPrivilegeEscalation(),
	rule: bailey.Rule{
		Name:  "allow-privilege-escalation",
		Title: "Container may gain privileges",
		Doc: `Without allowPrivilegeEscalation: false, a set-user-ID program in the image gives its caller the rights of
its owner, root mostly. Setting it true on purpose is medium, leaving it out low. Containers that are privileged or
add SYS_ADMIN are left to the rules about that: the API server refuses the field on them.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{ref.CIS("5.6.3", "Pods and containers have security contexts"), standards, ref.CIS("5.2.6", "Few or no containers may escalate privileges")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool { return anyContainer(w.Spec, mayEscalate) },
	locate: func(r refused) (found []violation) {
		for c := range r.Containers() {
			if !mayEscalate(c.Container) || isPrivileged(c.Container) || addsSysAdmin(c.Container) {
				continue
			}
			x := violation{
				fault: containerFault(c, ".securityContext.allowPrivilegeEscalation", "allowPrivilegeEscalation of "+label(c)+" is not set"),
				patch: func() []bailey.PatchOp { return setContainer(c, "allowPrivilegeEscalation", false) },
				note:  "Programs in the image with the set-user-ID bit or with file capabilities (sudo, ping) no longer get what these give.",
			}
			if c.SecurityContext != nil && c.SecurityContext.AllowPrivilegeEscalation != nil {
				x.severity, x.message = bailey.SeverityMedium, "allowPrivilegeEscalation of "+label(c)+" is true"
			}
			found = append(found, x)
		}
		return found
	},
}

func mayEscalate(c *corev1.Container) bool {
	return c.SecurityContext == nil || c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation
}

func addsSysAdmin(c *corev1.Container) bool {
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return false
	}
	for _, name := range c.SecurityContext.Capabilities.Add {
		if name == "SYS_ADMIN" || name == "CAP_SYS_ADMIN" {
			return true
		}
	}
	return false
}

var seccompRestrictedCheck = standardCheck{
	Check: policy.CheckSeccompProfileRestricted(),
	rule: bailey.Rule{
		Name:  "seccomp-profile-restricted",
		Title: "No seccomp profile is set",
		Doc: `Restricted wants every container to name a seccomp profile, its own or the pod's: RuntimeDefault or
Localhost. One that turns seccomp off is told by seccomp-profile-baseline. Whether a container without a profile
runs unconfined depends on its kubelet: the rule seccomp-unset of compute/syscalls looks at that.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{standards, ref.CIS("5.6.2", "Pods set the runtime's default seccomp profile"), ref.Kubernetes("reference/node/seccomp/", "Seccomp and Kubernetes")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		if s := w.Spec.SecurityContext; s == nil || s.SeccompProfile == nil || !filters(s.SeccompProfile) {
			return true
		}
		return anyContainer(w.Spec, func(c *corev1.Container) bool {
			return c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil && !filters(c.SecurityContext.SeccompProfile)
		})
	},
	locate: func(r refused) []violation {
		if open := withoutSeccomp(r.Workload); len(open) > 0 {
			return []violation{{
				fault: podFault(r.Workload, ".securityContext.seccompProfile", "no seccomp profile is set for "+labels(open)),
				patch: func() []bailey.PatchOp { return setRuntimeDefault(r.Workload) },
			}}
		}
		return nil
	},
}

// withoutSeccomp gives the containers for which nobody names a profile.
func withoutSeccomp(w workload.Workload) (open []workload.Container) {
	if s := w.Spec.SecurityContext; s != nil && s.SeccompProfile != nil {
		return nil
	}
	for c := range w.Containers() {
		if !isPrivileged(c.Container) && (c.SecurityContext == nil || c.SecurityContext.SeccompProfile == nil) {
			open = append(open, c)
		}
	}
	return open
}

// setRuntimeDefault gives the pod the runtime's seccomp profile.
func setRuntimeDefault(w workload.Workload) []bailey.PatchOp {
	return setPod(w, "seccompProfile", map[string]any{"type": string(corev1.SeccompProfileTypeRuntimeDefault)})
}

var restrictedVolumesCheck = standardCheck{
	Check: policy.CheckRestrictedVolumes(),
	rule: bailey.Rule{
		Name:  "restricted-volumes",
		Title: "Pod mounts a volume of a restricted type",
		Doc: `Restricted allows the volume types that Kubernetes itself isolates: configMap, csi, downwardAPI, emptyDir,
ephemeral, image, persistentVolumeClaim, projected and secret. Other types put the address of a storage server, or
its credentials, into the hands of whoever writes the pod; persistentVolumeClaim does the same safely. gitRepo
runs a program of the author's choice on the node, and is medium. hostPath is told by host-path-volumes. A volume
without any source is an emptyDir, as the API server fills in.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{standards},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
  volumes:
  - {name: data, nfs: {server: nfs.example, path: /export}}
`},
	},
	manual: true,
	suspect: func(w workload.Workload) bool {
		for i := range w.Spec.Volumes {
			if restrictedSource(&w.Spec.Volumes[i].VolumeSource) != "" {
				return true
			}
		}
		return false
	},
	locate: func(r refused) (found []violation) {
		for i := range r.Spec.Volumes {
			source := restrictedSource(&r.Spec.Volumes[i].VolumeSource)
			if source == "" || source == "hostPath" {
				continue
			}
			x := violation{fault: volumeFault(r.Workload, i, source, "volume "+strconv.Quote(r.Spec.Volumes[i].Name)+" is of type "+source)}
			if source == "gitRepo" {
				x.severity = bailey.SeverityMedium
			}
			found = append(found, x)
		}
		return found
	},
}

// restrictedSource gives the name of the volume's type, if restricted forbids it.
func restrictedSource(v *corev1.VolumeSource) string {
	switch {
	case v.ConfigMap != nil, v.CSI != nil, v.DownwardAPI != nil, v.EmptyDir != nil, v.Ephemeral != nil,
		v.Image != nil, v.PersistentVolumeClaim != nil, v.Projected != nil, v.Secret != nil:
		return ""
	case *v == corev1.VolumeSource{}:
		return ""
	case v.HostPath != nil:
		return "hostPath"
	case v.GitRepo != nil:
		return "gitRepo"
	case v.NFS != nil:
		return "nfs"
	case v.ISCSI != nil:
		return "iscsi"
	case v.FC != nil:
		return "fc"
	case v.RBD != nil:
		return "rbd"
	case v.CephFS != nil:
		return "cephfs"
	case v.Glusterfs != nil:
		return "glusterfs"
	case v.FlexVolume != nil:
		return "flexVolume"
	case v.Flocker != nil:
		return "flocker"
	case v.Cinder != nil:
		return "cinder"
	case v.AWSElasticBlockStore != nil:
		return "awsElasticBlockStore"
	case v.GCEPersistentDisk != nil:
		return "gcePersistentDisk"
	case v.AzureDisk != nil:
		return "azureDisk"
	case v.AzureFile != nil:
		return "azureFile"
	case v.VsphereVolume != nil:
		return "vsphereVolume"
	case v.PhotonPersistentDisk != nil:
		return "photonPersistentDisk"
	case v.PortworxVolume != nil:
		return "portworxVolume"
	case v.Quobyte != nil:
		return "quobyte"
	case v.ScaleIO != nil:
		return "scaleIO"
	case v.StorageOS != nil:
		return "storageos"
	}
	return "unknown"
}

var procMountRestrictedCheck = standardCheck{
	Check: policy.CheckProcMountRestricted(),
	rule: bailey.Rule{
		Name:  "proc-mount-restricted",
		Title: "Container in a user namespace sees an unmasked /proc",
		Doc: `Restricted forbids procMount: Unmasked even in a user namespace (hostUsers: false), where baseline allows it
from 1.35 on. Outside of one, the rule proc-mount tells it.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{standards, ref.Kubernetes("concepts/workloads/pods/user-namespaces/", "User Namespaces")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  hostUsers: false
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {procMount: Unmasked}}
`},
	},
	suspect: func(w workload.Workload) bool { return anyContainer(w.Spec, unmasked) },
	locate: func(r refused) []violation {
		if r.Spec.HostUsers == nil || *r.Spec.HostUsers {
			return nil
		}
		return unmaskedProc(r)
	},
}
