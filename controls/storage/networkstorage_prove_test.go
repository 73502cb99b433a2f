package storage

import (
	"context"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/memfs"
	nfs "github.com/willscott/go-nfs"
	"github.com/willscott/go-nfs/helpers"
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// byAddress is an NFS server that lets addresses in, and nobody else.
type byAddress struct {
	nfs.Handler
	lets func(net.IP) bool
}

func (h byAddress) Mount(ctx context.Context, c net.Conn, r nfs.MountRequest) (nfs.MountStatus, billy.Filesystem, []nfs.AuthFlavor) {
	status, fs, flavors := h.Handler.Mount(ctx, c, r)
	if from, ok := c.RemoteAddr().(*net.TCPAddr); !ok || !h.lets(from.IP) {
		status = nfs.MountStatusErrAcces
	}
	return status, fs, flavors
}

// volume is a PersistentVolume on an NFS server with both services on one port.
func volume(b *bailey.Builder, name, server, port string) {
	v := &corev1.PersistentVolume{}
	v.Name = name
	v.Spec.NFS = &corev1.NFSVolumeSource{Server: server, Path: "/" + name}
	v.Spec.MountOptions = []string{"nfsvers=3", "port=" + port + ",mountport=" + port}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPersistentVolume, Name: name}, Object: v})
}

// TestNetworkStorageOnNode tries exports of servers on the cluster's network: one that
// trusts the node's address, and one that is not there; in a soak also one that is
// open, and one that lets in nobody.
func TestNetworkStorageOnNode(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(provetest.Collect(t, cluster).List(bailey.KindNode, "")...)
	servers := map[string]func(net.IP) bool{
		"nodes": func(from net.IP) bool { return from.Equal(net.ParseIP(node.IP)) },
	}
	want := map[string]prove.Outcome{
		"*:/nodes (the node's address)": prove.Broken,
		"*:/gone (*)":                   prove.Inconclusive,
	}
	if os.Getenv("BAILEY_SOAK") != "" {
		servers["open"], want["*:/open (*)"] = func(net.IP) bool { return true }, prove.Broken
		servers["shut"] = func(net.IP) bool { return false }
	}
	for name, lets := range servers {
		l, err := cluster.Listen(t.Context(), "tcp", net.JoinHostPort(cluster.IP(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go nfs.Serve(l, byAddress{helpers.NewCachingHandler(helpers.NewNullAuthHandler(memfs.New()), 64), lets})
		_, port, _ := net.SplitHostPort(l.Addr().String())
		volume(b, name, cluster.IP(), port)
	}
	volume(b, "gone", cluster.IP(), "1")
	o := provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: devclustertest.BaileyImage, Repeat: 1, Snapshot: b.Snapshot()}
	records := provetest.Run(t, cluster, NetworkStorage, o)
	provetest.Want(t, records, want)
	if n := len(provetest.Outcomes(records)); n != 2*(len(servers)+1) {
		t.Errorf("%d probes:\n%s", n, provetest.Text(records))
	}
}

func TestExportsOf(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	volume(b, "b", "nas", "2050")
	csi := &corev1.PersistentVolume{}
	csi.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "nfs.csi.k8s.io", VolumeAttributes: map[string]string{"server": "nas", "share": "/a", "subDir": "x", "mountOptions": "port=2051"}}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPersistentVolume, Name: "csi"}, Object: csi})
	other := csi.DeepCopy()
	other.Spec.CSI.Driver = "ebs.csi.aws.com"
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPersistentVolume, Name: "other"}, Object: other})
	for _, name := range []string{"one", "two"} {
		pod := &corev1.Pod{}
		pod.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nas", Path: "/c"}}},
			{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: nfsDriver, VolumeAttributes: map[string]string{"server": "nas", "share": "/d"}}}}}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: name}, Object: pod})
	}
	v := bailey.NewView(b.Snapshot())
	v.Allow(nil, exportsAskWho.Needs, nil)
	want := []bailey.Export{{Server: "nas", Path: "/a/x", Port: 2051}, {Server: "nas", Path: "/b", Port: 2050, MountPort: 2050}, {Server: "nas", Path: "/c"}, {Server: "nas", Path: "/d"}}
	if got := exportsOf(v); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if probes := exportsAskWho.Plan(v, bailey.Ref{}); len(probes) > 0 {
		t.Errorf("without a node: %d probes", len(probes))
	}
}
