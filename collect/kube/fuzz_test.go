package kube

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
)

// FuzzAnswers hands any bytes to everything that reads what a server sends.
// Each item of a list must become a fact or be named as missing.
func FuzzAnswers(f *testing.F) {
	pods := corev1.PodList{ListMeta: metav1.ListMeta{Continue: "more"}, Items: []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Args: []string{"--a=b"}}}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "etcd"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Command: []string{"etcd", "--x"}}}}},
	}}
	raw, err := pods.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	body, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Raw: raw}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("k8s\x00"), body...))
	f.Add([]byte(`{"metadata":{"continue":"x"},"items":[{"metadata":{"namespace":"a","name":"b","labels":{"a":"b"}},"spec":{"a":[1,2.5]}},null,3]}`))
	f.Add([]byte(`{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1","freshness":"Stale","resources":[{"resource":"deployments","scope":"Namespaced","verbs":["list"],"responseKind":{"kind":"Deployment"}}]}]}]}`))
	f.Add([]byte(`{"kubeletconfig":{"port":1}}`))
	f.Add([]byte(`{"kind":"Status","reason":"Forbidden","message":"pods is forbidden: User \"x\" cannot list"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, r := range []resource{
			{kind: "Pod", version: "v1", plural: "pods", namespaced: true},
			{kind: "Node", version: "v1", plural: "nodes"},
			{kind: "CiliumNetworkPolicy", group: "cilium.io", version: "v2", plural: "ciliumnetworkpolicies", namespaced: true},
		} {
			p, err := readPage(body)
			if err != nil {
				break
			}
			l := &list{resource: r, options: &Options{}}
			for _, item := range p.items {
				l.add(item, p.protobuf)
			}
			if len(l.facts)+len(l.broken) != len(p.items) {
				t.Errorf("%d items became %d facts and %d missing", len(p.items), len(l.facts), len(l.broken))
			}
			for _, m := range l.broken {
				if m.Name == "" || m.Reason != bailey.ReasonUnreadable {
					t.Errorf("%+v", m)
				}
			}
		}
		d := &discovered{groups: map[string][]served{}, stale: map[string]string{}}
		if d.aggregated(body) == nil {
			p := makePlan(d)
			if len(p.resources)+len(p.absent)+len(p.missing) < 100 {
				t.Errorf("a plan for %d kinds", len(p.resources)+len(p.absent)+len(p.missing))
			}
		}
		parseConfigz(body)
		m := missing(namespaces, "", "", statusOf(&http.Response{StatusCode: 403, Header: http.Header{}}, body))
		if len(m.Detail)+len(m.Hint) > 2000 || strings.Contains(m.Detail, "\n") {
			t.Errorf("%+v", m)
		}
	})
}

// FuzzEvents hands any bytes to what reads the events of a watch. What is told bears a
// name's place, and the position moves only to a version.
func FuzzEvents(f *testing.F) {
	pod, err := (&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "etcd", ResourceVersion: "7"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Command: []string{"etcd", "--x"}}}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	object, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Raw: pod}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	frame, err := (&metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Raw: append([]byte("k8s\x00"), object...)}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame, true)
	f.Add([]byte(`{"type":"DELETED","object":{"metadata":{"namespace":"a","name":"b","resourceVersion":"8"}}}`), false)
	f.Add([]byte(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`), false)
	f.Add([]byte(`{"type":"ADDED","object":{"metadata":{"name":"b"}}}`), false)
	f.Add([]byte(`{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}`), false)
	f.Fuzz(func(t *testing.T, frame []byte, binary bool) {
		e, err := readEvent(frame, binary)
		if err != nil {
			return
		}
		for _, r := range []resource{
			{kind: "Pod", version: "v1", plural: "pods", namespaced: true},
			{kind: "Node", version: "v1", plural: "nodes"},
			{kind: "CiliumNetworkPolicy", group: "cilium.io", version: "v2", plural: "ciliumnetworkpolicies", namespaced: true},
		} {
			p := position{resource: r, version: "1"}
			n, err := (&list{resource: r}).event(e, binary, &p)
			if p.version == "" {
				t.Error("the watch lost its place")
			}
			if err != nil {
				if n != nil {
					t.Error("a broken event is told")
				}
				continue
			}
			if n != nil && len(n.facts)+len(n.gone) == 0 {
				t.Errorf("%q tells nothing", e.kind)
			}
		}
	})
}
