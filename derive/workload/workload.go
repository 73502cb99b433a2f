// Package workload reads pod templates out of every kind of object that is,
// or makes, pods, so that rules treat all of them alike.
package workload

import (
	"iter"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Workload is the pod template of an object, and where it stands in it.
type Workload struct {
	Fact *bailey.Fact
	// Meta is the metadata of the pods: the pod's own, or the template's.
	Meta *metav1.ObjectMeta
	Spec *corev1.PodSpec
	// Path is the field that holds Spec ("spec.template.spec"), and Pointer the
	// same as a JSON pointer ("/spec/template/spec").
	Path, Pointer string
	// MetaPath and MetaPointer are those of Meta ("spec.template.metadata").
	MetaPath, MetaPointer string
}

// place is where a kind keeps its pod template.
type place struct{ path, pointer, metaPath, metaPointer string }

// The places are constants: Of runs for every rule on every object.
var (
	inPod      = place{"spec", "/spec", "metadata", "/metadata"}
	inSpec     = place{"spec.template.spec", "/spec/template/spec", "spec.template.metadata", "/spec/template/metadata"}
	inCronJob  = place{"spec.jobTemplate.spec.template.spec", "/spec/jobTemplate/spec/template/spec", "spec.jobTemplate.spec.template.metadata", "/spec/jobTemplate/spec/template/metadata"}
	inTemplate = place{"template.spec", "/template/spec", "template.metadata", "/template/metadata"}
)

// Of gives the pod template of a fact, and false if its kind has none.
func Of(f *bailey.Fact) (Workload, bool) {
	switch o := f.Object.(type) {
	case *corev1.Pod:
		return at(f, &o.ObjectMeta, &o.Spec, &inPod), true
	case *appsv1.Deployment:
		return template(f, &o.Spec.Template, &inSpec), true
	case *appsv1.ReplicaSet:
		return template(f, &o.Spec.Template, &inSpec), true
	case *appsv1.StatefulSet:
		return template(f, &o.Spec.Template, &inSpec), true
	case *appsv1.DaemonSet:
		return template(f, &o.Spec.Template, &inSpec), true
	case *batchv1.Job:
		return template(f, &o.Spec.Template, &inSpec), true
	case *batchv1.CronJob:
		return template(f, &o.Spec.JobTemplate.Spec.Template, &inCronJob), true
	case *corev1.ReplicationController:
		if o.Spec.Template == nil {
			return Workload{}, false
		}
		return template(f, o.Spec.Template, &inSpec), true
	case *corev1.PodTemplate:
		return template(f, &o.Template, &inTemplate), true
	}
	return Workload{}, false
}

func template(f *bailey.Fact, t *corev1.PodTemplateSpec, p *place) Workload {
	return at(f, &t.ObjectMeta, &t.Spec, p)
}

func at(f *bailey.Fact, meta *metav1.ObjectMeta, spec *corev1.PodSpec, p *place) Workload {
	return Workload{f, meta, spec, p.path, p.pointer, p.metaPath, p.metaPointer}
}

// Immutable reports whether the API server refuses changes of the pod spec: it does of a pod
// that is there, but for images and a few numbers, and of a Job's template. Fixes leave both
// alone: they are deleted, and made anew.
func (w Workload) Immutable() bool {
	return w.Fact.UID != "" && (w.Fact.Kind == bailey.KindPod || w.Fact.Kind == bailey.KindJob)
}

// ContainerType is the list of the pod spec that a container stands in.
type ContainerType string

const (
	Regular   ContainerType = "containers"
	Init      ContainerType = "initContainers"
	Ephemeral ContainerType = "ephemeralContainers"
)

// Container is one container of any type. Of an ephemeral container it shows
// the part that all types share.
type Container struct {
	*corev1.Container
	Type ContainerType
	// Sidecar tells an init container that runs beside the others
	// (restartPolicy: Always).
	Sidecar bool
	Index   int

	workload Workload
}

// Containers gives init containers, containers and ephemeral containers, in
// this order.
func (w Workload) Containers() iter.Seq[Container] {
	return func(yield func(Container) bool) {
		for i := range w.Spec.InitContainers {
			c := &w.Spec.InitContainers[i]
			sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if !yield(Container{c, Init, sidecar, i, w}) {
				return
			}
		}
		for i := range w.Spec.Containers {
			if !yield(Container{&w.Spec.Containers[i], Regular, false, i, w}) {
				return
			}
		}
		for i := range w.Spec.EphemeralContainers {
			c := (*corev1.Container)(&w.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !yield(Container{c, Ephemeral, false, i, w}) {
				return
			}
		}
	}
}

// Field is the container's path with its index, followed by the suffix
// (".image"): "spec.template.spec.containers[0].image".
func (c Container) Field(suffix string) string {
	return c.workload.Path + "." + string(c.Type) + "[" + strconv.Itoa(c.Index) + "]" + suffix
}

// Named is the container's path with its name in the place of the index.
func (c Container) Named(suffix string) string {
	return c.workload.Path + "." + string(c.Type) + "[" + c.Name + "]" + suffix
}

// Pointer is the container's JSON pointer, followed by the suffix ("/image").
func (c Container) Pointer(suffix string) string {
	return c.workload.Pointer + "/" + string(c.Type) + "/" + strconv.Itoa(c.Index) + suffix
}

// Finding is a finding about a field of the container.
func (c Container) Finding(suffix, message string) bailey.Finding {
	// Field and Named are cut from one string: writing findings is most of what the busiest
	// rules cost.
	index := strconv.Itoa(c.Index)
	list := len(c.workload.Path) + 1 + len(c.Type) + 1
	field := list + len(index) + 1 + len(suffix)
	var both strings.Builder
	both.Grow(field + list + len(c.Name) + 1 + len(suffix))
	for _, entry := range [...]string{index, c.Name} {
		both.WriteString(c.workload.Path)
		both.WriteByte('.')
		both.WriteString(string(c.Type))
		both.WriteByte('[')
		both.WriteString(entry)
		both.WriteByte(']')
		both.WriteString(suffix)
	}
	return bailey.Finding{Field: both.String()[:field], Named: both.String()[field:], Message: message}
}
