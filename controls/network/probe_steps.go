package network

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

const (
	// evidenceWindow is how long what was proven counts.
	evidenceWindow = 7 * 24 * time.Hour
	// probeNamespaces begins the name of each namespace that the experiments make.
	probeNamespaces = bailey.ProbePrefix + "${run}-"
	// inForce is how long a network plugin may take until it enforces a new policy.
	inForce = 10 * time.Second
	// podKnown is what a client waits before it dials: plugins learn of a new pod a
	// little after its start, and let it talk, or keep it silent, until then.
	podKnown = 2 * time.Second
	// dialLimit holds the second packet of a client whose first was lost: it comes after
	// one second (RFC 6298).
	dialLimit = 1500 * time.Millisecond
)

// makeNamespace makes a namespace that admits restricted pods, with labels that
// policies select by.
func makeNamespace(name string, labels map[string]string) bailey.Step {
	all := map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}
	for key, value := range labels {
		all[key] = value
	}
	return bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "namespaces", Real: true,
		Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": all}}}}
}

// makePolicy makes a NetworkPolicy.
func makePolicy(namespace, name string, spec map[string]any) bailey.Step {
	return bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "networking.k8s.io/v1", Resource: "networkpolicies", Namespace: namespace, Real: true,
		Object: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": map[string]any{"name": name, "namespace": namespace}, "spec": spec}}}
}

// listen starts a pod that answers on the port, and binds its address to its name.
func listen(pod bailey.ProbePod, port int) bailey.Step {
	return bailey.Step{Task: &bailey.Task{In: &pod, Listen: port}, Bind: map[string]string{pod.Name: "status.podIP"}}
}

// dial connects from a new pod to the listener that bound its address to the name.
func dial(pod bailey.ProbePod, to string, port int) bailey.Step {
	return bailey.Step{Task: &bailey.Task{In: &pod,
		Dial: &bailey.Dial{Address: "${" + to + "}:" + strconv.Itoa(port), Timeout: dialLimit, After: podKnown}}}
}

// mayNot makes a dial one that the network must refuse.
func mayNot(dial bailey.Step) bailey.Step {
	dial.Within, dial.Refusers = inForce, []bailey.Refuser{bailey.RefuserNetwork}
	return dial
}

// The nodes of listeners and clients, as places binds them.
const (
	serverNode = "serverNode"
	clientNode = "clientNode"
)

// places chooses the nodes, by a pod on each that stays until the probe ends: the scheduler's
// choice, and two nodes where there are two. A try and its twin then go the same way
// between nodes, so that a way that is cut is not taken for a policy.
func places() []bailey.Step {
	namespace := pods.ProbeNamespace("places")
	apart := map[string]any{"podAntiAffinity": map[string]any{"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
		"weight": 100, "podAffinityTerm": map[string]any{"topologyKey": corev1.LabelHostname,
			"labelSelector": map[string]any{"matchLabels": map[string]any{"place": "taken"}}}}}}}
	steps := []bailey.Step{makeNamespace(namespace, nil)}
	for _, node := range []string{serverNode, clientNode} {
		steps = append(steps, bailey.Step{Bind: map[string]string{node: "spec.nodeName"}, Task: &bailey.Task{Listen: placePort,
			In: &bailey.ProbePod{Namespace: namespace, Name: strings.ToLower(node), Labels: map[string]string{"place": "taken"},
				Spec: map[string]any{"affinity": apart}}}})
	}
	return steps
}

// placePort is a port at which nobody but the node asks.
const placePort = 8080

// at puts a pod on a node that places chose.
func at(node string, pod bailey.ProbePod) bailey.ProbePod {
	spec := pods.OnNamedNode("${" + node + "}")
	for key, value := range pod.Spec {
		spec[key] = value
	}
	pod.Spec = spec
	return pod
}
