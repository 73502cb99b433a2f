package devcluster

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	nodeTimeout = 2 * time.Minute
	cniPlugins  = "/usr/lib/cni" // where Debian has them
)

// NodeOptions say what node to start. The zero value is an ordinary node.
type NodeOptions struct {
	Name string // node1, node2 and so on if empty

	// ExtraKubeletConfig holds fields of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)
	// as JSON has them. Objects add to what the node has anyway, field by field; other
	// values replace it. With {"authentication": {"anonymous": {"enabled": true}}}, say,
	// a kubelet answers strangers.
	ExtraKubeletConfig map[string]any

	Log     io.Writer     // receives a line at each step; may be nil
	Timeout time.Duration // until the node is ready; two minutes if zero
}

// Node is a real node: a kubelet, containerd and kube-proxy in namespaces of their own,
// with a root folder of its own, on the cluster's network.
type Node struct {
	Name string
	IP   string // of the node, in the cluster's network; the kubelet answers on port 10250 there
	Pods string // the range of its pods' addresses

	// APIServer is the API server's URL for the node and its pods. Pods may as well use
	// the Service kubernetes.default, of which their environment tells.
	APIServer string

	// Root is the node's root folder, as it is to be seen from the machine.
	// What is mounted in it is not: that is in the node's mount namespace.
	Root string

	cluster *Cluster
	process *process
}

// nodeRecord is a node in the journal.
type nodeRecord struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
}

//go:embed node-init.sh
var nodeInit string

var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// StartNode starts a node and returns once it is Ready. The cluster must have been
// started with Options.Network. The context bounds the start only; the node ends with
// Stop, with the cluster, or with the process that started it.
func (c *Cluster) StartNode(ctx context.Context, o NodeOptions) (*Node, error) {
	if err := NodeSupported(); err != nil {
		return nil, err
	}
	if c.network == nil {
		return nil, errors.New("devcluster: a node needs the cluster's own network\nhint: start the cluster with Options.Network")
	}
	if o.Timeout <= 0 {
		o.Timeout = nodeTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not ready after %s", o.Timeout))
	defer cancel()
	record, err := c.claimNode(o.Name)
	if err != nil {
		return nil, err
	}
	n := c.newNode(record)
	if err := n.start(ctx, o, record.Number); err != nil {
		if stopErr := n.Stop(context.WithoutCancel(ctx)); stopErr != nil {
			err = fmt.Errorf("%w\nand then: %v", err, stopErr)
		}
		return nil, err
	}
	return n, nil
}

// Nodes returns the nodes that StartNode started, in this process or another.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var nodes []*Node
	for _, record := range c.journal.Nodes {
		n := c.newNode(record)
		for _, p := range c.procs {
			if p.Component == n.Name {
				n.process = p
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

func (c *Cluster) newNode(record nodeRecord) *Node {
	n := &Node{
		Name:    record.Name,
		IP:      fmt.Sprintf(nodeIP, 10+record.Number),
		Pods:    fmt.Sprintf(nodePods, record.Number),
		Root:    filepath.Join(c.Dir, "nodes", record.Name),
		cluster: c,
	}
	if u, err := url.Parse(c.RESTHost); err == nil {
		n.APIServer = "https://" + net.JoinHostPort(networkIP, u.Port())
	}
	return n
}

// claimNode enters a node in the journal before anything of it exists.
func (c *Cluster) claimNode(name string) (nodeRecord, error) {
	var record nodeRecord
	var refused error
	err := c.update(func(j *journal) {
		taken := map[string]bool{}
		for _, component := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
			taken[component] = true
		}
		numbers := map[int]bool{}
		for _, other := range j.Nodes {
			taken[other.Name], numbers[other.Number] = true, true
		}
		record = nodeRecord{Name: name, Number: 1}
		for numbers[record.Number] || name == "" && taken["node"+strconv.Itoa(record.Number)] {
			record.Number++
		}
		if name == "" {
			record.Name = "node" + strconv.Itoa(record.Number)
		}
		switch {
		case !nodeName.MatchString(record.Name):
			refused = fmt.Errorf("devcluster: %q is no name for a node\nhint: use at most 40 lower-case letters, digits and hyphens", name)
		case taken[record.Name]:
			refused = fmt.Errorf("devcluster: there is a node %s already\nhint: stop it first, or choose another name", name)
		case record.Number > mostNodes:
			refused = fmt.Errorf("devcluster: there are %d nodes already, which is the most", mostNodes)
		default:
			j.Nodes = append(j.Nodes, record)
		}
	})
	if err == nil {
		err = refused
	}
	return record, err
}

func (n *Node) start(ctx context.Context, o NodeOptions, number int) error {
	c, say, begin := n.cluster, logger(o.Log), time.Now()
	fail := func(err error) error { return fmt.Errorf("devcluster: start %s: %w", n.Name, err) }
	if err := os.RemoveAll(n.Root); err != nil { // of a node that was killed
		return fail(err)
	}
	if err := n.writeConfig(o); err != nil {
		return fail(err)
	}
	if err := makeCgroups(n.cgroup()); err != nil {
		return fail(err)
	}
	release, err := n.launch()
	if err != nil {
		return fail(err)
	}
	defer release.Close()
	if err := n.connect(ctx, number); err != nil {
		return fail(err)
	}
	if _, err := release.Write([]byte("go\n")); err != nil {
		return fail(err)
	}
	if err := c.await(ctx, n.Name+" runs containerd", n.runtimeReady); err != nil {
		return err
	}
	if err := n.importPause(ctx); err != nil {
		return fail(err)
	}
	if err := c.await(ctx, n.Name+" is Ready", n.Ready); err != nil {
		return err
	}
	say("%s is ready after %.1f s", n.Name, time.Since(begin).Seconds())
	return nil
}

// launch starts the node's first process and returns what lets it go on.
func (n *Node) launch() (release io.WriteCloser, err error) {
	c := n.cluster
	log, err := os.OpenFile(c.logPath(n.Name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", "-c", nodeInit, n.Name, n.Root, n.Name, c.Binary)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "NODE_IP=" + n.IP,
		idVariable + "=" + c.journal.ID,
	}
	cmd.Stdout, cmd.Stderr = log, log
	release, err = cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	isolate(cmd)
	p, err := startProcess(n.Name, cmd, false, nil)
	if err != nil {
		_ = release.Close()
		return nil, err
	}
	n.process = p
	c.mu.Lock()
	c.procs = append(c.procs, p)
	c.mu.Unlock()
	return release, c.update(func(j *journal) { j.Processes = append(j.Processes, p.identity) })
}

// Ready returns an error unless the node's Ready condition is true.
func (n *Node) Ready(ctx context.Context) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := n.cluster.Do(ctx, http.MethodGet, "/api/v1/nodes/"+n.Name, nil, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("%s is not Ready: %s", n.Name, condition.Message)
		}
	}
	return fmt.Errorf("%s has no Ready condition", n.Name)
}

func (n *Node) runtimeReady(ctx context.Context) error {
	// Before that, ctr might find the machine's own containerd.
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/bailey-node", n.process.PID)); err != nil {
		return errors.New("its root folder is not set up")
	}
	return run(n.Command(ctx, "ctr", "--connect-timeout", "1s", "version"))
}

// Command returns a command that will run on the node: in its namespaces, with its root
// folder. A context that ends kills what stands for it on the machine; the command itself
// may then go on until it or the node ends.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	pid := strconv.Itoa(n.process.PID)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--", name}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Dial connects to an IP address and port from the node.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	inside, err := namespaceOf(n.process.PID)
	if err != nil {
		return nil, fmt.Errorf("devcluster: dial from %s: %w", n.Name, err)
	}
	defer inside.Close()
	return inside.dial(ctx, network, address)
}

