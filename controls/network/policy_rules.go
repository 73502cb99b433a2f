package network

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

var policyRules = []*bailey.Rule{
	noIngressPolicy, noEgressPolicy, hostNetwork,
	openIngress, metadataEgress, ignoredRules, selectsNothing, unmatchedNamespace,
}

// coverNeeds are the kinds that say whether a pod is isolated. Namespace is
// read only if a policy of another kind asks for the labels of one.
var coverNeeds = []bailey.Kind{bailey.KindNetworkPolicy, bailey.KindNamespace}

const coverDoc = `

Policies of other kinds count where they deny by default: those of network-policy-api, Cilium and Calico.
A folder of manifests need not hold them: there the finding says what the folder's own policies leave
open. Pods on the host network are left to host-network. In the namespaces of Kubernetes itself (kube-*)
the finding informs only.`

var noIngressPolicy = &bailey.Rule{
	Name:  "no-ingress-policy",
	Title: "No network policy limits who may connect to the workload",
	Doc: `A pod that no NetworkPolicy selects for ingress accepts connections from every other pod, from the nodes,
and from whatever is routed to its address. One compromised pod anywhere then reaches it. On Jobs and
CronJobs whose containers declare no port, which seldom listen at all, it informs only.

The rule compares the labels of the pods with the podSelector of each policy of the namespace; a policy
without policyTypes is for ingress.` + coverDoc,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#default-deny-all-ingress-traffic", "Default deny all ingress traffic"),
		ref.CIS("5.3.2", "Every namespace has network policies"),
		ref.NSA("Network policies"),
	},
	On:      bailey.PodBearing,
	Needs:   coverNeeds,
	Derives: []*bailey.Derivation{network.WideIndex},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		return uncovered(v, f, network.Ingress, "no network policy that was seen selects these pods for ingress: everybody may connect to them")
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{denyByDefault(v, f.Namespace, "default-deny-ingress", "Ingress",
			"This refuses every connection to every pod of the namespace. First add a policy for each connection that is needed.")}
	},
	Bad: []string{`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}}
`},
}

var noEgressPolicy = &bailey.Rule{
	Name:  "no-egress-policy",
	Title: "No network policy limits where the workload may connect to",
	Doc: `A pod that no NetworkPolicy selects for egress may dial everything: the API server, the cloud's metadata
service, the databases of other teams, and an attacker's server outside.

The rule compares the labels of the pods with the podSelector of each policy of the namespace that is for
egress: one with policyTypes that say so or, without policyTypes, one that has egress rules.` + coverDoc,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#default-deny-all-egress-traffic", "Default deny all egress traffic"),
		ref.CIS("5.3.2", "Every namespace has network policies"),
		ref.NSA("Network policies"),
	},
	On:      bailey.PodBearing,
	Needs:   coverNeeds,
	Derives: []*bailey.Derivation{network.WideIndex},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		return uncovered(v, f, network.Egress, "no network policy that was seen selects these pods for egress: they may connect to everything")
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{denyByDefault(v, f.Namespace, "default-deny-egress", "Egress",
			"This refuses every connection from every pod of the namespace, DNS included. First add a policy for each connection that is needed.")}
	},
	Bad: []string{`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ingress-only, namespace: shop}
spec: {podSelector: {}}
`},
}

// uncovered gives the finding if nothing isolates the pods in the direction.
func uncovered(v *bailey.View, f *bailey.Fact, d network.Direction, message string) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok || w.Spec.HostNetwork {
		return nil
	}
	without := ""
	for _, p := range v.Known(bailey.KindNetworkPolicy, f.Namespace) {
		if !network.Covers(p, w.Meta.Labels, d) {
			continue
		}
		build, lacks := f.LacksIn(p)
		if !lacks {
			return nil
		}
		without = cmp.Or(build, "files that no kustomization reads")
	}
	v.List(bailey.KindNetworkPolicy, f.Namespace)
	if wide, _ := v.Derived(network.WideIndex).(*network.Wide); wide != nil && !wide.Empty() && wide.Covers(podOf(v, w), d) {
		return nil
	}
	if without != "" {
		message += " (in " + without + ", whereas other kustomizations add one)"
	}
	finding := bailey.Finding{Message: message}
	if isSystem(f.Namespace) || d == network.Ingress && seldomListens(w) {
		finding.Severity = bailey.SeverityInfo
	}
	return []bailey.Finding{finding}
}

// seldomListens reports whether the pods run to an end and declare no port.
func seldomListens(w workload.Workload) bool {
	if k := w.Fact.Kind; k != bailey.KindJob && k != bailey.KindCronJob {
		return false
	}
	for c := range w.Containers() {
		if len(c.Ports) > 0 {
			return false
		}
	}
	return true
}

