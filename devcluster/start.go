package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	serviceRange = "10.96.0.0/16"
	serviceIP    = "10.96.0.1" // of the Service default/kubernetes
	podRange     = "10.88.0.0/16"

	defaultTimeout = 2 * time.Minute
	portAttempts   = 5
)

// Start starts a cluster and returns once it is ready: the API server says so, and the
// namespace default has its ServiceAccount. The context bounds the start only; the
// cluster ends with Stop, or with this process unless Options.Detach is set.
//
// When Start fails, what it had started is stopped. The error names the step that
// failed, shows the end of the component's log, and has a line "hint:" that says what
// to do next.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if !supported {
		return nil, fmt.Errorf("devcluster: a control plane runs on Linux only, not on %s\nhint: use a Linux machine, or an existing cluster by --context", runtime.GOOS)
	}
	binary, err := Find(o.Binary)
	if err != nil {
		return nil, err
	}
	o.Binary = binary
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	if net.ParseIP(o.Address) == nil {
		return nil, fmt.Errorf("devcluster: Address %q is not an IP address", o.Address)
	}
	if o.Network {
		if err := NodeSupported(); err != nil {
			return nil, err
		}
		if o.Detach || o.Address != "127.0.0.1" {
			return nil, errors.New("devcluster: a cluster with a network of its own is reached through the process that started it, on 127.0.0.1: it can neither be detached nor have another address")
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not ready after %s", o.Timeout))
	defer cancel()

	sweep(ctx, os.TempDir())
	dir, unlock, err := openState(o.State)
	if err != nil {
		return nil, fmt.Errorf("devcluster: state folder: %w", err)
	}
	defer unlock()
	j, before, err := claim(ctx, dir, o)
	if err != nil {
		if o.State == "" {
			_ = os.RemoveAll(dir)
		}
		return nil, fmt.Errorf("devcluster: %w", err)
	}
	c := newCluster(dir, j)
	if err := c.start(ctx, o, before.RESTHost); err != nil {
		// What was started is ended whatever became of the caller's patience.
		if stopErr := c.Stop(context.WithoutCancel(ctx)); stopErr != nil {
			err = fmt.Errorf("%w\nand then: %v", err, stopErr)
		}
		return nil, err
	}
	return c, nil
}

// openState makes the state folder, if need be, and locks it.
func openState(state string) (dir string, unlock func(), err error) {
	if state == "" {
		dir, err = os.MkdirTemp("", tempPrefix) // mode 0700
	} else if dir, err = filepath.Abs(state); err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", nil, err
	}
	unlock, err = tryLock(dir)
	if errors.Is(err, errLocked) {
		err = fmt.Errorf("%s: another process starts or stops a cluster there\nhint: wait for it, or name another folder", dir)
	}
	return dir, unlock, err
}

func (c *Cluster) start(ctx context.Context, o Options, before string) error {
	begin := time.Now()
	say := logger(o.Log)
	if err := os.Chmod(c.Dir, 0o700); err != nil { // it may have been there before
		return fmt.Errorf("devcluster: state folder: %w", err)
	}
	for _, sub := range []string{"pki", "config", "kubeconfig", "logs", "audit", "etcd", "tmp"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, sub), 0o700); err != nil {
			return fmt.Errorf("devcluster: %w", err)
		}
	}
	if err := makePKI(c.PKI, o.Address); err != nil {
		return fmt.Errorf("devcluster: certificates: %w", err)
	}
	if err := writeConfig(filepath.Join(c.Dir, "config"), o); err != nil {
		return fmt.Errorf("devcluster: configuration: %w", err)
	}
	if o.Network {
		if err := c.makeNetwork(ctx); err != nil {
			return fmt.Errorf("devcluster: %w", err)
		}
	}
	for attempt := 1; ; attempt++ {
		err := c.launch(ctx, o, before, say)
		if err == nil {
			break
		}
		// Between the moment a free port was found and the moment a component listened
		// on it, somebody else may have taken it.
		var exit *exitError
		if !errors.As(err, &exit) || !exit.portTaken || attempt == portAttempts {
			return err
		}
		say("%s lost its port to another process; trying others", exit.component)
		before = ""
		if err := end(context.WithoutCancel(ctx), c.procs); err != nil {
			return fmt.Errorf("devcluster: %w", err)
		}
		c.forget()
	}
	if err := c.update(func(j *journal) { j.Ready = true }); err != nil {
		return err
	}
	say("the cluster is ready after %.1f s", time.Since(begin).Seconds())
	return nil
}

