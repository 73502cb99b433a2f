package object

import "github.com/baileyhq/bailey"

// Namespaced reports whether objects of the kind stand in a namespace, and
// whether that is known: it is for the built-in kinds and for the custom
// resources that rules read.
func Namespaced(kind bailey.Kind) (namespaced, known bool) {
	switch kind {
	case bailey.KindNamespace, bailey.KindNode, bailey.KindPersistentVolume, "ComponentStatus",
		bailey.KindIngressClass, "IPAddress.networking.k8s.io", "ServiceCIDR.networking.k8s.io",
		bailey.KindClusterRole, bailey.KindClusterRoleBinding,
		bailey.KindRuntimeClass, bailey.KindStorageClass,
		"CSIDriver.storage.k8s.io", "CSINode.storage.k8s.io", "VolumeAttachment.storage.k8s.io",
		"VolumeAttributesClass.storage.k8s.io", "PriorityClass.scheduling.k8s.io",
		bailey.KindMutatingWebhookConfiguration, bailey.KindValidatingWebhookConfiguration,
		bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding,
		bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding,
		"CertificateSigningRequest.certificates.k8s.io", "ClusterTrustBundle.certificates.k8s.io",
		"FlowSchema.flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io",
		"DeviceClass.resource.k8s.io", "DeviceTaintRule.resource.k8s.io", "ResourceSlice.resource.k8s.io",
		"StorageVersion.internal.apiserver.k8s.io", "StorageVersionMigration.storagemigration.k8s.io",
		"CustomResourceDefinition.apiextensions.k8s.io", "APIService.apiregistration.k8s.io",
		"PodSecurityPolicy.policy", bailey.KindAPIServer, bailey.KindControllerManager, bailey.KindScheduler, bailey.KindEtcd,
		bailey.KindKubelet, bailey.KindKubeProxy, bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate:
		return false, true

	case bailey.KindClusterNetworkPolicy, bailey.KindAdminNetworkPolicy, bailey.KindBaselineAdminNetworkPolicy,
		"GatewayClass.gateway.networking.k8s.io",
		"ClusterIssuer.cert-manager.io",
		"ClusterPolicy.kyverno.io", "ClusterCleanupPolicy.kyverno.io",
		"ConstraintTemplate.templates.gatekeeper.sh", "Config.config.gatekeeper.sh",
		"CiliumClusterwideNetworkPolicy.cilium.io", "CiliumNode.cilium.io", "CiliumIdentity.cilium.io",
		"GlobalNetworkPolicy.crd.projectcalico.org", "GlobalNetworkPolicy.projectcalico.org",
		"GlobalNetworkSet.crd.projectcalico.org", "GlobalNetworkSet.projectcalico.org",
		"IPPool.crd.projectcalico.org", "FelixConfiguration.crd.projectcalico.org",
		"Tier.crd.projectcalico.org", "Tier.projectcalico.org",
		"VolumeSnapshotClass.snapshot.storage.k8s.io", "VolumeSnapshotContent.snapshot.storage.k8s.io",
		"ClusterSecretStore.external-secrets.io", "ClusterExternalSecret.external-secrets.io":
		return false, true
	}
	short, group := kind.Split()
	switch group {
	case "bailey.dev": // what is cluster-wide of it is listed above
		return true, true
	case "":
		builtin := New("v1", short) != nil || short == "Event" || short == "Binding"
		return builtin, builtin
	case "coordination.k8s.io", "events.k8s.io",
		"gateway.networking.k8s.io", "cert-manager.io", "acme.cert-manager.io", "kyverno.io",
		"networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "install.istio.io",
		"policy.linkerd.io", "linkerd.io", "cilium.io", "crd.projectcalico.org", "projectcalico.org",
		"monitoring.coreos.com", "external-secrets.io", "bitnami.com", "argoproj.io",
		"snapshot.storage.k8s.io", "keda.sh":
		return true, true
	case "constraints.gatekeeper.sh":
		return false, true
	}
	// The cluster-wide built-in kinds are all listed above.
	for _, version := range [...]string{"/v1", "/v2"} {
		if New(group+version, short) != nil {
			return true, true
		}
	}
	return false, false
}
