package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The components of a cluster, as they are named in the multi-call program, in
// log file names and in [Cluster.Logs].
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// Options say what cluster to start. The zero value is a temporary cluster with
// every component, which dies with this process.
type Options struct {
	// State is the folder that holds the cluster's keys, data and logs. It is made
	// if absent; a folder that is neither empty nor a state folder is refused.
	// A second Start in the same folder continues the same cluster: CAs, encryption
	// key and etcd data stay, and the port too if it is free.
	// Empty means a temporary folder, removed by Stop.
	State string

	// Keep leaves a temporary folder in place after Stop, or after a failed Start,
	// to be looked at.
	Keep bool

	// Binary is the multi-call program. Empty means what Find finds.
	Binary string

	// Detach lets the cluster outlive this process. End it with Stop.
	Detach bool

	// Address is the IP address on which the API server listens; 127.0.0.1 if empty.
	// Anything else exposes the cluster to a network. etcd stays on loopback.
	Address string

	// Port is the API server's port; a free one if zero.
	Port int

	// Network puts the cluster into a network namespace of its own, so that StartNode can
	// give it nodes. It needs what NodeSupported looks for, root above all. From outside,
	// the API server and etcd are reached as ever, through relays in this process; see
	// [Cluster.Listen] for the other way round. Such a cluster cannot be detached.
	Network bool

	// Log receives a line at each step. It may be nil.
	Log io.Writer

	// Timeout bounds the wait until the cluster is ready; two minutes if zero.
	Timeout time.Duration

	// SkipControllers leaves out kube-controller-manager and kube-scheduler. Nothing
	// then makes ServiceAccounts, so pods are refused unless ExtraAPIServerArgs
	// disable the ServiceAccount admission plugin.
	SkipControllers bool

	// PodSecurity configures the Pod Security admission plugin.
	PodSecurity PodSecurity

	// AuditPolicy replaces the built-in audit policy: an audit.k8s.io/v1 Policy in
	// YAML or JSON.
	AuditPolicy string

	// ExtraAPIServerArgs and ExtraControllerManagerArgs come after the other
	// arguments, so that they win: of a flag given twice the last value holds, except
	// for lists, which add up. A file for authentication or authorization takes the place
	// of the flag that it excludes.
	ExtraAPIServerArgs         []string
	ExtraControllerManagerArgs []string
}

// Cluster is a control plane that Start started or Open found.
// Its methods may be called from several goroutines.
type Cluster struct {
	Dir        string // the state folder
	Binary     string // the multi-call program
	Kubeconfig string // path of the administrator's kubeconfig
	RESTHost   string // https://127.0.0.1:port, of the API server
	Etcd       string // https://127.0.0.1:port, of etcd; it asks for the client certificate PKI/etcd-client.crt
	PKI        string // folder of certificates and keys: ca.crt, ca.key, admin.crt, ...
	AuditLog   string // path of the audit log, one JSON event per line

	mu       sync.Mutex
	journal  journal
	procs    []*process
	stopping chan struct{} // closed when Stop begins
	stopped  bool
	client   *http.Client
	network  *netns // of the components; nil for this process's
	relays   []net.Listener

	// Of a cluster that was started here: how the API server was.
	apiServer []string // its arguments
	detached  bool
}

func newCluster(dir string, j journal) *Cluster {
	return &Cluster{
		Dir:        dir,
		Binary:     j.Binary,
		Kubeconfig: filepath.Join(dir, "kubeconfig", "admin.kubeconfig"),
		RESTHost:   j.RESTHost,
		Etcd:       j.Etcd,
		PKI:        filepath.Join(dir, "pki"),
		AuditLog:   filepath.Join(dir, "audit", "audit.log"),
		journal:    j,
		stopping:   make(chan struct{}),
	}
}

// ErrNotRunning is what Open returns, wrapped, for a folder without a running cluster.
var ErrNotRunning = errors.New("no cluster is running there")

// Open attaches to the cluster that runs from the state folder dir. It does not
// wait for it; see [Cluster.Ready]. The error wraps ErrNotRunning when the folder is
// absent, is no state folder, or when a component of it has ended.
func Open(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("devcluster: open: %w", err)
	}
	j, err := readJournal(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("devcluster: %s: %w\nhint: start one there, or name the folder it was started in", dir, ErrNotRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("devcluster: open: %w", err)
	}
	if err := j.judgeable(); err != nil {
		return nil, fmt.Errorf("devcluster: open %s: %w", dir, err)
	}
	if !j.Ready {
		return nil, fmt.Errorf("devcluster: %s: %w\nhint: start it again in the same folder; its data is kept", dir, ErrNotRunning)
	}
	c := newCluster(dir, j)
	for _, id := range j.Processes {
		p := &process{identity: id}
		if !p.alive() {
			return nil, fmt.Errorf("devcluster: %s: %w: %s (pid %d) has ended%s\nhint: stop the rest, then start it again in the same folder; its data is kept",
				dir, ErrNotRunning, id.Component, id.PID, indentedTail(c.Logs(id.Component, 5)))
		}
		c.procs = append(c.procs, p)
		if j.Network && id.Component == APIServer {
			if c.network, err = namespaceOf(id.PID); err != nil {
				return nil, fmt.Errorf("devcluster: open %s: its network: %w", dir, err)
			}
		}
	}
	return c, nil
}

// Wait blocks until the cluster ends. It returns nil when Stop was called on c,
// the context's error when that ended first, and otherwise an error with the last
// lines of the log of the component that ended by itself.
func (c *Cluster) Wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		procs := c.procs
		c.mu.Unlock()
		for _, p := range procs {
			select {
			case <-c.stopping:
				return nil
			default:
			}
			if !p.alive() {
				return c.exitError(p, "while the cluster was in use")
			}
		}
		select {
		case <-c.stopping:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// PIDs returns the process id of each component.
func (c *Cluster) PIDs() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	pids := make(map[string]int, len(c.procs))
	for _, p := range c.procs {
		pids[p.Component] = p.PID
	}
	return pids
}

// Logs returns the last lines of a component's log, at most 64 KiB of them, and ""
// when there is none.
func (c *Cluster) Logs(component string, lines int) string {
	return tail(c.logPath(component), lines)
}

func (c *Cluster) logPath(component string) string {
	return filepath.Join(c.Dir, "logs", component+".log")
}

func tail(path string, lines int) string {
	const limit = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-limit), io.SeekStart)
	}
	b, _ := io.ReadAll(io.LimitReader(f, limit))
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// indentedTail makes log lines the lower part of an error message.
func indentedTail(log string) string {
	if strings.TrimSpace(log) == "" {
		return ""
	}
	const longest = 400
	var b strings.Builder
	for line := range strings.SplitSeq(log, "\n") {
		if len(line) > longest {
			line = line[:longest] + "..."
		}
		b.WriteString("\n    " + line)
	}
	return b.String()
}
