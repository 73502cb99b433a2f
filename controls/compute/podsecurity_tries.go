package compute

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
)

// place is where in the pod the violation stands.
type place struct {
	name      string
	container func(*corev1.Pod) *corev1.Container
}

func (p place) suffix() string {
	if p.name == "pod" {
		return ""
	}
	return ", " + strings.TrimSuffix(p.name, "s")
}

var (
	inPod     = place{"pod", func(*corev1.Pod) *corev1.Container { return nil }}
	inInit    = place{"initContainers", func(p *corev1.Pod) *corev1.Container { return &p.Spec.InitContainers[0] }}
	inSidecar = place{"sidecars", func(p *corev1.Pod) *corev1.Container { return &p.Spec.InitContainers[1] }}
	inRegular = place{"containers", func(p *corev1.Pod) *corev1.Container { return &p.Spec.Containers[0] }}
)

// attempt is one way to violate one check. Either field is nil where the check
// looks at the pod, or at containers, only.
type attempt struct {
	check policy.CheckID
	name  string
	// inPod violates by a field of the pod, inContainer by one of a container.
	inPod       func(*corev1.Pod)
	inContainer func(*corev1.Container)
	// running tells that the field is only allowed on containers that keep running.
	running bool
	// fixed tells that ephemeral containers cannot have the field.
	fixed bool
	// both prepares try and twin alike.
	both func(*corev1.Pod)
	// from is the first version whose API server surely knows the field.
	from bailey.Version
}

func (t attempt) places() []place {
	var all []place
	if t.inPod != nil {
		all = append(all, inPod)
	}
	if t.inContainer != nil {
		all = append(all, inInit, inSidecar, inRegular)
	}
	if t.running {
		all = slices.DeleteFunc(all, func(p place) bool { return p.name == inInit.name })
	}
	return all
}

// ephemeral reports whether an ephemeral container of a pod that is there can
// violate the check.
func (t attempt) ephemeral() bool {
	return t.inContainer != nil && !t.running && !t.fixed && t.both == nil
}

func (t attempt) twin(pod *corev1.Pod, _ *corev1.Container) {
	if t.both != nil {
		t.both(pod)
	}
}

func (t attempt) violate(pod *corev1.Pod, c *corev1.Container) {
	t.twin(pod, c)
	if c != nil {
		t.inContainer(c)
	} else {
		t.inPod(pod)
	}
}

// tries are the attempts, in the order of the checks.
var tries = []attempt{
	{check: privilegedCheck.ID, name: "privileged", inContainer: func(c *corev1.Container) {
		yes := true
		c.SecurityContext.Privileged = &yes
		c.SecurityContext.AllowPrivilegeEscalation = nil // validation refuses the pair
	}},
	{check: hostNamespacesCheck.ID, name: "hostNetwork", inPod: func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
	{check: hostNamespacesCheck.ID, name: "hostPID", inPod: func(p *corev1.Pod) { p.Spec.HostPID = true }},
	{check: hostNamespacesCheck.ID, name: "hostIPC", inPod: func(p *corev1.Pod) { p.Spec.HostIPC = true }},
	{check: hostPathVolumesCheck.ID, name: "hostPath", inPod: func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "try", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	}},
	{check: capabilitiesBaselineCheck.ID, name: "capability SYS_PTRACE", inContainer: func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_PTRACE"}
	}},
	{check: hostPortsCheck.ID, name: "hostPort", fixed: true, inContainer: func(c *corev1.Container) {
		c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
	}},
	{check: hostProbesCheck.ID, name: "host in a probe", running: true, inContainer: func(c *corev1.Container) {
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "127.0.0.1", Port: intstr.FromInt32(10250)}}}
	}},
	{check: seccompBaselineCheck.ID, name: "seccomp Unconfined",
		inPod: func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined },
		inContainer: func(c *corev1.Container) {
			c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		}},
	{check: appArmorCheck.ID, name: "AppArmor Unconfined",
		inPod: func(p *corev1.Pod) {
			p.Spec.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		},
		inContainer: func(c *corev1.Container) {
			c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}},
	{check: seLinuxCheck.ID, name: "SELinux type spc_t",
		inPod: func(p *corev1.Pod) { p.Spec.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} },
		inContainer: func(c *corev1.Container) {
			c.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
		}},
	{check: sysctlsCheck.ID, name: "unsafe sysctl", inPod: func(p *corev1.Pod) {
		p.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
	}},

	{check: runAsNonRootCheck.ID, name: "runAsNonRoot false",
		inPod:       func(p *corev1.Pod) { no := false; p.Spec.SecurityContext.RunAsNonRoot = &no },
		inContainer: func(c *corev1.Container) { no := false; c.SecurityContext.RunAsNonRoot = &no }},
	{check: runAsUserCheck.ID, name: "runAsUser 0",
		inPod:       func(p *corev1.Pod) { root := int64(0); p.Spec.SecurityContext.RunAsUser = &root },
		inContainer: func(c *corev1.Container) { root := int64(0); c.SecurityContext.RunAsUser = &root }},
	{check: allowPrivilegeEscalationCheck.ID, name: "privilege escalation", inContainer: func(c *corev1.Container) {
		c.SecurityContext.AllowPrivilegeEscalation = nil
	}},
	{check: capabilitiesRestrictedCheck.ID, name: "capabilities not dropped", inContainer: func(c *corev1.Container) {
		c.SecurityContext.Capabilities = nil
	}},
	{check: capabilitiesRestrictedCheck.ID, name: "capability CHOWN", inContainer: func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"CHOWN"}
	}},
	{check: seccompRestrictedCheck.ID, name: "no seccomp profile", inPod: func(p *corev1.Pod) {
		p.Spec.SecurityContext.SeccompProfile = nil
	}},
	{check: restrictedVolumesCheck.ID, name: "nfs volume", inPod: func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "try", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.invalid", Path: "/"}}}}
	}},
	{check: procMountRestrictedCheck.ID, name: "unmasked /proc",
		from: bailey.Version{Major: 1, Minor: 36},
		both: func(p *corev1.Pod) { no := false; p.Spec.HostUsers = &no },
		inContainer: func(c *corev1.Container) {
			proc := corev1.UnmaskedProcMount
			c.SecurityContext.ProcMount = &proc
		}},
}
