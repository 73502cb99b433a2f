package bailey

import "strings"

// Kind names a kind of fact, without its API version: "Pod" for the core
// group, "Deployment.apps" for any other. One object keeps one Kind across the
// versions in which an API server serves it.
type Kind string

// The kinds that rules of this module name. Any other kind that a collector
// finds is a Kind as well; these only save spelling.
const (
	KindConfigMap             Kind = "ConfigMap"
	KindLimitRange            Kind = "LimitRange"
	KindNamespace             Kind = "Namespace"
	KindNode                  Kind = "Node"
	KindPersistentVolume      Kind = "PersistentVolume"
	KindPersistentVolumeClaim Kind = "PersistentVolumeClaim"
	KindPod                   Kind = "Pod"
	KindPodTemplate           Kind = "PodTemplate"
	KindReplicationController Kind = "ReplicationController"
	KindResourceQuota         Kind = "ResourceQuota"
	KindService               Kind = "Service"
	KindServiceAccount        Kind = "ServiceAccount"

	KindDaemonSet   Kind = "DaemonSet.apps"
	KindDeployment  Kind = "Deployment.apps"
	KindReplicaSet  Kind = "ReplicaSet.apps"
	KindStatefulSet Kind = "StatefulSet.apps"
	KindCronJob     Kind = "CronJob.batch"
	KindJob         Kind = "Job.batch"

	KindIngress       Kind = "Ingress.networking.k8s.io"
	KindIngressClass  Kind = "IngressClass.networking.k8s.io"
	KindNetworkPolicy Kind = "NetworkPolicy.networking.k8s.io"
	KindHTTPRoute     Kind = "HTTPRoute.gateway.networking.k8s.io"
	KindGateway       Kind = "Gateway.gateway.networking.k8s.io"

	KindAdminNetworkPolicy         Kind = "AdminNetworkPolicy.policy.networking.k8s.io"
	KindBaselineAdminNetworkPolicy Kind = "BaselineAdminNetworkPolicy.policy.networking.k8s.io"
	KindClusterNetworkPolicy       Kind = "ClusterNetworkPolicy.policy.networking.k8s.io"

	KindRole               Kind = "Role.rbac.authorization.k8s.io"
	KindRoleBinding        Kind = "RoleBinding.rbac.authorization.k8s.io"
	KindClusterRole        Kind = "ClusterRole.rbac.authorization.k8s.io"
	KindClusterRoleBinding Kind = "ClusterRoleBinding.rbac.authorization.k8s.io"

	KindRuntimeClass Kind = "RuntimeClass.node.k8s.io"
	KindStorageClass Kind = "StorageClass.storage.k8s.io"

	KindMutatingWebhookConfiguration     Kind = "MutatingWebhookConfiguration.admissionregistration.k8s.io"
	KindValidatingWebhookConfiguration   Kind = "ValidatingWebhookConfiguration.admissionregistration.k8s.io"
	KindValidatingAdmissionPolicy        Kind = "ValidatingAdmissionPolicy.admissionregistration.k8s.io"
	KindValidatingAdmissionPolicyBinding Kind = "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io"
	KindMutatingAdmissionPolicy          Kind = "MutatingAdmissionPolicy.admissionregistration.k8s.io"
	KindMutatingAdmissionPolicyBinding   Kind = "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io"

	// The running parts of the control plane and of nodes, with the settings that
	// they were started with: each a *Component. Each is a kind of its own, for
	// what was seen of one says nothing of another.
	KindAPIServer         Kind = "KubeAPIServer.bailey.dev"
	KindControllerManager Kind = "KubeControllerManager.bailey.dev"
	KindScheduler         Kind = "KubeScheduler.bailey.dev"
	KindEtcd              Kind = "Etcd.bailey.dev"
	KindKubelet           Kind = "Kubelet.bailey.dev"
	KindKubeProxy         Kind = "KubeProxy.bailey.dev"
	// KindImage is an image that a workload of a namespace uses, named by its reference as
	// the workload writes it, as its registry and a trust policy show it: an *Image.
	KindImage Kind = "Image.bailey.dev"
	// KindImageToTry is an image that somebody named for experiments to try, judged for
	// one namespace: an *Image.
	KindImageToTry Kind = "ImageToTry.bailey.dev"

	// What a machine shows of itself: a *Host, *HostFile and *HostCertificate.
	KindHost            Kind = "Host.bailey.dev"
	KindHostFile        Kind = "HostFile.bailey.dev"
	KindHostCertificate Kind = "HostCertificate.bailey.dev"
)

// ControlPlane lists the kinds of the components that every cluster has outside
// its nodes.
var ControlPlane = []Kind{KindAPIServer, KindControllerManager, KindScheduler, KindEtcd}

// programs names the components' programs.
var programs = map[Kind]string{
	KindAPIServer: "kube-apiserver", KindControllerManager: "kube-controller-manager", KindScheduler: "kube-scheduler",
	KindEtcd: "etcd", KindKubelet: "kubelet", KindKubeProxy: "kube-proxy",
}

