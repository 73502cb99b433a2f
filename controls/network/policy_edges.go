package network

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

const (
	// sampleSize is for how many workloads of a cluster edges are tried in a week.
	sampleSize = 8
	// peerLimit bounds among how many other workloads an edge is looked for.
	peerLimit = 200
	// anyPort is what a copy listens on that stands for a workload without declared ports.
	anyPort = 8080
)

// end is a workload as network policies see it.
type end struct {
	ref             bailey.Ref
	hash            uint64
	namespace       string
	namespaceLabels map[string]string
	labels          map[string]string
	ports           []corev1.ContainerPort        // of TCP
	policies        []*networkingv1.NetworkPolicy // that select it
	// copy is what the probe pods show of it; nil in a copy.
	copy *end
}

// edge is a connection to or from a workload that its policies refuse.
type edge struct {
	direction      network.Direction
	byPort         bool // client and server may talk by another port, openPort
	client, server *end
	port, openPort int32
	// open is the other end of a connection that the same policies let through; nil
	// where there is none.
	open *end
}

// endsIndex is the derived fact that holds all workloads that network policies can be
// about: []*end, in the order of a hash, so that neighbours are not alike.
var endsIndex = &bailey.Derivation{
	Name:  "ends of the network",
	Needs: append([]bailey.Kind{bailey.KindNamespace, bailey.KindNetworkPolicy}, bailey.PodBearing...),
	Compute: func(v *bailey.View) any {
		ends := endsOf(v)
		slices.SortFunc(ends, func(a, b *end) int { return cmp.Compare(a.hash, b.hash) })
		return ends
	},
}

func hashOf(ref bailey.Ref) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(ref.String())) // never fails
	return h.Sum64()
}

// endsOf lists the workloads that network policies can be about; none where there
// are no policies, and nothing is refused.
func endsOf(v *bailey.View) []*end {
	policies := map[string][]*networkingv1.NetworkPolicy{}
	for _, f := range v.List(bailey.KindNetworkPolicy, "") {
		if p, ok := f.Object.(*networkingv1.NetworkPolicy); ok {
			policies[f.Namespace] = append(policies[f.Namespace], p)
		}
	}
	if len(policies) == 0 {
		return nil
	}
	namespaces := map[string]map[string]string{}
	for _, f := range v.List(bailey.KindNamespace, "") {
		namespaces[f.Name] = f.Labels
	}
	var ends []*end
	for _, kind := range bailey.PodBearing {
		if kind == bailey.KindPodTemplate {
			continue // it makes no pods
		}
		for _, f := range v.List(kind, "") {
			w, ok := workload.Of(f)
			if !ok || f.Dormant || f.Owner.Name != "" || w.Spec.HostNetwork {
				continue
			}
			e := &end{ref: f.Ref, hash: hashOf(f.Ref), namespace: f.Namespace, namespaceLabels: namespaces[f.Namespace], labels: w.Meta.Labels}
			for i := range w.Spec.Containers {
				for _, p := range w.Spec.Containers[i].Ports {
					if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
						e.ports = append(e.ports, p)
					}
				}
			}
			if len(e.ports) == 0 {
				e.ports = []corev1.ContainerPort{{ContainerPort: anyPort}}
			}
			e.policies = selecting(policies[f.Namespace], e.labels)
			// No selector knows the name of a copy's namespace.
			e.copy = &end{namespace: bailey.ProbePrefix + e.namespace, namespaceLabels: ours(e.namespaceLabels), labels: ours(e.labels), ports: e.ports}
			e.copy.policies = selecting(e.policies, e.copy.labels)
			ends = append(ends, e)
		}
	}
	return ends
}

func selecting(policies []*networkingv1.NetworkPolicy, labels map[string]string) []*networkingv1.NetworkPolicy {
	var found []*networkingv1.NetworkPolicy
	for _, p := range policies {
		if network.Selects(p, labels) {
			found = append(found, p)
		}
	}
	return found
}

// closedEdges finds for a workload, in each direction, the first connection that must
// not be made because of the other end, and the first because of the port.
func closedEdges(e *end, ends []*end) []edge {
	var found []edge
	for _, d := range []network.Direction{network.Ingress, network.Egress} {
		if !e.isolated(d) {
			continue
		}
		byPeer, byPort := edge{direction: d}, edge{direction: d, byPort: true}
		for _, peer := range ends[:min(len(ends), peerLimit)] {
			if peer == e {
				continue
			}
			if byPeer.client != nil && byPeer.open != nil && byPort.client != nil {
				break
			}
			client, server := peer, e
			if d == network.Egress {
				client, server = e, peer
			}
			open, closed := int32(0), int32(0)
			for _, port := range server.tryable() {
				switch passes(e, d, peer, server, port) {
				case let:
					open = cmp.Or(open, port)
				case refused:
					closed = cmp.Or(closed, port)
				}
			}
			switch first := server.ports[0].ContainerPort; {
			case open == 0 && closed == first && byPeer.client == nil:
				byPeer.client, byPeer.server, byPeer.port = client, server, first
			case open != 0 && closed != 0 && byPort.client == nil:
				byPort.client, byPort.server, byPort.port, byPort.openPort = client, server, closed, open
			}
			if open != 0 && byPeer.open == nil {
				byPeer.open, byPeer.openPort = peer, open
			}
		}
		if byPeer.client != nil {
			found = append(found, byPeer)
		}
		if byPort.client != nil {
			found = append(found, byPort)
		}
	}
	return found
}

