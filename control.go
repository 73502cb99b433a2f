// Package bailey is the vocabulary in which the controls of cloud native
// security are written down: what must hold (Control, Rule, Guard,
// Experiment), what was seen (Fact, Snapshot, View) and what follows
// (Finding, Verdict, Report). It is plain data and pure functions, and imports
// the standard library only.
package bailey

import "strings"

// Control is one thing that the Kubernetes page "Cloud Native Security and
// Kubernetes" asks for.
type Control struct {
	// ID is "<area>/<name>", the same as in the catalogue, and never reused.
	ID string
	// Asks is what the page wants to be true, in one clause.
	Asks string
	// Doc says in Markdown what Bailey looks at, enforces and tries, and why.
	Doc  string
	Refs []Reference
	// Scope is the kind of thing that the control holds or fails for.
	Scope ScopeKind

	// Weighed tells that what a finding on a workload gives an attacker depends on who
	// reaches the workload and what it holds; see Weigh.
	Weighed bool

	Rules       []*Rule
	Guards      []*Guard
	Experiments []*Experiment

	// Unprovable says why no experiment shows that the control holds: none can, or
	// none does in this version. It is empty where one does.
	Unprovable string
}

// Area is the part of the ID before the slash.
func (c *Control) Area() string {
	area, _, _ := strings.Cut(c.ID, "/")
	return area
}

// RuleID is the rule's identity in reports: "<control>/<rule>".
func (c *Control) RuleID(r *Rule) string { return c.ID + "/" + r.Name }

// Experiment gives the control's experiment of a name, or nil.
func (c *Control) Experiment(name string) *Experiment {
	for _, x := range c.Experiments {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// Reference points to the source that asks for a control or a rule.
type Reference struct {
	// Source is one of the Source constants below, or another document's name.
	Source string `json:"source"`
	// ID is the item's number or name in the source; may be empty for a page.
	ID    string `json:"id,omitempty"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url,omitempty"`
}

// The sources that references name.
const (
	SourceCNCF       = "CNCF Controls Catalogue v2"
	SourceNIST       = "NIST SP 800-53r5"
	SourceCIS        = "CIS Kubernetes Benchmark"
	SourceNSA        = "NSA/CISA Kubernetes Hardening Guide"
	SourceATTACK     = "MITRE ATT&CK for Containers"
	SourceKubernetes = "Kubernetes documentation"
)

// ScopeKind is the kind of thing that a control stands on a rung for.
type ScopeKind string

const (
	ScopeCluster    ScopeKind = "cluster"
	ScopeNamespace  ScopeKind = "namespace"
	ScopeWorkload   ScopeKind = "workload"
	ScopeImage      ScopeKind = "image"
	ScopeNode       ScopeKind = "node"
	ScopeRepository ScopeKind = "repository"
)

// Scope is one thing of a scope kind. The cluster's has an empty Object.
type Scope struct {
	Kind   ScopeKind `json:"kind"`
	Object Ref       `json:"object,omitzero"`
}

// String is "cluster", or "workload Deployment shop/web".
func (s Scope) String() string {
	switch s.Kind {
	case ScopeCluster, ScopeRepository:
		return string(s.Kind)
	case ScopeNamespace:
		return "namespace " + s.Object.Name
	}
	return string(s.Kind) + " " + s.Object.String()
}

// SystemNamespaces are those that Kubernetes keeps for itself. Nothing is enforced
// there: a platform that cannot start its own parts cannot be repaired.
var SystemNamespaces = []string{"kube-node-lease", "kube-public", "kube-system"}
