package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// provider runs control planes for others, as the cluster itself shows.
type provider struct {
	name string
	docs string // what the provider says that it does, and does not
	// version is part of the API server's version; labels are those that its nodes bear.
	version string
	labels  []string
}

var providers = []*provider{
	{name: "Amazon EKS", docs: "https://docs.aws.amazon.com/eks/latest/userguide/security.html", version: "-eks-",
		labels: []string{"eks.amazonaws.com/nodegroup", "eks.amazonaws.com/compute-type"}},
	{name: "Google GKE", docs: "https://cloud.google.com/kubernetes-engine/docs/concepts/control-plane-security", version: "-gke.",
		labels: []string{"cloud.google.com/gke-nodepool"}},
	{name: "Azure AKS", docs: "https://learn.microsoft.com/azure/aks/concepts-security",
		labels: []string{"kubernetes.azure.com/cluster", "kubernetes.azure.com/agentpool"}},
}

func providerOfVersion(gitVersion string) *provider {
	for _, p := range providers {
		if p.version != "" && strings.Contains(gitVersion, p.version) {
			return p
		}
	}
	return nil
}

// providerOfAll is the provider of all nodes: a kubelet may put a label on its own node, and
// must not make the control plane another's by it.
func providerOfAll(nodes []*provider) *provider {
	for _, p := range nodes {
		if p != nodes[0] {
			return nil
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return nodes[0]
}

func providerOfNode(n *corev1.Node) *provider {
	for _, p := range providers {
		for _, label := range p.labels {
			if _, has := n.Labels[label]; has {
				return p
			}
		}
	}
	return nil
}
