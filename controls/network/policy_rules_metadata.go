package network

import (
	"net/netip"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/network"
)

// metadataAddress is where clouds give a machine its credentials.
var metadataAddress = netip.MustParseAddr("169.254.169.254")

const metadataPrefix = "169.254.169.254/32"

var metadataEgress = &bailey.Rule{
	Name:  "metadata-egress",
	Title: "Network policy lets pods reach the cloud's metadata service",
	Doc: `At 169.254.169.254, port 80, the large clouds hand the credentials of the node to whoever asks from the
node. An egress rule for "the internet" includes that address unless it is excepted.

The rule judges every egress rule of a NetworkPolicy: one without receivers, or with an address block
that contains the address and does not except it. Where the cloud asks for a token or a hop limit, or
pods have an identity of their own, less is lost. A policy that selects nothing but pods on the host
network, for which none holds, is no finding.

The fix keeps port 53 of the address open, where GKE's Cloud DNS answers the pods.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/security-checklist/#network-security", "Security checklist: network security"),
		ref.NSA("Network policies"),
		ref.ATTACK("T1552.007"),
	},
	On:    []bailey.Kind{bailey.KindNetworkPolicy},
	Needs: bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok || !network.Isolates(p, network.Egress) {
			return nil
		}
		var findings []bailey.Finding
		for i := range p.Spec.Egress {
			rule := &p.Spec.Egress[i]
			if network.AllowsPort(rule.Ports, 80) && network.AllowsAddress(rule.To, metadataAddress) {
				findings = append(findings, bailey.Finding{Field: "spec.egress[" + strconv.Itoa(i) + "]",
					Message: "the selected pods may connect to the cloud's metadata service at 169.254.169.254"})
			}
		}
		if len(findings) > 0 && onHostNetwork(v, f, p) {
			return nil
		}
		return findings
	},
	Fix: func(v *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok {
			return nil
		}
		for i := range p.Spec.Egress {
			if finding.Field == "spec.egress["+strconv.Itoa(i)+"]" {
				if patch := exceptMetadata(&p.Spec.Egress[i], "/spec/egress/"+strconv.Itoa(i)+"/to"); patch != nil {
					if answers(p.Spec.Egress[i].Ports) && !keepsResolver(p) {
						patch = append(patch, bailey.PatchOp{Op: "add", Path: "/spec/egress/-", Value: map[string]any{
							"to":    []any{map[string]any{"ipBlock": map[string]any{"cidr": metadataPrefix}}},
							"ports": []any{map[string]any{"protocol": "UDP", "port": 53}, map[string]any{"protocol": "TCP", "port": 53}},
						}})
					}
					return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: patch,
						Note: "Make sure that none of the pods gets its cloud credentials from the metadata service."}}
				}
			}
		}
		return nil
	},
	Bad: []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}
`},
}

// keepsResolver reports whether a rule of the policy already lets port 53 of the metadata
// address through, and not the service itself.
func keepsResolver(p *networkingv1.NetworkPolicy) bool {
	return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
		return network.AllowsAddress(r.To, metadataAddress) && answers(r.Ports) && !network.AllowsPort(r.Ports, 80)
	})
}

// answers reports whether the ports let DNS through, over UDP or TCP.
func answers(ports []networkingv1.NetworkPolicyPort) bool {
	every := slices.Clone(ports)
	for i := range every {
		every[i].Protocol = nil
	}
	return network.AllowsPort(every, 53)
}

// exceptMetadata gives the patch that excepts the metadata address from an
// egress rule, whose list of receivers is at the pointer. It gives nil where the
// address itself is what the rule allows.
func exceptMetadata(rule *networkingv1.NetworkPolicyEgressRule, pointer string) []bailey.PatchOp {
	if len(rule.To) == 0 {
		return []bailey.PatchOp{{Op: "add", Path: pointer, Value: []any{
			map[string]any{"namespaceSelector": map[string]any{}},
			map[string]any{"ipBlock": map[string]any{"cidr": "0.0.0.0/0", "except": []any{metadataPrefix}}},
			map[string]any{"ipBlock": map[string]any{"cidr": "::/0"}},
		}}}
	}
	var patch []bailey.PatchOp
	for i := range rule.To {
		if !network.AllowsAddress(rule.To[i:i+1], metadataAddress) {
			continue
		}
		block := rule.To[i].IPBlock
		if prefix, err := netip.ParsePrefix(block.CIDR); err != nil || prefix.IsSingleIP() {
			return nil
		}
		at := pointer + "/" + strconv.Itoa(i) + "/ipBlock/except"
		if len(block.Except) == 0 {
			patch = append(patch, bailey.PatchOp{Op: "add", Path: at, Value: []any{metadataPrefix}})
		} else {
			patch = append(patch, bailey.PatchOp{Op: "add", Path: at + "/-", Value: metadataPrefix})
		}
	}
	return patch
}