func (e *end) isolated(d network.Direction) bool {
	return slices.ContainsFunc(e.policies, func(p *networkingv1.NetworkPolicy) bool { return network.Isolates(p, d) })
}

// tryable are the ports that a copy of the server can be dialled at: those that it
// declares, and some that it may not.
func (e *end) tryable() []int32 {
	var ports []int32
	for i := range e.ports {
		ports = append(ports, e.ports[i].ContainerPort)
	}
	return append(ports, anyPort, 8081, 9090)
}

// passage is what policies say of a connection.
type passage int

const (
	unclear passage = iota
	let
	refused
)

// passes says what the policies of e say of a connection with a peer, where the real
// ends and their copies agree. The server is one of the two.
func passes(e *end, d network.Direction, peer, server *end, port int32) passage {
	real := judged(e, d, peer, server, port)
	if judged(e.copy, d, peer.copy, server.copy, port) != real {
		return unclear
	}
	return real
}

// judged reads the policies that select e.
func judged(e *end, d network.Direction, peer, server *end, port int32) passage {
	said := let
	for _, p := range e.policies {
		if !network.Isolates(p, d) {
			continue
		}
		if said == let {
			said = refused
		}
		for _, r := range rulesOf(p, d) {
			if !opens(r.Ports, server, port) {
				continue
			}
			if meets(r.From, e.namespace, peer) {
				return let
			}
			if slices.ContainsFunc(r.From, func(p networkingv1.NetworkPolicyPeer) bool { return p.IPBlock != nil }) {
				said = unclear // which addresses pods have is not known
			}
		}
	}
	return said
}

// rulesOf gives the rules of one direction, those of egress in the form of ingress.
func rulesOf(p *networkingv1.NetworkPolicy, d network.Direction) []networkingv1.NetworkPolicyIngressRule {
	if d == network.Ingress {
		return p.Spec.Ingress
	}
	rules := make([]networkingv1.NetworkPolicyIngressRule, len(p.Spec.Egress))
	for i := range p.Spec.Egress {
		rules[i] = networkingv1.NetworkPolicyIngressRule{From: p.Spec.Egress[i].To, Ports: p.Spec.Egress[i].Ports}
	}
	return rules
}

// meets reports whether selectors of the peers select the end.
func meets(peers []networkingv1.NetworkPolicyPeer, namespace string, e *end) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		here := p.NamespaceSelector == nil && p.IPBlock == nil && e.namespace == namespace ||
			network.MatchesNamespace(p.NamespaceSelector, e.namespace, e.namespaceLabels)
		return here && (p.PodSelector == nil || network.Matches(p.PodSelector, e.labels))
	})
}

// opens reports whether a rule's ports let the TCP port of the server through.
func opens(ports []networkingv1.NetworkPolicyPort, server *end, port int32) bool {
	return network.AllowsPort(ports, port) || slices.ContainsFunc(server.ports, func(declared corev1.ContainerPort) bool {
		return declared.Name != "" && declared.ContainerPort == port && slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			return p.Port != nil && p.Port.StrVal == declared.Name && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP)
		})
	})
}

// ours keeps the labels that a copy can have without drawing other systems to it.
func ours(labels map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		if !foreign(key) {
			kept[key] = value
		}
	}
	return kept
}

// foreignDomains are those of labels by which other systems take hold of a namespace
// or a pod: they inject containers, admit or refuse, or remove what they do not know.
var foreignDomains = []string{"pod-security.kubernetes.io", "istio.io", "linkerd.io", "kuma.io", "consul.hashicorp.com", "cilium.io", "argoproj.io",
	"fluxcd.io", "cattle.io", "gatekeeper.sh", "openpolicyagent.org", "kyverno.io", "openshift.io", "bailey.dev"}

func foreign(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return key == network.NameLabel || key == "istio-injection" || found && slices.ContainsFunc(foreignDomains, func(of string) bool {
		return domain == of || strings.HasSuffix(domain, "."+of)
	})
}
