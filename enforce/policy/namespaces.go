package policy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
)

// namespaces are those that were seen, by name.
type namespaces map[string]*corev1.Namespace

// unseenError says that a policy asks about what was not seen: it decides nothing.
type unseenError struct{ what string }

func (e *unseenError) Error() string { return e.what + " was not seen" }

// ofRequest gives the namespace's object; nil for a request about none, and about a namespace.
func (n namespaces) ofRequest(a admission.Attributes) (*corev1.Namespace, error) {
	if a.GetNamespace() == "" || a.GetKind() == corev1.SchemeGroupVersion.WithKind("Namespace") {
		return nil, nil
	}
	return n.Get(a.GetNamespace())
}

// List is of the lister that the matcher wants; it is never called.
func (n namespaces) List(labels.Selector) ([]*corev1.Namespace, error) {
	return nil, fmt.Errorf("namespaces are not listed here")
}

// Get gives a namespace. One that was not seen is not one that is not there.
func (n namespaces) Get(name string) (*corev1.Namespace, error) {
	if ns := n[name]; ns != nil {
		return ns, nil
	}
	return nil, &unseenError{"namespace " + name}
}
