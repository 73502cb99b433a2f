package network

import (
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var pluginRules = []*bailey.Rule{policiesIgnored}

// enforcers are parts of the images' names by which a DaemonSet that enforces policies is known.
var enforcers = []string{"calico", "cilium", "kube-router", "antrea", "weave-npc", "kube-network-policies", "canal", "ovn", "romana", "kindnet", "terway", "azure-npm"}

// images gives the images of a pod template's containers.
func images(f *bailey.Fact) []string {
	w, ok := workload.Of(f)
	if !ok {
		return nil
	}
	var all []string
	for c := range w.Containers() {
		all = append(all, c.Image)
	}
	return all
}

// enforces reports whether a DaemonSet is one that is known to enforce policies.
func enforces(f *bailey.Fact) bool {
	for _, image := range images(f) {
		for _, part := range enforcers {
			if strings.Contains(image, part) {
				return true
			}
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
			case c.Type == workload.Regular && strings.Contains(c.Image, "/flannel:") || strings.HasPrefix(c.Image, "flannel/flannel:"):
				message, field = "flannel enforces no network policy", c.Field(".image")
			case strings.Contains(c.Image, "aws-network-policy-agent"):
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
