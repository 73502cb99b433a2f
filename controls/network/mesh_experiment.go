package network

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// meshPorts bounds how many ports of a workload are dialled.
const meshPorts = 3

var plainTextRefused = &bailey.Experiment{
	Name:  "plain-text-refused",
	Title: "A pod in the mesh refuses plain text",
	Doc: `For each workload of which a running pod is in a mesh (it has a container istio-proxy or linkerd-proxy, or Istio's
annotation for ambient mode), a pod of Bailey's own, outside of the mesh, dials up to three HTTP ports of one of its
pods. It sends OPTIONS *, which asks an HTTP server for nothing, in plain text. The connection must be closed
without an answer, or Linkerd's proxy must say that it refuses. The twin begins a TLS handshake at the same port,
without a client certificate, and must be shown a certificate; in ambient mode it does so at port 15008.

HTTP ports are those that a Service or the container names as such (appProtocol, or a name like http-web or grpc).
Others are left out: of a database that closes the connection nobody could tell whether the mesh did. So are ports
that annotations take out of the mesh, which protects nobody who uses them. A 403 that is not marked as Linkerd's
own, as it may come from an application, shows nothing, nor does a network policy that keeps Bailey's pod away.
Linkerd's certificate is asked for by the name that it has by default (linkerd.cluster.local).

Not shown: which identities may talk to which, and the mesh of Cilium, which has no proxy in the pod.`,
	Hypothesis: "A pod in a mesh answers nothing in plain text on its HTTP ports.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1557",
	Scope:      bailey.ScopeWorkload,
	Needs:      []bailey.Kind{bailey.KindPod, bailey.KindReplicaSet, bailey.KindJob, bailey.KindService},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		for _, f := range v.List(bailey.KindPod, scope.Namespace) {
			pod, ok := bailey.As[*corev1.Pod](f)
			if !ok || !pods.Alive(f) || pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || pod.Spec.HostNetwork || topOf(v, f) != scope {
				continue
			}
			m, meshed := meshOf(pod)
			if !meshed {
				continue
			}
			var probes []bailey.Probe
			ports := httpPorts(v, pod)
			ports = slices.DeleteFunc(ports, func(port int32) bool { return m.excepts(port) })
			for _, port := range ports[:min(len(ports), meshPorts)] {
				probes = append(probes, m.probe(pod, port))
			}
			return probes // of the first by name; the others are its copies
		}
		return nil
	},
}

// topOf gives the workload that a pod belongs to.
func topOf(v *bailey.View, f *bailey.Fact) bailey.Ref {
	if f.Owner.Name == "" {
		return f.Ref
	}
	if f.Owner.Kind == bailey.KindReplicaSet || f.Owner.Kind == bailey.KindJob {
		if owner := v.Get(f.Owner.Kind, f.Owner.Namespace, f.Owner.Name); owner != nil && owner.Owner.Name != "" {
			return owner.Owner
		}
	}
	return f.Owner
}

// mesh is how a pod is in one.
type mesh struct {
	name string
	// excluded and included are the ports that annotations take out of the mesh, and
	// those that alone are in it.
	excluded, included string
	// port is where the proxy shows its certificate, if that is not the port dialled.
	port int32
	tls  bailey.TLS
}

// meshOf tells which mesh a pod is in.
func meshOf(pod *corev1.Pod) (mesh, bool) {
	switch {
	case hasContainer(pod, "istio-proxy"):
		return mesh{
			name:     "Istio",
			excluded: pod.Annotations["traffic.sidecar.istio.io/excludeInboundPorts"],
			included: pod.Annotations["traffic.sidecar.istio.io/includeInboundPorts"],
			tls:      bailey.TLS{Met: true, Protocols: []string{"istio-http/1.1", "istio"}},
		}, true
	case hasContainer(pod, "linkerd-proxy"):
		account := pod.Spec.ServiceAccountName
		if account == "" {
			account = "default"
		}
		return mesh{
			name:     "Linkerd",
			excluded: pod.Annotations["config.linkerd.io/skip-inbound-ports"],
			// The proxy passes on what is for another name.
			tls: bailey.TLS{Met: true, ServerName: account + "." + pod.Namespace + ".serviceaccount.identity.linkerd.cluster.local"},
		}, true
	case pod.Annotations["ambient.istio.io/redirection"] == "enabled":
		return mesh{name: "Istio ambient", port: 15008, tls: bailey.TLS{Met: true, Protocols: []string{"h2"}}}, true
	}
	return mesh{}, false
}

