package network

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
)

// policyExperiments try what the cluster's own policies close.
var policyExperiments = []*bailey.Experiment{closedEdgesRefused}

var closedEdgesRefused = &bailey.Experiment{
	Name:  "closed-edges-refused",
	Title: "What a workload's policies close is refused between copies of it",
	Doc: `Tries a sample: 8 of the workloads that NetworkPolicies isolate, every week others in turn, and the same all week.
What it shows counts for these workloads alone. For each, and for each direction, Bailey reads from the policies one
connection that must not be made because of who is at the other end, and one that must not because of the port. It
copies what these need into namespaces of its own: listeners and clients of Bailey's, with those labels of the pods
and namespaces that the policies ask for, the declared ports, and of the policies that select the workload the part
for that direction. No real pod takes part, and no Service is made. The closed connection must be refused. The twin is
one that the same policies leave open, or where they leave none open, the closed one between copies without policies.

Only connections are tried for which the policies mean the same between copies and between the workloads. So these are
left out: connections that an address block might allow (pods' addresses are not known beforehand), that are let
through or refused by a namespace's name or by labels of other systems (those of Istio, say, which are not copied),
all other protocols than TCP, and clusters with policies of other kinds (ClusterNetworkPolicy, Cilium, Calico). Not
shown: workloads outside of the sample and those on the host network, a node to its own pod, connections that were
open before the policy came, and the race at a pod's start: clients wait 2 seconds before they dial, and a policy may
take 10 to come into force. All listeners run on one node and all clients on another, where there are two: the
scheduler's choice.`,
	Hypothesis: "A connection that the policies of a workload close is refused.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1046",
	Scope:      bailey.ScopeWorkload,
	Derives:    []*bailey.Derivation{endsIndex, network.WideIndex},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     evidenceWindow,
	Sample:     sampleSize,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		ends, _ := v.Derived(endsIndex).([]*end)
		if wide, ok := v.Derived(network.WideIndex).(*network.Wide); !ok || !wide.Empty() {
			return nil
		}
		at, found := slices.BinarySearchFunc(ends, hashOf(scope), func(e *end, hash uint64) int { return cmp.Compare(e.hash, hash) })
		if !found || ends[at].ref != scope {
			return nil
		}
		edges := closedEdges(ends[at], ends)
		return newShadow(ends[at], edges).probes(edges)
	},
}

// shadow is the copy of what a workload's edges need, in three sets of namespaces.
type shadow struct {
	namespaces, policies, listeners []bailey.Step
	named                           map[string]string // namespaces, by set and the real one's name
	bound                           map[string]string // listeners' names, by set, workload and port
	// The keys of the labels that the policies ask for.
	namespaceKeys, podKeys map[string]bool
}

// The sets: with the policies' part for ingress, for egress, and without policies.
const (
	setIn   = "in"
	setOut  = "out"
	setFree = "free"
)

func setOf(d network.Direction) string {
	if d == network.Ingress {
		return setIn
	}
	return setOut
}

// newShadow copies the policies of a workload, for the directions of its edges.
func newShadow(of *end, edges []edge) *shadow {
	s := &shadow{named: map[string]string{}, bound: map[string]string{}, namespaceKeys: map[string]bool{}, podKeys: map[string]bool{}}
	for _, p := range of.copy.policies {
		s.mentions(p)
	}
	for _, p := range of.copy.policies {
		for _, d := range []network.Direction{network.Ingress, network.Egress} {
			if network.Isolates(p, d) && slices.ContainsFunc(edges, func(e edge) bool { return e.direction == d }) {
				s.policies = append(s.policies, makePolicy(s.namespace(setOf(d), of), p.Name, partOf(p, d)))
			}
		}
	}
	return s
}

// probes copies the ends of the edges. All probes share one setup.
func (s *shadow) probes(edges []edge) []bailey.Probe {
	probes := make([]bailey.Probe, len(edges))
	for i := range edges {
		e := &edges[i]
		set := setOf(e.direction)
		try := s.dial(set, e.client, set, e.server, e.port)
		var twin bailey.Step
		switch in := e.direction == network.Ingress; {
		case e.byPort:
			twin = s.dial(set, e.client, set, e.server, e.openPort)
		case e.open != nil && in:
			twin = s.dial(set, e.open, set, e.server, e.openPort)
		case e.open != nil:
			twin = s.dial(set, e.client, set, e.open, e.openPort)
		case in:
			twin = s.dial(set, e.client, setFree, e.server, e.port)
		default:
			twin = s.dial(setFree, e.client, set, e.server, e.port)
		}
		path := string(e.direction)
		if e.byPort {
			path += ", by port"
		}
		probes[i] = bailey.Probe{Name: fmt.Sprintf("%s to %s, port %d", e.client.ref, e.server.ref, e.port), Path: path, Twin: twin, Try: mayNot(try)}
	}
	setup := slices.Concat(places(), s.namespaces, s.policies, s.listeners)
	for i := range probes {
		probes[i].Setup = setup
	}
	return probes
}

