package saved

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/bench/gen"
	"github.com/baileyhq/bailey/collect/object"
)

var meta = bailey.Meta{
	At: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC), Medium: "cluster", ClusterUID: "81207394-10a6",
	Context: "prod", Version: bailey.Version{Major: 1, Minor: 36},
	Targets: []bailey.Target{{Name: "prod", Medium: "cluster", Objects: 3, Skipped: []bailey.Skip{{What: "pods", Why: "forbidden", Hint: "ask"}}}},
}

// generated makes a snapshot of about n objects of the generator.
func generated(t testing.TB, n int) *bailey.Snapshot {
	t.Helper()
	b := bailey.NewBuilder(meta)
	for o := range gen.Cluster(n, 1) {
		apiVersion, kind := o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
		if object.New(apiVersion, kind) == nil {
			continue // a Lease, which no collector reads
		}
		f := object.Fact(o, apiVersion, kind, bailey.Source{})
		b.Saw(f.Kind, "")
		b.Add(f)
	}
	return b.Snapshot()
}

// small makes a snapshot with one of everything that the format knows.
func small() *bailey.Snapshot {
	b := bailey.NewBuilder(meta)
	controller := true
	add := func(obj any, apiVersion, kind string, src bailey.Source) *bailey.Fact {
		f := object.Fact(obj, apiVersion, kind, src)
		b.Add(f)
		return f
	}
	add(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "u1", Labels: map[string]string{"app": "web"},
			CreationTimestamp: metav1.NewTime(time.Unix(1700000000, 0)),
			OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "u2", Controller: &controller}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1", Args: []string{"--password=hunter2"}}}},
	}, "v1", "Pod", bailey.Source{})
	add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "etcd-n1",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "u3", Controller: &controller}}}}, "v1", "Pod", bailey.Source{})
	// From a file: the namespace is filled in beside the object, the source has a place.
	f := add(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "api"}}, "extensions/v1beta1", "Deployment", bailey.Source{File: "k8s/api.yaml", Line: 12, Column: 3})
	f.Namespace = "default"
	add(&networkingv1beta1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}, "networking.k8s.io/v1beta1", "Ingress", bailey.Source{})
	add(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "new"}}, "networking.k8s.io/v1", "Ingress", bailey.Source{})
	add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Data: map[string][]byte{"password": []byte("hunter2")}}, "v1", "Secret", bailey.Source{File: "s.yaml", Line: 1, Column: 1})
	add(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "env"}, Data: map[string]string{"A": "hunter2"}}, "v1", "ConfigMap", bailey.Source{})
	add(map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
		"metadata": map[string]any{"namespace": "shop", "name": "deny", "uid": "u9", "labels": map[string]any{"a": "b"},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "u10", "controller": true}}},
		"spec": map[string]any{"n": int64(9007199254740993), "f": 1.0, "g": 1e300, "h": -0.5, "s": "a\"<é\u2028\x01", "t": true, "z": nil, "l": []any{int64(1), []any{}, map[string]any{}}},
	}, "cilium.io/v2", "CiliumNetworkPolicy", bailey.Source{})
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindKubelet, Name: "n1"}, APIVersion: "bailey.dev/v1", Owner: bailey.Ref{Kind: bailey.KindNode, Name: "n1"},
		Object: &bailey.Component{Node: "n1", Flags: map[string]string{"v": "2"}, Config: map[string]any{"port": int64(10250)}}})
	b.Saw(bailey.KindPod, "")
	b.Saw(bailey.KindConfigMap, "shop")
	b.Miss(bailey.Missing{Kind: bailey.KindNode, Reason: bailey.ReasonForbidden, Detail: "list nodes", Hint: "bind"})
	b.Miss(bailey.Missing{Kind: bailey.KindPod, Namespace: "x", Reason: bailey.ReasonUnreadable})
	b.Miss(bailey.Missing{Kind: bailey.KindPod, Namespace: "shop", Name: "broken", Reason: bailey.ReasonUnreadable})
	return b.Snapshot()
}

