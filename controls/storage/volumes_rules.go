package storage

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var volumeRules = []*bailey.Rule{classUnencrypted, classDriverUnknown, unlistedClass, nodePathVolume}

var (
	classDocs = ref.Kubernetes("concepts/storage/storage-classes/", "Storage Classes")
	onClasses = []bailey.Kind{bailey.KindStorageClass}
)

// Provisioners whose classes ask for encryption by a parameter.
var (
	// Of the driver, of EKS Auto Mode, and in Kubernetes itself.
	ebsProvisioners     = []string{"ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs"}
	ownSwitch           = []string{"driver.longhorn.io", "rbd.csi.ceph.com"} // parameter "encrypted", a boolean of Go
	rookSuffix          = ".rbd.csi.ceph.com"                                // Rook puts its namespace before the driver's name
	encryptedByProvider = []string{"pd.csi.storage.gke.io", "kubernetes.io/gce-pd", "disk.csi.azure.com", "kubernetes.io/azure-disk"}
)

// asksEncryption says whether volumes of the class are to be encrypted, and whether
// that is known of its driver.
func asksEncryption(c *storagev1.StorageClass) (asks, known bool) {
	switch {
	case slices.Contains(encryptedByProvider, c.Provisioner):
		return true, true
	case slices.Contains(ebsProvisioners, c.Provisioner):
		encrypted, keyed := all(c.Parameters, "encrypted", isTrue), all(c.Parameters, "kmskeyid", isGiven)
		return encrypted || keyed, true
	case slices.Contains(ownSwitch, c.Provisioner) || strings.HasSuffix(c.Provisioner, rookSuffix):
		asks, _ = strconv.ParseBool(c.Parameters["encrypted"])
		return asks, true
	}
	return false, false
}

// all reports whether the class has the parameter, and in every spelling with a value that
// is as wanted: the EBS driver reads keys in any case, and which of several it reads last
// is chance.
func all(parameters map[string]string, name string, wanted func(string) bool) (given bool) {
	for key, value := range parameters {
		if strings.ToLower(key) == name {
			if !wanted(value) {
				return false
			}
			given = true
		}
	}
	return given
}

func isTrue(value string) bool  { return value == "true" }
func isGiven(value string) bool { return value != "" }

var classUnencrypted = &bailey.Rule{
	Name:  "class-unencrypted",
	Title: "StorageClass asks for no encryption",
	Doc: `Reads the parameters of StorageClasses whose drivers encrypt when they are asked to: EBS (encrypted, kmsKeyId),
Longhorn and Ceph RBD (encrypted). Of EBS every spelling of a key must ask for it, since the driver reads them all. A
class that says encrypted: "false" is medium, one that says nothing low.

The volumes are in plain text then, unless something below the driver encrypts that no object shows: the default of an
AWS account, the disks under Ceph or Longhorn. Persistent disks of Google Cloud and managed disks of Azure are encrypted
always, and their classes are not found. A class that is there stays as it is: its parameters cannot be changed, so it
takes a new class, and a copy of the data.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{classDocs,
		ref.Page("AWS", "Amazon EBS CSI driver: parameters of StorageClasses", "https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/parameters.md"),
		ref.Page("Longhorn", "Volume encryption", "https://longhorn.io/docs/latest/advanced-resources/security/volume-encryption/"),
		ref.Page("Ceph", "CSI RBD plugin: volume parameters", "https://github.com/ceph/ceph-csi/blob/devel/docs/deploy-rbd.md"),
		ref.NIST("SC-28(1)")},
	On: onClasses,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*storagev1.StorageClass](f)
		if !ok {
			return nil
		}
		if asks, known := asksEncryption(c); asks || !known {
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(c.Parameters)) {
			if value := c.Parameters[key]; strings.EqualFold(key, "encrypted") && value != "" && value != "true" {
				return []bailey.Finding{{Field: "parameters.encrypted", Severity: bailey.SeverityMedium,
					Message: "tells " + c.Provisioner + " not to encrypt: encrypted is " + strconv.Quote(value)}}
			}
		}
		return []bailey.Finding{{Field: "parameters.encrypted", Message: "does not ask " + c.Provisioner + " to encrypt: whether something below it does is not seen"}}
	},
	Bad: []string{`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: bad}
provisioner: ebs.csi.aws.com
parameters: {type: gp3, encrypted: "false"}
`, `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: bad-silent}
provisioner: driver.longhorn.io
parameters: {numberOfReplicas: "3"}
`},
}

var classDriverUnknown = &bailey.Rule{
	Name:  "class-driver-unknown",
	Title: "Nothing is known about the encryption of a StorageClass",
	Doc: `Reads the provisioners of StorageClasses, and names those of which Bailey does not know whether they encrypt, so that
