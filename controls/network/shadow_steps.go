package network

import (
	"strconv"

	"github.com/baileyhq/bailey"
)

// shadowName begins the name of each namespace that these experiments make.
const shadowName = bailey.ProbePrefix + "${run}-"

// makeNamespace makes a namespace in which probe pods are admitted, with labels
// that policies select by.
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

// listener starts a pod that answers on probePort, and binds its address to its name.
func listener(namespace, name string, labels map[string]string) bailey.Step {
	return bailey.Step{
		Task: &bailey.Task{In: &bailey.ProbePod{Namespace: namespace, Name: name, Labels: labels}, Listen: probePort},
		Bind: map[string]string{name: "status.podIP"},
	}
}

// dial connects from a new pod to the listener that bound its address to the name.
func dial(namespace, name string, labels map[string]string, to string) bailey.Step {
	return bailey.Step{Task: &bailey.Task{
		In:   &bailey.ProbePod{Namespace: namespace, Name: name, Labels: labels},
		Dial: &bailey.Dial{Address: "${" + to + "}:" + strconv.Itoa(probePort), Timeout: dialLimit, After: settleLimit},
	}}
}

// refusedDial is dial where the network must refuse.
func refusedDial(namespace, name string, labels map[string]string, to string) bailey.Step {
	step := dial(namespace, name, labels, to)
	step.Within = programLimit
	step.Refusers = []bailey.Refuser{bailey.RefuserNetwork}
	return step
}

// answeredDial is dial where the listener must answer, as soon as it listens.
func answeredDial(namespace, name string, labels map[string]string, to string) bailey.Step {
	step := dial(namespace, name, labels, to)
	step.Within = programLimit
	return step
}
