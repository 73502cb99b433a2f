package gen

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
)

var (
	gvkNamespace      = corev1.SchemeGroupVersion.WithKind("Namespace")
	gvkNode           = corev1.SchemeGroupVersion.WithKind("Node")
	gvkPod            = corev1.SchemeGroupVersion.WithKind("Pod")
	gvkService        = corev1.SchemeGroupVersion.WithKind("Service")
	gvkServiceAccount = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
	gvkConfigMap      = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	gvkResourceQuota  = corev1.SchemeGroupVersion.WithKind("ResourceQuota")
	gvkLimitRange     = corev1.SchemeGroupVersion.WithKind("LimitRange")
	gvkVolume         = corev1.SchemeGroupVersion.WithKind("PersistentVolume")
	gvkVolumeClaim    = corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")

	gvkDeployment  = appsv1.SchemeGroupVersion.WithKind("Deployment")
	gvkReplicaSet  = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
	gvkStatefulSet = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	gvkDaemonSet   = appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	gvkJob         = batchv1.SchemeGroupVersion.WithKind("Job")
	gvkCronJob     = batchv1.SchemeGroupVersion.WithKind("CronJob")

	gvkEndpointSlice = discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")
	gvkNetworkPolicy = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	gvkIngress       = networkingv1.SchemeGroupVersion.WithKind("Ingress")
	gvkIngressClass  = networkingv1.SchemeGroupVersion.WithKind("IngressClass")

	gvkRole               = rbacv1.SchemeGroupVersion.WithKind("Role")
	gvkRoleBinding        = rbacv1.SchemeGroupVersion.WithKind("RoleBinding")
	gvkClusterRole        = rbacv1.SchemeGroupVersion.WithKind("ClusterRole")
	gvkClusterRoleBinding = rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding")

	gvkStorageClass  = storagev1.SchemeGroupVersion.WithKind("StorageClass")
	gvkLease         = coordinationv1.SchemeGroupVersion.WithKind("Lease")
	gvkRuntimeClass  = nodev1.SchemeGroupVersion.WithKind("RuntimeClass")
	gvkPriorityClass = schedulingv1.SchemeGroupVersion.WithKind("PriorityClass")
	gvkBudget        = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	gvkWebhook       = admissionv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration")
)
