// Package share lets facts that say the same in places share the memory there.
// The pods of one ReplicaSet differ in little more than their names.
package share

import (
	"maps"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Sharer makes each fact share with the one before it. It does most where facts
// come sorted by name, as API servers list them. The zero value is ready; it is
// for one goroutine.
type Sharer struct {
	last template
	meta *metav1.ObjectMeta
}

// template is a pod, or what pods are made from.
type template struct {
	meta     *metav1.ObjectMeta
	spec     *corev1.PodSpec
	selector *metav1.LabelSelector // of its pods; nil if it has none
}

// Next replaces what the fact has in common with the one before it, without
// changing what it says. The fact must be fresh: nobody else may read it yet.
func (s *Sharer) Next(f *bailey.Fact) {
	o, ok := f.Object.(metav1.ObjectMetaAccessor)
	if !ok {
		return
	}
	meta, ok := o.GetObjectMeta().(*metav1.ObjectMeta)
	if !ok {
		return
	}
	if s.meta != nil {
		text(&f.Namespace, s.meta.Namespace)
		objectMeta(meta, s.meta)
		text(&f.Owner.Namespace, meta.Namespace)
	}
	t := templateOf(f.Object)
	if t.spec != nil && s.last.spec != nil {
		objectMeta(t.meta, s.last.meta)
		podSpec(t.spec, s.last.spec)
	}
	if t.spec != nil && s.meta != nil { // as the first it stays as it is
		mapping(&t.meta.Labels, meta.Labels)
		if t.selector != nil {
			mapping(&t.selector.MatchLabels, t.meta.Labels)
		}
	}
	if s.meta != nil {
		f.Labels = meta.Labels
	}
	s.meta = meta
	if t.spec != nil {
		s.last = t
	}
}

// With makes a fresh fact share with another, which stays as it is.
func With(f, other *bailey.Fact) {
	var s Sharer
	s.Next(other) // as the first it shares with nothing
	s.Next(f)
}

// Same reports whether two facts of one object say the same.
func Same(a, b *bailey.Fact) bool {
	return a.UID == b.UID && a.Dormant == b.Dormant && a.Owner == b.Owner && a.OwnerUID == b.OwnerUID && a.APIVersion == b.APIVersion &&
		equality.Semantic.DeepEqual(a.Object, b.Object)
}

func templateOf(content any) template {
	switch o := content.(type) {
	case *corev1.Pod:
		return template{&o.ObjectMeta, &o.Spec, nil}
	case *appsv1.Deployment:
		return template{&o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Selector}
	case *appsv1.ReplicaSet:
		return template{&o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Selector}
	case *appsv1.StatefulSet:
		return template{&o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Selector}
	case *appsv1.DaemonSet:
		return template{&o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Selector}
	case *batchv1.Job:
		return template{&o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Selector}
	case *batchv1.CronJob:
		return template{&o.Spec.JobTemplate.Spec.Template.ObjectMeta, &o.Spec.JobTemplate.Spec.Template.Spec, nil}
	}
	return template{}
}

func objectMeta(m, last *metav1.ObjectMeta) {
	text(&m.Namespace, last.Namespace)
	text(&m.GenerateName, last.GenerateName)
	mapping(&m.Labels, last.Labels)
	mapping(&m.Annotations, last.Annotations)
	deep(&m.OwnerReferences, last.OwnerReferences)
}

func podSpec(s, last *corev1.PodSpec) {
	text(&s.NodeName, last.NodeName)
	text(&s.ServiceAccountName, last.ServiceAccountName)
	text(&s.DeprecatedServiceAccount, last.DeprecatedServiceAccount)
	text(&s.SchedulerName, last.SchedulerName)
	text(&s.PriorityClassName, last.PriorityClassName)
	text(&s.RestartPolicy, last.RestartPolicy)
	text(&s.DNSPolicy, last.DNSPolicy)
	mapping(&s.NodeSelector, last.NodeSelector)
	deep(&s.TerminationGracePeriodSeconds, last.TerminationGracePeriodSeconds)
	deep(&s.SecurityContext, last.SecurityContext)
	deep(&s.ImagePullSecrets, last.ImagePullSecrets)
	deep(&s.Affinity, last.Affinity)
	deep(&s.Tolerations, last.Tolerations)
	deep(&s.TopologySpreadConstraints, last.TopologySpreadConstraints)
	if !deep(&s.Volumes, last.Volumes) && len(s.Volumes) == len(last.Volumes) {
		for i := range s.Volumes {
			text(&s.Volumes[i].Name, last.Volumes[i].Name)
			deep(&s.Volumes[i].VolumeSource, last.Volumes[i].VolumeSource)
		}
	}
	if !deep(&s.InitContainers, last.InitContainers) {
		containers(s.InitContainers, last.InitContainers)
	}
	if !deep(&s.Containers, last.Containers) {
		containers(s.Containers, last.Containers)
	}
}

func containers(list, last []corev1.Container) {
	for i := range min(len(list), len(last)) {
		container(&list[i], &last[i])
	}
}

func container(c, last *corev1.Container) {
	text(&c.Name, last.Name)
	text(&c.Image, last.Image)
	text(&c.TerminationMessagePath, last.TerminationMessagePath)
	text(&c.TerminationMessagePolicy, last.TerminationMessagePolicy)
	text(&c.ImagePullPolicy, last.ImagePullPolicy)
	list(&c.Command, last.Command)
	list(&c.Args, last.Args)
	list(&c.Ports, last.Ports)
	deep(&c.EnvFrom, last.EnvFrom)
	deep(&c.Env, last.Env)
	mapping(&c.Resources.Limits, last.Resources.Limits)
	mapping(&c.Resources.Requests, last.Resources.Requests)
	deep(&c.VolumeMounts, last.VolumeMounts)
	deep(&c.LivenessProbe, last.LivenessProbe)
	deep(&c.ReadinessProbe, last.ReadinessProbe)
	deep(&c.StartupProbe, last.StartupProbe)
	deep(&c.Lifecycle, last.Lifecycle)
	deep(&c.SecurityContext, last.SecurityContext)
}

// Each of these replaces a value by an equal one, so that the first is garbage.

func text[S ~string](s *S, last S) {
	if *s == last {
		*s = last
	}
}

func list[L ~[]E, E comparable](l *L, last L) {
	if len(last) > 0 && slices.Equal(*l, last) {
		*l = last
	}
}

// mapping compares quantities by their inside, so equal amounts that are written
// differently stay apart.
func mapping[M ~map[K]V, K, V comparable](m *M, last M) {
	if len(last) > 0 && maps.Equal(*m, last) {
		*m = last
	}
}

// deep reports whether it did.
func deep[T any](v *T, last T) bool {
	equal := reflect.DeepEqual(*v, last)
	if equal {
		*v = last
	}
	return equal
}
