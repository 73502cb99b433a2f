package object

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// dropStatus takes away the status that no rule reads, which is all but: a
// pod's phase and address, a node's software and conditions, what a quota
// counts, and the conditions of a certificate request.
func dropStatus(obj any) {
	switch o := obj.(type) {
	case *corev1.Pod:
		o.Status = corev1.PodStatus{Phase: o.Status.Phase, PodIP: o.Status.PodIP}
	case *corev1.Node:
		conditions := make([]corev1.NodeCondition, len(o.Status.Conditions))
		for i, c := range o.Status.Conditions {
			conditions[i] = corev1.NodeCondition{Type: c.Type, Status: c.Status}
		}
		if len(conditions) == 0 {
			conditions = nil
		}
		o.Status = corev1.NodeStatus{NodeInfo: o.Status.NodeInfo, Conditions: conditions,
			RuntimeHandlers: o.Status.RuntimeHandlers, Features: o.Status.Features}
	case *corev1.Namespace:
		o.Status = corev1.NamespaceStatus{}
	case *corev1.PersistentVolume:
		o.Status = corev1.PersistentVolumeStatus{}
	case *corev1.PersistentVolumeClaim:
		o.Status = corev1.PersistentVolumeClaimStatus{}
	case *corev1.ReplicationController:
		o.Status = corev1.ReplicationControllerStatus{}
	case *corev1.Service:
		o.Status = corev1.ServiceStatus{}
	case *appsv1.Deployment:
		o.Status = appsv1.DeploymentStatus{}
	case *appsv1.ReplicaSet:
		o.Status = appsv1.ReplicaSetStatus{}
	case *appsv1.StatefulSet:
		o.Status = appsv1.StatefulSetStatus{}
		for i := range o.Spec.VolumeClaimTemplates {
			o.Spec.VolumeClaimTemplates[i].Status = corev1.PersistentVolumeClaimStatus{}
		}
	case *appsv1.DaemonSet:
		o.Status = appsv1.DaemonSetStatus{}
	case *batchv1.Job:
		o.Status = batchv1.JobStatus{}
	case *batchv1.CronJob:
		o.Status = batchv1.CronJobStatus{}
	case *autoscalingv2.HorizontalPodAutoscaler:
		o.Status = autoscalingv2.HorizontalPodAutoscalerStatus{}
	case *policyv1.PodDisruptionBudget:
		o.Status = policyv1.PodDisruptionBudgetStatus{}
	case *networkingv1.Ingress:
		o.Status = networkingv1.IngressStatus{}
	case *networkingv1.ServiceCIDR:
		o.Status = networkingv1.ServiceCIDRStatus{}
	case *storagev1.VolumeAttachment:
		o.Status = storagev1.VolumeAttachmentStatus{}
	case *admissionv1.ValidatingAdmissionPolicy:
		o.Status = admissionv1.ValidatingAdmissionPolicyStatus{}
	case *certificatesv1.CertificateSigningRequest:
		o.Spec.Request = nil
		o.Status.Certificate = nil
	case *certificatesv1.PodCertificateRequest:
		o.Status = certificatesv1.PodCertificateRequestStatus{}
	case *flowcontrolv1.FlowSchema:
		o.Status = flowcontrolv1.FlowSchemaStatus{}
	case *flowcontrolv1.PriorityLevelConfiguration:
		o.Status = flowcontrolv1.PriorityLevelConfigurationStatus{}
	case *resourcev1.ResourceClaim:
		o.Status = resourcev1.ResourceClaimStatus{}
	case *resourcev1.DeviceTaintRule:
		o.Status = resourcev1.DeviceTaintRuleStatus{}
	}
}