// Logs returns the last lines of a daemon's log: containerd, kubelet or kube-proxy.
func (n *Node) Logs(daemon string, lines int) string {
	return tail(filepath.Join(n.Root, "var", "log", filepath.Base(daemon)+".log"), lines)
}

// Stop ends the node's processes, its pods among them, removes what it had, and deletes its
// Node object and its pods' objects where the API server still answers. It may be called
// again.
func (n *Node) Stop(ctx context.Context) error {
	c := n.cluster
	if n.process != nil {
		if err := end(ctx, []*process{n.process}); err != nil {
			return fmt.Errorf("devcluster: stop %s: %w", n.Name, err)
		}
	}
	err := errors.Join(removeCgroups(n.cgroup()), removeTree(n.Root))
	if err != nil {
		return fmt.Errorf("devcluster: stop %s: %w", n.Name, err)
	}
	c.mu.Lock()
	c.procs = without(c.procs, func(p *process) bool { return p.Component == n.Name })
	c.mu.Unlock()
	err = c.update(func(j *journal) {
		j.Processes = without(j.Processes, func(id identity) bool { return id.Component == n.Name })
		j.Nodes = without(j.Nodes, func(r nodeRecord) bool { return r.Name == n.Name })
	})
	if err != nil {
		return err
	}
	return n.unregister(ctx)
}

// unregister deletes the objects of a node that is no more. Nobody else would end its
// pods: that is for its kubelet to do.
func (n *Node) unregister(ctx context.Context) error {
	c := n.cluster
	var pods struct {
		Items []struct {
			Metadata struct{ Namespace, Name string }
		}
	}
	err := c.Do(ctx, http.MethodGet, "/api/v1/pods?fieldSelector=spec.nodeName%3D"+n.Name, nil, &pods)
	paths := []string{"/api/v1/nodes/" + n.Name}
	for _, pod := range pods.Items {
		paths = append(paths, "/api/v1/namespaces/"+pod.Metadata.Namespace+"/pods/"+pod.Metadata.Name+"?gracePeriodSeconds=0")
	}
	for _, path := range paths {
		if err == nil {
			err = c.Do(ctx, http.MethodDelete, path, nil, nil)
		}
		var status *StatusError
		if errors.As(err, &status) && status.Code == http.StatusNotFound {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("devcluster: %s has ended, but its objects are still there: %w", n.Name, err)
	}
	return nil
}

// cgroup is the node's folder in each cgroup hierarchy.
func (n *Node) cgroup() string { return filepath.Join(cgroupOf(n.cluster.journal.ID), n.Name) }

func cgroupOf(id string) string { return tempPrefix + strings.ToLower(id) }

func without[T any](list []T, drop func(T) bool) []T {
	var kept []T
	for _, item := range list {
		if !drop(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

// run runs a command; the error holds what it wrote.
func run(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w%s", filepath.Base(cmd.Path), err, indentedTail(strings.TrimSpace(output.String())))
	}
	return nil
}
