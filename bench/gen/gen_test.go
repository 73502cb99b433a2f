package gen

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

func manifests(t testing.TB, n int, seed uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Manifests(&b, n, seed); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestManifestsAreRepeatable(t *testing.T) {
	if !bytes.Equal(manifests(t, 500, 7), manifests(t, 500, 7)) {
		t.Error("one seed gave two results")
	}
	if bytes.Equal(manifests(t, 500, 7), manifests(t, 500, 8)) {
		t.Error("two seeds gave one result")
	}
}

func TestManifestsDecodeStrictly(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 35, 1000, 3001} {
		text := manifests(t, n, 1)
		docs := bytes.Split(text, []byte("---\n"))
		if n == 0 {
			docs = nil
		}
		if len(docs) != n {
			t.Errorf("n = %d: %d documents", n, len(docs))
		}
		seen := map[string]bool{}
		for _, doc := range docs {
			var meta metav1.PartialObjectMetadata
			if err := yaml.Unmarshal(doc, &meta); err != nil {
				t.Fatal(err)
			}
			key := meta.Kind + "/" + meta.Name
			if seen[key] {
				t.Errorf("n = %d: %s twice", n, key)
			}
			seen[key] = true
			var into any
			switch meta.Kind {
			case "Deployment":
				into = &appsv1.Deployment{}
			case "Service":
				into = &corev1.Service{}
			case "ServiceAccount":
				into = &corev1.ServiceAccount{}
			default:
				t.Fatalf("unexpected kind %q", meta.Kind)
			}
			if err := yaml.UnmarshalStrict(doc, into); err != nil {
				t.Fatalf("%s: %v\n%s", key, err, doc)
			}
		}
	}
}

func TestManifestsHaveTheSizeOfRealOnes(t *testing.T) {
	const n, want = 10000, 590
	average := len(manifests(t, n, 1)) / n
	t.Logf("%d bytes for each object", average)
	if average < want*9/10 || average > want*11/10 {
		t.Errorf("%d bytes for each object, want about %d", average, want)
	}
}

func TestGroupsAreTheManifests(t *testing.T) {
	var joined [][]byte
	names, objects := map[string]bool{}, 0
	for g := range Groups(1000, 3) {
		if names[g.Name] {
			t.Errorf("two files named %s", g.Name)
		}
		names[g.Name] = true
		objects += g.Objects
		joined = append(joined, g.YAML)
	}
	if objects != 1000 {
		t.Errorf("%d objects, want 1000", objects)
	}
	if !bytes.Equal(bytes.Join(joined, []byte("---\n")), manifests(t, 1000, 3)) {
		t.Error("the files differ from the stream")
	}
}

func TestClusterIsRepeatable(t *testing.T) {
	sum := func(seed uint64) string {
		h := sha256.New()
		enc := json.NewEncoder(h)
		for obj := range Cluster(2000, seed) {
			if err := enc.Encode(obj); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	if first, again := sum(1), sum(1); first != again {
		t.Error("one seed gave two results")
	}
	if sum(1) == sum(2) {
		t.Error("two seeds gave one result")
	}
}

func TestClusterStopsWhenAsked(t *testing.T) {
	seen := 0
	for range Cluster(1000, 1) {
		if seen++; seen == 10 {
			break
		}
	}
	if seen != 10 {
		t.Errorf("saw %d", seen)
	}
}

func TestClusterIsSound(t *testing.T) {
	for _, n := range []int{0, 1, 10, 200, 1000, 10000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { checkCluster(t, n) })
	}
}

func checkCluster(t *testing.T, n int) {
	total := 0
	names := map[string]bool{}
	owners := map[types.UID]string{} // what bears a UID, written as a reference would
	kinds := map[string]int{}
	namespaces := map[string]bool{"": true}
	for obj := range Cluster(n, 1) {
		total++
		kind := obj.GetObjectKind().GroupVersionKind()
		kinds[kind.Kind]++
		o := obj.(metav1.Object)
		key := fmt.Sprintf("%s %s/%s", kind, o.GetNamespace(), o.GetName())
		if names[key] {
			t.Errorf("%s twice", key)
		}
		names[key] = true
		if owners[o.GetUID()] != "" {
			t.Errorf("%s has the UID of %s", key, owners[o.GetUID()])
		}
		version, name := kind.ToAPIVersionAndKind()
		owners[o.GetUID()] = fmt.Sprint(version, name, o.GetNamespace(), o.GetName())
		if kind.Kind == "Namespace" {
			namespaces[o.GetName()] = true
		}
		if !namespaces[o.GetNamespace()] {
			t.Errorf("%s is in a namespace that does not exist", key)
		}
		for _, ref := range o.GetOwnerReferences() {
			inNamespace := fmt.Sprint(ref.APIVersion, ref.Kind, o.GetNamespace(), ref.Name)
			clusterWide := fmt.Sprint(ref.APIVersion, ref.Kind, "", ref.Name)
			if got := owners[ref.UID]; got != inNamespace && got != clusterWide {
				t.Errorf("%s: its owner %s %s is %q", key, ref.Kind, ref.Name, got)
			}
		}
		if total%23 == 0 || n < 1000 {
			checkStrict(t, key, obj)
		}
	}
	if total != n {
		t.Errorf("%d objects, want %d", total, n)
	}
	if n < 1000 {
		return
	}
	if share := kinds["Pod"] * 100 / n; share < 35 || share > 40 {
		t.Errorf("%d %% of the objects are pods, want 35 to 40", share)
	}
	t.Log(kinds)
}

// checkStrict writes an object as YAML and reads it back into an object of its type.
func checkStrict(t *testing.T, key string, obj runtime.Object) {
	t.Helper()
	text, err := yaml.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	back := reflect.New(reflect.TypeOf(obj).Elem()).Interface()
	if err := yaml.UnmarshalStrict(text, back); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	again, err := yaml.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, again) {
		t.Errorf("%s changed when read back:\n%s\n%s", key, text, again)
	}
}

func BenchmarkManifests(b *testing.B) {
	for b.Loop() {
		if err := Manifests(io.Discard, 10000, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCluster(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for range Cluster(10000, 1) {
		}
	}
}
