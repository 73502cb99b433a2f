package compute

import (
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/posture"
	"github.com/baileyhq/bailey/derive/workload"
)

var standards = ref.Kubernetes("concepts/security/pod-security-standards/", "Pod Security Standards")

var privilegedCheck = standardCheck{
	Check: policy.CheckPrivileged(),
	rule: bailey.Rule{
		Name:  "privileged",
		Title: "Container is privileged",
		Doc: `A privileged container has every capability, every device of the node and no seccomp filter, AppArmor
profile or SELinux confinement. Whoever runs code in it has the node. With hostPID too, one command suffices, and
the finding is critical.

Other rules about confinement keep silent on a privileged container, since nothing they ask for would take effect.`,
		Severity: bailey.SeverityHigh,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.2", "Few or no privileged containers are admitted"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {privileged: true}}
`},
	},
	suspect: func(w workload.Workload) bool { return anyContainer(w.Spec, isPrivileged) },
	locate: func(r refused) (found []violation) {
		for c := range r.Containers() {
			if !isPrivileged(c.Container) {
				continue
			}
			x := violation{
				fault: containerFault(c, ".securityContext.privileged", label(c)+" is privileged"),
				patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/privileged")) },
				note:  "Give the container the single capabilities and devices that it needs instead.",
			}
			if r.Spec.HostPID {
				x.severity = bailey.SeverityCritical
				x.message += ", and sees every process of the node (hostPID)"
			}
			found = append(found, x)
		}
		return found
	},
}

var hostNamespacesCheck = standardCheck{
	Check: policy.CheckHostNamespaces(),
	rule: bailey.Rule{
		Name:  "host-namespaces",
		Title: "Pod shares a namespace of its node",
		Doc: `With hostPID the pod sees and signals every process of the node, and reads their environment. With
hostNetwork it listens on the node's addresses, reaches services that listen on the node's loopback, and no
NetworkPolicy applies to it. With hostIPC it reads the shared memory of the node's processes.`,
		Severity: bailey.SeverityHigh,
		Refs: []bailey.Reference{standards,
			ref.CIS("5.2.3", "Few or no containers share the node's process namespace"),
			ref.CIS("5.2.4", "Few or no containers share the node's IPC namespace"),
			ref.CIS("5.2.5", "Few or no containers share the node's network"),
			ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  hostPID: true
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool { return w.Spec.HostNetwork || w.Spec.HostPID || w.Spec.HostIPC },
	locate: func(r refused) (found []violation) {
		shares := func(field, message, note string, s bailey.Severity) {
			x := violation{
				fault: podFault(r.Workload, "."+field, message),
				patch: func() []bailey.PatchOp { return remove(r.Pointer + "/" + field) },
				note:  note,
			}
			x.severity = s
			found = append(found, x)
		}
		if r.Spec.HostPID {
			shares("hostPID", "shares the process namespace of the node", "A program that inspects the node's processes stops working.", bailey.SeverityHigh)
		}
		if r.Spec.HostNetwork {
			shares("hostNetwork", "shares the network of the node", "The pod gets an address of its own: give clients a Service, and allow its traffic in NetworkPolicies.", bailey.SeverityHigh)
		}
		if r.Spec.HostIPC {
			shares("hostIPC", "shares the inter-process communication of the node", "A program that shares memory with the node stops working.", bailey.SeverityMedium)
		}
		return found
	},
}

var hostPathVolumesCheck = standardCheck{
	Check: policy.CheckHostPathVolumes(),
	rule: bailey.Rule{
		Name:  "host-path-volumes",
		Title: "Pod mounts a directory of its node",
		Doc: `A hostPath volume shows the pod a part of the node's file system. How bad that is depends on the path
and on who may write: the socket of the container runtime, or write access to a directory that the node runs
programs or reads credentials from, is the node itself (critical); other write access is high; read access is
high where credentials lie, medium elsewhere. The socket of syslog, the time zone and devices that give nothing
(/dev/null) are a step lower. Each finding names the volume.

There is no mechanical fix: what the pod reads or writes there must come from a volume of another kind.`,
		Severity: bailey.SeverityHigh,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.11", "Few or no hostPath volumes are admitted"), ref.CNCF(340, "Containers cannot mount volumes of the node"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, volumeMounts: [{name: data, mountPath: /data}]}
  volumes:
  - {name: data, hostPath: {path: /srv/data}}
`},
	},
	manual: true,
	suspect: func(w workload.Workload) bool {
		for i := range w.Spec.Volumes {
			if w.Spec.Volumes[i].HostPath != nil {
				return true
			}
		}
		return false
	},
	locate: func(r refused) (found []violation) {
		for i := range r.Spec.Volumes {
			volume := &r.Spec.Volumes[i]
			if volume.HostPath == nil {
				continue
			}
			severity, how := hostPathSeverity(r.Workload, volume)
			f := volumeFault(r.Workload, i, "hostPath", "volume "+strconv.Quote(volume.Name)+" is "+volume.HostPath.Path+" of the node, "+how)
			f.severity = severity
			found = append(found, violation{fault: f})
		}
		return found
	},
}

func volumeFault(w workload.Workload, i int, source, message string) fault {
	return fault{
		field:   w.Path + ".volumes[" + strconv.Itoa(i) + "]." + source,
		named:   w.Path + ".volumes[" + w.Spec.Volumes[i].Name + "]." + source,
		message: message,
	}
}

// nodeSecrets are the directories whose readers get the node's credentials: first those of
// Kubernetes (also of k3s, RKE2 and k0s), in which any file may be one.
var nodeSecrets = []string{"/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/rancher", "/etc/rancher", "/var/lib/k0s",
	"/root/.ssh", "/etc/ssh", "/etc/shadow"}

// nodePrograms are the directories whose writers get their code run by the node.
var nodePrograms = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt/cni/bin", "/proc", "/root", "/sbin", "/usr", "/var/spool/cron"}

// runtimeSockets are the control sockets of container runtimes, where distributions have them.
var runtimeSockets = []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock", "/run/podman/podman.sock",
	"/run/k3s/containerd/containerd.sock", "/run/k0s/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock"}

// hostPathSeverity rates what the volume gives to who takes over a container
// that mounts it, and says how it is mounted.
func hostPathSeverity(w workload.Workload, volume *corev1.Volume) (bailey.Severity, string) {
	mounted, writable := false, false
	for c := range w.Containers() {
		for i := range c.VolumeMounts {
			if m := &c.VolumeMounts[i]; m.Name == volume.Name {
				mounted, writable = true, writable || !m.ReadOnly
			}
		}
	}
	at := path.Clean(volume.HostPath.Path)
	if rest, under := strings.CutPrefix(at, "/var/run"); under && (rest == "" || rest[0] == '/') {
		at = "/run" + rest // a link on every common distribution
	}
	switch {
	case !mounted:
		return bailey.SeverityLow, "which no container mounts"
	case posture.IsPlainPath(at) && writable:
		return bailey.SeverityMedium, "writable"
	case posture.IsPlainPath(at):
		return bailey.SeverityLow, "read-only"
	case at != "/" && reaches(at, runtimeSockets):
		return bailey.SeverityCritical, "with the socket of the container runtime"
	case writable && (reaches(at, nodeSecrets) || reaches(at, nodePrograms) || within(at, nodePrograms)):
		return bailey.SeverityCritical, "writable"
	case writable:
		return bailey.SeverityHigh, "writable"
	case reaches(at, nodeSecrets) || within(at, nodeSecrets[:6]):
		return bailey.SeverityHigh, "read-only, with credentials of the node"
	}
	return bailey.SeverityMedium, "read-only"
}

// reaches reports whether the directory is, or holds, one of the paths.
func reaches(dir string, paths []string) bool {
	for _, p := range paths {
		if dir == "/" || p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// within reports whether the path is in one of the directories.
func within(p string, dirs []string) bool {
	for _, dir := range dirs {
		if strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

var capabilitiesBaselineCheck = standardCheck{
	Check: policy.CheckCapabilitiesBaseline(),
	rule: bailey.Rule{
		Name:  "capabilities-baseline",
		Title: "Container adds dangerous capabilities",
		Doc: `Baseline lets a container add only capabilities that runtimes commonly grant by default, NET_RAW left out.
Each of the others opens a part of the kernel. With SYS_ADMIN, SYS_MODULE, SYS_PTRACE, SYS_RAWIO, DAC_READ_SEARCH,
BPF, PERFMON or ALL, known ways lead to the node: these are high, the rest medium.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.9", "Few or no containers have capabilities"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, securityContext: {capabilities: {add: [SYS_ADMIN]}}}
`},
	},
	suspect: addsCapability,
	locate: func(r refused) (found []violation) {
		for c := range r.Containers() {
			if isPrivileged(c.Container) || c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
				continue
			}
			kept, taken := splitCapabilities(c.SecurityContext.Capabilities.Add, func(name corev1.Capability) bool { return !beyondDefault(name) })
			if len(taken) == 0 {
				continue
			}
			x := violation{
				fault: containerFault(c, ".securityContext.capabilities.add", label(c)+" adds "+strings.Join(taken, ", ")),
				patch: func() []bailey.PatchOp { return keepCapabilities(c, kept) },
				note:  "What the program does with the capability stops working.",
			}
			for _, name := range taken {
				if escapes(name) {
					x.severity = bailey.SeverityHigh
				}
			}
			found = append(found, x)
		}
		return found
	},
}

func addsCapability(w workload.Workload) bool {
	return anyContainer(w.Spec, func(c *corev1.Container) bool {
		return c.SecurityContext != nil && c.SecurityContext.Capabilities != nil && len(c.SecurityContext.Capabilities.Add) > 0
	})
}

// beyondDefault reports whether baseline forbids to add the capability. The
// list has not changed since v1.0; a test holds it to the upstream check.
func beyondDefault(name corev1.Capability) bool {
	switch name {
	case "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT":
		return false
	}
	return true
}

// escapes reports whether a known way leads from the capability to the node.
func escapes(name string) bool {
	switch strings.TrimPrefix(strings.ToUpper(name), "CAP_") {
	case "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "PERFMON":
		return true
	}
	return false
}

func splitCapabilities(all []corev1.Capability, keep func(corev1.Capability) bool) (kept []any, taken []string) {
	for _, name := range all {
		if keep(name) {
			kept = append(kept, string(name))
		} else {
			taken = append(taken, string(name))
		}
	}
	return kept, taken
}

// keepCapabilities makes kept all that the container adds.
func keepCapabilities(c workload.Container, kept []any) []bailey.PatchOp {
	pointer := c.Pointer("/securityContext/capabilities/add")
	if len(kept) == 0 {
		return remove(pointer)
	}
	return []bailey.PatchOp{{Op: "replace", Path: pointer, Value: kept}}
}

var windowsHostProcessCheck = standardCheck{
	Check: policy.CheckWindowsHostProcess(),
	rule: bailey.Rule{
		Name:  "windows-host-process",
		Title: "Windows container runs as a process of its node",
		Doc: `A HostProcess container is not contained at all: it is a process of the Windows node, with the rights of
the account that it names, up to SYSTEM.`,
		Severity: bailey.SeverityHigh,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.10", "Few or no Windows HostProcess containers are admitted"), ref.ATTACK("T1611")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  os: {name: windows}
  hostNetwork: true
  securityContext: {windowsOptions: {hostProcess: true, runAsUserName: 'NT AUTHORITY\SYSTEM'}}
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		return podHostProcess(w.Spec.SecurityContext) || anyContainer(w.Spec, hostProcess)
	},
	locate: func(r refused) (found []violation) {
		const field, note = "windowsOptions/hostProcess", "The container loses its access to the node."
		if podHostProcess(r.Spec.SecurityContext) {
			found = append(found, violation{
				fault: podFault(r.Workload, ".securityContext.windowsOptions.hostProcess", "every container runs as a process of the node"),
				patch: func() []bailey.PatchOp { return remove(r.Pointer + "/securityContext/" + field) },
				note:  note,
			})
		}
		for c := range r.Containers() {
			if hostProcess(c.Container) {
				found = append(found, violation{
					fault: containerFault(c, ".securityContext.windowsOptions.hostProcess", label(c)+" runs as a process of the node"),
					patch: func() []bailey.PatchOp { return remove(c.Pointer("/securityContext/" + field)) },
					note:  note,
				})
			}
		}
		return found
	},
}

func podHostProcess(s *corev1.PodSecurityContext) bool {
	return s != nil && s.WindowsOptions != nil && s.WindowsOptions.HostProcess != nil && *s.WindowsOptions.HostProcess
}

func hostProcess(c *corev1.Container) bool {
	s := c.SecurityContext
	return s != nil && s.WindowsOptions != nil && s.WindowsOptions.HostProcess != nil && *s.WindowsOptions.HostProcess
}

var hostPortsCheck = standardCheck{
	Check: policy.CheckHostPorts(),
	rule: bailey.Rule{
		Name:  "host-ports",
		Title: "Container takes a port of its node",
		Doc: `A host port opens the container to whoever reaches the node, past Services, and on many networks past
NetworkPolicies. It also binds the pod to nodes where the port is free. Host ports of a pod with hostNetwork, which
the API server fills in by itself, are left to the rule host-namespaces.`,
		Severity: bailey.SeverityMedium,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.12", "Few or no containers use host ports"), ref.ATTACK("T1133")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1, ports: [{containerPort: 8080, hostPort: 8080}]}
`},
	},
	suspect: func(w workload.Workload) bool { return anyContainer(w.Spec, hasHostPort) },
	locate: func(r refused) (found []violation) {
		if r.Spec.HostNetwork {
			return nil
		}
		for c := range r.Containers() {
			var ports []string
			var at []int
			for i := range c.Ports {
				if p := c.Ports[i].HostPort; p != 0 {
					ports, at = append(ports, strconv.Itoa(int(p))), append(at, i)
				}
			}
			if len(at) == 0 {
				continue
			}
			found = append(found, violation{
				fault: containerFault(c, ".ports["+strconv.Itoa(at[0])+"].hostPort", label(c)+" listens on port "+strings.Join(ports, ", ")+" of the node"),
				patch: func() (ops []bailey.PatchOp) {
					for _, i := range at {
						ops = append(ops, remove(c.Pointer("/ports/"+strconv.Itoa(i)+"/hostPort"))...)
					}
					return ops
				},
				note: "Clients that use the node's address must use a Service instead.",
			})
		}
		return found
	},
}

func hasHostPort(c *corev1.Container) bool {
	for i := range c.Ports {
		if c.Ports[i].HostPort != 0 {
			return true
		}
	}
	return false
}
