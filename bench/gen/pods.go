package gen

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// newWorkload chooses the pod template of a workload, with the API server's
// defaults filled in.
func (c *cluster) newWorkload(namespace, name string, kept keeping) workload {
	w := workload{
		namespace: namespace, name: name, kept: kept, port: int32(c.between(3000, 9999)),
		labels: map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace},
	}
	account := name
	if kept == careless && c.chance(70) {
		account = "default"
	}
	spec := corev1.PodSpec{
		ServiceAccountName: account, DeprecatedServiceAccount: account, SecurityContext: podSecurity(kept),
		Volumes: []corev1.Volume{
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: name}, DefaultMode: ptr[int32](420),
			}}},
			{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
	if kept == wellKept {
		spec.AutomountServiceAccountToken = ptr(false)
	}
	if kept == careless && c.chance(10) {
		spec.Volumes = append(spec.Volumes, hostPath("host", pick(c.random, []string{"/var/log", "/", "/var/run/docker.sock"})))
	}
	if c.chance(20) {
		spec.InitContainers = append(spec.InitContainers, c.container("prepare", c.image(namespace, name+"-init", kept), kept))
	}
	if c.chance(5) {
		sidecar := c.container("proxy", c.image("platform", "proxy", kept), kept)
		sidecar.RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
		spec.InitContainers = append(spec.InitContainers, sidecar)
	}
	main := c.container("server", c.image(namespace, name, kept), kept)
	main.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: w.port, Protocol: corev1.ProtocolTCP}}
	main.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + name, ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}}
	if kept != careless || c.chance(40) {
		main.ReadinessProbe, main.LivenessProbe = probe("/ready"), probe("/live")
	}
	spec.Containers = append(spec.Containers, main)
	for i := range pick(c.random, []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 2}) {
		spec.Containers = append(spec.Containers, c.container(fmt.Sprintf("helper-%d", i), c.image("platform", "helper", kept), kept))
	}
	defaults(&spec)
	w.template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(w.labels)}, Spec: spec}
	if c.chance(50) {
		w.template.Annotations = map[string]string{"checksum/config": c.hex(64), "prometheus.io/scrape": "true", "prometheus.io/port": "http"}
	}
	return w
}

func podSecurity(kept keeping) *corev1.PodSecurityContext {
	switch kept {
	case wellKept:
		return &corev1.PodSecurityContext{
			RunAsNonRoot: ptr(true), RunAsUser: ptr[int64](10001), FSGroup: ptr[int64](10001),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	case ordinary:
		return &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr[int64](1000)}
	default:
		return &corev1.PodSecurityContext{}
	}
}

// container makes a container with what people set: environment, resources, security.
func (c *cluster) container(name, image string, kept keeping) corev1.Container {
	ct := corev1.Container{Name: name, Image: image, Args: []string{"--config=/etc/app", "--log-level=info"}}
	for i := range c.between(1, 10) {
		ct.Env = append(ct.Env, corev1.EnvVar{
			Name:  fmt.Sprintf("%s_%s_%d", strings.ToUpper(pick(c.random, words)), pick(c.random, []string{"ADDR", "URL", "TIMEOUT", "LEVEL", "MODE"}), i),
			Value: fmt.Sprintf("%s.%s.svc.cluster.local:%d", pick(c.random, words), pick(c.random, words), c.between(1000, 9999)),
		})
	}
	switch {
	case kept == careless && c.chance(15):
		ct.Env = append(ct.Env, corev1.EnvVar{Name: "DB_PASSWORD", Value: "Fake-" + c.suffix(12)})
	case c.chance(40):
		ct.Env = append(ct.Env, corev1.EnvVar{Name: "DB_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "database"}, Key: "password",
		}}})
	}
	if kept != careless || c.chance(40) {
		ct.Resources = corev1.ResourceRequirements{Requests: amounts("cpu", "100m", "memory", "128Mi"), Limits: amounts("memory", "256Mi")}
		if kept == wellKept {
			ct.Resources.Limits = amounts("cpu", "500m", "memory", "256Mi")
		}
	}
	switch {
	case kept == wellKept:
		ct.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	case kept == ordinary:
		ct.SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: ptr(false)}
	case c.chance(8):
		ct.SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	case c.chance(8):
		ct.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}}
	}
	return ct
}

func (c *cluster) image(team, name string, kept keeping) string {
	repository := "registry.example.com/" + team + "/" + name
	switch {
	case kept == wellKept:
		return repository + ":" + c.version() + "@" + c.digest()
	case kept == careless && c.chance(40):
		return repository + ":latest"
	default:
		return repository + ":" + c.version()
	}
}

func probe(path string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}
}

// defaults sets what the API server sets where a manifest is silent.
func defaults(spec *corev1.PodSpec) {
	spec.RestartPolicy, spec.DNSPolicy, spec.SchedulerName = corev1.RestartPolicyAlways, corev1.DNSClusterFirst, corev1.DefaultSchedulerName
	spec.TerminationGracePeriodSeconds = ptr[int64](30)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].ImagePullPolicy = corev1.PullIfNotPresent
			list[i].TerminationMessagePath, list[i].TerminationMessagePolicy = "/dev/termination-log", corev1.TerminationMessageReadFile
		}
	}
}

// pod makes a running pod from a template, as admission, scheduler and kubelet
// would complete it.
func (c *cluster) pod(t corev1.PodTemplateSpec, namespace, name string, owner metav1.OwnerReference, node *corev1.Node) *corev1.Pod {
	t = *t.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: c.meta(namespace, name, t.Labels, owner), Spec: t.Spec}
	pod.Annotations = t.Annotations
	if cut := strings.LastIndexByte(name, '-'); owner.Kind != "StatefulSet" && owner.Kind != "Node" {
		pod.GenerateName = name[:cut+1]
	}
	spec := &pod.Spec
	spec.NodeName, spec.EnableServiceLinks, spec.PreemptionPolicy = node.Name, ptr(true), ptr(corev1.PreemptLowerPriority)
	if spec.Priority == nil {
		spec.Priority = ptr[int32](0)
	}
	for _, taint := range []string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr[int64](300),
		})
	}
	if owner.Kind != "Node" && (spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken) {
		c.mountToken(spec)
	}
	pod.Status = c.podStatus(pod, node)
	return pod
}

// mountToken does what the ServiceAccount admission plugin does.
func (c *cluster) mountToken(spec *corev1.PodSpec) {
	name := "kube-api-access-" + c.suffix(5)
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr[int32](420),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: ptr[int64](3607), Path: "token"}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}}})
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{
				Name: name, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
			})
		}
	}
}

func (c *cluster) podStatus(pod *corev1.Pod, node *corev1.Node) corev1.PodStatus {
	started, host := pod.CreationTimestamp, node.Status.Addresses[0].Address
	ip := host
	if !pod.Spec.HostNetwork {
		ip = c.ip("10.64")
	}
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, StartTime: &started,
		HostIP: host, HostIPs: []corev1.HostIP{{IP: host}}, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	for _, ct := range pod.Spec.Containers {
		repository, _, _ := strings.Cut(ct.Image, "@")
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: ct.Name, Image: ct.Image, ImageID: repository + "@" + c.digest(), ContainerID: "containerd://" + c.hex(64),
			Ready: true, Started: ptr(true), RestartCount: int32(c.IntN(3)),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return status
}