// onHostNetwork reports whether all that the policy selects are pods on the host network,
// for which it does not hold. What was seen settles that others are selected.
func onHostNetwork(v *bailey.View, f *bailey.Fact, p *networkingv1.NetworkPolicy) bool {
	some := false
	for _, k := range bailey.PodBearing {
		for _, other := range v.Known(k, f.Namespace) {
			w, ok := workload.Of(other)
			if !ok || other.Dormant || !network.Selects(p, w.Meta.Labels) {
				continue
			}
			if !w.Spec.HostNetwork {
				return false
			}
			some = true
		}
	}
	for _, k := range bailey.PodBearing {
		v.Held(k, f.Namespace) // what was not seen may be selected, or be all that is
	}
	return some
}

func podOf(v *bailey.View, w workload.Workload) *network.Pod {
	account := w.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return &network.Pod{Namespace: w.Fact.Namespace, Labels: w.Meta.Labels, ServiceAccount: account,
		NamespaceLabels: func() map[string]string {
			if ns := v.Get(bailey.KindNamespace, "", w.Fact.Namespace); ns != nil {
				return ns.Labels
			}
			return nil
		}}
}

// isSystem reports whether the namespace is one that Kubernetes keeps for itself.
func isSystem(namespace string) bool { return strings.HasPrefix(namespace, "kube-") }

var hostNetwork = &bailey.Rule{
	Name:  "host-network",
	Title: "Workload is on the host network, which no NetworkPolicy covers",
	Doc: `A pod with hostNetwork has the addresses of its node. NetworkPolicy does not hold for it, whatever it
selects: most network plugins treat its connections as the node's, which policies let in and out.
Agents of the node need it; nothing else should have it.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods", "NetworkPolicy and hostNetwork pods"),
	},
	On: bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if w, ok := workload.Of(f); ok && w.Spec.HostNetwork {
			return []bailey.Finding{{Field: w.Path + ".hostNetwork", Message: "these pods are on the host network: no NetworkPolicy holds for them"}}
		}
		return nil
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok || w.Immutable() {
			return nil
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "remove", Path: w.Pointer + "/hostNetwork"}},
			Note:  "The pods get addresses of their own: give clients a Service, and allow their traffic in NetworkPolicies."}}
	},
	Bad: []string{`
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: monitoring}
spec: {hostNetwork: true, containers: [{name: agent, image: agent}]}
`},
}

var openIngress = &bailey.Rule{
	Name:  "open-ingress",
	Title: "Network policy lets everybody in, on every port",
	Doc: `Policies add up: a single rule without a sender and without a port takes back every default deny beside
it. The rule finds ingress rules that let everybody in (no sender, the blocks 0.0.0.0/0 or ::/0, or blocks
that together hold the public addresses of a sample spread over all of IPv4), and, less severe, those that
let in every pod of every namespace. A rule that names the ports it opens is taken for meant: a web server
is there for everybody. A policy that selects nothing but pods on the host network, for which none holds, is
no finding.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#allow-all-ingress-traffic", "Allow all ingress traffic"),
		ref.NSA("Network policies"),
	},
	On:    []bailey.Kind{bailey.KindNetworkPolicy},
	Needs: bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok || !network.Isolates(p, network.Ingress) {
			return nil
		}
		var findings []bailey.Finding
		for i := range p.Spec.Ingress {
			rule := &p.Spec.Ingress[i]
			if !network.AllPorts(rule.Ports) {
				continue
			}
			switch network.ReachOf(rule.From) {
			case network.ReachAll:
				findings = append(findings, bailey.Finding{Field: "spec.ingress[" + strconv.Itoa(i) + "]",
					Message: "everybody may connect to the selected pods, on every port"})
			case network.ReachCluster:
				findings = append(findings, bailey.Finding{Field: "spec.ingress[" + strconv.Itoa(i) + "]", Severity: bailey.SeverityLow,
					Message: "every pod of every namespace may connect to the selected pods, on every port"})
			}
		}
		if len(findings) > 0 && onHostNetwork(v, f, p) {
			return nil
		}
		return findings
	},
	Bad: []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec: {podSelector: {}, ingress: [{}]}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open-by-halves, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]}]}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open-to-the-internet, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}]}]}
`},
}

var ignoredRules = &bailey.Rule{
	Name:  "ignored-rules",
	Title: "Network policy has rules that its policyTypes switch off",
	Doc: `Where policyTypes is written down, only the directions in it count. A policy with egress rules and
