package install

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// installer gives an installer for a namespace of the shared cluster, and what makes an object in it.
func installer(t *testing.T, namespace string) (i *Installer, one func(kind, name string) *unstructured.Unstructured) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", devclustertest.Shared(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if i, err = New(config, namespace); err != nil {
		t.Fatal(err)
	}
	return i, func(kind, name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": namespace,
			"labels": map[string]any{"app.kubernetes.io/name": "bailey"}}}} // without a field nothing shows who applied it
	}
}

// TestRemoveNoOthers: what Helm has taken over meanwhile stays, and so does what the inventory lists and was
// never made here, or was made again by somebody else.
func TestRemoveNoOthers(t *testing.T) {
	const namespace = "install-others"
	i, one := installer(t, namespace)
	objects := []*unstructured.Unstructured{one("ConfigMap", "ours"), one("ConfigMap", "helms"), one("ConfigMap", "labelled"), one("ConfigMap", "again"), one("ServiceAccount", "dropped")}
	if err := i.Apply(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	resource := func(kind string) func(name string) *unstructured.Unstructured {
		r, err := i.resource("v1", kind, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return func(name string) *unstructured.Unstructured {
			t.Helper()
			o, err := r.Get(t.Context(), name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
	}
	configMap, account, space := resource("ConfigMap"), resource("ServiceAccount"), resource("Namespace")
	patch := func(kind, name, body string) {
		t.Helper()
		r, err := i.resource("v1", kind, namespace)
		if err == nil {
			_, err = r.Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "somebody"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const label, annotation = `"labels":{"app.kubernetes.io/managed-by":"Helm"}`, `"annotations":{"meta.helm.sh/release-name":"watch","meta.helm.sh/release-namespace":"else"}`
	patch("ConfigMap", "helms", `{"metadata":{`+label+`,`+annotation+`}}`)
	patch("ServiceAccount", "dropped", `{"metadata":{`+label+`,`+annotation+`}}`)
	patch("ConfigMap", "labelled", `{"metadata":{`+label+`}}`) // that alone does not make it Helm's

	// Applied with less, what is Helm's stays.
	if err := i.Apply(t.Context(), []*unstructured.Unstructured{objects[0], objects[2], objects[3]}); err != nil {
		t.Fatal(err)
	}
	if configMap("helms") == nil || account("dropped") == nil {
		t.Error("what is not made any more was removed, and is Helm's")
	}

	// One of somebody's that somebody lists, and one that somebody made again.
	maps, err := i.resource("v1", "ConfigMap", namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "again", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"theirs", "again"} {
		if _, err := maps.Create(t.Context(), one("ConfigMap", name), metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := i.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed.Objects = append(listed.Objects, entryOf(configMap("theirs")))
	if err := i.write(t.Context(), listed); err != nil {
		t.Fatal(err)
	}

	left, err := i.Remove(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{"ours": false, "labelled": false, "helms": true, "again": true, "theirs": true, InventoryName: false} {
		if got := configMap(name) != nil; got != stays {
			t.Errorf("%s is there: %v, want %v", name, got, stays)
		}
	}
	if now := space(namespace); now == nil || now.GetDeletionTimestamp() != nil {
		t.Error("the namespace goes, and with it what is Helm's")
	}
	want := []string{"configmap " + namespace + "/helms, which is of Helm's release watch", "serviceaccount " + namespace + "/dropped, which is of Helm's release watch", "namespace " + namespace + ", which may hold more of that release"}
	if !slices.Equal(left, want) {
		t.Errorf("left: %s", strings.Join(left, "; "))
	}
}

// TestRemoveTwice: what is removed at first but for data and what is Helm's, and then with the data, leaves Helm's namespace.
func TestRemoveTwice(t *testing.T) {
	const namespace = "install-twice"
	i, one := installer(t, namespace)
	claim := one("PersistentVolumeClaim", "data")
	claim.Object["spec"] = map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}
	if err := i.Apply(t.Context(), []*unstructured.Unstructured{claim, one("ConfigMap", "helms")}); err != nil {
		t.Fatal(err)
	}
	maps, err := i.resource("v1", "ConfigMap", namespace)
	if err != nil {
		t.Fatal(err)
	}
	// Made again by Helm, which leaves nothing of ours.
	if err := maps.Delete(t.Context(), "helms", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	theirs := one("ConfigMap", "helms")
	theirs.SetAnnotations(map[string]string{"meta.helm.sh/release-name": "watch", "meta.helm.sh/release-namespace": namespace})
	if _, err := maps.Create(t.Context(), theirs, metav1.CreateOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	for _, data := range []bool{false, true} {
		if _, err := i.Remove(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		spaces, err := i.resource("v1", "Namespace", "")
		if err != nil {
			t.Fatal(err)
		}
		now, err := spaces.Get(t.Context(), namespace, metav1.GetOptions{})
		if err != nil || now.GetDeletionTimestamp() != nil {
			t.Fatalf("data %v: the namespace goes, and with it what is Helm's: %v", data, err)
		}
		if now.GetLabels()["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("data %v: pods of Helm's may do more now", data)
		}
	}
}

// TestRemoveAdopted: data that a release of Helm's has left behind, and that was taken over here, is removed with the rest
// where that is asked for.
func TestRemoveAdopted(t *testing.T) {
	const namespace = "install-adopted"
	i, one := installer(t, namespace)
	claim := func(managedBy string) *unstructured.Unstructured {
		o := one("PersistentVolumeClaim", "data")
		o.Object["spec"] = map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}
		o.SetLabels(map[string]string{"app.kubernetes.io/managed-by": managedBy})
		return o
	}
	if _, err := i.put(t.Context(), Namespace(namespace)); err != nil {
		t.Fatal(err)
	}
	claims, err := i.resource("v1", "PersistentVolumeClaim", namespace)
	if err != nil {
		t.Fatal(err)
	}
	left := claim("Helm")
	left.SetAnnotations(map[string]string{"meta.helm.sh/release-name": "watch", "meta.helm.sh/release-namespace": namespace})
	if _, err := claims.Create(t.Context(), left, metav1.CreateOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	i.Force = true // the label is Helm's
	if err := i.Apply(t.Context(), []*unstructured.Unstructured{claim("bailey")}); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Remove(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	now, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
	if err == nil && now.GetDeletionTimestamp() == nil || err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("the claim stays: %v", err)
	}
}
