package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
)

// Replica is an API server beside a cluster's first one, over the same etcd and with the
// same keys, as a highly available control plane has several. It ends with the cluster.
type Replica struct {
	RESTHost   string // https://127.0.0.1:port
	Kubeconfig string // path of the administrator's kubeconfig for this API server
	AuditLog   string // path of its own audit log

	cluster *Cluster
}

// Do sends one request to this API server, as [Cluster.Do] does to the first.
func (r *Replica) Do(ctx context.Context, method, path string, in, out any) error {
	client, err := r.cluster.HTTPClient()
	if err != nil {
		return err
	}
	return r.cluster.doAt(ctx, client, r.RESTHost, method, path, in, out)
}

// AddAPIServer starts one more API server, with the first one's arguments and then
// these, and waits until it is ready. The name, as for a file, tells it from others. Only
// the Cluster that Start returned can do it, and only without a network of its own.
func (c *Cluster) AddAPIServer(ctx context.Context, name string, extra ...string) (*Replica, error) {
	c.mu.Lock()
	args, stopped, network := slices.Clone(c.apiServer), c.stopped, c.network
	c.mu.Unlock()
	if args == nil || stopped || network != nil {
		return nil, errors.New("devcluster: an API server is added only to a cluster that Start returned without Options.Network, and that runs")
	}
	host, _, err := net.SplitHostPort(c.RESTHost[len("https://"):])
	if err != nil {
		return nil, fmt.Errorf("devcluster: add an API server: %w", err)
	}
	free, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("devcluster: a free port: %w", err)
	}
	address := free.Addr().String()
	_ = free.Close()
	r := &Replica{cluster: c, RESTHost: "https://" + address, Kubeconfig: c.kubeconfig("admin-" + name),
		AuditLog: filepath.Join(filepath.Dir(c.AuditLog), name, "audit.log")}
	pair, err := readPair(c.PKI, "admin")
	if err == nil {
		err = c.writeKubeconfig(r.Kubeconfig, r.RESTHost, "admin", pair)
	}
	if err != nil {
		return nil, fmt.Errorf("devcluster: kubeconfig: %w", err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("devcluster: add an API server: %w", err)
	}
	args = withExtra(append(args, "--secure-port="+port, "--audit-log-path="+r.AuditLog), extra)
	if err := c.runAs(APIServer, APIServer+"-"+name, c.detached, args); err != nil {
		return nil, err
	}
	ready := func(ctx context.Context) error { return r.Do(ctx, http.MethodGet, "/readyz", nil, nil) }
	return r, c.await(ctx, "the API server "+name+" is ready", ready)
}
