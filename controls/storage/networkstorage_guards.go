package storage

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey/controls/internal/vap"
)

var storageAuthenticated = vap.Guard(vap.Policy{
	Control: "storage/network-storage", Name: "network-storage-authenticated",
	Title: "Volumes of NFS and iSCSI are admitted only with authentication",
	Doc: `ValidatingAdmissionPolicies refuse pods, and everything that makes pods, with an NFS volume, with one of the driver
` + nfsDriver + ` without Kerberos, or with an iSCSI volume without CHAP; and PersistentVolumes of NFS whose mount
options name no Kerberos (sec=krb5, krb5i, krb5p) or another flavour beside it, or of iSCSI without CHAP. An update that
leaves what names them as it was passes.`,
	Covers:    networkStorageRules,
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "open", Expression: "variables.spec.?volumes.orValue([]).filter(v, has(v.nfs) || (has(v.iscsi) && !v.iscsi.?chapAuthSession.orValue(false)) || " +
			"(v.?csi.?driver.orValue('') == '" + nfsDriver + "' && !" + kerberosOnlyCEL(attributesCEL("v.csi.?volumeAttributes.orValue({})")) + ")).map(v, v.name)"}),
	Checks: []vap.Check{vap.Pods("size(variables.open) == 0", "'volumes of NFS without Kerberos, or of iSCSI without CHAP: ' + variables.open.join(', ')")},
	With: []vap.Policy{{
		Name:        "network-volumes-authenticated",
		ClusterWide: true,
		Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource("", "persistentvolumes")},
		Variables: []admissionv1.Variable{
			{Name: "unchanged", Expression: "request.operation == 'UPDATE' && object.spec.?mountOptions == oldObject.spec.?mountOptions && object.spec.?nfs == oldObject.spec.?nfs && " +
				"object.spec.?csi == oldObject.spec.?csi && object.spec.?iscsi == oldObject.spec.?iscsi && " +
				"object.metadata.?annotations[?'" + corev1.MountOptionAnnotation + "'] == oldObject.metadata.?annotations[?'" + corev1.MountOptionAnnotation + "']"},
			{Name: "nfs", Expression: "has(object.spec.nfs) || object.spec.?csi.?driver.orValue('') == '" + nfsDriver + "'"},
			{Name: "annotated", Expression: "has(object.spec.nfs) ? object.metadata.?annotations[?'" + corev1.MountOptionAnnotation + "'] : optional.none()"},
			{Name: "options", Expression: "variables.annotated.hasValue() ? [variables.annotated.value()] : object.spec.?mountOptions.orValue([]) + " +
				attributesCEL("object.spec.?csi.?volumeAttributes.orValue({})")},
			{Name: "kerberos", Expression: kerberosOnlyCEL("variables.options")},
		},
		Checks: []vap.Check{
			{Expression: "variables.unchanged || !variables.nfs || variables.kerberos", Message: "NFS without Kerberos, or beside another flavour: set mountOptions [sec=krb5p] alone"},
			{Expression: "variables.unchanged || !has(object.spec.iscsi) || object.spec.iscsi.?chapAuthSession.orValue(false)", Message: "iSCSI without CHAP: set chapAuthSession and secretRef"},
		},
	}},
})
