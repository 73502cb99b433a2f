// Package object turns Kubernetes objects, as a cluster or a file gives them,
// into facts: it knows the types of the built-in kinds, keeps what rules read,
// and drops the rest, secrets first of all.
package object

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/baileyhq/bailey"
)

// KindOf gives the Kind of an object that was read in this apiVersion. Kinds
// that moved to another group keep the one they moved to: a Deployment of
// extensions/v1beta1 is a Deployment.apps.
func KindOf(apiVersion, kind string) bailey.Kind {
	if apiVersion == "extensions/v1beta1" {
		switch kind {
		case "Deployment", "DaemonSet", "ReplicaSet":
			return bailey.KindOf("apps/v1", kind)
		case "Ingress", "NetworkPolicy":
			return bailey.KindOf("networking.k8s.io/v1", kind)
		case "PodSecurityPolicy":
			return bailey.KindOf("policy/v1beta1", kind)
		}
	}
	return bailey.KindOf(apiVersion, kind)
}

// New gives a pointer to a fresh object of the k8s.io/api type that the kind
// decodes into, and nil for a kind or version that has none here: a custom
// resource, or a version of another shape (see Outdated). Old versions of the
// same shape decode into the type of the current one; Fact mends what they
// mean differently.
func New(apiVersion, kind string) any {
	if !decodable(apiVersion) {
		return nil
	}
	switch KindOf(apiVersion, kind) {
	case bailey.KindConfigMap:
		return new(corev1.ConfigMap)
	case "Endpoints":
		//lint:ignore SA1019 clusters and charts still hold them
		return new(corev1.Endpoints)
	case bailey.KindLimitRange:
		return new(corev1.LimitRange)
	case bailey.KindNamespace:
		return new(corev1.Namespace)
	case bailey.KindNode:
		return new(corev1.Node)
	case bailey.KindPersistentVolume:
		return new(corev1.PersistentVolume)
	case bailey.KindPersistentVolumeClaim:
		return new(corev1.PersistentVolumeClaim)
	case bailey.KindPod:
		return new(corev1.Pod)
	case bailey.KindPodTemplate:
		return new(corev1.PodTemplate)
	case bailey.KindReplicationController:
		return new(corev1.ReplicationController)
	case bailey.KindResourceQuota:
		return new(corev1.ResourceQuota)
	case "Secret":
		return new(corev1.Secret)
	case bailey.KindService:
		return new(corev1.Service)
	case bailey.KindServiceAccount:
		return new(corev1.ServiceAccount)

	case bailey.KindDaemonSet:
		return new(appsv1.DaemonSet)
	case bailey.KindDeployment:
		return new(appsv1.Deployment)
	case bailey.KindReplicaSet:
		return new(appsv1.ReplicaSet)
	case bailey.KindStatefulSet:
		return new(appsv1.StatefulSet)
	case bailey.KindCronJob:
		return new(batchv1.CronJob)
	case bailey.KindJob:
		return new(batchv1.Job)
	case "HorizontalPodAutoscaler.autoscaling":
		if apiVersion == "autoscaling/v1" {
			return new(autoscalingv1.HorizontalPodAutoscaler)
		}
		return new(autoscalingv2.HorizontalPodAutoscaler)
	case "PodDisruptionBudget.policy":
		return new(policyv1.PodDisruptionBudget)

	case bailey.KindIngress:
		if apiVersion != "networking.k8s.io/v1" {
			return new(networkingv1beta1.Ingress)
		}
		return new(networkingv1.Ingress)
	case bailey.KindIngressClass:
		return new(networkingv1.IngressClass)
	case bailey.KindNetworkPolicy:
		return new(networkingv1.NetworkPolicy)
	case "IPAddress.networking.k8s.io":
		return new(networkingv1.IPAddress)
	case "ServiceCIDR.networking.k8s.io":
		return new(networkingv1.ServiceCIDR)
	case "EndpointSlice.discovery.k8s.io":
		return new(discoveryv1.EndpointSlice)

	case bailey.KindRole:
		return new(rbacv1.Role)
	case bailey.KindRoleBinding:
		return new(rbacv1.RoleBinding)
	case bailey.KindClusterRole:
		return new(rbacv1.ClusterRole)
	case bailey.KindClusterRoleBinding:
		return new(rbacv1.ClusterRoleBinding)

	case bailey.KindMutatingWebhookConfiguration:
		return new(admissionv1.MutatingWebhookConfiguration)
	case bailey.KindValidatingWebhookConfiguration:
		return new(admissionv1.ValidatingWebhookConfiguration)
	case bailey.KindValidatingAdmissionPolicy:
		return new(admissionv1.ValidatingAdmissionPolicy)
	case bailey.KindValidatingAdmissionPolicyBinding:
		return new(admissionv1.ValidatingAdmissionPolicyBinding)
	case bailey.KindMutatingAdmissionPolicy:
		return new(admissionv1.MutatingAdmissionPolicy)
	case bailey.KindMutatingAdmissionPolicyBinding:
		return new(admissionv1.MutatingAdmissionPolicyBinding)
	}
	return newPlatform(apiVersion, kind)
}

