package access

import (
	"slices"

	"github.com/baileyhq/bailey"
)

// apiServerExperiments try what a stranger would.
var apiServerExperiments = []*bailey.Experiment{strangersRefused, portsClosed}

var strangersRefused = &bailey.Experiment{
	Name:  "strangers-refused",
	Title: "The API tells a stranger nothing",
	Doc: `Requests without a credential: for the namespaces, the pods and the nodes of the cluster, for the Secrets of
kube-system (their names only), for the list of API groups and the description of the API, and for the metrics
and debugging pages. Each must be refused, as a request that names nobody or as one by system:anonymous. The
twin is the same request by the prober; that for Secrets asks for ConfigMaps in their place, since the prober
has no right to any Secret. Only reads are made.

What every API server tells everybody is not tried: whether it is healthy, its version, and kubeadm's note for
new nodes. A stranger is tried from where Bailey runs; a load balancer may treat others differently.`,
	Hypothesis: "A request without a credential is refused, whatever it asks for.",
	Danger:     bailey.DangerNone,
	Technique:  "T1613",
	Detections: []string{"anonymous-refused", "anonymous-access"},
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		stranger := bailey.Identity{Anonymous: true}
		refusers := []bailey.Refuser{bailey.RefuserAuthentication, bailey.RefuserAuthorization}
		list := func(resource, namespace string) bailey.Request {
			return bailey.Request{Verb: "list", APIVersion: "v1", Resource: resource, Namespace: namespace}
		}
		var probes []bailey.Probe
		add := func(name, path string, twin, try bailey.Request) {
			probes = append(probes, bailey.Probe{Name: name, Path: path,
				Twin: request(bailey.Identity{}, twin), Try: request(stranger, try, refusers...)})
		}
		for _, resource := range []string{"namespaces", "pods", "nodes"} {
			add("all "+resource, "list "+resource, list(resource, ""), list(resource, ""))
		}
		add("secrets of kube-system", "list secrets", list("configmaps", "kube-system"), list("secrets", "kube-system"))
		for _, page := range []struct{ name, path string }{
			{"API groups", "/apis"}, {"description of the API", "/openapi/v3"}, {"metrics", "/metrics"},
		} {
			r := bailey.Request{Verb: "get", Path: page.path}
			add(page.name, "get "+page.path, r, r)
		}
		// Pages for debugging may be turned off, so that the prober's own request for
		// one can fail; the twin asks for what is always there.
		for _, path := range []string{"/debug/pprof/", "/logs/", "/configz", "/flagz", "/statusz"} {
			add("debugging page "+path, "get "+path, bailey.Request{Verb: "get", Path: "/apis"}, bailey.Request{Verb: "get", Path: path})
		}
		return probes
	},
}

var portsClosed = &bailey.Experiment{
	Name:  "ports-closed",
	Title: "No other port answers a stranger",
	Doc: `Connections without a credential: to the API server's host at 8080, where an API server without any protection
or a forgotten "kubectl proxy" listens, and at the ports of etcd, controller-manager and scheduler; on nodes to
the kubelet's read-only port and to the kubelet itself, and on nodes of the control plane to all of these, since the
API server's host may be a load balancer. No connection, a failed handshake, 401 and 403 are refusals; any answer
to a request is not. The twin connects to the API server, and on a node to the kubelet's port. Up to 2 nodes are
sampled, one of the control plane where there is one.

A node at which the kubelet does not answer either is out of reach, which shows nothing of its ports: run it
inside the network of the nodes. access/api-bypass asks from a pod.`,
	Hypothesis: "Besides the API server no part of the control plane and no kubelet answers a request without a credential.",
	Danger:     bailey.DangerNone,
	Technique:  "T1133",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNode},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		twin := dial(bailey.Dial{Address: "${apiserver}", Timeout: dialLimit})
		var probes []bailey.Probe
		for _, port := range controlPlanePorts {
			probes = append(probes, bailey.Probe{Name: port.name + ", API server's host", Path: "port " + port.number,
				Twin: twin, Try: port.ask("${apiserverhost}")})
		}
		reached := dial(bailey.Dial{Address: "${node}:10250", Timeout: dialLimit})
		for _, node := range sampledNodes(v) {
			ports := nodePorts
			if inControlPlane(node) {
				ports = slices.Concat(ports, controlPlanePorts)
			}
			for _, port := range ports {
				probes = append(probes, bailey.Probe{Name: port.name + ", node " + node.Name, Path: "port " + port.number,
					Setup: []bailey.Step{nodeAddress(node.Name)}, Twin: reached, Try: port.ask("${node}")})
			}
		}
		return probes
	},
}

// port is one that must answer no stranger.
type port struct {
	name, number string
	tls          bool
	// path is one that tells what strangers must not learn.
	path string
}

var (
	etcdPort = port{"etcd", "2379", true, "/version"}
	// controlPlanePorts are those of its parts beside the API server.
	controlPlanePorts = []port{
		{"unprotected API", "8080", false, "/api"},
		etcdPort,
		{"controller-manager", "10257", true, "/metrics"},
		{"scheduler", "10259", true, "/metrics"},
	}
	kubeletPort = port{"kubelet", "10250", true, "/pods"}
	nodePorts   = []port{{"kubelet's read-only port", "10255", false, "/pods"}, kubeletPort}
)

// ask is the try of a port of the host.
func (p port) ask(host string) bailey.Step {
	d := bailey.Dial{Address: host + ":" + p.number, HTTP: p.path, Timeout: dialLimit}
	if p.tls {
		d.TLS = &bailey.TLS{}
	}
	return dial(d, bailey.RefuserNetwork, bailey.RefuserAuthentication, bailey.RefuserAuthorization, bailey.RefuserTLS)
}
