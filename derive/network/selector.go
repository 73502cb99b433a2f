// Package network reads the policies that decide which pods may talk to which:
// whom a policy selects, in which direction it isolates, and whom its rules let
// through. It is pure, and what runs for every workload allocates nothing.
package network

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NameLabel is the label that the API server sets on every namespace to its
// name, and that nobody can change.
const NameLabel = "kubernetes.io/metadata.name"

// Matches reports whether the labels match the selector. An empty selector
// matches everything; a nil one is the caller's to interpret, and matches
// nothing here. A requirement that the API server would refuse matches nothing.
func Matches(s *metav1.LabelSelector, labels map[string]string) bool {
	if s == nil {
		return false
	}
	for k, want := range s.MatchLabels {
		if got, found := labels[k]; !found || got != want {
			return false
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		got, found := labels[r.Key]
		if !holds(r, got, found) {
			return false
		}
	}
	return true
}

// MatchesNamespace is Matches for a namespace with the given name and labels,
// which in a file may lack the label that the API server sets.
func MatchesNamespace(s *metav1.LabelSelector, name string, labels map[string]string) bool {
	if s == nil {
		return false
	}
	for k, want := range s.MatchLabels {
		if got, found := namespaceLabel(name, labels, k); !found || got != want {
			return false
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		got, found := namespaceLabel(name, labels, r.Key)
		if !holds(r, got, found) {
			return false
		}
	}
	return true
}

func namespaceLabel(name string, labels map[string]string, key string) (string, bool) {
	if key == NameLabel {
		return name, true
	}
	value, found := labels[key]
	return value, found
}

func holds(r *metav1.LabelSelectorRequirement, got string, found bool) bool {
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return found && slices.Contains(r.Values, got)
	case metav1.LabelSelectorOpNotIn:
		return !found || !slices.Contains(r.Values, got)
	case metav1.LabelSelectorOpExists:
		return found
	case metav1.LabelSelectorOpDoesNotExist:
		return !found
	}
	return false
}

// IsEmpty reports whether the selector is there and selects everything.
func IsEmpty(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}
