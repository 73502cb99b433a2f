package compute

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// podSecurityExperiments try what the labels of a namespace promise.
var podSecurityExperiments = []*bailey.Experiment{refusedByPodSecurity}

var refusedByPodSecurity = &bailey.Experiment{
	Name:  "refused-by-pod-security",
	Title: "Pods that violate the enforced level are refused",
	Doc: `For each check of the level that a namespace enforces, and for each kind of container that the check looks at,
one pod that violates that check alone is created by dry-run, beside a twin without the violation. The PodSecurity
plugin must refuse the first, and the twin must be admitted. Nothing is created, and nothing runs.

A privileged container cannot also say allowPrivilegeEscalation: false, so that its probe at level restricted
differs from the twin in both. Three checks have no probe where a valid pod cannot violate them alone:
windows-host-process needs hostNetwork, proc-mount below restricted is refused by validation, and the annotations
of before 1.19 are ignored. Namespaces without the label have nothing to try.`,
	Hypothesis: "A pod that violates the level its namespace enforces is refused by PodSecurity, whichever container is at fault.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1610",
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindNamespace},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		f := v.Get(bailey.KindNamespace, "", scope.Name)
		if f == nil {
			return nil
		}
		e := enforced(f.Labels)
		if e.level == api.LevelPrivileged {
			return nil
		}
		var probes []bailey.Probe
		for _, t := range tries {
			if !v.Version().IsZero() && !v.Version().AtLeast(t.from.Major, t.from.Minor) {
				continue // a field that the server drops is not refused
			}
			for _, place := range t.places() {
				twin := probePod(scope.Name)
				try := twin.DeepCopy()
				t.twin(twin, place.container(twin))
				t.violate(try, place.container(try))
				// The upstream check has the last word on what the version in
				// force forbids, so that no try is expected to fail that may not.
				if !violates(t.check, e.level, e.at(v.Version()), try) || violates("", e.level, e.at(v.Version()), twin) {
					continue
				}
				p := bailey.Probe{
					Name:  t.name + place.suffix(),
					Path:  "create pods/" + place.name,
					Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: scope},
					Try:   createPod(try, bailey.RefuserPodSecurity),
					Twin:  createPod(twin),
				}
				probes = append(probes, p)
			}
		}
		return probes
	},
}

// violates reports whether the pod violates the check, or any of the level's
// checks if none is named, at the version of the standard.
func violates(only policy.CheckID, level api.Level, version bailey.Version, pod *corev1.Pod) bool {
	w := workload.Workload{Meta: &pod.ObjectMeta, Spec: &pod.Spec}
	for _, c := range standardChecks {
		if only != "" && c.ID != only || api.CompareLevels(level, c.Level) < 0 {
			continue
		}
		if _, bad := c.refuses(version, w); bad {
			return true
		}
	}
	return false
}

// createPod is the step that creates the pod.
func createPod(pod *corev1.Pod, refusers ...bailey.Refuser) bailey.Step {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		panic("a Pod does not convert to a map: " + err.Error()) // a type of the API always does
	}
	delete(object, "status")
	return bailey.Step{Refusers: refusers,
		Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: pod.Namespace, Object: object}}
}

// probePod is a pod that every version of the standard admits at restricted,
// with a container of each kind. It states requests and limits, so that quotas
// admit it.
func probePod(namespace string) *corev1.Pod {
	yes, no, user, always := true, false, int64(65532), corev1.ContainerRestartPolicyAlways
	container := func(name string) corev1.Container {
		small := corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("16Mi")}
		return corev1.Container{
			Name: name, Image: "registry.k8s.io/pause:3.10",
			Resources: corev1.ResourceRequirements{Requests: small, Limits: small},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no,
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}
	}
	sidecar := container("sidecar")
	sidecar.RestartPolicy = &always
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bailey-probe-", Namespace: namespace},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{container("init"), sidecar},
			Containers:     []corev1.Container{container("main")},
		},
	}
}

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
	{check: hostPortsCheck.ID, name: "hostPort", inContainer: func(c *corev1.Container) {
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
