package compute

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// replicas is how many pods the object makes at once, as far as it says so. Of
// a DaemonSet it is not known, and counts as one.
func replicas(f *bailey.Fact) int64 {
	var n *int32
	switch o := f.Object.(type) {
	case *appsv1.Deployment:
		n = o.Spec.Replicas
	case *appsv1.ReplicaSet:
		n = o.Spec.Replicas
	case *appsv1.StatefulSet:
		n = o.Spec.Replicas
	case *corev1.ReplicationController:
		n = o.Spec.Replicas
	case *batchv1.Job:
		n = o.Spec.Parallelism
	case *batchv1.CronJob:
		n = o.Spec.JobTemplate.Spec.Parallelism
	}
	if n == nil {
		return 1
	}
	return int64(*n)
}

// use is what the pods of a namespace ask for together: CPU in millicores,
// memory and memory limits in bytes.
type use struct {
	pods, cpu, memory, limit int64
	// given is what a container gets that states nothing.
	given sizes
}

// sizes are a container's requests for CPU (millicores) and memory, and its
// limit for memory (bytes).
type sizes struct{ cpu, memory, limit int64 }

// small is what a container is given where nobody said anything.
var small = sizes{cpu: 100, memory: 128 << 20, limit: 256 << 20}

// specs are a pod's spec and how many of it there are.
type specs struct {
	spec  *corev1.PodSpec
	times int64
}

// podsOf gives the pods of a namespace: those that are there or, where none was
// seen, those that the templates make.
func podsOf(v *bailey.View, namespace string) []specs {
	var all []specs
	for _, f := range v.List(bailey.KindPod, namespace) {
		if w, ok := workload.Of(f); ok && !f.Dormant {
			all = append(all, specs{w.Spec, 1})
		}
	}
	if all != nil {
		return all
	}
	for _, k := range bailey.PodBearing {
		if k == bailey.KindPod || k == bailey.KindPodTemplate {
			continue
		}
		for _, f := range v.List(k, namespace) {
			if w, ok := workload.Of(f); ok && !f.Dormant && f.Owner.Name == "" {
				all = append(all, specs{w.Spec, replicas(f)})
			}
		}
	}
	return all
}

// useOf adds up what the pods of a namespace request, with what the LimitRanges
// there give to containers that state nothing or, where they give nothing, with
// what limitRangeChange would.
func useOf(v *bailey.View, namespace string) use {
	all := podsOf(v, namespace)
	u := use{given: givenBy(v.List(bailey.KindLimitRange, namespace))}
	if u.given.cpu == 0 {
		u.given.cpu = small.cpu
	}
	if u.given.memory == 0 {
		u.given.memory = small.memory
	}
	if u.given.limit == 0 {
		// A limit below its container's request would refuse the pod.
		u.given.limit = small.limit
		for _, p := range all {
			for _, list := range [][]corev1.Container{p.spec.InitContainers, p.spec.Containers} {
				for i := range list {
					r := &list[i].Resources
					if _, limited := r.Limits[corev1.ResourceMemory]; !limited {
						u.given.limit = max(u.given.limit, r.Requests.Memory().Value())
					}
				}
			}
		}
	}
	for _, p := range all {
		u.add(p)
	}
	return u
}

// givenBy gives what LimitRanges write into containers that state nothing, zero
// where they write nothing.
func givenBy(limitRanges []*bailey.Fact) sizes {
	var given sizes
	for _, f := range limitRanges {
		l, ok := f.Object.(*corev1.LimitRange)
		if !ok {
			continue
		}
		for i := range l.Spec.Limits {
			item := &l.Spec.Limits[i]
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			if q, found := firstOf(corev1.ResourceCPU, item.DefaultRequest, item.Default, item.Max, item.Min); found {
				given.cpu = q.MilliValue()
			}
			if q, found := firstOf(corev1.ResourceMemory, item.DefaultRequest, item.Default, item.Max, item.Min); found {
				given.memory = q.Value()
			}
			if q, found := firstOf(corev1.ResourceMemory, item.Default, item.Max); found {
				given.limit = q.Value()
			}
		}
	}
	return given
}

// firstOf gives the amount in the first of the lists that has one.
func firstOf(name corev1.ResourceName, lists ...corev1.ResourceList) (resource.Quantity, bool) {
	for _, list := range lists {
		if q, found := list[name]; found {
			return q, true
		}
	}
	return resource.Quantity{}, false
}

