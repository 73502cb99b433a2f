package network

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

const (
	markerPort = 8080 // of the pod that listens
	countPort  = 8081 // of the pod that sends
	// peersTried bounds to how many other nodes each node sends.
	peersTried = 2
)

var unreadableOnTheWire = &bailey.Experiment{
	Name:  "unreadable-on-the-wire",
	Title: "What pods of two nodes say to each other cannot be read on the wire",
	Doc: `A pod of Bailey's own sends a random marker to one on another node, some times a second, 64 KiB each time.
Meanwhile a third pod, on the network of the sending node, looks for the marker in every packet that leaves by the
node's own devices: those with hardware behind them, that of the default route, that by which the other node is
reached. The marker must not be among them, though it arrived five times and as many bytes left for the other node.
The twin sends the marker from the node itself, by UDP to the discard port (9) of the other node, outside of what
encrypts between pods, and must see it. Each node sends to the two that come next by name.

The pod that looks needs the host's network and CAP_NET_RAW, which takes a namespace of the level privileged; the
others are restricted. It keeps nothing of what it reads, and says only whether the marker was there. All tolerate
every taint, and are removed.

Inconclusive stays, since the twin is not seen, where what nodes say to each other is encrypted too; so does a node
that sends faster than it can be read. A network card that encrypts by itself (IPsec offload) shows its node plain
text, and is called broken. Not shown: that the cipher and its keys are sound, traffic of pods on the host's network,
and traffic that leaves the cluster.`,
	Hypothesis: "What a pod sends to a pod of another node cannot be read as it leaves its node.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1040",
	Scope:      bailey.ScopeNode,
	Needs:      []bailey.Kind{bailey.KindNode},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		nodes := pods.ReadyNodes(v, nil, everyTaint, -1)
		own := v.Get(bailey.KindNode, "", scope.Name)
		if own == nil {
			return nil
		}
		at := slices.Index(nodes, own.Labels[corev1.LabelHostname])
		if at < 0 {
			return nil
		}
		var probes []bailey.Probe
		for i := range min(len(nodes)-1, peersTried) {
			probes = append(probes, wireProbe(nodes[at], nodes[(at+1+i)%len(nodes)]))
		}
		return probes
	},
}

// everyTaint is tolerated: every node's traffic is to be encrypted.
var everyTaint = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}

// wireProbe sends from one node to the other.
func wireProbe(from, to string) bailey.Probe {
	namespace, tapNamespace := pods.ProbeNamespace("wire"), pods.ProbeNamespace("wiretap")
	listener := bailey.Step{
		Task: &bailey.Task{Listen: markerPort, In: &bailey.ProbePod{Namespace: namespace, Name: "listener", Spec: pods.OnNode(to, everyTaint)}},
		Bind: map[string]string{"listener": "status.podIP", "other": "status.hostIP"},
	}
	sender := bailey.Step{
		Task: &bailey.Task{
			In:   &bailey.ProbePod{Namespace: namespace, Name: "sender", Spec: pods.OnNode(from, everyTaint)},
			Send: &bailey.Send{To: "${listener}:" + strconv.Itoa(markerPort), Marker: "${run} pods", Port: countPort},
		},
		Bind: map[string]string{"sender": "status.podIP"},
	}
	tap := func(name string, wire *bailey.Wire) bailey.Step {
		spec := pods.OnNode(from, everyTaint)
		spec["hostNetwork"] = true
		spec["securityContext"] = map[string]any{"runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0}
		wire.To = []string{"${other}", "${listener}"}
		return bailey.Step{Task: &bailey.Task{Wire: wire, In: &bailey.ProbePod{Namespace: tapNamespace, Name: name, Spec: spec,
			Container: map[string]any{"securityContext": map[string]any{"capabilities": map[string]any{"add": []any{"NET_RAW"}}}}}}}
	}
	try := tap("try", &bailey.Wire{Marker: "${run} pods", Sender: "${sender}:" + strconv.Itoa(countPort)})
	try.Refusers = []bailey.Refuser{bailey.RefuserTransit}
	return bailey.Probe{
		Name:  "a marker from a pod on node " + from + " to one on node " + to,
		Path:  "node " + from + " to node " + to,
		Setup: []bailey.Step{pods.MakeNamespace(namespace, "restricted"), pods.MakeNamespace(tapNamespace, "privileged"), listener, sender},
		Twin:  tap("twin", &bailey.Wire{Marker: "${run} node", Datagram: "${other}:9"}),
		Try:   try,
	}
}
