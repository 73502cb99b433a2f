package access

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// TestEtcdTLS tries the etcd of the cluster, and a server that speaks plain text
// in its place.
func TestEtcdTLS(t *testing.T) {
	cluster := devclustertest.Shared(t)
	s := provetest.Collect(t, cluster)
	try := func(address string) []*prove.Record {
		etcd := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindEtcd, Name: "node"}, APIVersion: "bailey.dev/v1",
			Object: &bailey.Component{Flags: map[string]string{"listen-client-urls": "https://127.0.0.1:2379,https://" + address}}}
		return provetest.Run(t, cluster, TLS, provetest.Options{Only: []string{"etcd-tls"}, Snapshot: s.Overlay(etcd)})
	}
	// etcd listens at 127.0.0.1, which in its settings would mean its own host.
	right := forward(t, strings.TrimPrefix(cluster.Etcd, "https://"))
	provetest.AllHeld(t, try(right))

	const wrong = "127.0.0.79:2379"
	serve(t, wrong)
	provetest.Want(t, try(wrong), map[string]prove.Outcome{
		"plain text, *": prove.Broken, "TLS *": prove.Inconclusive, "no client certificate, *": prove.Inconclusive,
	})
}

// forward passes connections on, from an address that is not 127.0.0.1, until the
// test ends.
func forward(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.80:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(group.Wait)
	t.Cleanup(func() { _ = l.Close() })
	group.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer from.Close()
				onward, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer onward.Close()
				group.Go(func() {
					_, _ = io.Copy(onward, from)
					_ = onward.(*net.TCPConn).CloseWrite()
				})
				_, _ = io.Copy(from, onward)
			})
		}
	})
	return l.Addr().String()
}
