package access

import (
	"strconv"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// apiBypassExperiments try the ways round the API server.
var apiBypassExperiments = []*bailey.Experiment{closedToPods, mountsRefused, kubeletsNotForAll, directWriteTold}

// bypassPort is the one at which the listener on a node answers.
const bypassPort = 8080

var closedToPods = &bailey.Experiment{
	Name:  "closed-to-pods",
	Title: "Kubelets, etcd and the controllers answer no pod",
	Doc: `From restricted pods of its own Bailey connects to the kubelets of up to 2 nodes (one of the control plane, where
there is one): to the read-only port, and to the kubelet's own port without a credential and with the token that is
mounted into the pod, each time asking which pods run. On the node of the control plane, or if none is seen at the
address that the API server names in EndpointSlice default/kubernetes, it connects to etcd, by TLS without a client
certificate and in plain text, to controller-manager and scheduler, and to the port of an unprotected API server. No
connection, a failed handshake, 401 and 403 are refusals; any answer is not, and nothing of one is kept.

The twin connects to a pod of Bailey's own that listens on that same node, whatever the node's taints, or to the API
server at that same address. The pod of each try makes that connection first and waits until it stands, so that a port
that stays silent was tried over a network that works. The token is of a ServiceAccount without any rights, and is
tried at the API server before. It is shown to whoever listens at the kubelet's port, and dies with its pod.

The scheduler chooses where the pods run. Other nodes, and etcd on machines of its own, are not tried. Everything is in
a namespace of Bailey's own; network policies may treat pods of other namespaces otherwise.`,
	Hypothesis: "From an ordinary pod, neither a kubelet nor etcd nor a controller answers a request.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1609",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNode},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		namespace := probeNamespace("bypass")
		server := apiServerAddress()
		var probes []bailey.Probe
		add := func(name, path string, setup []bailey.Step, first string, twin *bailey.Dial, try bailey.Step, token bool) {
			try.Task.Dial.First, try.Task.Dial.OwnToken, try.Task.Dial.Timeout = first, token, 0
			try.Task.In = podToTryFrom(namespace, "try", token)
			probes = append(probes, bailey.Probe{Name: name, Path: path + " from a pod", Setup: setup, Try: try,
				Twin: bailey.Step{Task: &bailey.Task{Dial: twin, In: podToTryFrom(namespace, "twin", false)}}})
		}
		controlPlane := false
		for _, node := range sampledNodes(v) {
			const host = "${node}"
			listener := "${listener}:" + strconv.Itoa(bypassPort)
			setup := []bailey.Step{makeNamespace(namespace), server, tokenWorks(namespace), nodeAddress(node.Name), listenerOn(node.Name, namespace)}
			twin := &bailey.Dial{Address: listener}
			on := ", node " + node.Name
			for _, port := range nodePorts {
				add(port.name+on, "port "+port.number, setup, listener, twin, port.ask(host), false)
			}
			add("kubelet with the pod's token"+on, "port "+kubeletPort.number, setup, listener, twin, kubeletPort.ask(host), true)
			if !inControlPlane(node) {
				continue
			}
			controlPlane = true
			for _, port := range hiddenPorts {
				add(port.name+on, "port "+port.number, setup, listener, twin, port.ask(host), false)
			}
		}
		if !controlPlane {
			const address = "${server}:${serverport}"
			setup := []bailey.Step{makeNamespace(namespace), server}
			twin := &bailey.Dial{Address: address, TLS: &bailey.TLS{}}
			for _, port := range hiddenPorts {
				add(port.name+", API server's host", "port "+port.number, setup, address, twin, port.ask("${server}"), false)
			}
		}
		return probes
	},
}

// hiddenPorts are those of the control plane that a pod must not reach.
var hiddenPorts = append([]port{{"etcd in plain text", etcdPort.number, false, etcdPort.path}}, controlPlanePorts...)

// podToTryFrom is a probe pod, with the namespace's default token if it is to have one.
func podToTryFrom(namespace, name string, token bool) *bailey.ProbePod {
	pod := &bailey.ProbePod{Namespace: namespace, Name: name}
	if token {
		pod.Spec = map[string]any{"automountServiceAccountToken": true}
	}
	return pod
}

// apiServerAddress is a step of the setup that binds an address of an API server
// behind the Service kubernetes, as ${server} and ${serverport}.
func apiServerAddress() bailey.Step {
	step := request(bailey.Identity{}, bailey.Request{Verb: "get", APIVersion: "discovery.k8s.io/v1", Resource: "endpointslices",
		Namespace: "default", Name: "kubernetes", Content: true})
	step.Bind = map[string]string{"server": "endpoints.0.addresses.0", "serverport": "ports.0.port"}
	return step
}

// tokenWorks is a step of the setup that uses a pod's token where it is good: a
// kubelet that turned down a bad one would have shown nothing.
func tokenWorks(namespace string) bailey.Step {
	return bailey.Step{Task: &bailey.Task{In: podToTryFrom(namespace, "token", true),
		Dial: &bailey.Dial{Address: "${server}:${serverport}", First: "${server}:${serverport}", TLS: &bailey.TLS{}, HTTP: "/apis", OwnToken: true}}}
}

// listenerOn is a step of the setup that makes a pod on the node which answers
// connections, and binds its address as ${listener}.
func listenerOn(node, namespace string) bailey.Step {
	spec := pods.OnNamedNode(node)
	spec["tolerations"] = []any{map[string]any{"operator": "Exists"}}
	return bailey.Step{Bind: map[string]string{"listener": "status.podIP"}, Task: &bailey.Task{Listen: bypassPort, In: &bailey.ProbePod{
		Namespace: namespace, Name: "listener", Spec: spec}}}
}
