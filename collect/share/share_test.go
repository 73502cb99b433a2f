package share

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/bench/gen"
	"github.com/baileyhq/bailey/collect/object"
)

// TestSays wants every fact to say the same as before, and replicas to share.
func TestSays(t *testing.T) {
	var s Sharer
	var last *corev1.Pod
	shared := 0
	for o := range gen.Cluster(3000, 7) {
		apiVersion, kind := o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
		if object.New(apiVersion, kind) == nil {
			continue
		}
		want := object.Fact(o.DeepCopyObject(), apiVersion, kind, bailey.Source{})
		f := object.Fact(o, apiVersion, kind, bailey.Source{})
		s.Next(f)
		if !reflect.DeepEqual(f, want) {
			t.Fatalf("%+v\nwant %+v", f, want)
		}
		pod, ok := bailey.As[*corev1.Pod](f)
		if ok && last != nil && len(pod.Labels) > 0 && reflect.ValueOf(pod.Labels).Pointer() == reflect.ValueOf(last.Labels).Pointer() &&
			reflect.ValueOf(f.Labels).Pointer() == reflect.ValueOf(last.Labels).Pointer() {
			shared++
		}
		if ok {
			last = pod
		}
	}
	if shared < 300 {
		t.Errorf("%d pods share the labels of the one before", shared)
	}
}
