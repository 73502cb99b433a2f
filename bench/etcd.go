package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/baileyhq/bailey/bench/gen"
	"github.com/baileyhq/bailey/devcluster"
)

// etcdBatch is how many objects are written at once; etcd takes 128.
const etcdBatch = 100

// etcdPlaces are where the API server keeps what it does not keep under the plural of a kind.
var etcdPlaces = map[string]string{"Service": "services/specs", "Node": "minions", "Ingress": "ingress", "NetworkPolicy": "networkpolicies",
	"EndpointSlice": "endpointslices", "IngressClass": "ingressclasses", "StorageClass": "storageclasses", "RuntimeClass": "runtimeclasses", "PriorityClass": "priorityclasses"}

func etcdKey(kind, namespace, name string) string {
	place := etcdPlaces[kind]
	if place == "" {
		place = strings.ToLower(kind) + "s"
	}
	return path.Join("/registry", place, namespace, name)
}

// fill writes a generated cluster of n objects into the etcd of a control plane, as the API server
// would have stored them: with their status and UIDs, which it takes from nobody. What is there
// already stays. It gives how many were written.
func fill(ctx context.Context, c *devcluster.Cluster, n int) (int, error) {
	client, err := etcdClient(c)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	written, batch := 0, make([]clientv3.Op, 0, etcdBatch)
	flush := func() error {
		answer, err := client.Txn(ctx).Then(batch...).Commit()
		if err != nil {
			return err
		}
		for _, r := range answer.Responses {
			if r.GetResponseTxn().Succeeded {
				written++
			}
		}
		batch = batch[:0]
		return nil
	}
	codec := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for o := range gen.Cluster(n, 1) {
		m, err := meta.Accessor(o)
		if err != nil {
			return written, err
		}
		m.SetResourceVersion("") // it is etcd's revision
		var value bytes.Buffer
		if err := codec.Encode(o, &value); err != nil {
			return written, err
		}
		key := etcdKey(o.GetObjectKind().GroupVersionKind().Kind, m.GetNamespace(), m.GetName())
		absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
		batch = append(batch, clientv3.OpTxn([]clientv3.Cmp{absent}, []clientv3.Op{clientv3.OpPut(key, value.String())}, nil))
		if len(batch) == etcdBatch {
			if err := flush(); err != nil {
				return written, err
			}
		}
	}
	return written, flush()
}

func etcdClient(c *devcluster.Cluster) (*clientv3.Client, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.PKI, "etcd-client.crt"), filepath.Join(c.PKI, "etcd-client.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(c.PKI, "etcd-ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("etcd-ca.crt holds no certificate")
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Etcd}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return client, nil
}