// launch runs the components, once, and waits for the cluster to be ready.
func (c *Cluster) launch(ctx context.Context, o Options, before string, say func(string, ...any)) error {
	begin := time.Now()
	step := func(done string) { say("%s (%.1f s)", done, time.Since(begin).Seconds()) }
	ports, held, err := freePorts(o, before)
	for i, l := range held {
		if err == nil && o.Network && i < 2 { // the API server's and etcd's
			c.relays = append(c.relays, l)
			go c.network.relay(l, l.Addr().String())
			continue
		}
		_ = l.Close()
	}
	if err != nil {
		return err
	}
	c.RESTHost = "https://" + net.JoinHostPort(o.Address, ports.api)
	c.Etcd = "https://127.0.0.1:" + ports.etcd
	if err := c.update(func(j *journal) { j.RESTHost, j.Etcd = c.RESTHost, c.Etcd }); err != nil {
		return err
	}
	for file, user := range map[string]string{
		"admin":              "admin",
		"controller-manager": "system:kube-controller-manager",
		"scheduler":          "system:kube-scheduler",
		"proxy":              "system:kube-proxy",
	} {
		pair, err := readPair(c.PKI, file)
		if err == nil {
			err = c.writeKubeconfig(c.kubeconfig(file), c.RESTHost, user, pair)
		}
		if err != nil {
			return fmt.Errorf("devcluster: kubeconfig: %w", err)
		}
	}

	if err := c.run(Etcd, o.Detach, c.etcdArgs()); err != nil {
		return err
	}
	if err := c.await(ctx, "etcd is healthy", c.etcdHealthy); err != nil {
		return err
	}
	step("etcd is healthy")
	c.apiServer, c.detached = c.apiServerArgs(o, ports), o.Detach
	if err := c.run(APIServer, o.Detach, c.apiServer); err != nil {
		return err
	}
	if err := c.await(ctx, "the API server is ready", c.get("/readyz")); err != nil {
		return err
	}
	step("the API server is ready")
	if !o.SkipControllers {
		// Not before: they give up when the built-in roles are not there yet.
		if err := c.run(ControllerManager, o.Detach, c.controllerManagerArgs(o, ports)); err != nil {
			return err
		}
		if err := c.run(Scheduler, o.Detach, c.schedulerArgs(ports)); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "the namespace default exists", c.get("/api/v1/namespaces/default")); err != nil {
		return err
	}
	if err := c.await(ctx, "the API server may call kubelets", c.bindKubeletClient); err != nil {
		return err
	}
	if !o.SkipControllers {
		if err := c.await(ctx, "the ServiceAccount default exists", c.get("/api/v1/namespaces/default/serviceaccounts/default")); err != nil {
			return err
		}
		step("the controllers work")
	}
	// A component that lost its port ends a little later than the others are ready.
	return c.exited()
}

// Ready waits, within the context, until the API server says that it is ready.
func (c *Cluster) Ready(ctx context.Context) error {
	return c.await(ctx, "the API server is ready", c.get("/readyz"))
}

// run starts one component, with its output in its log file, and enters it in the
// journal.
func (c *Cluster) run(component string, detach bool, args []string) error {
	return c.runAs(component, component, detach, args)
}

// runAs is run for a second component of a program.
func (c *Cluster) runAs(program, component string, detach bool, args []string) error {
	log, err := os.OpenFile(c.logPath(component), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("devcluster: %w", err)
	}
	defer log.Close() // the component has its own handle
	cmd := exec.Command(c.Binary, append([]string{program}, args...)...)
	cmd.Dir = c.Dir
	cmd.Env = append(environment(c.Dir), idVariable+"="+c.journal.ID)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := startProcess(component, cmd, detach, c.network)
	if err != nil {
		return fmt.Errorf("devcluster: start %s: %w\nhint: is that the right program for this machine? Name another by $%s or let it be built anew", component, err, BinaryVariable)
	}
	c.mu.Lock()
	c.procs = append(c.procs, p)
	c.mu.Unlock()
	return c.update(func(j *journal) { j.Processes = append(j.Processes, p.identity) })
}

// environment is all that the components are given of ours: no proxy, no credential.
func environment(dir string) []string {
	env := []string{"HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp")}
	for _, name := range []string{"PATH", "TZ", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (c *Cluster) update(change func(*journal)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.journal)
	if err := c.journal.write(c.Dir); err != nil {
		return fmt.Errorf("devcluster: journal: %w", err)
	}
	return nil
}

// forget drops processes that have ended, before another attempt.
func (c *Cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.procs, c.journal.Processes, c.client = nil, nil, nil
	for _, l := range c.relays {
		_ = l.Close()
	}
	c.relays = nil
}

