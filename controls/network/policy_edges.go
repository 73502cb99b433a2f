package network

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

const (
	// sampleLimit is for how many workloads of a cluster edges are tried in a week.
	sampleLimit = 8
	// peerLimit bounds among how many other workloads an edge is looked for.
	peerLimit = 200
)

// end is a workload as network policies see it.
type end struct {
	ref             bailey.Ref
	namespace       string
	namespaceLabels map[string]string
	labels          map[string]string
	port            corev1.ContainerPort // the first TCP port; zero if none is declared
	in, out         []*networkingv1.NetworkPolicy
}

// edge is a connection that policies refuse, and one that they let through and
// that differs from it in the client (of an edge that comes in) or the server.
type edge struct {
	direction      network.Direction
	client, server *end
	// openClient and openServer are the ends of the open edge; nil where there is none.
	openClient, openServer *end
}

// edgesOf is the derived fact that holds the edges to try: map[bailey.Ref][]edge.
var edgesOf = &bailey.Derivation{
	Name:  "edges of the network to try",
	Needs: append([]bailey.Kind{bailey.KindNamespace, bailey.KindNetworkPolicy}, bailey.PodBearing...),
	Compute: func(v *bailey.View) any {
		ends := endsOf(v)
		if len(ends) == 0 {
			return map[bailey.Ref][]edge{}
		}
		// In the order of a hash, so that neighbours are not alike; another part of
		// them every week.
		slices.SortFunc(ends, func(a, b *end) int { return cmp.Compare(hashOf(a.ref), hashOf(b.ref)) })
		const week = 7 * 24 * 3600
		first := int(max(0, v.At().Unix())/week) * sampleLimit
		sample := map[bailey.Ref][]edge{}
		for i := 0; i < len(ends) && len(sample) < sampleLimit; i++ {
			e := ends[(first+i)%len(ends)]
			if found := closedEdges(e, ends); len(found) > 0 {
				sample[e.ref] = found
			}
		}
		return sample
	},
}

func hashOf(ref bailey.Ref) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(ref.String())) // never fails
	return h.Sum64()
}

// endsOf lists the workloads that network policies can be about.
func endsOf(v *bailey.View) []*end {
	namespaces := map[string]map[string]string{}
	for _, f := range v.List(bailey.KindNamespace, "") {
		namespaces[f.Name] = f.Labels
	}
	policies := map[string][]*networkingv1.NetworkPolicy{}
	for _, f := range v.List(bailey.KindNetworkPolicy, "") {
		if p, ok := f.Object.(*networkingv1.NetworkPolicy); ok {
			policies[f.Namespace] = append(policies[f.Namespace], p)
		}
	}
	if len(policies) == 0 {
		return nil // nothing is refused
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
			e := &end{ref: f.Ref, namespace: f.Namespace, namespaceLabels: namespaces[f.Namespace], labels: w.Meta.Labels}
			for i := range w.Spec.Containers {
				for _, p := range w.Spec.Containers[i].Ports {
					if e.port.ContainerPort == 0 && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
						e.port = p
					}
				}
			}
			for _, p := range policies[f.Namespace] {
				if !network.Selects(p, e.labels) {
					continue
				}
				if network.Isolates(p, network.Ingress) {
					e.in = append(e.in, p)
				}
				if network.Isolates(p, network.Egress) {
					e.out = append(e.out, p)
				}
			}
			ends = append(ends, e)
		}
	}
	return ends
}

// closedEdges finds for the workload the first connection that must not come in,
// and the first that must not go out, each with an open one beside it.
func closedEdges(e *end, ends []*end) []edge {
	var found []edge
	peers := ends[:min(len(ends), peerLimit)]
	if len(e.in) > 0 && e.port.ContainerPort != 0 && copied(e.in) {
		in := edge{direction: network.Ingress, server: e}
		for _, peer := range peers {
			if peer == e || !copied(peer.out) {
				continue
			}
			switch comesIn, goesOut := allows(e.in, network.Ingress, peer, e), allows(peer.out, network.Egress, e, e); {
			case comesIn && goesOut && in.openClient == nil:
				in.openClient = peer
			case !comesIn && in.client == nil:
				in.client = peer
			}
		}
		if in.client != nil {
			found = append(found, in)
		}
	}
	if len(e.out) > 0 && copied(e.out) {
		out := edge{direction: network.Egress, client: e}
		for _, peer := range peers {
			if peer == e || peer.port.ContainerPort == 0 || !copied(peer.in) {
				continue
			}
			switch goesOut, comesIn := allows(e.out, network.Egress, peer, peer), allows(peer.in, network.Ingress, e, peer); {
			case comesIn && goesOut && out.openServer == nil:
				out.openServer = peer
			case !goesOut && out.server == nil:
				out.server = peer
			}
		}
		if out.server != nil {
			found = append(found, out)
		}
	}
	return found
}

