package policy

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/client-go/tools/cache"
)

// params are the parameters that were seen, by their kind.
type params map[schema.GroupVersionKind]paramsOfKind

type paramsOfKind struct {
	informer *paramInformer
	scope    meta.RESTScope
}

func paramsOf(seen map[schema.GroupVersionKind]Params) params {
	all := params{}
	for kind, p := range seen {
		all[kind] = paramsOfKind{newParamInformer(p.Objects), restScope(p.Namespaced)}
	}
	return all
}

// of gives the parameters with which a policy is evaluated, each in its turn: a nil one where
// it takes none.
func (p params) of(taken *admissionv1.ParamKind, ref *admissionv1.ParamRef, namespace string) ([]runtime.Object, error) {
	if taken == nil || ref == nil {
		return []runtime.Object{nil}, nil
	}
	kind := schema.FromAPIVersionAndKind(taken.APIVersion, taken.Kind)
	seen, is := p[kind]
	if !is {
		return nil, &unseenError{"parameter kind " + kind.GroupKind().String()}
	}
	return generic.CollectParams(taken, seen.informer, seen.scope, ref, namespace, nil, nil)
}

// paramInformer hands the API server's own selection of parameters the objects
// that were seen, in the place of a watch.
type paramInformer struct {
	synced
	lister cache.GenericLister
}

// synced is an informer that has seen all there is.
type synced struct{ cache.SharedIndexInformer }

func (synced) HasSynced() bool { return true }

func newParamInformer(objects []runtime.Object) *paramInformer {
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, o := range objects {
		_ = index.Add(o) // it fails only for what has no metadata, which no selection finds
	}
	return &paramInformer{lister: cache.NewGenericLister(index, schema.GroupResource{Resource: "parameters"})}
}

func (p *paramInformer) Informer() cache.SharedIndexInformer { return p.synced }
func (p *paramInformer) Lister() cache.GenericLister         { return p.lister }

func restScope(namespaced bool) meta.RESTScope {
	if namespaced {
		return meta.RESTScopeNamespace
	}
	return meta.RESTScopeRoot
}
