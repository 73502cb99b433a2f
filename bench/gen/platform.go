package gen

import (
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterCA stands where each namespace keeps the cluster's certificate.
var clusterCA = "-----BEGIN CERTIFICATE-----\n" + strings.Repeat(strings.Repeat("Q0EK", 16)+"\n", 17) + "-----END CERTIFICATE-----\n"

// platform emits what a cluster of n objects has outside its teams' namespaces.
func (c *cluster) platform(n int) {
	for _, ns := range []string{"kube-system", "kube-node-lease", "default"} {
		c.emit(c.newNamespace(ns, careless), gvkNamespace)
		c.emit(&corev1.ServiceAccount{ObjectMeta: c.meta(ns, "default", nil)}, gvkServiceAccount)
	}
	for i := range max(1, n/65) {
		c.node(i)
	}
	c.classes()
	c.roles(min(90, max(4, n/50)))
	c.staticPods()
	for _, name := range []string{"network-agent", "kube-proxy", "log-forwarder"} {
		c.daemonSet(name)
	}
	dns := c.newWorkload("kube-system", "coredns", ordinary)
	dns.labels = map[string]string{"k8s-app": "kube-dns"}
	c.deployment(dns, 2)
}

func (c *cluster) node(i int) {
	name := fmt.Sprintf("node-%04d", i)
	zone := string(rune('a' + i%3))
	labels := map[string]string{
		"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
		"node.kubernetes.io/instance-type": "m7.xlarge", "topology.kubernetes.io/region": "north-1",
		"topology.kubernetes.io/zone": "north-1" + zone, "pool": pick(c.random, []string{"general", "general", "batch", "untrusted"}),
	}
	node := &corev1.Node{
		ObjectMeta: c.meta("", name, labels),
		Spec:       corev1.NodeSpec{PodCIDR: fmt.Sprintf("10.%d.%d.0/24", 64+i/250, i%250), ProviderID: "demo://north-1" + zone + "/i-" + c.hex(16)},
	}
	if i < 3 {
		labels["node-role.kubernetes.io/control-plane"] = ""
		node.Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	}
	node.Spec.PodCIDRs = []string{node.Spec.PodCIDR}
	node.Annotations = map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
	node.Status = corev1.NodeStatus{
		Capacity:    amounts("cpu", "4", "memory", "16Gi", "ephemeral-storage", "80Gi", "pods", "110"),
		Allocatable: amounts("cpu", "3920m", "memory", "15Gi", "ephemeral-storage", "74Gi", "pods", "110"),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: c.ip("192.168")}, {Type: corev1.NodeHostName, Address: name},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
		NodeInfo: corev1.NodeSystemInfo{
			MachineID: c.hex(32), SystemUUID: c.uid(), BootID: c.uid(), KernelVersion: "6.12.48", OSImage: "Debian GNU/Linux 13 (trixie)",
			ContainerRuntimeVersion: "containerd://2.1.4", KubeletVersion: "v1.37.2", OperatingSystem: "linux", Architecture: "amd64",
		},
	}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		status := corev1.ConditionFalse
		if kind == corev1.NodeReady {
			status = corev1.ConditionTrue
		}
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: status, Reason: "KubeletReport", Message: "reported by the kubelet",
			LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: node.CreationTimestamp,
		})
	}
	for range 15 {
		repository := "registry.example.com/" + pick(c.random, words) + "/" + pick(c.random, words)
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names: []string{repository + "@" + c.digest(), repository + ":" + c.version()}, SizeBytes: int64(c.between(5_000_000, 500_000_000)),
		})
	}
	c.nodes = append(c.nodes, node)
	c.emit(node, gvkNode)

	renewed := metav1.NewMicroTime(start.Add(300 * 24 * time.Hour))
	c.emit(&coordinationv1.Lease{
		ObjectMeta: c.meta("kube-node-lease", name, nil, metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: name, UID: node.UID}),
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: ptr[int32](40), RenewTime: &renewed},
	}, gvkLease)
}

func (c *cluster) classes() {
	for _, name := range []string{"standard", "encrypted"} {
		c.emit(&storagev1.StorageClass{
			ObjectMeta: c.meta("", name, nil), Provisioner: "ebs.csi.aws.com", ReclaimPolicy: ptr(corev1.PersistentVolumeReclaimDelete),
			Parameters:        map[string]string{"type": "gp3", "encrypted": fmt.Sprint(name == "encrypted")},
			VolumeBindingMode: ptr(storagev1.VolumeBindingWaitForFirstConsumer), AllowVolumeExpansion: ptr(true),
		}, gvkStorageClass)
	}
	c.emit(&networkingv1.IngressClass{ObjectMeta: c.meta("", "public", nil), Spec: networkingv1.IngressClassSpec{Controller: "example.com/ingress"}}, gvkIngressClass)
	c.emit(&nodev1.RuntimeClass{ObjectMeta: c.meta("", "gvisor", nil), Handler: "runsc"}, gvkRuntimeClass)
	c.emit(&schedulingv1.PriorityClass{ObjectMeta: c.meta("", "system-node-critical", nil), Value: 2000001000}, gvkPriorityClass)
	c.emit(&admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: c.meta("", "policy", nil),
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "workloads.policy.example.com", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: ptr(admissionv1.Ignore),
			MatchPolicy: ptr(admissionv1.Equivalent), SideEffects: ptr(admissionv1.SideEffectClassNone), TimeoutSeconds: ptr[int32](10),
			NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{
				Namespace: "kube-system", Name: "policy", Path: ptr("/validate"), Port: ptr[int32](443),
			}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule: admissionv1.Rule{APIGroups: []string{"", "apps", "batch"}, APIVersions: []string{"v1"}, Resources: []string{"*"},
					Scope: ptr(admissionv1.AllScopes)},
			}},
		}},
	}, gvkWebhook)
}

