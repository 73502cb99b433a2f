package node

import (
	"testing"

	"github.com/baileyhq/bailey"
)

// TestJoin lays machines over a cluster of two nodes.
func TestJoin(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{At: now, Medium: "cluster"})
	for _, name := range []string{"node-1", "node-2"} {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNode, Name: name}, APIVersion: "v1", Object: map[string]any{}})
	}
	b.Saw(bailey.KindNode, "")
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindKubelet, Name: "node-1"}, APIVersion: "bailey.dev/v1",
		Object: &bailey.Component{Node: "node-1", Version: "v1.37.2", Config: map[string]any{"readOnlyPort": int64(0)}}})
	b.Saw(bailey.KindKubelet, "")
	b.Miss(bailey.Missing{Kind: bailey.KindKubelet, Name: "node-2", Reason: bailey.ReasonUnreadable})
	b.Miss(bailey.Missing{Kind: bailey.KindAPIServer, Reason: bailey.ReasonNotCollected})
	cluster := b.Snapshot()
	machineOf := func(name string) *bailey.Snapshot {
		m := newMachine(t)
		m.write("/k.yaml", 0o644, "kind: KubeletConfiguration\nreadOnlyPort: 10255\n")
		m.process(1, "kubelet.service", "", "/usr/bin/kubelet", "kubelet", "--config=/k.yaml", "--hostname-override="+name)
		if name == "node-1" {
			m.process(2, "x.scope", "", "/x", "kube-apiserver", "--profiling=false")
		}
		return m.collect()
	}
	one, two := machineOf("node-1"), machineOf("node-2")

	s, err := Join(cluster, []*bailey.Snapshot{one})
	if err != nil {
		t.Fatal(err)
	}
	kubelet := s.Get(bailey.Ref{Kind: bailey.KindKubelet, Name: "node-1"}).Object.(*bailey.Component)
	if kubelet.Config["readOnlyPort"] != int64(0) || kubelet.Version != "v1.37.2" || kubelet.Flags["config"] != "/k.yaml" {
		t.Errorf("what the kubelet itself said is lost: %+v", kubelet)
	}
	if m := s.Unseen(bailey.KindHost, "", "node-2"); m == nil || m.Reason != bailey.ReasonNotCollected || m.Hint == "" {
		t.Errorf("node-2's machine: %+v", m)
	}
	if m := s.Unseen(bailey.KindHostFile, "", ""); m == nil {
		t.Error("the files of node-2 count as seen")
	}
	if m := s.Unseen(bailey.KindAPIServer, "", ""); m == nil {
		t.Error("API servers count as seen, though a machine is missing")
	}
	if len(s.List(bailey.KindAPIServer, "")) != 1 {
		t.Error("the API server that node-1 showed is lost")
	}

	s, err = Join(cluster, []*bailey.Snapshot{one, two})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []bailey.Kind{bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate, bailey.KindAPIServer, bailey.KindNode} {
		if m := s.Unseen(k, "", ""); m != nil {
			t.Errorf("%s: %+v", k, m)
		}
	}
	if m := s.Unseen(bailey.KindEtcd, "", ""); m == nil {
		t.Error("etcd counts as seen, and nothing showed it")
	}
	if len(s.Meta.Targets) != 2 {
		t.Errorf("%+v", s.Meta.Targets)
	}
	if _, err := Join(cluster, []*bailey.Snapshot{cluster}); err == nil {
		t.Error("a cluster was taken for a machine")
	}
}
