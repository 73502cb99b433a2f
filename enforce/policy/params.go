package policy

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

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