// roles emits count cluster roles with a binding each; the last one is too wide.
func (c *cluster) roles(count int) {
	for i := range count {
		name := fmt.Sprintf("system:controller:%s-%d", pick(c.random, words), i)
		role := &rbacv1.ClusterRole{ObjectMeta: c.meta("", name, map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"})}
		for range c.between(1, 9) {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{
				APIGroups: []string{pick(c.random, []string{"", "apps", "batch", "networking.k8s.io"})},
				Resources: []string{pick(c.random, []string{"pods", "deployments", "configmaps", "services", "jobs", "endpoints"})},
				Verbs:     []string{"get", "list", "watch", pick(c.random, []string{"create", "patch", "update", "delete"})},
			})
		}
		if i == count-1 {
			role.Rules = []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
		}
		c.emit(role, gvkClusterRole)
		c.emit(&rbacv1.ClusterRoleBinding{
			ObjectMeta: c.meta("", name, nil),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "default"}},
		}, gvkClusterRoleBinding)
	}
}

// staticPods emits the control plane, as mirrored by the kubelets that run it.
func (c *cluster) staticPods() {
	flags := map[string][]string{
		"etcd": {"--client-cert-auth=true", "--data-dir=/var/lib/etcd", "--peer-client-cert-auth=true"},
		"kube-apiserver": {"--anonymous-auth=true", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--etcd-servers=https://127.0.0.1:2379", "--profiling=true", "--service-cluster-ip-range=10.96.0.0/12", "--tls-min-version=VersionTLS12"},
		"kube-controller-manager": {"--bind-address=127.0.0.1", "--leader-elect=true", "--use-service-account-credentials=true"},
		"kube-scheduler":          {"--bind-address=127.0.0.1", "--leader-elect=true"},
	}
	for _, node := range c.nodes[:min(3, len(c.nodes))] {
		for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			labels := map[string]string{"component": name, "tier": "control-plane"}
			spec := corev1.PodSpec{
				HostNetwork: true, PriorityClassName: "system-node-critical", Priority: ptr[int32](2000001000),
				SecurityContext: &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				Containers:      []corev1.Container{c.container(name, "registry.k8s.io/"+name+":v1.37.2", careless)},
				Volumes:         []corev1.Volume{hostPath("certs", "/etc/kubernetes/pki")},
			}
			spec.Containers[0].Command = append([]string{name}, flags[name]...)
			spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "certs", MountPath: "/etc/kubernetes/pki", ReadOnly: true}}
			owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr(true)}
			pod := c.pod(corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}, "kube-system", name+"-"+node.Name, owner, node)
			pod.Annotations = map[string]string{"kubernetes.io/config.mirror": c.hex(32), "kubernetes.io/config.source": "file"}
			pod.Spec.Tolerations = []corev1.Toleration{{Effect: corev1.TaintEffectNoExecute, Operator: corev1.TolerationOpExists}}
			c.emit(pod, gvkPod)
		}
	}
}

// daemonSet emits an agent of the system with a pod on every node.
func (c *cluster) daemonSet(name string) {
	w := c.newWorkload("kube-system", name, careless)
	t := &w.template
	t.Spec.HostNetwork, t.Spec.PriorityClassName = true, "system-node-critical"
	t.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	t.Spec.Volumes = append(t.Spec.Volumes, hostPath("run", "/run"), hostPath("modules", "/lib/modules"))
	main := &t.Spec.Containers[0]
	main.SecurityContext = &corev1.SecurityContext{Privileged: ptr(name != "log-forwarder")}
	main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: "run", MountPath: "/run"}, corev1.VolumeMount{Name: "modules", MountPath: "/lib/modules", ReadOnly: true})

	c.account(w)
	all := int32(len(c.nodes))
	set := &appsv1.DaemonSet{
		ObjectMeta: c.meta("kube-system", name, w.labels),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: w.labels}, Template: *t, RevisionHistoryLimit: ptr[int32](10),
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType},
		},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: all, CurrentNumberScheduled: all, NumberReady: all, NumberAvailable: all},
	}
	c.emit(set, gvkDaemonSet)
	for _, node := range c.nodes {
		c.emit(c.pod(*t, "kube-system", name+"-"+c.suffix(5), ownedBy(set, gvkDaemonSet), node), gvkPod)
	}
}

func hostPath(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: ptr(corev1.HostPathUnset)}}}
}

// amounts is a list of resources, given as names and quantities in turn.
func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func (c *cluster) version() string {
	return fmt.Sprintf("v%d.%d.%d", c.IntN(4), c.IntN(30), c.IntN(10))
}

func ptr[T any](v T) *T { return &v }
