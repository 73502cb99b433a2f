// Package pods makes the pods, and the steps with them, by which experiments try
// what admission lets in. It is pure: nothing is asked or done.
package pods

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Pause is the image of pods that are only tried. It is pinned, so that policies
// about tags have nothing to say of it, and is never pulled by a dry-run.
const Pause = "registry.k8s.io/pause:3.10@sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a"

// Model is what a pod must look like to pass for an ordinary one of its
// namespace. Policies that ask for labels or a registry then have nothing against
// the allowed twin.
type Model struct {
	Namespace string
	Image     string
	Labels    map[string]string
}

// ModelOf takes the model from a pod of the namespace, the first by name of those
// with a pinned image. Where none is pinned the image is that of another namespace's
// pinned pod, since a policy may have been put in place since the pods were made; where
// there is none either, what the namespace runs, or else the pause image.
func ModelOf(v *bailey.View, namespace string) Model {
	m := Model{Namespace: namespace, Image: Pause}
	own := v.Held(bailey.KindPod, namespace)
	if pod := first(own, true); pod != nil {
		return modelOf(pod)
	}
	elsewhere := slices.DeleteFunc(slices.Clone(v.Known(bailey.KindPod, "")), func(f *bailey.Fact) bool {
		return f.Namespace == namespace || slices.Contains(bailey.SystemNamespaces, f.Namespace)
	})
	pinned := first(elsewhere, true)
	if pod := first(own, false); pod != nil {
		m = modelOf(pod)
	}
	if pinned != nil {
		m.Image = pinned.Spec.Containers[0].Image
	}
	return m
}

func modelOf(pod *corev1.Pod) Model {
	return Model{Namespace: pod.Namespace, Image: pod.Spec.Containers[0].Image, Labels: ordinary(pod.Labels)}
}

// first gives the first pod that is alive, or of those whose image is pinned.
func first(facts []*bailey.Fact, pinned bool) *corev1.Pod {
	for _, f := range facts {
		pod, ok := f.Object.(*corev1.Pod)
		if ok && Alive(f) && len(pod.Spec.Containers) > 0 && (!pinned || strings.Contains(pod.Spec.Containers[0].Image, "@sha256:")) {
			return pod
		}
	}
	return nil
}

// ordinary leaves out the labels that controllers give their pods, by which they
// would know them again.
func ordinary(labels map[string]string) map[string]string {
	kept := maps.Clone(labels)
	maps.DeleteFunc(kept, func(key, _ string) bool {
		switch key {
		case "pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name":
			return true
		}
		prefix, _, found := strings.Cut(key, "/")
		return found && (prefix == "batch.kubernetes.io" || prefix == "statefulset.kubernetes.io" || prefix == "apps.kubernetes.io")
	})
	return kept
}

// Container is one that every version of the Pod Security Standards admits at
// restricted. It states requests and limits, so that quotas admit it.
func Container(name, image string) corev1.Container {
	yes, no := true, false
	small := corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("16Mi")}
	return corev1.Container{
		Name: name, Image: image,
		Resources: corev1.ResourceRequirements{Requests: small, Limits: small.DeepCopy()},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			ReadOnlyRootFilesystem:   &yes,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// Ephemeral is Container as one that is added to a running pod: it can state no
// resources. It states what the pod may not say for it.
func Ephemeral(image string) corev1.Container {
	yes, user := true, int64(65532)
	c := Container("bailey-probe", image)
	c.Resources = corev1.ResourceRequirements{}
	c.SecurityContext.RunAsNonRoot, c.SecurityContext.RunAsUser = &yes, &user
	c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	return c
}

// Restricted is a pod that every version of the Pod Security Standards admits at
// restricted, with a container of each kind.
func Restricted(m Model) *corev1.Pod {
	yes, no, user, always := true, false, int64(65532), corev1.ContainerRestartPolicyAlways
	sidecar := Container("sidecar", m.Image)
	sidecar.RestartPolicy = &always
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: bailey.ProbePrefix, Namespace: m.Namespace, Labels: maps.Clone(m.Labels)},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{Container("init", m.Image), sidecar},
			Containers:     []corev1.Container{Container("main", m.Image)},
		},
	}
}

// Alive reports whether the fact is a pod that the API server would let change:
// it has not ended, is not going, and is no mirror of a static pod.
func Alive(f *bailey.Fact) bool {
	pod, ok := f.Object.(*corev1.Pod)
	if !ok || f.Dormant || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return !mirror
}

// Existing gives a pod of the namespace that is likely to be there still when the
// probe is done, of those that fit; nil if there is none. The choice depends on
// the snapshot alone.
func Existing(v *bailey.View, namespace string, fits func(*corev1.Pod) bool) *corev1.Pod {
	var found []*bailey.Fact
	for _, f := range v.Held(bailey.KindPod, namespace) {
		if pod, ok := f.Object.(*corev1.Pod); ok && Alive(f) && f.UID != "" && fits(pod) {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil
	}
	best := slices.MinFunc(found, func(a, b *bailey.Fact) int {
		return cmp.Or(cmp.Compare(fleeting(a), fleeting(b)), strings.Compare(a.Name, b.Name))
	})
	return best.Object.(*corev1.Pod)
}

// fleeting is greater the sooner a pod of this owner goes.
func fleeting(f *bailey.Fact) int {
	switch f.Owner.Kind {
	case bailey.KindStatefulSet, bailey.KindDaemonSet:
		return 0
	case "":
		return 1
	case bailey.KindJob:
		return 3
	}
	return 2
}
