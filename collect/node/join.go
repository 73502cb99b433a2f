package node

import (
	"fmt"
	"slices"

	"github.com/baileyhq/bailey"
)

// machineKinds are the kinds of which each machine shows its own.
var machineKinds = []bailey.Kind{bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate, bailey.KindKubelet}

// Join gives the cluster's snapshot with what its machines showed of themselves. What was
// seen of every node is then seen whole; a node whose machine is not among them is named.
func Join(cluster *bailey.Snapshot, machines []*bailey.Snapshot) (*bailey.Snapshot, error) {
	b := bailey.NewBuilder(cluster.Meta)
	for _, k := range cluster.Kinds() {
		b.Add(cluster.List(k, "")...)
	}
	seen, missing := cluster.Coverage()
	for _, s := range seen {
		b.Saw(s.Kind, s.Namespace)
	}
	for _, m := range missing {
		b.Miss(m)
	}
	shown := map[string]bool{}
	for _, s := range machines {
		if s.Meta.Medium != "host" || len(s.Meta.Targets) != 1 {
			return nil, fmt.Errorf("it is a snapshot of %s, and no machine's\nhint: `bailey scan host --save FILE` writes one", s.Meta.Medium)
		}
		for _, k := range append(slices.Clone(bailey.ControlPlane), bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate, bailey.KindKubelet, bailey.KindKubeProxy) {
			for _, f := range s.List(k, "") {
				b.Add(with(cluster.Get(f.Ref), f))
			}
		}
		for _, f := range s.List(bailey.KindHost, "") {
			shown[f.Name] = true
		}
		b.Meta().Targets = append(b.Meta().Targets, s.Meta.Targets...)
	}
	if cluster.Unseen(bailey.KindNode, "", "") != nil {
		return b.Snapshot(), nil // how many there are is not known
	}
	whole := true
	for _, k := range machineKinds {
		configz := k == bailey.KindKubelet && cluster.Unseen(k, "", "") == nil
		b.Saw(k, "")
		for _, n := range cluster.List(bailey.KindNode, "") {
			if shown[n.Name] || configz {
				continue
			}
			whole = false
			b.Miss(bailey.Missing{Kind: k, Name: n.Name, Reason: bailey.ReasonNotCollected, Detail: "nothing was seen of the machine " + n.Name, Hint: "run `bailey scan host --save FILE` there, and give the file to --hosts"})
		}
	}
	// What a machine could not show of itself stays unseen.
	for _, s := range machines {
		name := s.Meta.Targets[0].Name
		_, missing := s.Coverage()
		for _, m := range missing {
			if m.Reason == bailey.ReasonNotCollected || !slices.Contains(machineKinds, m.Kind) && !slices.Contains(bailey.ControlPlane, m.Kind) {
				continue
			}
			if m.Name == "" {
				m.Name = name
			}
			b.Miss(m)
		}
	}
	for _, k := range bailey.ControlPlane {
		if whole && slices.ContainsFunc(machines, func(s *bailey.Snapshot) bool { return len(s.List(k, "")) > 0 }) {
			b.Saw(k, "")
		}
	}
	return b.Snapshot(), nil
}

// with gives what the machine showed of a component, completed by what the cluster did: a
// kubelet's own answer is what it runs with, and its file only what it was told.
func with(known, f *bailey.Fact) *bailey.Fact {
	before, ok := bailey.As[*bailey.Component](known)
	now, isComponent := bailey.As[*bailey.Component](f)
	if !ok || !isComponent {
		return f
	}
	joined := *now
	if before.Config != nil {
		joined.Config, joined.Answered = before.Config, before.Answered
	}
	if joined.Version == "" {
		joined.Version = before.Version
	}
	one := *f
	one.Object = &joined
	return &one
}
