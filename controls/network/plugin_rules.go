package network

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

var pluginRules = []*bailey.Rule{policiesIgnored}

// agents are the repositories of the agents that are known to enforce policies, as their last
// elements with "-" between them: quay.io/cilium/cilium is one, quay.io/cilium/tetragon none.
// Mirrors keep the end: rancher/mirrored-calico-node. OVN-Kubernetes publishes ovn-kube-fedora and
// -ubuntu, and ovnkube/ovn-daemonset before (its dist/images); Romana quay.io/romana/agent (its
// containerize/specs); Calico Enterprise tigera/cnx-node (tigera/operator, pkg/components). OpenShift
// names its images by digest in one repository, and is not known by them.
var agents = []string{
	"calico-node", "hardened-calico", "projectcalico-node", "cnx-node", // of Calico, RKE2 and Calico Enterprise
	"cilium", "cilium-agent", "cilium-ci", "cilium-dev",
	"antrea-agent", "antrea-agent-ubuntu", "antrea-agent-ubi", "antrea-agent-debian", "antrea-ubuntu", "antrea-ubi", "antrea-debian", "antrea-advanced-debian",
	"ovn-kubernetes", "ovn-kube-ubuntu", "ovn-kube-fedora", "ovn-kube-f", "ovn-kube-u", "ovn-daemonset", "ovn-daemonset-f", "ovn-daemonset-u", "kube-ovn",
	"kube-router", "kube-network-policies", "kindnetd", "weave-npc", "romana-agent", "terway", "azure-npm",
}

// isOf reports whether the image's repository ends with one of the names.
func isOf(image string, names ...string) bool {
	repository := imageref.FullName(image)
	return slices.ContainsFunc(names, func(name string) bool {
		start := len(repository) - len(name)
		return start > 0 && strings.IndexByte("/-", repository[start-1]) >= 0 && sameName(repository[start:], name)
	})
}

// sameName compares the end of a repository with a name, which has "-" between elements.
func sameName(end, name string) bool {
	for i := range len(name) {
		if end[i] != name[i] && (end[i] != '/' || name[i] != '-') {
			return false
		}
	}
	return true
}

// enforces reports whether a DaemonSet is one that is known to enforce policies.
func enforces(f *bailey.Fact) bool {
	w, ok := workload.Of(f)
	if !ok {
		return false
	}
	for c := range w.Containers() {
		if isOf(c.Image, agents...) {
			return true
		}
	}
	return false
}

var policiesIgnored = &bailey.Rule{
	Name:  "policies-ignored",
	Title: "Network plugin enforces no network policies",
	Doc: `Reads DaemonSets for flannel, which carries traffic and enforces no NetworkPolicy, where no other that does runs
beside it (Calico, Cilium, kube-router, Antrea, kube-network-policies and others); and for the agent of the AWS VPC
plugin that is told not to enforce them. The API server accepts every policy all the same. Newer versions of flannel
bring kube-network-policies as a container of their own, which is seen.

Plugins that are not known are no finding: the experiment tries them.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("5.3.1", "The network plugin supports NetworkPolicy"),
		ref.Kubernetes("concepts/services-networking/network-policies/", "Network Policies"), ref.NIST("SC-7")},
	On:    []bailey.Kind{bailey.KindDaemonSet},
	Needs: []bailey.Kind{bailey.KindDaemonSet},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok || enforces(f) {
			return nil
		}
		message, field := "", "spec.template.spec.containers"
		for c := range w.Containers() {
			switch {
			case c.Type == workload.Regular && isOf(c.Image, "flannel"):
				message, field = "flannel enforces no network policy", c.Field(".image")
			case isOf(c.Image, "aws-network-policy-agent"):
				for _, arg := range c.Args {
					if arg == "--enable-network-policy=false" {
						message, field = "the AWS VPC plugin is told to enforce no network policy", c.Field(".args")
					}
				}
			}
		}
		if message == "" {
			return nil
		}
		for _, other := range v.List(bailey.KindDaemonSet, "") {
			if enforces(other) {
				return nil
			}
		}
		return []bailey.Finding{{Field: field, Message: message + ", and nothing that does runs beside it"}}
	},
	Bad: []string{`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec: {template: {spec: {containers: [{name: kube-flannel, image: "ghcr.io/flannel-io/flannel:v0.27.0"}]}}}
`},
}