they are not taken for encrypted. Look it up in the driver's own documentation.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{classDocs, ref.NIST("SC-28")},
	On:       onClasses,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*storagev1.StorageClass](f)
		if !ok {
			return nil
		}
		if _, known := asksEncryption(c); known {
			return nil
		}
		return []bailey.Finding{{Field: "provisioner", Message: "whether volumes of " + c.Provisioner + " are encrypted is not known"}}
	},
	Bad: []string{`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: bad}
provisioner: disks.example.com
`},
}

// classesKey is the key of the parameter's data.
const classesKey = "classes"

var unlistedClass = &bailey.Rule{
	Name:  "unlisted-class",
	Title: "Claim asks for a StorageClass that is not listed",
	Doc: `Where the ConfigMap kube-system/bailey-storage-classes lists the StorageClasses that may be used, a name a line, every
PersistentVolumeClaim that names a class must name one of them, by its field or by the older annotation
` + corev1.BetaStorageClassAnnotation + `, which counts before the field. Where there is no list, nothing is unlisted.

A claim of the class "" takes a volume that is there already; one that names no class is given the default one by the
API server.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/storage/persistent-volumes/#class-1", "Persistent Volumes: Class"), ref.NIST("CM-7"), ref.NIST("SC-28")},
	On:       []bailey.Kind{bailey.KindPersistentVolumeClaim},
	Needs:    []bailey.Kind{bailey.KindConfigMap},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		claim, ok := bailey.As[*corev1.PersistentVolumeClaim](f)
		if !ok {
			return nil
		}
		class, _ := classOf(claim.Annotations, &claim.Spec)
		if class == "" {
			return nil
		}
		list, ok := bailey.As[*corev1.ConfigMap](v.Get(bailey.KindConfigMap, metav1.NamespaceSystem, bailey.StorageClassesParam))
		if !ok {
			return nil
		}
		for listed := range strings.SplitSeq(list.Data[classesKey], "\n") {
			if strings.TrimSpace(listed) == class {
				return nil
			}
		}
		return []bailey.Finding{{Field: "spec.storageClassName", Message: "asks for class " + strconv.Quote(class) + ", which " + bailey.StorageClassesParam + " does not list"}}
	},
	Bad: []string{`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: bad, namespace: shop}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-storage-classes, namespace: kube-system}
data: {classes: "# encrypted\nfast-encrypted\nlogs\n"}
`, `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: bad-by-annotation, namespace: shop, annotations: {volume.beta.kubernetes.io/storage-class: fast}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-storage-classes, namespace: kube-system}
data: {classes: "# encrypted\nfast-encrypted\nlogs\n"}
`},
}

// classOf gives the class that a claim asks for, as the control plane reads it, and
// whether the claim says anything about it: else the default class is meant.
func classOf(annotations map[string]string, claim *corev1.PersistentVolumeClaimSpec) (class string, said bool) {
	if class, said = annotations[corev1.BetaStorageClassAnnotation]; said {
		return class, true
	}
	if claim.StorageClassName == nil {
		return "", false
	}
	return *claim.StorageClassName, true
}

var nodePathVolume = &bailey.Rule{
	Name:  "node-path-volume",
	Title: "PersistentVolume is a path of a node",
	Doc: `Reads PersistentVolumes of hostPath (medium) and local (low). Pod Security forbids pods a path of their node, and lets
them use any claim: whoever may create PersistentVolumes gives pods the node's files all the same, at whatever path.

No storage plug-in encrypts such a volume. Where local disks are used on purpose the finding is one to waive.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/storage/volumes/#hostpath", "Volumes: hostPath"), ref.Kubernetes("concepts/storage/volumes/#local", "Volumes: local"),
		ref.Kubernetes("concepts/security/rbac-good-practices/#persistent-volume-creation", "RBAC good practices: persistent volume creation"), ref.NIST("SC-28"), ref.ATTACK("T1611")},
	On: []bailey.Kind{bailey.KindPersistentVolume},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		v, ok := bailey.As[*corev1.PersistentVolume](f)
		switch {
		case !ok:
		case v.Spec.HostPath != nil:
			return []bailey.Finding{{Field: "spec.hostPath", Severity: bailey.SeverityMedium, Message: "gives pods " + v.Spec.HostPath.Path + " of their node"}}
		case v.Spec.Local != nil:
			return []bailey.Finding{{Field: "spec.local", Message: "gives pods " + v.Spec.Local.Path + " of a node"}}
		}
		return nil
	},
	Bad: []string{`apiVersion: v1
kind: PersistentVolume
metadata: {name: bad}
spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /etc/kubernetes}}
`, `apiVersion: v1
kind: PersistentVolume
metadata: {name: bad-local}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  local: {path: /var/lib/kubelet}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-1]}]}]}}
`},
}
