package bailey

import (
	"slices"
	"strings"
)

// Factor is something about a workload that decides what a finding on it gives an
// attacker: who reaches it, and what whoever breaks into it holds.
type Factor struct {
	Kind FactorKind `json:"kind"`
	// Text is a clause: "Ingress shop routes to it".
	Text string `json:"text"`
	// By is the object that makes it so.
	By Ref `json:"by,omitzero"`
	// Field is the workload's own field that makes it so; empty for none.
	Field string `json:"-"`
}

// FactorKind is what a factor is about.
type FactorKind string

// The kinds of factor.
const (
	FactorExposed FactorKind = "exposed" // it is reached from outside the cluster
	FactorNode    FactorKind = "node"    // it holds its node
	FactorRights  FactorKind = "rights"  // its ServiceAccount has rights that give others
	FactorSecrets FactorKind = "secrets" // it is given Secrets
)

// Weigher tells the factors of a workload. It only ever adds: what was not seen is no
// factor.
type Weigher struct {
	Needs   []Kind
	Derives []*Derivation
	// Factors gives all of a kind one after the other, the one that says most first.
	Factors func(v *View, f *Fact) []Factor
}

// Besides gives of a workload's factors what they add to a finding on one of its fields: the
// first of each kind that is not that field's own doing. What is given is not changed, and
// shared where nothing is left out.
func Besides(factors []Factor, field string) []Factor {
	n := 0 // the first that are all kept
	for ; n < len(factors) && !leftOut(factors[n], factors[:n], field); n++ {
	}
	if n == len(factors) {
		return factors
	}
	all := slices.Clone(factors[:n])
	for _, f := range factors[n:] {
		if !leftOut(f, all, field) {
			all = append(all, f)
		}
	}
	return all
}

// leftOut tells a factor that is the field's own doing, or another of a kind that is there.
func leftOut(f Factor, before []Factor, field string) bool {
	return within(field, f.Field) || within(f.Field, field) || len(before) > 0 && before[len(before)-1].Kind == f.Kind
}

// within reports whether a path is that of a field, or of a part of it.
func within(path, field string) bool {
	rest, is := strings.CutPrefix(path, field)
	return is && field != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Weigh gives the severity that a finding has on a workload with these factors, from the
// one that it has anywhere. What strangers reach is the way in: there a weakness is one
// step worse where it leads on, to the node or to others' rights, and no longer low where
// it leads to Secrets. What is informative stays so.
func Weigh(base Severity, factors []Factor) Severity {
	has := map[FactorKind]bool{}
	for _, f := range factors {
		has[f.Kind] = true
	}
	switch {
	case base <= SeverityInfo || !has[FactorExposed]:
	case has[FactorNode] || has[FactorRights]:
		return min(base+1, SeverityCritical)
	case has[FactorSecrets] && base == SeverityLow:
		return SeverityMedium
	}
	return base
}