func encode(t testing.TB, s *bailey.Snapshot) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, s); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// same fails the test unless the snapshots hold the same.
func same(t *testing.T, want, got *bailey.Snapshot) {
	t.Helper()
	if !reflect.DeepEqual(want.Meta, got.Meta) {
		t.Errorf("Meta: %+v, want %+v", got.Meta, want.Meta)
	}
	seen1, missing1 := want.Coverage()
	seen2, missing2 := got.Coverage()
	if !reflect.DeepEqual(seen1, seen2) || !reflect.DeepEqual(missing1, missing2) {
		t.Errorf("coverage: %v %v\nwant %v %v", seen2, missing2, seen1, missing1)
	}
	if !slices.Equal(want.Kinds(), got.Kinds()) {
		t.Fatalf("kinds %v, want %v", got.Kinds(), want.Kinds())
	}
	for _, kind := range want.Kinds() {
		a, b := want.List(kind, ""), got.List(kind, "")
		if len(a) != len(b) {
			t.Errorf("%d facts of %s, want %d", len(b), kind, len(a))
			continue
		}
		for i := range a {
			x, y := *a[i], *b[i]
			x.Source.Locate = nil
			if !equality.Semantic.DeepEqual(x, y) {
				t.Errorf("fact %+v\nwant %+v\nobject %+v\nwant %+v", y, x, y.Object, x.Object)
				return
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	want := small()
	got, err := Read(bytes.NewReader(encode(t, want)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, want, got)
	policy := got.Get(bailey.Ref{Kind: "CiliumNetworkPolicy.cilium.io", Namespace: "shop", Name: "deny"})
	if !reflect.DeepEqual(policy.Object, want.Get(policy.Ref).Object) { // exact: numbers keep their types
		t.Errorf("%#v", policy.Object)
	}
}

func TestRoundTripGenerated(t *testing.T) {
	want := generated(t, 5000)
	text := encode(t, want)
	got, err := Read(bytes.NewReader(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, want, got)
	if again := encode(t, got); !bytes.Equal(text, again) {
		t.Error("written again, the snapshot has other bytes")
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.snap")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := small()
	if err := WriteFile(path, want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, want, got)
	beginning, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !IsSnapshot(beginning[:24]) || IsSnapshot(beginning[:20]) || IsSnapshot([]byte(strings.Repeat("x", 24))) {
		t.Error("IsSnapshot is wrong")
	}

	// One that cannot be written leaves the old file, and nothing beside it.
	bad := bailey.NewBuilder(meta)
	bad.Add(&bailey.Fact{Ref: bailey.Ref{Kind: "X", Name: "x"}, Object: 7})
	if err := WriteFile(path, bad.Snapshot()); err == nil || !strings.Contains(err.Error(), "X x") {
		t.Errorf("a fact of type int: %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(beginning, after) {
		t.Error("the old file changed")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestDamage flips bits and cuts, and wants an error or the same content.
func TestDamage(t *testing.T) {
	want := small()
	whole := encode(t, want)
	for n := range whole {
		if _, err := Read(bytes.NewReader(whole[:n]), Limits{}); err == nil {
			t.Fatalf("cut off after %d of %d bytes: no error", n, len(whole))
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		if got, err := Read(bytes.NewReader(damaged), Limits{}); err == nil {
			same(t, want, got)
		}
	}
	if _, err := Read(bytes.NewReader(append(bytes.Clone(whole), whole...)), Limits{}); err == nil {
		t.Error("two files in one: no error")
	}
	if _, err := Read(strings.NewReader("apiVersion: v1\nkind: Pod\n"), Limits{}); !errors.Is(err, ErrNotSnapshot) {
		t.Errorf("a manifest: %v", err)
	}
}

// TestTampered changes the content inside intact compression.
func TestTampered(t *testing.T) {
	content := decompress(t, encode(t, small()))
	changed := bytes.Replace(content, []byte("web:1"), []byte("web:2"), 1)
	if bytes.Equal(content, changed) {
		t.Fatal("the test does not change anything")
	}
	_, err := Read(bytes.NewReader(compress(t, changed)), Limits{})
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("%v", err)
	}
}

func TestSchema(t *testing.T) {
	content := decompress(t, encode(t, small()))
	newer := bytes.Replace(content, []byte(`"schema":1`), []byte(`"schema":2`), 1)
	_, err := Read(bytes.NewReader(compress(t, newer)), Limits{})
	if err == nil || !strings.Contains(err.Error(), "schema 2") || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
}

func TestLimits(t *testing.T) {
	text := encode(t, generated(t, 2000))
	for _, test := range []struct {
		limits Limits
		want   string
	}{
		{Limits{Bytes: 100_000}, "limit of 100000 bytes"},
		{Limits{Record: 10_000}, "limit is 10000"},
		{Limits{Facts: 100}, "limit of 100"},
	} {
		if _, err := Read(bytes.NewReader(text), test.limits); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.limits, err)
		}
	}
	deep := any("x")
	for range maxDepth {
		deep = []any{deep}
	}
	b := bailey.NewBuilder(meta)
	m := map[string]any{"metadata": map[string]any{"name": "deep"}, "spec": deep}
	b.Add(object.Fact(m, "x.io/v1", "X", bailey.Source{}))
	if err := Write(&bytes.Buffer{}, b.Snapshot()); err == nil {
		t.Error("nested deeper than the limit: no error")
	}
	m["spec"] = deep.([]any)[0]
	if _, err := Read(bytes.NewReader(encode(t, b.Snapshot())), Limits{}); err != nil {
		t.Errorf("nested as deep as the limit: %v", err)
	}
	if _, err := Read(bytes.NewReader(encode(t, b.Snapshot())), Limits{Depth: 100}); err == nil {
		t.Error("nested deeper than a lower limit: no error")
	}
}

func TestSecretsAreRefused(t *testing.T) {
	annotated := metav1.ObjectMeta{Name: "x", Annotations: map[string]string{lastApplied: "{}"}}
	for name, content := range map[string]any{
		"data":              &corev1.Secret{Data: map[string][]byte{"a": []byte("b")}},
		"stringData":        &corev1.Secret{StringData: map[string]string{"a": "b"}},
		"secret annotation": &corev1.Secret{ObjectMeta: annotated},
		"annotation":        &corev1.ConfigMap{ObjectMeta: annotated},
		"map":               map[string]any{"data": map[string]any{"a": "Yg=="}},
		"odd map":           map[string]any{"stringData": []any{"b"}},
		"map annotation":    map[string]any{"metadata": map[string]any{"annotations": map[string]any{lastApplied: "{}"}}},
	} {
		kind := bailey.Kind("Secret")
		if _, ok := content.(*corev1.ConfigMap); ok {
			kind = bailey.KindConfigMap
		}
		b := bailey.NewBuilder(meta)
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: kind, Name: "x"}, APIVersion: "v1", Object: content})
		if err := Write(&bytes.Buffer{}, b.Snapshot()); err == nil || !strings.Contains(err.Error(), "no snapshot may hold") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := bailey.NewBuilder(meta)
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: "Secret", Name: "x"}, APIVersion: "v1",
		Object: &corev1.Secret{Data: map[string][]byte{"a": nil}, StringData: map[string]string{"b": bailey.Redact(bailey.ClassToken)}}})
	if err := Write(&bytes.Buffer{}, b.Snapshot()); err != nil {
		t.Errorf("names of keys alone: %v", err)
	}
}

func TestNoValueInTheFile(t *testing.T) {
	if content := decompress(t, encode(t, small())); bytes.Contains(content, []byte("hunter2")) {
		t.Error("a value is in the file")
	}
}

func TestDiff(t *testing.T) {
	pod := func(name, image string, labels map[string]string) *bailey.Fact {
		return object.Fact(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name), Labels: labels, ResourceVersion: fmt.Sprint(rand.Uint32())},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
		}, "v1", "Pod", bailey.Source{})
	}
	resource := func(name string, spec any) *bailey.Fact {
		return object.Fact(map[string]any{"metadata": map[string]any{"name": name, "namespace": "a"}, "spec": spec}, "x.io/v1", "X", bailey.Source{})
	}
	ref := func(kind bailey.Kind, name string) bailey.Ref {
		return bailey.Ref{Kind: kind, Namespace: "a", Name: name}
	}
	old := bailey.NewBuilder(meta)
	old.Saw(bailey.KindPod, "")
	old.Saw("Lost.x.io", "")
	old.Add(pod("same", "i:1", nil), pod("gone", "i:1", nil), pod("image", "i:1", nil), pod("labels", "i:1", map[string]string{"a": "b"}))
	old.Add(resource("x", map[string]any{"a": int64(1), "b.c/d": "e"}))
	old.Add(object.Fact(map[string]any{"metadata": map[string]any{"name": "l", "namespace": "a"}}, "x.io/v1", "Lost", bailey.Source{}))
	now := bailey.NewBuilder(meta)
	now.Saw(bailey.KindPod, "")
	now.Saw("X.x.io", "")
	now.Saw("New.x.io", "")
	now.Add(pod("same", "i:1", nil), pod("image", "i:2", nil), pod("labels", "i:1", map[string]string{"a": "c"}), pod("fresh", "i:1", nil))
	now.Add(resource("x", map[string]any{"a": int64(2), "b.c/d": "f"}))
	now.Add(object.Fact(map[string]any{"metadata": map[string]any{"name": "n", "namespace": "a"}}, "x.io/v1", "New", bailey.Source{}))

	got := Diff(old.Snapshot(), now.Snapshot())
	want := Changes{
		Added:   []bailey.Ref{ref(bailey.KindPod, "fresh")},
		Removed: []bailey.Ref{ref(bailey.KindPod, "gone")},
		Changed: []Changed{
			{ref(bailey.KindPod, "image"), []string{"spec.containers"}},
			{ref(bailey.KindPod, "labels"), []string{"metadata.labels"}},
			{ref("X.x.io", "x"), []string{"spec.a", `spec["b.c/d"]`}},
		},
		Appeared:  []bailey.Ref{ref("New.x.io", "n")},
		Unseen:    []bailey.Ref{ref("Lost.x.io", "l")},
		Unchanged: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if d := Diff(small(), small()); len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Appeared)+len(d.Unseen) > 0 || d.Unchanged != small().Len() {
		t.Errorf("a snapshot and itself: %+v", d)
	}
}

func decompress(t testing.TB, file []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	content, err := z.DecodeAll(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func compress(t testing.TB, content []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(content, bytes.Clone(frameMark))
}