// await polls until the condition gives nil, a component has ended, or the context has.
func (c *Cluster) await(ctx context.Context, what string, condition func(context.Context) error) error {
	var last error
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := condition(once)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if err := c.exited(); err != nil {
			return err
		}
		select {
		case <-time.After(25 * time.Millisecond):
			continue
		case <-ctx.Done():
		}
		c.mu.Lock()
		component := "" // the one started last is the likeliest to be waited for
		for _, p := range c.procs {
			if component == "" || p.Component == APIServer {
				component = p.Component
			}
		}
		c.mu.Unlock()
		return fmt.Errorf("devcluster: waiting until %s: %w (last: %v)\n  the end of the log of %s:%s\nhint: a slow or busy machine needs a longer Options.Timeout; the logs stay with Options.Keep",
			what, context.Cause(ctx), last, component, indentedTail(c.Logs(component, 15)))
	}
}

func (c *Cluster) get(path string) func(context.Context) error {
	return func(ctx context.Context) error { return c.Do(ctx, http.MethodGet, path, nil, nil) }
}

func (c *Cluster) etcdHealthy(ctx context.Context) error {
	pair, err := readPair(c.PKI, "etcd-client")
	if err != nil {
		return err
	}
	client, err := c.httpClient("etcd-ca", pair)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Etcd+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// bindKubeletClient gives the API server, as a client of kubelets, what it needs there
// and no more: kubelets ask the API server whether it may.
func (c *Cluster) bindKubeletClient(ctx context.Context) error {
	const rbac = "rbac.authorization.k8s.io"
	err := c.Do(ctx, http.MethodPost, "/apis/"+rbac+"/v1/clusterrolebindings", object{
		"metadata": object{"name": "devcluster:" + kubeletClientUser},
		"roleRef":  object{"apiGroup": rbac, "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
		"subjects": []object{{"apiGroup": rbac, "kind": "User", "name": kubeletClientUser}},
	}, nil)
	var status *StatusError
	if errors.As(err, &status) && status.Code == http.StatusConflict {
		return nil
	}
	return err
}

// exitError is a component that ended by itself.
type exitError struct {
	component string
	portTaken bool
	text      string
}

func (e *exitError) Error() string { return e.text }

// exited returns an error when a component has ended by itself.
func (c *Cluster) exited() error {
	c.mu.Lock()
	procs := c.procs
	c.mu.Unlock()
	for _, p := range procs {
		if !p.alive() {
			return c.exitError(p, "before the cluster was ready")
		}
	}
	return nil
}

func (c *Cluster) exitError(p *process, when string) error {
	log := c.Logs(p.Component, 15)
	hint := "the log says why; an argument in Options.Extra...Args, or a program of another Kubernetes version, may be the cause"
	taken := strings.Contains(log, "address already in use")
	switch {
	case taken:
		hint = "its port is taken; end who has it, or choose another"
	case strings.TrimSpace(log) == "":
		hint = fmt.Sprintf("it wrote nothing: is %s the control plane program?", c.Binary)
	}
	return &exitError{p.Component, taken, fmt.Sprintf("devcluster: %s ended %s: %s%s\nhint: %s", p.Component, when, p.how(), indentedTail(log), hint)}
}

func (c *Cluster) kubeconfig(name string) string {
	return filepath.Join(filepath.Dir(c.Kubeconfig), name+".kubeconfig")
}

// ports are decimal.
type ports struct{ api, etcd, controllerManager, scheduler string }

// freePorts finds ports that nobody listens on. before is the API server's address
// in an earlier run, whose port is taken again if it is free. The listeners that hold
// the ports are returned even with an error, the API server's and etcd's first.
func freePorts(o Options, before string) (p ports, held []net.Listener, err error) {
	hold := func(host, port string) (string, error) {
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return "", err
		}
		held = append(held, l)
		_, port, err = net.SplitHostPort(l.Addr().String())
		return port, err
	}
	if o.Port != 0 {
		if p.api, err = hold(o.Address, strconv.Itoa(o.Port)); err != nil {
			return p, held, fmt.Errorf("devcluster: the API server's port: %w\nhint: choose another, or 0 for any free one", err)
		}
	} else if u, err := url.Parse(before); err == nil && u.Port() != "" {
		p.api, _ = hold(o.Address, u.Port())
	}
	for _, port := range []struct {
		to   *string
		host string
	}{{&p.api, o.Address}, {&p.etcd, "127.0.0.1"}, {&p.controllerManager, "127.0.0.1"}, {&p.scheduler, "127.0.0.1"}} {
		if *port.to != "" {
			continue
		}
		if *port.to, err = hold(port.host, "0"); err != nil {
			return p, held, fmt.Errorf("devcluster: a free port: %w", err)
		}
	}
	return p, held, nil
}
