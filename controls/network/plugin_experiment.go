package network

import (
	"github.com/baileyhq/bailey"
)

// pluginExperiments try whether the wish that a NetworkPolicy is comes true.
var pluginExperiments = []*bailey.Experiment{policiesEnforced}

var policiesEnforced = &bailey.Experiment{
	Name:  "policies-enforced",
	Title: "The network plugin enforces NetworkPolicy",
	Doc: `In a namespace of Bailey's own are two listening pods, and two policies: nothing may come in to pods of one
label, nothing may go out of pods of another. A new pod dials by each of three ways that must be refused: in to a pod
that nothing may come in to, out of one that nothing may go out of, and both at once. The twin is the same dial between
pods that no policy selects, at the same time. Each try is a pod of its own; a listener is reached from its node
before the first try, and must still be after each. A policy may take 10 seconds to come into force.

Both listeners run on one node and all clients on another, where there are two: the scheduler's choice. It shows that
policies are enforced for TCP between pods on these nodes. Not shown: other
protocols, address blocks, each node, connections that were open before the policy came, and the race at a pod's start:
clients wait 2 seconds before they dial, since plugins learn of a new pod a little after its start.`,
	Hypothesis: "A connection that a NetworkPolicy refuses, in or out, is not made.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1046",
	Scope:      bailey.ScopeCluster,
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		const namespace, port = probeNamespaces + "plugin", 8080
		pod := func(name, role string) bailey.ProbePod {
			return bailey.ProbePod{Namespace: namespace, Name: name, Labels: map[string]string{"role": role}}
		}
		deny := func(name, role, direction string) bailey.Step {
			return makePolicy(namespace, name, map[string]any{"policyTypes": []any{direction},
				"podSelector": map[string]any{"matchLabels": map[string]any{"role": role}}})
		}
		setup := append(places(),
			makeNamespace(namespace, nil),
			deny("nothing-in", "closed", "Ingress"), deny("nothing-out", "mute", "Egress"),
			listen(at(serverNode, pod("open", "free")), port), listen(at(serverNode, pod("closed", "closed")), port))
		twin := dial(at(clientNode, pod("twin", "free")), "open", port)
		probe := func(path, role, to string) bailey.Probe {
			return bailey.Probe{Name: "a connection that a policy refuses", Path: path, Setup: setup, Twin: twin, Try: mayNot(dial(at(clientNode, pod("try", role)), to, port))}
		}
		return []bailey.Probe{probe("ingress", "free", "closed"), probe("egress", "mute", "open"), probe("ingress and egress", "mute", "closed")}
	},
}
