package check

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// chainLimit bounds the walk up the owners: Pod, ReplicaSet, Deployment and a
// custom resource above it are four.
const chainLimit = 8

// owners says for one object where it belongs.
type owners struct {
	// workload is the topmost pod-bearing object that was seen; for a pod whose
	// owner was not seen, or bears no pods, that owner.
	workload bailey.Ref
	// cause is the topmost owner that is named, seen or not: where a change
	// belongs. A custom resource may be the cause of a workload.
	cause bailey.Ref
}

// ownersOf walks up the controller references, as far as UIDs agree.
func ownersOf(s *bailey.Snapshot, f *bailey.Fact) owners {
	o := owners{workload: f.Ref, cause: f.Ref}
	for range chainLimit {
		if f.Owner.Name == "" || f.Owner.Kind == bailey.KindNode {
			// A mirror pod is owned by its node, which is not where it is written.
			return o
		}
		owner := s.Get(f.Owner)
		if owner != nil && f.OwnerUID != "" && owner.UID != "" && f.OwnerUID != owner.UID {
			return o // another object has taken the owner's name
		}
		o.cause = f.Owner
		if f.Kind == bailey.KindPod || owner != nil && owner.Kind.IsPodBearing() {
			o.workload = f.Owner
		}
		if owner == nil {
			return o
		}
		f = owner
	}
	return o
}

// templatePath strips what leads to the pod template in an object of the kind,
// so that a finding on a pod and the same one on its Deployment compare equal.
func templatePath(k bailey.Kind, path string) string {
	prefix := ""
	switch k {
	case bailey.KindPod:
		return path
	case bailey.KindCronJob:
		prefix = "spec.jobTemplate.spec.template."
	case bailey.KindPodTemplate:
		prefix = "template."
	default:
		prefix = "spec.template."
	}
	return strings.TrimPrefix(path, prefix)
}

// scopeOf gives the thing of the control's scope kind that an object belongs
// to, or the nearest larger thing where it belongs to none.
func scopeOf(kind bailey.ScopeKind, f *bailey.Fact, o owners) bailey.Scope {
	switch kind {
	case bailey.ScopeWorkload:
		if f.Kind.IsPodBearing() {
			return bailey.Scope{Kind: bailey.ScopeWorkload, Object: o.workload}
		}
		return scopeOf(bailey.ScopeNamespace, f, o)
	case bailey.ScopeNamespace:
		if f.Kind == bailey.KindNamespace {
			return namespaceScope(f.Name)
		}
		if f.Namespace != "" {
			return namespaceScope(f.Namespace)
		}
	case bailey.ScopeNode:
		if f.Kind == bailey.KindNode {
			return bailey.Scope{Kind: bailey.ScopeNode, Object: f.Ref}
		}
		if f.Owner.Kind == bailey.KindNode { // what a machine shows of itself
			return bailey.Scope{Kind: bailey.ScopeNode, Object: f.Owner}
		}
	case bailey.ScopeImage:
		if f.Kind == bailey.KindImage {
			return bailey.Scope{Kind: bailey.ScopeImage, Object: f.Ref}
		}
	}
	return bailey.Scope{Kind: bailey.ScopeCluster}
}

func namespaceScope(name string) bailey.Scope {
	return bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: name}}
}

// parentOf gives the next larger scope, and false for the cluster.
func parentOf(s bailey.Scope) (bailey.Scope, bool) {
	switch {
	case s.Kind == bailey.ScopeCluster:
		return s, false
	case s.Kind == bailey.ScopeWorkload && s.Object.Namespace != "":
		return namespaceScope(s.Object.Namespace), true
	}
	return bailey.Scope{Kind: bailey.ScopeCluster}, true
}