policyTypes [Ingress] limits nothing that goes out, though it reads as if it did.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/kubernetes-api/policy-resources/network-policy-v1/", "NetworkPolicy"),
	},
	On: []bailey.Kind{bailey.KindNetworkPolicy},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok {
			return nil
		}
		var findings []bailey.Finding
		if len(p.Spec.Ingress) > 0 && !network.Isolates(p, network.Ingress) {
			findings = append(findings, bailey.Finding{Field: "spec.ingress", Message: "these rules have no effect: policyTypes does not name Ingress"})
		}
		if len(p.Spec.Egress) > 0 && !network.Isolates(p, network.Egress) {
			findings = append(findings, bailey.Finding{Field: "spec.egress", Message: "these rules have no effect: policyTypes does not name Egress"})
		}
		return findings
	},
	Fix: func(v *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		direction := "Egress"
		if finding.Field == "spec.ingress" {
			direction = "Ingress"
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/policyTypes/-", Value: direction}},
			Note:  "From then on, what these rules do not allow is refused. If they are not meant, take them out instead."}}
	},
	Bad: []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}
`},
}

// setByControllers are labels that pods get when a controller makes them, so
// that templates do not show them.
var setByControllers = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"job-name", "controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index",
}

var selectsNothing = &bailey.Rule{
	Name:  "selects-nothing",
	Title: "Network policy selects no workload",
	Doc: `A policy whose podSelector matches no pod protects nothing. Often a label was renamed, and the workload
that the policy was written for has been open since.

The rule looks at every workload of the namespace, ended ones included, and stays quiet in a namespace
that has none, and for selectors on labels that only controllers set. In a folder of manifests with objects
of which an operator makes pods (Prometheus, a database's cluster), the verdict is unknown.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation", "The two sorts of pod isolation"),
	},
	On:    []bailey.Kind{bailey.KindNetworkPolicy},
	Needs: bailey.PodBearing,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok || network.IsEmpty(&p.Spec.PodSelector) {
			return nil
		}
		for k := range p.Spec.PodSelector.MatchLabels {
			if slices.Contains(setByControllers, k) {
				return nil
			}
		}
		for i := range p.Spec.PodSelector.MatchExpressions {
			if slices.Contains(setByControllers, p.Spec.PodSelector.MatchExpressions[i].Key) {
				return nil
			}
		}
		some := false
		for _, k := range bailey.PodBearing {
			for _, other := range v.Known(k, f.Namespace) {
				if w, ok := workload.Of(other); ok {
					some = true
					if network.Selects(p, w.Meta.Labels) {
						return nil
					}
				}
			}
		}
		for _, k := range bailey.PodBearing {
			v.List(k, f.Namespace)
		}
		if !some {
			return nil
		}
		return []bailey.Finding{{Field: "spec.podSelector", Message: "it selects no workload of the namespace, so it protects nothing"}}
	},
	Bad: []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: wep}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
`},
}

var unmatchedNamespace = &bailey.Rule{
	Name:  "unmatched-namespace",
	Title: "Network policy names namespaces that do not exist",
	Doc: `A rule that allows the pods of a namespace that no label matches allows nobody. Often the namespace lacks
a label that everybody took for given: only kubernetes.io/metadata.name is always there. Later, whoever
may create a namespace or set the label may walk in.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/#targeting-a-namespace-by-its-name", "Targeting a namespace by its name"),
	},
	On:    []bailey.Kind{bailey.KindNetworkPolicy},
	Needs: []bailey.Kind{bailey.KindNamespace},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok {
			return nil
		}
		var findings []bailey.Finding
		for i := range p.Spec.Ingress {
			findings = unmatchedPeers(v, findings, p.Spec.Ingress[i].From, "spec.ingress", i, ".from")
		}
		for i := range p.Spec.Egress {
			findings = unmatchedPeers(v, findings, p.Spec.Egress[i].To, "spec.egress", i, ".to")
		}
		return findings
	},
	Bad: []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: scrape, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: monitoring}
`},
}

// alwaysThere are the namespaces that every cluster has.
var alwaysThere = []string{"default", "kube-node-lease", "kube-public", "kube-system"}

func unmatchedPeers(v *bailey.View, findings []bailey.Finding, peers []networkingv1.NetworkPolicyPeer, list string, rule int, side string) []bailey.Finding {
	for i := range peers {
		s := peers[i].NamespaceSelector
		if s == nil || network.IsEmpty(s) {
			continue
		}
		if slices.ContainsFunc(v.Known(bailey.KindNamespace, ""), func(ns *bailey.Fact) bool {
			return network.MatchesNamespace(s, ns.Name, ns.Labels)
		}) || slices.ContainsFunc(alwaysThere, func(name string) bool { return network.MatchesNamespace(s, name, nil) }) {
			continue
		}
		v.List(bailey.KindNamespace, "")
		findings = append(findings, bailey.Finding{
			Field:   list + "[" + strconv.Itoa(rule) + "]" + side + "[" + strconv.Itoa(i) + "].namespaceSelector",
			Message: "no namespace has these labels, so it allows nobody",
		})
	}
	return findings
}
