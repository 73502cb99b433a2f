package network

import (
	"encoding/json"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
)

// closedEdgesRefused tries connections that the cluster's own policies refuse.
var closedEdgesRefused = &bailey.Experiment{
	Name:  "closed-edges",
	Title: "Connections that policies close are refused",
	Doc: `For a sample of the workloads that NetworkPolicies isolate (8 of the cluster, others every week), finds one other
workload whose connection must not come in, and one that must not be reached. Both ends are copied into
namespaces of Bailey's own: Bailey's listener and client, with those labels of the pods and namespaces that the
policies ask for, and the policies themselves. No real pod, Service or ReplicaSet takes part.

The closed connection must be refused. Its twin is one that the same policies leave open, or where they leave none
open, the same copies in namespaces without the policies. Before the policies are there, the server
is dialled and must answer.

Left out, since a copy would not mean the same: policies with address blocks, that select a namespace by its name, or
by labels of other systems; clusters with network policies of other kinds. Not shown: host
network, a node to its own pods, connections that are open already, the first three seconds of a
pod, other protocols than TCP, and the workloads outside of the sample.`,
	Hypothesis: "a connection that the policies of a workload close is refused",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1046",
	Scope:      bailey.ScopeWorkload,
	Window:     week,
	Places:     []bailey.Place{bailey.PlaceNode},
	Derives:    []*bailey.Derivation{edgesOf, network.WideIndex},
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		edges, _ := v.Derived(edgesOf).(map[bailey.Ref][]edge)
		if len(edges[scope]) == 0 {
			return nil
		}
		if wide, ok := v.Derived(network.WideIndex).(*network.Wide); !ok || !wide.Empty() {
			return nil
		}
		var probes []bailey.Probe
		for i := range edges[scope] {
			probes = append(probes, shadowProbe(&edges[scope][i]))
		}
		return probes
	},
}

// shadow is the copy of what an edge needs.
type shadow struct {
	setup           []bailey.Step
	names           map[string]string // of the real namespaces' copies
	namespaces      map[string]bool   // made
	policies        map[string]bool   // made, by namespace and name
	namespaceLabels map[string]bool   // keys to copy
	podLabels       map[string]bool
}

// shadowProbe copies the ends of an edge and its policies.
func shadowProbe(e *edge) bailey.Probe {
	s := &shadow{names: map[string]string{}, namespaces: map[string]bool{}, policies: map[string]bool{}, namespaceLabels: map[string]bool{}, podLabels: map[string]bool{}}
	openClient, openServer := e.client, e.server
	if e.openClient != nil {
		openClient = e.openClient
	}
	if e.openServer != nil {
		openServer = e.openServer
	}
	withoutPolicies := e.openClient == nil && e.openServer == nil
	clients, servers := []*end{e.client}, []*end{e.server}
	if openClient != e.client {
		clients = append(clients, openClient)
	}
	if openServer != e.server {
		servers = append(servers, openServer)
	}
	var policies []*networkingv1.NetworkPolicy
	for _, c := range clients {
		policies = append(policies, c.out...)
	}
	for _, server := range servers {
		policies = append(policies, server.in...)
	}
	for _, p := range policies {
		mentioned(p, s.namespaceLabels, s.podLabels)
	}
	for _, each := range append(slices.Clone(clients), servers...) {
		s.namespace(each, "")
	}
	s.listener(e.server, "server", "")
	s.setup = append(s.setup, s.dial(e.client, e.server, "server", "before", ""))
	s.setup[len(s.setup)-1].Within = programLimit
	twinTo, apart := "server", ""
	switch {
	case withoutPolicies:
		apart = "-free"
		s.namespace(e.client, apart)
		s.namespace(e.server, apart)
		s.listener(e.server, "free", apart)
		twinTo = "free"
	case openServer != e.server:
		s.listener(openServer, "open", "")
		twinTo = "open"
	}
	for _, p := range policies {
		s.policy(p)
	}
	try := s.dial(e.client, e.server, "server", "client", "")
	try.Within, try.Refusers = programLimit, []bailey.Refuser{bailey.RefuserNetwork}
	return bailey.Probe{
		Name:  fmt.Sprintf("%s to %s, port %d", e.client.ref, e.server.ref, e.server.port.ContainerPort),
		Path:  string(e.direction),
		Setup: s.setup,
		Twin:  s.dial(openClient, openServer, twinTo, "twin", apart),
		Try:   try,
	}
}

// namespace makes the copy of an end's namespace, once.
func (s *shadow) namespace(e *end, apart string) {
	name, known := s.names[e.namespace]
	if !known {
		name = fmt.Sprintf("%sedge%d", shadowName, len(s.names))
		s.names[e.namespace] = name
	}
	if !s.namespaces[name+apart] {
		s.namespaces[name+apart] = true
		s.setup = append(s.setup, makeNamespace(name+apart, only(e.namespaceLabels, s.namespaceLabels)))
	}
}

// listener starts the copy of a server, and binds its address.
func (s *shadow) listener(e *end, bind, apart string) {
	port := map[string]any{"containerPort": e.port.ContainerPort, "protocol": "TCP"}
	if e.port.Name != "" {
		port["name"] = e.port.Name
	}
	pod := &bailey.ProbePod{Namespace: s.names[e.namespace] + apart, Name: bind, Labels: only(e.labels, s.podLabels),
		Container: map[string]any{"ports": []any{port}}}
	if e.port.ContainerPort < 1024 { // this sysctl is a safe one: it is the pod's own
		pod.Spec = map[string]any{"securityContext": map[string]any{"sysctls": []any{map[string]any{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}}}}
	}
	s.setup = append(s.setup, bailey.Step{Task: &bailey.Task{In: pod, Listen: int(e.port.ContainerPort)}, Bind: map[string]string{bind: "status.podIP"}})
}

// dial connects the copy of a client to a listener.
func (s *shadow) dial(client, server *end, to, name, apart string) bailey.Step {
	return bailey.Step{Task: &bailey.Task{
		In:   &bailey.ProbePod{Namespace: s.names[client.namespace] + apart, Name: name, Labels: only(client.labels, s.podLabels)},
		Dial: &bailey.Dial{Address: fmt.Sprintf("${%s}:%d", to, server.port.ContainerPort), Timeout: dialLimit, After: settleLimit},
	}}
}

// policy copies a policy, once.
func (s *shadow) policy(p *networkingv1.NetworkPolicy) {
	namespace := s.names[p.Namespace]
	if s.policies[namespace+"/"+p.Name] {
		return
	}
	s.policies[namespace+"/"+p.Name] = true
	data, err := json.Marshal(p.Spec)
	spec := map[string]any{}
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err != nil {
		panic(fmt.Sprintf("NetworkPolicy %s/%s: %v", p.Namespace, p.Name, err)) // what the API server sent always marshals
	}
	s.setup = append(s.setup, makePolicy(namespace, p.Name, spec))
}
