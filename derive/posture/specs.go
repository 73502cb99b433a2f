package posture

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// Specs are digests of the specs of workloads' pods as they were read: facts hold no
// values of arguments and variables. The zero Specs are empty; several goroutines may
// add.
type Specs struct {
	mu sync.Mutex
	of map[bailey.Ref][sha256.Size]byte
}

// Add takes in an object that is whole, if it is a workload.
func (s *Specs) Add(apiVersion, kind string, o any) {
	w, is := workload.Of(&bailey.Fact{Object: o})
	meta, named := o.(metav1.Object)
	if !is || !named {
		return
	}
	spec, err := json.Marshal(w.Spec)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[bailey.Ref][sha256.Size]byte{}
	}
	s.of[bailey.Ref{Kind: bailey.KindOf(apiVersion, kind), Namespace: meta.GetNamespace(), Name: meta.GetName()}] = sha256.Sum256(spec)
}