// Program names a component's program ("kube-apiserver"); "" for other kinds.
func (k Kind) Program() string { return programs[k] }

// New gives an empty object of a kind of this package (a *Component, a *Host); nil for
// any other kind.
func (k Kind) New() any {
	switch k {
	case KindImage, KindImageToTry:
		return new(Image)
	case KindHost:
		return new(Host)
	case KindHostFile:
		return new(HostFile)
	case KindHostCertificate:
		return new(HostCertificate)
	}
	if k.Program() != "" {
		return new(Component)
	}
	return nil
}

// ComponentKind gives the kind of the component whose program has the name
// ("kube-apiserver"), and whether there is one.
func ComponentKind(program string) (Kind, bool) {
	for k, name := range programs {
		if name == program {
			return k, true
		}
	}
	return "", false
}

// PodBearing lists the kinds that are, or make, pods. Whoever reads a pod
// template reads all of them, so that none is forgotten.
var PodBearing = []Kind{
	KindPod, KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet,
	KindJob, KindCronJob, KindReplicationController, KindPodTemplate,
}

// KnownKinds lists the kinds that this package names.
func KnownKinds() []Kind {
	return []Kind{
		KindConfigMap,
		KindLimitRange,
		KindNamespace,
		KindNode,
		KindPersistentVolume,
		KindPersistentVolumeClaim,
		KindPod,
		KindPodTemplate,
		KindReplicationController,
		KindResourceQuota,
		KindService,
		KindServiceAccount,
		KindDaemonSet,
		KindDeployment,
		KindReplicaSet,
		KindStatefulSet,
		KindCronJob,
		KindJob,
		KindIngress,
		KindIngressClass,
		KindNetworkPolicy,
		KindHTTPRoute,
		KindGateway,
		KindAdminNetworkPolicy,
		KindBaselineAdminNetworkPolicy,
		KindClusterNetworkPolicy,
		KindRole,
		KindRoleBinding,
		KindClusterRole,
		KindClusterRoleBinding,
		KindRuntimeClass,
		KindStorageClass,
		KindMutatingWebhookConfiguration,
		KindValidatingWebhookConfiguration,
		KindValidatingAdmissionPolicy,
		KindValidatingAdmissionPolicyBinding,
		KindMutatingAdmissionPolicy,
		KindMutatingAdmissionPolicyBinding,
		KindAPIServer,
		KindControllerManager,
		KindScheduler,
		KindEtcd,
		KindKubelet,
		KindKubeProxy,
		KindImage,
		KindImageToTry,
		KindHost,
		KindHostFile,
		KindHostCertificate,
	}
}

// KindOf gives the Kind of an object with this apiVersion ("apps/v1") and kind.
func KindOf(apiVersion, kind string) Kind {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found || group == "" {
		return Kind(kind)
	}
	return Kind(kind + "." + group)
}

// Split gives the plain kind and the API group ("" for core).
func (k Kind) Split() (kind, group string) {
	kind, group, _ = strings.Cut(string(k), ".")
	return kind, group
}

// Short is the kind without its group, as people say it.
func (k Kind) Short() string {
	kind, _ := k.Split()
	return kind
}

// IsPodBearing reports whether objects of the kind are, or make, pods.
func (k Kind) IsPodBearing() bool {
	switch k {
	case KindPod, KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet,
		KindJob, KindCronJob, KindReplicationController, KindPodTemplate:
		return true
	}
	return false
}

// IsClusterWide reports whether objects of the kind live outside of namespaces.
// It knows the kinds that this package names; any other counts as namespaced.
func (k Kind) IsClusterWide() bool {
	switch k {
	case KindNamespace, KindNode, KindPersistentVolume, KindIngressClass, KindRuntimeClass, KindStorageClass,
		KindAdminNetworkPolicy, KindBaselineAdminNetworkPolicy, KindClusterNetworkPolicy,
		KindClusterRole, KindClusterRoleBinding,
		KindAPIServer, KindControllerManager, KindScheduler, KindEtcd, KindKubelet, KindKubeProxy, KindHost, KindHostFile, KindHostCertificate,
		KindMutatingWebhookConfiguration, KindValidatingWebhookConfiguration,
		KindValidatingAdmissionPolicy, KindValidatingAdmissionPolicyBinding,
		KindMutatingAdmissionPolicy, KindMutatingAdmissionPolicyBinding:
		return true
	}
	return false
}

// Ref points at one object. Namespace is empty for a cluster-wide one.
type Ref struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Deployment shop/web", or "Namespace shop" for a cluster-wide one.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind.Short() + " " + r.Name
	}
	return r.Kind.Short() + " " + r.Namespace + "/" + r.Name
}

// Compare orders references by namespace, kind and name.
func (r Ref) Compare(o Ref) int {
	if c := strings.Compare(r.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(string(r.Kind), string(o.Kind)); c != 0 {
		return c
	}
	return strings.Compare(r.Name, o.Name)
}
