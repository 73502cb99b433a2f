package workload_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/derive/workload"
)

// TestPlaces puts a pod spec at the path that Of names, in an object of every
// pod-bearing kind, and wants to read it back from there.
func TestPlaces(t *testing.T) {
	for _, k := range bailey.PodBearing {
		kind, group := k.Split()
		apiVersion := "v1"
		if group != "" {
			apiVersion = group + "/v1"
		}
		w, ok := workload.Of(object.Fact(filled(object.New(apiVersion, kind)), apiVersion, kind, bailey.Source{}))
		if !ok {
			t.Errorf("%s has no pod template", k)
			continue
		}
		if strings.ReplaceAll("."+w.Path, ".", "/") != w.Pointer || strings.ReplaceAll("."+w.MetaPath, ".", "/") != w.MetaPointer {
			t.Errorf("%s: paths %s and %s, pointers %s and %s", k, w.Path, w.MetaPath, w.Pointer, w.MetaPointer)
		}
		nested := any(map[string]any{"containers": []any{map[string]any{"name": "web"}}})
		steps := strings.Split(w.Path, ".")
		for i := len(steps) - 1; i >= 0; i-- {
			nested = map[string]any{steps[i]: nested}
		}
		data, err := json.Marshal(nested)
		if err != nil {
			t.Fatal(err)
		}
		o := object.New(apiVersion, kind)
		if err := json.Unmarshal(data, o); err != nil {
			t.Fatal(err)
		}
		w, _ = workload.Of(object.Fact(o, apiVersion, kind, bailey.Source{}))
		if len(w.Spec.Containers) != 1 || w.Spec.Containers[0].Name != "web" {
			t.Errorf("%s: nothing of %s was read", k, w.Path)
		}
	}
	if _, ok := workload.Of(&bailey.Fact{Object: &corev1.Service{}}); ok {
		t.Error("a Service has a pod template")
	}
}

// filled gives a ReplicationController its template, which is a pointer.
func filled(o any) any {
	if rc, ok := o.(*corev1.ReplicationController); ok {
		rc.Spec.Template = &corev1.PodTemplateSpec{}
	}
	return o
}

func TestContainers(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	f := &bailey.Fact{Object: &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers:      []corev1.Container{{Name: "setup"}, {Name: "proxy", RestartPolicy: &always}},
		Containers:          []corev1.Container{{Name: "web"}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}},
	}}}
	w, _ := workload.Of(f)
	var got []string
	for c := range w.Containers() {
		line := c.Field(".image") + " " + c.Named(".image") + " " + c.Pointer("/image")
		if c.Sidecar {
			line += " sidecar"
		}
		got = append(got, line)
	}
	want := []string{
		"spec.initContainers[0].image spec.initContainers[setup].image /spec/initContainers/0/image",
		"spec.initContainers[1].image spec.initContainers[proxy].image /spec/initContainers/1/image sidecar",
		"spec.containers[0].image spec.containers[web].image /spec/containers/0/image",
		"spec.ephemeralContainers[0].image spec.ephemeralContainers[debug].image /spec/ephemeralContainers/0/image",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
