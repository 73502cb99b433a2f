package bailey

// Factor is something about a workload that decides what a finding on it gives an
// attacker: who reaches it, and what whoever breaks into it holds.
type Factor struct {
	Kind FactorKind `json:"kind"`
	// Text is a clause: "Ingress shop routes to it".
	Text string `json:"text"`
	// By is the object that makes it so.
	By Ref `json:"by,omitzero"`
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
	// Factors gives at most one of each kind.
	Factors func(v *View, f *Fact) []Factor
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
