package network

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
)

// Direction is the way of a connection, seen from the pod that a policy selects.
type Direction string

const (
	Ingress Direction = "ingress"
	Egress  Direction = "egress"
)

// Isolates reports whether the policy isolates the pods it selects in the
// direction. Without policyTypes it does so for ingress, and for egress if it
// has egress rules.
func Isolates(p *networkingv1.NetworkPolicy, d Direction) bool {
	types := p.Spec.PolicyTypes
	if len(types) == 0 {
		return d == Ingress || len(p.Spec.Egress) > 0
	}
	if d == Ingress {
		return slices.Contains(types, networkingv1.PolicyTypeIngress)
	}
	return slices.Contains(types, networkingv1.PolicyTypeEgress)
}

// Selects reports whether the policy selects pods with these labels. The caller
// looks only at pods in the policy's namespace.
func Selects(p *networkingv1.NetworkPolicy, podLabels map[string]string) bool {
	return Matches(&p.Spec.PodSelector, podLabels)
}

// Covers reports whether the policy, of the pods' namespace, isolates pods with these
// labels in the direction.
func Covers(policy *bailey.Fact, podLabels map[string]string, d Direction) bool {
	p, ok := policy.Object.(*networkingv1.NetworkPolicy)
	return ok && Isolates(p, d) && Selects(p, podLabels)
}

// Reach is how far a rule of a policy opens to peers.
type Reach int

const (
	// ReachSome: peers that selectors or address blocks narrow down.
	ReachSome Reach = iota
	// ReachCluster: every pod in every namespace.
	ReachCluster
	// ReachAll: every address of a family, or the whole internet.
	ReachAll
)

// ReachOf gives the widest of the peers. No peer at all means everybody.
func ReachOf(peers []networkingv1.NetworkPolicyPeer) Reach {
	if len(peers) == 0 {
		return ReachAll
	}
	widest := ReachSome
	for i := range peers {
		widest = max(widest, reachOfPeer(&peers[i]))
	}
	if widest < ReachAll && allowsInternet(peers) {
		return ReachAll
	}
	return widest
}

// internet are public addresses far apart, two in each eighth of IPv4 that has
// any. Blocks that together let all of them in were meant for everybody: two
// halves of the address space, or all of it but the private networks.
var internet = [...]netip.Addr{
	netip.AddrFrom4([4]byte{1, 1, 1, 1}), netip.AddrFrom4([4]byte{24, 48, 0, 1}),
	netip.AddrFrom4([4]byte{35, 190, 0, 1}), netip.AddrFrom4([4]byte{52, 95, 110, 1}),
	netip.AddrFrom4([4]byte{66, 102, 0, 1}), netip.AddrFrom4([4]byte{93, 184, 215, 14}),
	netip.AddrFrom4([4]byte{104, 16, 132, 229}), netip.AddrFrom4([4]byte{123, 125, 81, 6}),
	netip.AddrFrom4([4]byte{129, 132, 19, 216}), netip.AddrFrom4([4]byte{151, 101, 1, 69}),
	netip.AddrFrom4([4]byte{163, 172, 0, 1}), netip.AddrFrom4([4]byte{185, 199, 108, 153}),
	netip.AddrFrom4([4]byte{194, 0, 0, 53}), netip.AddrFrom4([4]byte{216, 58, 192, 1}),
}

func allowsInternet(peers []networkingv1.NetworkPolicyPeer) bool {
	for _, address := range internet {
		if !AllowsAddress(peers, address) {
			return false
		}
	}
	return true
}

func reachOfPeer(p *networkingv1.NetworkPolicyPeer) Reach {
	if b := p.IPBlock; b != nil {
		if len(b.Except) == 0 && isEverything(b.CIDR) {
			return ReachAll
		}
		return ReachSome
	}
	if IsEmpty(p.NamespaceSelector) && (p.PodSelector == nil || IsEmpty(p.PodSelector)) {
		return ReachCluster
	}
	return ReachSome
}

func isEverything(cidr string) bool {
	prefix, err := netip.ParsePrefix(cidr)
	return err == nil && prefix.Bits() == 0
}

// AllPorts reports whether a rule's ports let every port of TCP through: none
// named, a protocol alone, or a range over all of them.
func AllPorts(ports []networkingv1.NetworkPolicyPort) bool {
	if len(ports) == 0 {
		return true
	}
	for i := range ports {
		p := &ports[i]
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			continue
		}
		if p.Port == nil || p.EndPort != nil && *p.EndPort >= 65535 && p.Port.IntValue() == 1 {
			return true
		}
	}
	return false
}

// AllowsPort reports whether a rule's ports let the TCP port through. A named
// port counts as another one: it belongs to pods, not to addresses outside.
func AllowsPort(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	if len(ports) == 0 {
		return true
	}
	for i := range ports {
		p := &ports[i]
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			continue
		}
		if p.Port == nil {
			return true
		}
		first := int32(p.Port.IntValue())
		last := first
		if p.EndPort != nil {
			last = *p.EndPort
		}
		if first > 0 && first <= port && port <= last {
			return true
		}
	}
	return false
}

// AllowsAddress reports whether the peers hold the address: no peer at all, or
// a block that contains it and does not except it. Selectors name pods and hold
// no address outside the cluster.
func AllowsAddress(peers []networkingv1.NetworkPolicyPeer, address netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for i := range peers {
		b := peers[i].IPBlock
		if b == nil {
			continue
		}
		prefix, err := netip.ParsePrefix(b.CIDR)
		if err != nil || !prefix.Contains(address) {
			continue
		}
		if !slices.ContainsFunc(b.Except, func(except string) bool {
			out, err := netip.ParsePrefix(except)
			return err == nil && out.Contains(address)
		}) {
			return true
		}
	}
	return false
}