// allows reports whether one of the policies' rules lets the peer through, to the
// port of the server. Where no policy isolates, everything is let through.
func allows(policies []*networkingv1.NetworkPolicy, d network.Direction, peer, server *end) bool {
	if len(policies) == 0 {
		return true
	}
	for _, p := range policies {
		if d == network.Ingress {
			for i := range p.Spec.Ingress {
				if r := &p.Spec.Ingress[i]; meets(r.From, p.Namespace, peer) && opens(r.Ports, server) {
					return true
				}
			}
			continue
		}
		for i := range p.Spec.Egress {
			if r := &p.Spec.Egress[i]; meets(r.To, p.Namespace, peer) && opens(r.Ports, server) {
				return true
			}
		}
	}
	return false
}

func meets(peers []networkingv1.NetworkPolicyPeer, namespace string, e *end) bool {
	if len(peers) == 0 {
		return true
	}
	for i := range peers {
		p := &peers[i]
		here := p.NamespaceSelector == nil && e.namespace == namespace ||
			network.MatchesNamespace(p.NamespaceSelector, e.namespace, e.namespaceLabels)
		if here && (p.PodSelector == nil || network.Matches(p.PodSelector, e.labels)) {
			return true
		}
	}
	return false
}

func opens(ports []networkingv1.NetworkPolicyPort, server *end) bool {
	if network.AllowsPort(ports, server.port.ContainerPort) {
		return true
	}
	return server.port.Name != "" && slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Port != nil && p.Port.StrVal == server.port.Name && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP)
	})
}

// copied reports whether the policies mean the same in a shadow namespace. An
// address block does not, since copies have addresses of their own, nor does a
// namespace by its name, nor a label that would draw other systems to the copy.
func copied(policies []*networkingv1.NetworkPolicy) bool {
	for _, p := range policies {
		peers := slices.Clone(p.Spec.Ingress)
		for i := range p.Spec.Egress {
			peers = append(peers, networkingv1.NetworkPolicyIngressRule{From: p.Spec.Egress[i].To})
		}
		for i := range peers {
			for k := range peers[i].From {
				if peers[i].From[k].IPBlock != nil {
					return false
				}
			}
		}
		namespaceKeys, podKeys := map[string]bool{}, map[string]bool{}
		mentioned(p, namespaceKeys, podKeys)
		for key := range namespaceKeys {
			if key == network.NameLabel || foreign(key) {
				return false
			}
		}
		for key := range podKeys {
			if foreign(key) {
				return false
			}
		}
	}
	return true
}

// foreign tells labels by which other systems take hold of a namespace or a pod.
func foreign(key string) bool {
	if key == "istio-injection" || key == "openpolicyagent.org/webhook" {
		return true
	}
	domain, _, found := strings.Cut(key, "/")
	return found && slices.ContainsFunc([]string{"pod-security.kubernetes.io", "istio.io", "linkerd.io", "kuma.io", "cilium.io", "argoproj.io",
		"fluxcd.io", "cattle.io", "gatekeeper.sh", "kyverno.io", "openshift.io", "bailey.dev"}, func(of string) bool {
		return domain == of || strings.HasSuffix(domain, "."+of)
	})
}

// mentioned gathers the keys of the labels that the policy's selectors ask for.
func mentioned(p *networkingv1.NetworkPolicy, namespaces, pods map[string]bool) {
	keys := func(s *metav1.LabelSelector, into map[string]bool) {
		if s == nil {
			return
		}
		for key := range s.MatchLabels {
			into[key] = true
		}
		for i := range s.MatchExpressions {
			into[s.MatchExpressions[i].Key] = true
		}
	}
	peers := func(all []networkingv1.NetworkPolicyPeer) {
		for i := range all {
			keys(all[i].NamespaceSelector, namespaces)
			keys(all[i].PodSelector, pods)
		}
	}
	keys(&p.Spec.PodSelector, pods)
	for i := range p.Spec.Ingress {
		peers(p.Spec.Ingress[i].From)
	}
	for i := range p.Spec.Egress {
		peers(p.Spec.Egress[i].To)
	}
}

// only keeps the labels with these keys.
func only(labels map[string]string, keys map[string]bool) map[string]string {
	kept := maps.Clone(labels)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !keys[key] })
	return kept
}
