package devcluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// The cluster's network is a bridge in its network namespace. The control plane has an
// address on it, and each node has one: its number, counted from 1, is in that address
// and in the range of its pods.
const (
	networkIP    = "10.99.0.1"
	networkRange = "/24"
	nodeIP       = "10.99.0.%d"    // 10 and the number
	nodePods     = "10.88.%d.0/24" // the number
	mostNodes    = 99
)

// makeNetwork makes the cluster's network namespace and the bridge in it.
func (c *Cluster) makeNetwork(ctx context.Context) error {
	network, err := newNamespace()
	if err != nil {
		return err
	}
	c.network = network
	if err := network.forward(); err != nil { // between nodes' pods
		return err
	}
	return network.ip(ctx,
		"link set lo up",
		"link add br0 type bridge",
		"address add "+networkIP+networkRange+" dev br0",
		"link set br0 up",
	)
}

// connect lays a cable from the cluster's bridge to the node, and routes the node's
// pods through it.
func (n *Node) connect(ctx context.Context, number int) error {
	link := "node" + strconv.Itoa(number)
	err := n.cluster.network.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", link, n.process.PID),
		fmt.Sprintf("link set %s master br0 up", link),
		fmt.Sprintf("route replace %s via %s dev br0 onlink", n.Pods, n.IP),
	)
	if err != nil {
		return err
	}
	inside, err := namespaceOf(n.process.PID)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := inside.forward(); err != nil {
		return err
	}
	return inside.ip(ctx,
		"link set lo up",
		"link set eth0 up",
		"address add "+n.IP+networkRange+" dev eth0",
		"route add default via "+networkIP,
	)
}

// Dial connects to an IP address and port from where the control plane is: with
// Options.Network, nodes, pods and kubelets can be reached like that.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.network == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return c.network.dial(ctx, network, address)
}

// Listen listens on an IP address and port where the control plane is. The API server,
// say, calls a webhook there; with Options.Network it reaches nothing outside. Nodes and
// pods reach what listens on [Cluster.IP].
func (c *Cluster) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if c.network == nil {
		return (&net.ListenConfig{}).Listen(ctx, network, address)
	}
	return c.network.listen(ctx, network, address)
}

// IP returns the control plane's address: on its own network, that by which nodes and
// pods reach it.
func (c *Cluster) IP() string {
	if c.network == nil {
		return "127.0.0.1"
	}
	return networkIP
}
