package kube

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

// managed gives the cluster nodes such as providers make: no pod of it runs a control plane.
func managed(t *testing.T, cluster *devcluster.Cluster) {
	for _, label := range []string{"eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool", "kubernetes.azure.com/cluster"} {
		var want *provider
		for _, p := range providers {
			if strings.Contains(strings.Join(p.labels, " "), label) {
				want = p
			}
		}
		if _, err := cluster.Kubectl(t.Context(), "delete", "nodes", "--all"); err != nil {
			t.Fatal(err)
		}
		names, err := cluster.RegisterNodes(t.Context(), 2, func(_ int, node map[string]any) {
			node["metadata"].(map[string]any)["labels"] = map[string]any{label: "a"}
		})
		if err != nil {
			t.Fatal(err)
		}
		s := collect(t, Options{RESTConfig: administrator(cluster, nil)})
		for _, k := range bailey.ControlPlane {
			if m := s.Unseen(k, "", ""); m == nil || m.Reason != bailey.ReasonProvider || !strings.Contains(m.Detail, want.name) || !strings.Contains(m.Hint, want.docs) {
				t.Errorf("%s: %+v", label, m)
			}
		}
		// One node that calls itself the provider's makes nothing the provider's.
		if _, err := cluster.Kubectl(t.Context(), "label", "node", names[0], label+"-"); err != nil {
			t.Fatal(err)
		}
		if m := collect(t, Options{RESTConfig: administrator(cluster, nil)}).Unseen(bailey.KindAPIServer, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
			t.Errorf("%s on one node of two: %+v", label, m)
		}
		if m := s.Unseen(bailey.KindKubelet, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
			t.Errorf("the kubelets are one's own: %+v", m)
		}
	}
	if _, err := cluster.Kubectl(t.Context(), "delete", "nodes", "--all"); err != nil {
		t.Fatal(err)
	}
	s := collect(t, Options{RESTConfig: administrator(cluster, nil)})
	if m := s.Unseen(bailey.KindAPIServer, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
		t.Errorf("without such nodes: %+v", m)
	}
}

func TestProviderOfVersion(t *testing.T) {
	for version, want := range map[string]string{"v1.33.4-eks-e386d34": "Amazon EKS", "v1.33.4-gke.1036000": "Google GKE"} {
		if p := providerOfVersion(version); p == nil || p.name != want {
			t.Errorf("%s: %+v", version, p)
		}
	}
	for _, version := range []string{"v1.37.0", "v1.33.4+k3s1", "v1.33.4+rke2r1", ""} {
		if p := providerOfVersion(version); p != nil {
			t.Errorf("%s: %s", version, p.name)
		}
	}
}
