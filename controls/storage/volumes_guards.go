package storage

import (
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
	"github.com/baileyhq/bailey/derive/workload"
)

var volumeGuards = []*bailey.Guard{classesEncrypted, classesListed, nodeVolumesGranted}

const volumesID = "storage/volumes"

// booleansCEL are the texts that Go reads as true.
const booleansCEL = "['1', 't', 'T', 'true', 'TRUE', 'True']"

var classesEncrypted = vap.Guard(vap.Policy{
	Control: volumesID, Name: "classes-encrypted",
	Title: "StorageClasses ask for encryption",
	Doc: `A ValidatingAdmissionPolicy refuses new StorageClasses of EBS, Longhorn and Ceph RBD that do not ask for encryption.
Those of drivers that encrypt always, or of which Bailey knows nothing, pass; so do updates, which cannot change the
parameters.`,
	Covers:      []*bailey.Rule{classUnencrypted},
	ClusterWide: true,
	Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource("storage.k8s.io", "storageclasses")},
	Variables: []admissionv1.Variable{
		{Name: "given", Expression: "object.?parameters.orValue({})"},
		{Name: "encrypted", Expression: "variables.given.map(k, k.lowerAscii() == 'encrypted', variables.given[k])"},
		{Name: "keys", Expression: "variables.given.map(k, k.lowerAscii() == 'kmskeyid', variables.given[k])"},
		{Name: "asks", Expression: "object.provisioner in ['" + strings.Join(ebsProvisioners, "', '") + "'] ? " +
			"(size(variables.encrypted) > 0 && variables.encrypted.all(v, v == 'true')) || (size(variables.keys) > 0 && variables.keys.all(v, v != '')) : " +
			"object.provisioner in ['" + strings.Join(ownSwitch, "', '") + "'] || object.provisioner.endsWith('" + rookSuffix + "') ? " +
			"variables.given[?'encrypted'].orValue('') in " + booleansCEL + " : true"},
	},
	Checks: []vap.Check{{Expression: "request.operation == 'UPDATE' || variables.asks", MessageExpression: "'ask ' + object.provisioner + ' to encrypt: parameters {encrypted: \"true\"}'"}},
})

// classCEL is classOf in CEL, of the object or of the old one.
func classCEL(of string) string {
	return of + ".metadata.?annotations[?'" + corev1.BetaStorageClassAnnotation + "'].orValue(" + of + ".spec.?storageClassName.orValue(''))"
}

var classesListed = vap.Guard(vap.Policy{
	Control: volumesID, Name: "storage-classes-listed",
	Title: "Claims use listed StorageClasses only",
	Doc: `A ValidatingAdmissionPolicy refuses PersistentVolumeClaims that ask for a StorageClass which the ConfigMap
kube-system/bailey-storage-classes does not list, whoever makes them: StatefulSets and pods with ephemeral volumes get
theirs by controllers, which are refused as well. The plan lists the classes that are in use. Claims that name no class
are given the default one before they are judged. An update that leaves the class as it was passes. While the list is
missing, no claim is admitted outside of Kubernetes' own namespaces, nor updated; a policy beside it refuses to delete
the list.`,
	Covers:    []*bailey.Rule{unlistedClass},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "persistentvolumeclaims")},
	Param: &vap.Param{APIVersion: "v1", Kind: bailey.KindConfigMap, Namespace: vap.ParamNamespace, Name: bailey.StorageClassesParam,
		Needs: append([]bailey.Kind{bailey.KindPersistentVolumeClaim, bailey.KindStorageClass}, bailey.PodBearing...), Object: classesInUse},
	Variables: []admissionv1.Variable{
		{Name: "class", Expression: classCEL("object")},
		{Name: "unchanged", Expression: "request.operation == 'UPDATE' && variables.class == " + classCEL("oldObject")},
		{Name: "listed", Expression: "params.?data[?'" + classesKey + "'].orValue('').split('\\n').exists(l, l.trim() == variables.class)"},
	},
	Checks: []vap.Check{{Expression: "variables.unchanged || variables.class == '' || variables.listed",
		MessageExpression: "'StorageClass ' + variables.class + ' is not one that may be used (ConfigMap kube-system/" + bailey.StorageClassesParam + ")'"}},
})

// classesInUse lists the classes that claims, and templates of claims, ask for, as the
// parameter's text.
func classesInUse(v *bailey.View) (data map[string]string, note string) {
	used, byDefault := map[string]bool{}, false
	add := func(annotations map[string]string, claim *corev1.PersistentVolumeClaimSpec) {
		class, said := classOf(annotations, claim)
		byDefault = byDefault || !said
		if class != "" {
			used[class] = true
		}
	}
	for _, f := range v.List(bailey.KindPersistentVolumeClaim, "") {
		if claim, ok := bailey.As[*corev1.PersistentVolumeClaim](f); ok {
			add(claim.Annotations, &claim.Spec)
		}
	}
	for _, k := range bailey.PodBearing {
		for _, f := range v.List(k, "") {
			if set, ok := bailey.As[*appsv1.StatefulSet](f); ok {
				for i := range set.Spec.VolumeClaimTemplates {
					add(set.Spec.VolumeClaimTemplates[i].Annotations, &set.Spec.VolumeClaimTemplates[i].Spec)
				}
			}
			w, ok := workload.Of(f)
			if !ok {
				continue
			}
			for i := range w.Spec.Volumes {
				if e := w.Spec.Volumes[i].Ephemeral; e != nil && e.VolumeClaimTemplate != nil {
					add(e.VolumeClaimTemplate.Annotations, &e.VolumeClaimTemplate.Spec)
				}
			}
		}
	}
	for _, f := range v.List(bailey.KindStorageClass, "") {
		if class, ok := bailey.As[*storagev1.StorageClass](f); ok && byDefault && class.Annotations[defaultClassAnnotation] == "true" {
			used[class.Name] = true
		}
	}
	return map[string]string{classesKey: strings.Join(slices.Sorted(maps.Keys(used)), "\n")},
		"strike from classes what does not encrypt: it lists the StorageClasses that claims use now"
}

// defaultClassAnnotation marks the class of claims that name none.
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"

// placeVerb on a PersistentVolume lets one make it of a path of a node.
const placeVerb = "place-on-node"

var nodeVolumesGranted = vap.Guard(vap.Policy{
	Control: volumesID, Name: "node-volumes-granted",
	Title: "Only who was granted it makes volumes of a node's paths",
	Doc: `A ValidatingAdmissionPolicy refuses PersistentVolumes of hostPath and local by everybody whom the authorizer does not
allow the verb place-on-node on the volume. A provisioner of local volumes needs it: grant it to its ServiceAccount by a
ClusterRole. cluster-admin holds it. An update that leaves the path as it was passes.`,
	Covers:      []*bailey.Rule{nodePathVolume},
	ClusterWide: true,
	Resources:   []admissionv1.NamedRuleWithOperations{vap.Resource("", "persistentvolumes")},
	Variables: []admissionv1.Variable{
		{Name: "placed", Expression: "(has(object.spec.hostPath) || has(object.spec.local)) && (request.operation != 'UPDATE' || " +
			"object.spec.?hostPath != oldObject.spec.?hostPath || object.spec.?local != oldObject.spec.?local)"},
	},
	Checks: []vap.Check{{Expression: "!variables.placed || authorizer.group('').resource('persistentvolumes').name(object.metadata.name).check('" + placeVerb + "').allowed()",
		Message: "a volume of a node's path takes the verb " + placeVerb + " on persistentvolumes (a ClusterRole: resources [persistentvolumes], verbs [" + placeVerb + "])"}},
})
