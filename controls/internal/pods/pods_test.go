package pods_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// TestModelIsPinnedWhereAnyIs: what admission refuses as a tag shows nothing, so the
// model's image is a pinned one, of another namespace where its own has none.
func TestModelIsPinnedWhereAnyIs(t *testing.T) {
	pinned, tagged := "registry.example/a@sha256:"+strings.Repeat("a", 64), "registry.example/b:1"
	for _, c := range []struct {
		name  string
		pods  map[string]string // image by namespace/name
		image string
		label string
	}{
		{"its own pinned one", map[string]string{"shop/a": tagged, "shop/b": pinned, "other/a": "registry.example/c@sha256:x"}, pinned, "b"},
		{"another namespace's", map[string]string{"shop/a": tagged, "other/a": pinned}, pinned, "a"},
		{"another namespace's, of a namespace without pods", map[string]string{"other/a": pinned}, pinned, ""},
		{"not the platform's", map[string]string{"shop/a": tagged, "kube-system/a": pinned}, tagged, "a"},
		{"nothing pinned", map[string]string{"shop/a": tagged, "other/a": "registry.example/c:1"}, tagged, "a"},
		{"nothing there", map[string]string{"other/a": tagged}, pods.Pause, ""},
	} {
		b := bailey.NewBuilder(bailey.Meta{})
		b.Saw(bailey.KindPod, "")
		for at, image := range c.pods {
			namespace, name, _ := strings.Cut(at, "/")
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: namespace, Name: name}, APIVersion: "v1", Labels: pod.Labels, Object: pod})
		}
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, []bailey.Kind{bailey.KindPod}, nil)
		if m := pods.ModelOf(view, "shop"); m.Image != c.image || m.Labels["app"] != c.label || m.Namespace != "shop" {
			t.Errorf("%s: %+v, want %s labelled %q", c.name, m, c.image, c.label)
		}
		if missing := view.Missing(); len(missing) > 0 {
			t.Errorf("%s: %v", c.name, missing)
		}
	}
}
