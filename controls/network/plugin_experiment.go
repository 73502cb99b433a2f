package network

import (
	"time"

	"github.com/baileyhq/bailey"
)

const (
	week = 7 * 24 * time.Hour
	// programLimit is how long a plugin may take to put a policy into force.
	programLimit = 30 * time.Second
	// settleLimit is what a client waits before it dials: plugins learn of a new pod a
	// little after its start. Some let it talk until then; that race is not judged.
	settleLimit = 3 * time.Second
	dialLimit   = 5 * time.Second
	probePort   = 8080
)

// enforced tries whether somebody grants the wish that a NetworkPolicy is.
var enforced = &bailey.Experiment{
	Name:  "enforces-policies",
	Title: "The network plugin enforces NetworkPolicy",
	Doc: `In a namespace of its own, starts three listening pods and gives them policies: nothing may come in to the
first, only friends may come in to the second. To the third all may come; a pod that may not go out dials it.
Each try has a twin that differs in the label that the policy selects, and must get through.
Before the policies are there, every listener is dialled once and must answer. A policy has 30 seconds to come into
force.

It shows that policies are enforced for TCP between pods where the scheduler put these. It does not show other
protocols, address blocks, IPv6, each node, the first three seconds of a pod, nor what happens to connections that
are open when a policy comes.`,
	Hypothesis: "what a NetworkPolicy does not allow is not connected",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1046",
	Scope:      bailey.ScopeCluster,
	Window:     week,
	Places:     []bailey.Place{bailey.PlaceNode},
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		const ns = shadowName + "plugin"
		setup := []bailey.Step{
			makeNamespace(ns, nil),
			listener(ns, "closed", map[string]string{"role": "closed"}),
			listener(ns, "choosy", map[string]string{"role": "choosy"}),
			listener(ns, "open", map[string]string{"role": "open"}),
		}
		friend, stranger, mute := map[string]string{"role": "friend"}, map[string]string{"role": "stranger"}, map[string]string{"role": "mute"}
		for _, name := range []string{"closed", "choosy", "open"} {
			client := stranger
			if name == "open" {
				client = mute
			}
			setup = append(setup, answeredDial(ns, "before", client, name))
		}
		setup = append(setup,
			makePolicy(ns, "nothing-in", map[string]any{"podSelector": matching("closed"), "policyTypes": []any{"Ingress"}}),
			makePolicy(ns, "friends-in", map[string]any{"podSelector": matching("choosy"), "policyTypes": []any{"Ingress"},
				"ingress": []any{map[string]any{"from": []any{map[string]any{"podSelector": matching("friend")}}}}}),
			makePolicy(ns, "nothing-out", map[string]any{"podSelector": matching("mute"), "policyTypes": []any{"Egress"}}))
		return []bailey.Probe{
			{Name: "dial a pod that nothing may come in to", Path: "ingress", Setup: setup,
				Twin: dial(ns, "client", stranger, "open"), Try: refusedDial(ns, "client", stranger, "closed")},
			{Name: "dial a pod as another than its policy lets in", Path: "ingress by label", Setup: setup,
				Twin: dial(ns, "client", friend, "choosy"), Try: refusedDial(ns, "client", stranger, "choosy")},
			{Name: "dial from a pod that may not go out", Path: "egress", Setup: setup,
				Twin: dial(ns, "client", stranger, "open"), Try: refusedDial(ns, "client", mute, "open")},
		}
	},
}

func matching(role string) map[string]any {
	return map[string]any{"matchLabels": map[string]any{"role": role}}
}
