package gen

import (
	"fmt"
	"iter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster yields exactly n objects of a running cluster, as an API server would
// return them after its defaulting, admission and controllers, without managed
// fields and events: nodes and their leases, the system's own workloads and
// roles, then one namespace after another. Of a thousand objects or more, 35 to
// 40 percent are pods. Every object has its TypeMeta and a UID of its own, and an
// owner comes before what it owns.
//
// Two namespaces in five are well kept, two ordinary and one careless, so rules
// find something, though not everywhere. The caller owns what it gets.
func Cluster(n int, seed uint64) iter.Seq[runtime.Object] {
	return func(yield func(runtime.Object) bool) {
		c := &cluster{random: newRandom(seed), left: n, yield: yield}
		c.platform(n)
		for i := 0; c.left > 0; i++ {
			c.namespace(i)
		}
	}
}

// start is a while before the moment at which the cluster is seen.
var start = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

type cluster struct {
	random
	left    int // how many objects are still to be yielded
	yield   func(runtime.Object) bool
	nodes   []*corev1.Node
	minutes int // since start; each object is a little younger than the last
	address int // of the last pod or service
}

// emit yields one object, unless enough have been. Nobody needs to ask whether it
// did: what is emitted after the last is dropped.
func (c *cluster) emit(obj object, kind schema.GroupVersionKind) {
	if c.left <= 0 {
		return
	}
	c.left--
	// A copy, since the maker goes on reading labels and pods that it has emitted.
	own := obj.DeepCopyObject()
	own.GetObjectKind().SetGroupVersionKind(kind)
	if !c.yield(own) {
		c.left = 0
	}
}

type object interface {
	runtime.Object
	metav1.Object
}

// meta is the metadata of a new object; namespace is "" for cluster-wide ones.
func (c *cluster) meta(namespace, name string, labels map[string]string, owners ...metav1.OwnerReference) metav1.ObjectMeta {
	c.minutes = (c.minutes + c.IntN(7)) % 400000
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, Labels: labels, OwnerReferences: owners,
		UID:               types.UID(c.uid()),
		ResourceVersion:   fmt.Sprint(1000 + c.minutes*13 + c.IntN(13)),
		CreationTimestamp: metav1.NewTime(start.Add(time.Duration(c.minutes) * time.Minute)),
	}
}

// ownedBy is a reference to the controller of an object.
func ownedBy(owner object, kind schema.GroupVersionKind) metav1.OwnerReference {
	return *metav1.NewControllerRef(owner, kind)
}

func (c *cluster) ip(prefix string) string {
	c.address++
	return fmt.Sprintf("%s.%d.%d", prefix, c.address/250%250, 1+c.address%250)
}

// keeping is how well a namespace is kept.
type keeping int

const (
	wellKept keeping = iota
	ordinary
	careless
)

// namespace emits a namespace of an application team, about 140 objects.
func (c *cluster) namespace(i int) {
	kept := pick(c.random, []keeping{wellKept, wellKept, ordinary, ordinary, careless})
	ns := fmt.Sprintf("%s-%s-%d", pick(c.random, words), pick(c.random, []string{"prod", "stage", "dev", "team"}), i)
	c.emit(c.newNamespace(ns, kept), gvkNamespace)
	c.emit(&corev1.ConfigMap{ObjectMeta: c.meta(ns, "kube-root-ca.crt", nil), Data: map[string]string{"ca.crt": clusterCA}}, gvkConfigMap)
	c.emit(&corev1.ServiceAccount{ObjectMeta: c.meta(ns, "default", nil)}, gvkServiceAccount)
	c.limits(ns, kept)

	var services []string
	for j := range c.between(5, 12) {
		w := c.newWorkload(ns, fmt.Sprintf("%s-%d", pick(c.random, words), j), kept)
		services = append(services, w.name)
		c.deployment(w, pick(c.random, []int{1, 2, 2, 3, 3, 3, 4, 5, 6, 8, 10, 16}))
	}
	if c.chance(60) {
		c.statefulSet(c.newWorkload(ns, "db-"+pick(c.random, words), kept), c.between(1, 3))
	}
	for j := range c.IntN(3) {
		c.cronJob(c.newWorkload(ns, fmt.Sprintf("nightly-%s-%d", pick(c.random, words), j), kept), c.between(1, 3))
	}
	if c.chance(30) {
		c.job(c.newWorkload(ns, "migrate-"+pick(c.random, words), kept), "migrate-"+c.suffix(5), nil)
	}
	c.policies(ns, kept, services)
	c.access(ns, kept, services[0])
}

func (c *cluster) newNamespace(name string, kept keeping) *corev1.Namespace {
	labels := map[string]string{"kubernetes.io/metadata.name": name, "team": pick(c.random, words)}
	const prefix = "pod-security.kubernetes.io/"
	switch kept {
	case wellKept:
		labels[prefix+"enforce"], labels[prefix+"enforce-version"], labels[prefix+"warn"] = "restricted", "latest", "restricted"
	case ordinary:
		labels[prefix+"enforce"], labels[prefix+"audit"] = "baseline", "restricted"
	}
	return &corev1.Namespace{
		ObjectMeta: c.meta("", name, labels),
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}