// namespace names the copy of an end's namespace in a set, and makes it at first.
func (s *shadow) namespace(set string, e *end) string {
	key := set + "/" + e.namespace
	name, known := s.named[key]
	if !known {
		name = fmt.Sprintf("%s%s%d", probeNamespaces, set, len(s.named))
		s.named[key] = name
		s.namespaces = append(s.namespaces, makeNamespace(name, only(e.copy.namespaceLabels, s.namespaceKeys)))
	}
	return name
}

// dial connects the copy of a client to that of a server, which is started at first.
func (s *shadow) dial(clients string, client *end, servers string, server *end, port int32) bailey.Step {
	key := fmt.Sprintf("%s/%s/%d", servers, server.ref, port)
	to, known := s.bound[key]
	if !known {
		to = fmt.Sprintf("server%d", len(s.bound))
		s.bound[key] = to
		s.listeners = append(s.listeners, listen(at(serverNode, s.server(servers, server, to, port)), int(port)))
	}
	pod := bailey.ProbePod{Namespace: s.namespace(clients, client), Name: "client", Labels: only(client.copy.labels, s.podKeys)}
	return dial(at(clientNode, pod), to, int(port))
}

// server is the pod that stands for a server, with the names of its ports.
func (s *shadow) server(set string, e *end, name string, port int32) bailey.ProbePod {
	declared := make([]any, len(e.ports))
	for i := range e.ports {
		one := map[string]any{"containerPort": e.ports[i].ContainerPort, "protocol": "TCP"}
		if e.ports[i].Name != "" {
			one["name"] = e.ports[i].Name
		}
		declared[i] = one
	}
	pod := bailey.ProbePod{Namespace: s.namespace(set, e), Name: name, Labels: only(e.copy.labels, s.podKeys), Container: map[string]any{"ports": declared}}
	if port < 1024 { // a safe sysctl, which is the pod's own: who is not root may listen there
		pod.Spec = map[string]any{"securityContext": map[string]any{"sysctls": []any{map[string]any{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}}}}
	}
	return pod
}

// mentions gathers the keys of the labels that the policy's selectors ask for.
func (s *shadow) mentions(p *networkingv1.NetworkPolicy) {
	keys := func(selector *metav1.LabelSelector, into map[string]bool) {
		if selector == nil {
			return
		}
		for key := range selector.MatchLabels {
			into[key] = true
		}
		for i := range selector.MatchExpressions {
			into[selector.MatchExpressions[i].Key] = true
		}
	}
	keys(&p.Spec.PodSelector, s.podKeys)
	for _, d := range []network.Direction{network.Ingress, network.Egress} {
		for _, r := range rulesOf(p, d) {
			for i := range r.From {
				keys(r.From[i].NamespaceSelector, s.namespaceKeys)
				keys(r.From[i].PodSelector, s.podKeys)
			}
		}
	}
}

// only keeps the labels with these keys.
func only(labels map[string]string, keys map[string]bool) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		if keys[key] {
			kept[key] = value
		}
	}
	return kept
}

// partOf gives the spec of a policy for one direction.
func partOf(p *networkingv1.NetworkPolicy, d network.Direction) map[string]any {
	part := networkingv1.NetworkPolicySpec{PodSelector: p.Spec.PodSelector}
	if d == network.Ingress {
		part.PolicyTypes, part.Ingress = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, p.Spec.Ingress
	} else {
		part.PolicyTypes, part.Egress = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, p.Spec.Egress
	}
	data, err := json.Marshal(part)
	spec := map[string]any{}
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err != nil {
		panic(fmt.Sprintf("NetworkPolicy %s/%s: %v", p.Namespace, p.Name, err)) // what the API server sent always marshals
	}
	return spec
}
