package access

import (
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// evidenceWindow is how long evidence about access counts.
const evidenceWindow = 7 * 24 * time.Hour

// getPath asks for what is no resource.
func getPath(as bailey.Identity, path string, refusers ...bailey.Refuser) bailey.Step {
	return request(as, bailey.Request{Verb: "get", Path: path}, refusers...)
}

// dial is a step that opens a connection from where the prober is.
func dial(d bailey.Dial, refusers ...bailey.Refuser) bailey.Step {
	return bailey.Step{Task: &bailey.Task{Dial: &d}, Refusers: refusers}
}

// dialLimit bounds a connection to a node, which may be out of reach: each try
// would wait for it.
const dialLimit = time.Second

// nodeSample is how many nodes are tried. Nodes of one cluster are set up alike;
// a rule about a node's own settings is asked of each.
const nodeSample = 2

// sampledNodes gives a node of the control plane, where there is one, and others
// up to the sample, by name.
func sampledNodes(v *bailey.View) []*bailey.Fact {
	nodes := slices.Clone(v.List(bailey.KindNode, ""))
	slices.SortStableFunc(nodes, func(a, b *bailey.Fact) int {
		switch first, second := inControlPlane(a), inControlPlane(b); {
		case first && !second:
			return -1
		case second && !first:
			return 1
		}
		return 0
	})
	if len(nodes) > nodeSample {
		// The first is of the control plane, if any; the last is an ordinary one.
		nodes = append(nodes[:nodeSample-1], nodes[len(nodes)-1])
	}
	return nodes
}

func inControlPlane(node *bailey.Fact) bool {
	_, found := node.Labels["node-role.kubernetes.io/control-plane"]
	return found
}

// nodeAddress is a step of the setup that binds the address of a node, as
// ${node}. Kubelets list their internal address first.
func nodeAddress(name string) bailey.Step {
	step := request(bailey.Identity{}, bailey.Request{Verb: "get", APIVersion: "v1", Resource: "nodes", Name: name, Content: true})
	step.Bind = map[string]string{"node": "status.addresses.0.address"}
	return step
}