func hasContainer(pod *corev1.Pod, name string) bool {
	named := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(pod.Spec.Containers, named) || slices.ContainsFunc(pod.Spec.InitContainers, named)
}

// excepts reports whether annotations take the port out of the mesh.
func (m *mesh) excepts(port int32) bool {
	return lists(m.excluded, port) || m.included != "" && m.included != "*" && !lists(m.included, port)
}

// lists reports whether a port is in a list like "80, 8000-8010".
func lists(ports string, port int32) bool {
	for _, part := range strings.Split(ports, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err == nil && err2 == nil && low <= int(port) && int(port) <= high {
			return true
		}
	}
	return false
}

// httpPorts lists the ports on which the pod serves HTTP, as far as names tell,
// sorted.
func httpPorts(v *bailey.View, pod *corev1.Pod) []int32 {
	named, serving := map[string]int32{}, map[int32]bool{}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name == "istio-proxy" || c.Name == "linkerd-proxy" {
			continue
		}
		for _, p := range c.Ports {
			if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
				named[p.Name] = p.ContainerPort
				if isHTTP(p.Name) {
					serving[p.ContainerPort] = true
				}
			}
		}
	}
	for _, f := range v.List(bailey.KindService, pod.Namespace) {
		service, ok := bailey.As[*corev1.Service](f)
		if !ok || !selects(service.Spec.Selector, pod.Labels) {
			continue
		}
		for _, p := range service.Spec.Ports {
			protocol := p.Name
			if p.AppProtocol != nil {
				protocol = *p.AppProtocol
			}
			port := p.Port
			switch {
			case p.TargetPort.StrVal != "":
				port = named[p.TargetPort.StrVal]
			case p.TargetPort.IntVal != 0:
				port = p.TargetPort.IntVal
			}
			if port != 0 && isHTTP(protocol) && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
				serving[port] = true
			}
		}
	}
	ports := make([]int32, 0, len(serving))
	for port := range serving {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	return ports
}

// isHTTP tells by a port's name or appProtocol, as meshes do: the protocol, or the
// protocol and a hyphen before a name of one's own.
func isHTTP(name string) bool {
	protocol, _, _ := strings.Cut(strings.ToLower(name), "-")
	switch protocol {
	case "http", "http2", "grpc", "kubernetes.io/h2c":
		return true
	}
	return false
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

func (m *mesh) probe(pod *corev1.Pod, port int32) bailey.Probe {
	namespace := pods.ProbeNamespace("mesh")
	at := func(port int32) string { return pod.Status.PodIP + ":" + strconv.Itoa(int(port)) }
	dial := func(name string, d *bailey.Dial) bailey.Step {
		// Istio may put its proxy into every pod that does not say no.
		outside := map[string]string{"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
		return bailey.Step{Task: &bailey.Task{Dial: d, In: &bailey.ProbePod{Namespace: namespace, Name: name, Labels: outside}}}
	}
	shown := m.port
	if shown == 0 {
		shown = port
	}
	plain := &bailey.Dial{Address: at(port), Plain: true}
	if m.port != 0 {
		plain.TLSAt = at(m.port)
	}
	try := dial("try", plain)
	try.Refusers = []bailey.Refuser{bailey.RefuserTLS, bailey.RefuserAuthorization}
	return bailey.Probe{
		Name: "plain text to port " + strconv.Itoa(int(port)) + " of pod " + pod.Namespace + "/" + pod.Name,
		Path: m.name,
		Setup: []bailey.Step{pods.MakeNamespace(namespace, "restricted"),
			// Another pod may have the address by now.
			{Await: &bailey.Await{APIVersion: "v1", Resource: "pods", Namespace: pod.Namespace, Name: pod.Name, Field: "status.podIP",
				Values: []string{pod.Status.PodIP}, Timeout: time.Second}}},
		Twin: dial("twin", &bailey.Dial{Address: at(shown), TLS: &m.tls}),
		Try:  try,
	}
}
