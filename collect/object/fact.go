package object

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/redact"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Fact makes a fact of an object that was read at this apiVersion and kind. The
// object is a pointer that New gave, or a map; it belongs to the fact from then
// on. What no rule reads (managedFields, last-applied, most of the status) is
// dropped, old shapes become the current ones, and values become their class
// (see redact.Object).
//
// Of an object without a name but with a generateName, the fact's name is that
// with a "*" behind it. The namespace is the object's own, so it is empty where
// a file leaves it out.
func Fact(obj any, apiVersion, kind string, src bailey.Source) *bailey.Fact {
	obj = current(obj, apiVersion)
	f := &bailey.Fact{Ref: bailey.Ref{Kind: KindOf(apiVersion, kind)}, APIVersion: apiVersion, Object: obj, Source: src}
	switch o := obj.(type) {
	case metav1.ObjectMetaAccessor:
		if meta, ok := o.GetObjectMeta().(*metav1.ObjectMeta); ok {
			fromMeta(f, meta)
		}
		if t, ok := obj.(runtime.Object); ok {
			// Fact.Kind and Fact.APIVersion say it; lists of the API server leave it out.
			t.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		}
		dropStatus(obj)
		if pod, ok := obj.(*corev1.Pod); ok {
			nameInjected(&pod.Spec)
		}
	case map[string]any:
		fromMap(f, o)
	}
	redact.Object(obj)
	return f
}

// Component gives the fact about the platform's component that a pod, or the
// template of a pod, runs: one whose first program is kube-apiserver,
// kube-controller-manager, kube-scheduler, etcd, kubelet or kube-proxy. It is
// nil for any other object, and must be called before Fact, which takes the
// flags away. The fact's name is the node's, or the object's where that names none.
func Component(obj any) *bailey.Fact {
	owner, spec, meta := podOf(obj)
	if spec == nil {
		return nil
	}
	for i := range spec.Containers {
		if kind, c := component(&spec.Containers[i]); c != nil {
			c.Node = spec.NodeName
			name := c.Node
			if name == "" {
				name = nameOr(meta.Name, meta.GenerateName)
			}
			return &bailey.Fact{
				Ref:        bailey.Ref{Kind: kind, Name: name},
				APIVersion: "bailey.dev/v1",
				Owner:      bailey.Ref{Kind: owner, Namespace: meta.Namespace, Name: meta.Name},
				OwnerUID:   string(meta.UID),
				Object:     c,
			}
		}
	}
	return nil
}

func fromMeta(f *bailey.Fact, meta *metav1.ObjectMeta) {
	f.Namespace, f.Name, f.UID = meta.Namespace, nameOr(meta.Name, meta.GenerateName), string(meta.UID)
	meta.ManagedFields, meta.ResourceVersion, meta.Generation = nil, "", 0
	meta.SelfLink = "" //lint:ignore SA1019 old files and old snapshots still carry it
	delete(meta.Annotations, lastApplied)
	if len(meta.Annotations) == 0 {
		meta.Annotations = nil
	}
	f.Labels = meta.Labels
	for i := range meta.OwnerReferences {
		if o := &meta.OwnerReferences[i]; o.Controller != nil && *o.Controller {
			setOwner(f, o.APIVersion, o.Kind, o.Name, string(o.UID))
		}
	}
}

func setOwner(f *bailey.Fact, apiVersion, kind, name, uid string) {
	f.Owner = bailey.Ref{Kind: KindOf(apiVersion, kind), Namespace: f.Namespace, Name: name}
	if namespaced, known := Namespaced(f.Owner.Kind); known && !namespaced {
		f.Owner.Namespace = ""
	}
	f.OwnerUID = uid
}

func nameOr(name, generateName string) string {
	if name == "" && generateName != "" {
		return generateName + "*"
	}
	return name
}

// fromMap is fromMeta for an object of a kind without a type.
func fromMap(f *bailey.Fact, m map[string]any) {
	delete(m, "status")
	if f.Kind == "CustomResourceDefinition.apiextensions.k8s.io" {
		dropSchemas(m)
	}
	meta, _ := m["metadata"].(map[string]any)
	if meta == nil {
		return
	}
	for _, dropped := range [...]string{"managedFields", "resourceVersion", "selfLink", "generation"} {
		delete(meta, dropped)
	}
	f.Namespace, f.Name, f.UID = text(meta["namespace"]), nameOr(text(meta["name"]), text(meta["generateName"])), text(meta["uid"])
	if notes, ok := meta["annotations"].(map[string]any); ok {
		delete(notes, lastApplied)
		if len(notes) == 0 {
			delete(meta, "annotations")
		}
	}
	if labels, ok := meta["labels"].(map[string]any); ok && len(labels) > 0 {
		f.Labels = make(map[string]string, len(labels))
		for k, v := range labels {
			if s, ok := v.(string); ok {
				f.Labels[k] = s
			}
		}
	}
	owners, _ := meta["ownerReferences"].([]any)
	for _, entry := range owners {
		if o, ok := entry.(map[string]any); ok && o["controller"] == true {
			setOwner(f, text(o["apiVersion"]), text(o["kind"]), text(o["name"]), text(o["uid"]))
		}
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// dropSchemas takes out of a CustomResourceDefinition what makes up nearly all
// of its size and is read by no rule.
func dropSchemas(m map[string]any) {
	spec, _ := m["spec"].(map[string]any)
	delete(spec, "validation")
	versions, _ := spec["versions"].([]any)
	for _, entry := range versions {
		if v, ok := entry.(map[string]any); ok {
			delete(v, "schema")
			delete(v, "additionalPrinterColumns")
		}
	}
	conversion, _ := spec["conversion"].(map[string]any)
	webhook, _ := conversion["webhook"].(map[string]any)
	config, _ := webhook["clientConfig"].(map[string]any)
	delete(config, "caBundle")
}