// add counts a pod's containers together, or its largest init container where
// that needs more.
func (u *use) add(p specs) {
	var together, first sizes
	for i := range p.spec.InitContainers {
		c := &p.spec.InitContainers[i]
		s := u.sizesOf(&c.Resources)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			together = sizes{together.cpu + s.cpu, together.memory + s.memory, together.limit + s.limit}
		} else {
			first = sizes{max(first.cpu, s.cpu), max(first.memory, s.memory), max(first.limit, s.limit)}
		}
	}
	for i := range p.spec.Containers {
		s := u.sizesOf(&p.spec.Containers[i].Resources)
		together = sizes{together.cpu + s.cpu, together.memory + s.memory, together.limit + s.limit}
	}
	u.pods += p.times
	u.cpu += p.times * max(together.cpu, first.cpu)
	u.memory += p.times * max(together.memory, first.memory)
	u.limit += p.times * max(together.limit, first.limit)
}

func (u *use) sizesOf(r *corev1.ResourceRequirements) sizes {
	s := u.given
	if q, found := firstOf(corev1.ResourceCPU, r.Requests, r.Limits); found {
		s.cpu = q.MilliValue()
	}
	if q, found := firstOf(corev1.ResourceMemory, r.Requests, r.Limits); found {
		s.memory = q.Value()
	}
	if q, found := r.Limits[corev1.ResourceMemory]; found {
		s.limit = q.Value()
	}
	return s
}

// hardLimits sizes a quota: half as much again as what is in use, so that a
// rollout has room, and never less than a few small pods need.
func (u use) hardLimits() map[corev1.ResourceName]string {
	return map[corev1.ResourceName]string{
		corev1.ResourcePods:           strconv.FormatInt(max(10, half(u.pods, 1)), 10),
		corev1.ResourceRequestsCPU:    millicores(max(500, half(u.cpu, 100))),
		corev1.ResourceRequestsMemory: mebibytes(max(512, half(u.memory>>20, 64))),
		corev1.ResourceLimitsMemory:   mebibytes(max(1024, half(u.limit>>20, 64))),
	}
}

// millicores and mebibytes write quantities as the API server does (1, 1Gi), which would
// otherwise seem to have changed what was applied.
func millicores(n int64) string { return resource.NewMilliQuantity(n, resource.DecimalSI).String() }

func mebibytes(n int64) string { return resource.NewQuantity(n<<20, resource.BinarySI).String() }

// inMebibytes counts bytes in mebibytes, rounded up.
func inMebibytes(n int64) int64 { return (n + (1 << 20) - 1) >> 20 }

// half is half as much again, rounded up to a multiple of the step.
func half(n, step int64) int64 {
	n += (n + 1) / 2
	return (n + step - 1) / step * step
}

const sizeNote = "The sizes follow from what the pods request now, with half as much again as room. Compare them with what the pods really use."

// quotaChange creates a quota that bounds CPU, memory and pods.
func quotaChange(v *bailey.View, namespace string) bailey.Change {
	hard := map[string]any{}
	for name, size := range useOf(v, namespace).hardLimits() {
		hard[string(name)] = size
	}
	return newQuotaObject(v, bailey.KindResourceQuota, namespace, "compute", map[string]any{"hard": hard},
		sizeNote+" From then on a pod that states no requests is refused, unless a LimitRange gives it some.")
}

// limitRangeChange creates a LimitRange that gives containers requests and a
// memory limit.
func limitRangeChange(v *bailey.View, namespace string) bailey.Change {
	given := useOf(v, namespace).given
	item := map[string]any{
		"type":           string(corev1.LimitTypeContainer),
		"defaultRequest": map[string]any{"cpu": millicores(given.cpu), "memory": mebibytes(inMebibytes(given.memory))},
		"default":        map[string]any{"memory": mebibytes(inMebibytes(given.limit))},
	}
	return newQuotaObject(v, bailey.KindLimitRange, namespace, "defaults", map[string]any{"limits": []any{item}},
		"A container without a memory limit gets this one when its pod is made anew, and is killed if it uses more. Compare it with what the containers really use.")
}

// newQuotaObject creates an object of the core group under the name, or under one
// that is free and begins like it.
func newQuotaObject(v *bailey.View, k bailey.Kind, namespace, name string, spec map[string]any, note string) bailey.Change {
	for taken := v.List(k, namespace); isTaken(taken, name); {
		name += "-bailey"
	}
	return bailey.Change{
		Object: bailey.Ref{Kind: k, Namespace: namespace, Name: name}, APIVersion: "v1",
		Content: map[string]any{
			"apiVersion": "v1", "kind": string(k),
			"metadata": map[string]any{"name": name, "namespace": namespace},
			"spec":     spec,
		},
		Note: note,
	}
}

func isTaken(facts []*bailey.Fact, name string) bool {
	for _, f := range facts {
		if f.Name == name {
			return true
		}
	}
	return false
}