// newPlatform is New for the kinds that belong to nodes, storage, scheduling
// and the API server.
func newPlatform(apiVersion, kind string) any {
	switch KindOf(apiVersion, kind) {
	case bailey.KindRuntimeClass:
		return new(nodev1.RuntimeClass)
	case bailey.KindStorageClass:
		return new(storagev1.StorageClass)
	case "CSIDriver.storage.k8s.io":
		return new(storagev1.CSIDriver)
	case "CSINode.storage.k8s.io":
		return new(storagev1.CSINode)
	case "VolumeAttachment.storage.k8s.io":
		return new(storagev1.VolumeAttachment)
	case "VolumeAttributesClass.storage.k8s.io":
		return new(storagev1.VolumeAttributesClass)
	case "PriorityClass.scheduling.k8s.io":
		return new(schedulingv1.PriorityClass)
	case "CertificateSigningRequest.certificates.k8s.io":
		return new(certificatesv1.CertificateSigningRequest)
	case "ClusterTrustBundle.certificates.k8s.io":
		return new(certificatesv1.ClusterTrustBundle)
	case "PodCertificateRequest.certificates.k8s.io":
		return new(certificatesv1.PodCertificateRequest)
	case "FlowSchema.flowcontrol.apiserver.k8s.io":
		return new(flowcontrolv1.FlowSchema)
	case "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io":
		return new(flowcontrolv1.PriorityLevelConfiguration)
	case "DeviceClass.resource.k8s.io":
		return new(resourcev1.DeviceClass)
	case "DeviceTaintRule.resource.k8s.io":
		return new(resourcev1.DeviceTaintRule)
	case "ResourceClaim.resource.k8s.io":
		return new(resourcev1.ResourceClaim)
	case "ResourceClaimTemplate.resource.k8s.io":
		return new(resourcev1.ResourceClaimTemplate)
	case "ResourceSlice.resource.k8s.io":
		return new(resourcev1.ResourceSlice)
	}
	return nil
}

// decodable reports whether objects of the apiVersion have the shape of the
// types above, or one that Fact converts.
func decodable(apiVersion string) bool {
	switch apiVersion {
	case "v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "policy/v1",
		"networking.k8s.io/v1", "discovery.k8s.io/v1", "rbac.authorization.k8s.io/v1",
		"admissionregistration.k8s.io/v1", "node.k8s.io/v1", "storage.k8s.io/v1",
		"scheduling.k8s.io/v1", "certificates.k8s.io/v1", "flowcontrol.apiserver.k8s.io/v1",
		"resource.k8s.io/v1":
		return true
	case "apps/v1beta1", "apps/v1beta2", "extensions/v1beta1", "batch/v1beta1", "batch/v2alpha1",
		"autoscaling/v2beta2", "policy/v1beta1", "networking.k8s.io/v1beta1",
		"rbac.authorization.k8s.io/v1beta1", "admissionregistration.k8s.io/v1beta1",
		"admissionregistration.k8s.io/v1alpha1", "node.k8s.io/v1beta1", "storage.k8s.io/v1beta1",
		"scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1alpha1",
		"certificates.k8s.io/v1beta1", "flowcontrol.apiserver.k8s.io/v1beta3",
		"resource.k8s.io/v1beta2":
		return true
	}
	return false
}

// Meant gives the apiVersion and the kind that were meant by an object that every API server
// refuses and that rules would not know: a built-in kind in another built-in group ("apps/v1" for a
// v1 Deployment), or one whose letters are of the wrong case ("Pod" for a v1 pod).
func Meant(apiVersion, kind string) (version, right string, refused bool) {
	if New(apiVersion, kind) != nil {
		return "", "", false
	}
	named, _, found := strings.Cut(apiVersion, "/")
	if !found {
		named = ""
	}
	if named != "" && !isBuiltIn(named) {
		return "", "", false // a custom resource may have any kind
	}
	for _, k := range bailey.KnownKinds() {
		short, group := k.Split()
		if short == kind && group != named && (group == "" || isBuiltIn(group)) && !strings.Contains(group, "gateway") {
			return strings.TrimPrefix(group+"/v1", "/"), kind, true
		}
		if short != kind && strings.EqualFold(short, kind) && New(apiVersion, short) != nil {
			return apiVersion, short, true
		}
	}
	return "", "", false
}

// isBuiltIn reports whether API servers serve the group by themselves.
func isBuiltIn(group string) bool {
	switch group {
	case "apps", "batch", "extensions", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io",
		"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "node.k8s.io", "storage.k8s.io",
		"scheduling.k8s.io", "certificates.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io", "coordination.k8s.io":
		return true
	}
	return false
}

// Outdated reports whether the object is of a built-in kind in a version that
// New cannot give a type for. Whoever reads such an object must say that it was
// not seen: rules look for the type.
func Outdated(apiVersion, kind string) bool {
	if decodable(apiVersion) {
		return false
	}
	group, _, _ := strings.Cut(apiVersion, "/")
	return isBuiltIn(group) && (New(group+"/v1", kind) != nil || New(group+"/v2", kind) != nil)
}
