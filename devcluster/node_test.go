//go:build linux

package devcluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needNode skips the test where no node can be started.
func needNode(t *testing.T) {
	t.Helper()
	needBinary(t)
	if err := NodeSupported(); err != nil {
		t.Skip(err)
	}
}

// probeImage builds the tests' program for pods and gives it to the node.
func probeImage(t *testing.T, nodes ...*Node) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-o", program, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, n := range nodes {
		begin := time.Now()
		if _, err := n.Import(t.Context(), "localhost/probe:dev", map[string]string{"/bin/probe": program}, []string{"/bin/probe"}); err != nil {
			t.Fatal(err)
		}
		t.Logf("imported an image into %s in %s", n.Name, since(begin))
	}
}

func since(begin time.Time) time.Duration { return time.Since(begin).Round(10 * time.Millisecond) }

// restricted is a pod that the restricted Pod Security level admits.
func restricted(name string, node *Node, args ...string) object {
	return object{"metadata": object{"name": name, "labels": object{"app": name}}, "spec": object{
		"nodeSelector":    object{"kubernetes.io/hostname": node.Name},
		"securityContext": object{"runAsNonRoot": true, "seccompProfile": object{"type": "RuntimeDefault"}},
		"containers": []object{{
			"name": "c", "image": "localhost/probe:dev", "args": args,
			"securityContext": object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []string{"ALL"}}},
		}},
		"terminationGracePeriodSeconds": 0,
	}}
}

// startPod makes a pod, waits until it is Running, and returns its address.
func startPod(t *testing.T, c *Cluster, namespace string, pod object) string {
	t.Helper()
	begin := time.Now()
	name, err := nameOf(pod)
	if err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/namespaces/" + namespace + "/pods"
	if err := c.Do(t.Context(), http.MethodPost, path, pod, nil); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Status struct {
			Phase, PodIP      string
			ContainerStatuses json.RawMessage
		}
	}
	for got.Status.Phase != "Running" {
		if time.Since(begin) > time.Minute {
			events, _ := c.Kubectl(t.Context(), "get", "events", "-n", namespace)
			t.Fatalf("the pod %s is not running: %+v\n%s", name, got, events)
		}
		time.Sleep(20 * time.Millisecond)
		if err := c.Do(t.Context(), http.MethodGet, path+"/"+name, nil, &got); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the pod %s is running at %s after %s", name, got.Status.PodIP, since(begin))
	return got.Status.PodIP
}

// exec runs the probe in a pod.
func podExec(t *testing.T, c *Cluster, namespace, pod string, args ...string) (string, error) {
	t.Helper()
	out, err := c.Kubectl(t.Context(), append([]string{"exec", "-n", namespace, pod, "--", "/bin/probe"}, args...)...)
	return strings.TrimSpace(string(out)), err
}

// traces are what a cluster could leave on this machine.
func traces(t *testing.T, j journal) []string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, tempPrefix) {
			found = append(found, "mount "+strings.Fields(line)[4])
		}
	}
	for _, root := range hierarchies() {
		if path := filepath.Join(root, cgroupOf(j.ID)); exists(path) {
			found = append(found, "cgroup "+path)
		}
	}
	for _, p := range j.live() {
		found = append(found, fmt.Sprintf("process %d %s", p.PID, p.Component))
	}
	// The shims' and the pods' environments say nothing of the cluster: their cgroups
	// do. Other tests may have nodes of their own meanwhile.
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range groups {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), cgroupOf(j.ID)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, "process "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Name, "node") || strings.HasPrefix(link.Name, "br0") {
			found = append(found, "interface "+link.Name)
		}
	}
	for _, path := range []string{"/var/lib/kubelet", "/var/log/pods", "/run/containerd", "/var/lib/cni"} {
		if exists(path) && !hadBefore[path] {
			found = append(found, path)
		}
	}
	return found
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// hadBefore are folders that another container runtime of this machine has made.
var hadBefore = func() map[string]bool {
	had := map[string]bool{}
	for _, path := range []string{"/var/lib/kubelet", "/var/log/pods", "/run/containerd", "/var/lib/cni"} {
		had[path] = exists(path)
	}
	return had
}()

func TestNode(t *testing.T) {
	needNode(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	sysctls := readSysctls(t)
	state := filepath.Join(t.TempDir(), "state")
	c, err := Start(t.Context(), Options{Network: true, State: state, Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Stop(context.Background(), state); err != nil {
			t.Error(err)
		}
	})
	n, err := c.StartNode(t.Context(), NodeOptions{Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	probeImage(t, n)
	namespace(t, c, "web", object{"pod-security.kubernetes.io/enforce": "restricted"})
	a := startPod(t, c, "web", restricted("a", n, "serve", "8080"))
	startPod(t, c, "web", restricted("b", n, "wait"))

	t.Run("logs", func(t *testing.T) {
		within(t, 5*time.Second, "the pod's log", func() bool {
			var log []byte
			err := c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/web/pods/a/log", nil, &log)
			return err == nil && string(log) == "serving as 65532\n"
		})
	})
	t.Run("exec, and from pod to pod", func(t *testing.T) {
		if out, err := podExec(t, c, "web", "b", "dial", a+":8080"); err != nil || out != "a" {
			t.Errorf("%q, %v", out, err)
		}
		if out, err := podExec(t, c, "web", "b", "dial", a+":8081"); err == nil {
			t.Errorf("a port on which nobody listens answers %q", out)
		}
	})
	t.Run("from pod to API server", func(t *testing.T) {
		for _, url := range []string{n.APIServer, "https://" + serviceIP} {
			// With the token of its ServiceAccount, which may not list Secrets.
			out, err := podExec(t, c, "web", "b", "api", url+"/api/v1/secrets")
			if err != nil || !strings.HasPrefix(out, "403") || !strings.Contains(out, "system:serviceaccount:web:default") {
				t.Errorf("%s: %q, %v", url, out, err)
			}
		}
	})
	t.Run("a Service", func(t *testing.T) {
		var service struct{ Spec struct{ ClusterIP string } }
		err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/web/services", object{
			"metadata": object{"name": "a"},
			"spec":     object{"selector": object{"app": "a"}, "ports": []object{{"port": 80, "targetPort": 8080}}},
		}, &service)
		if err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "an answer from the Service", func() bool {
			out, err := podExec(t, c, "web", "b", "dial", service.Spec.ClusterIP+":80")
			return err == nil && out == "a"
		})
	})
	t.Run("dial", func(t *testing.T) {
		for from, dial := range map[string]func(context.Context, string, string) (net.Conn, error){"node": n.Dial, "control plane": c.Dial} {
			conn, err := dial(t.Context(), "tcp", a+":8080")
			if err != nil {
				t.Errorf("from the %s: %v", from, err)
				continue
			}
			answer := make([]byte, 8)
			if got, err := conn.Read(answer); err != nil || string(answer[:got]) != "a\n" {
				t.Errorf("from the %s: %q, %v", from, answer[:got], err)
			}
			conn.Close()
		}
		// From outside it is somebody else's address, or nobody's.
		if conn, err := net.DialTimeout("tcp", a+":8080", 300*time.Millisecond); err == nil {
			answer := make([]byte, 8)
			_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
			if got, _ := conn.Read(answer); string(answer[:got]) == "a\n" {
				t.Error("the pod can be reached from outside the cluster's network")
			}
			conn.Close()
		}
	})
	t.Run("listen", func(t *testing.T) {
		l, err := c.Listen(t.Context(), "tcp", c.IP()+":0")
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
		server.Start()
		defer server.Close()
		if out, err := podExec(t, c, "web", "b", "api", server.URL); err != nil || !strings.HasPrefix(out, "404") {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("kubelet refuses strangers", func(t *testing.T) { strangers(t, c, n) })
	t.Run("second node", func(t *testing.T) { secondNode(t, c, a) })
	t.Run("runtime classes", func(t *testing.T) { runtimeClasses(t, c, n) })
	t.Run("nodes", func(t *testing.T) {
		other, err := Open(state)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Cluster{c, other} {
			nodes := c.Nodes()
			if len(nodes) != 1 || nodes[0].IP != n.IP || nodes[0].APIServer != n.APIServer {
				t.Fatalf("%+v", nodes)
			}
			conn, err := nodes[0].Dial(t.Context(), "tcp", a+":8080")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		if _, err := c.StartNode(t.Context(), NodeOptions{Name: n.Name}); err == nil || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("a second node of the same name: %v", err)
		}
		if _, err := c.StartNode(t.Context(), NodeOptions{Name: "../x"}); err == nil || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("a bad name: %v", err)
		}
	})
	t.Run("stop", func(t *testing.T) {
		begin := time.Now()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		t.Logf("stopped in %s", since(begin))
		if left := traces(t, c.journal); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if after := readSysctls(t); after != sysctls {
			t.Errorf("the machine's settings changed from %q to %q", sysctls, after)
		}
		if exists(filepath.Join(state, "nodes", n.Name)) {
			t.Error("the node's files are still there")
		}
	})
	t.Run("again", func(t *testing.T) {
		// A node of the same name comes back as after a reboot with an empty disk.
		c, err := Start(t.Context(), Options{Network: true, State: state})
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.StartNode(t.Context(), NodeOptions{Name: n.Name})
		if err != nil {
			t.Fatal(err)
		}
		probeImage(t, n)
		startPod(t, c, "web", restricted("again", n, "wait"))
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := traces(t, c.journal); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// readSysctls returns what a kubelet would set for the whole machine.
func readSysctls(t *testing.T) string {
	t.Helper()
	var all []string
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"} {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+"="+strings.TrimSpace(string(b)))
	}
	return strings.Join(all, " ")
}

// kubeletAnswers returns the status of a stranger's request to a kubelet.
func kubeletAnswers(t *testing.T, c *Cluster, n *Node, url string) (int, error) {
	t.Helper()
	pool, err := c.pool("ca")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: c.Dial, TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

func strangers(t *testing.T, c *Cluster, n *Node) {
	if status, err := kubeletAnswers(t, c, n, "https://"+n.IP+":10250/pods"); status != http.StatusUnauthorized {
		t.Errorf("%d, %v", status, err)
	}
	if status, err := kubeletAnswers(t, c, n, "http://"+n.IP+":10255/pods"); err == nil {
		t.Errorf("the read-only port answers %d", status)
	}
}

// secondNode starts a node that is broken on purpose, and reaches a pod of the first one
// from a pod there.
func secondNode(t *testing.T, c *Cluster, a string) {
	n, err := c.StartNode(t.Context(), NodeOptions{Name: "weak", Log: testLog{t}, ExtraKubeletConfig: map[string]any{
		"readOnlyPort":   10255,
		"authentication": map[string]any{"anonymous": map[string]bool{"enabled": true}},
		"authorization":  map[string]any{"mode": "AlwaysAllow"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	probeImage(t, n)
	if status, err := kubeletAnswers(t, c, n, "https://"+n.IP+":10250/pods"); status != http.StatusOK {
		t.Errorf("%d, %v", status, err)
	}
	if status, err := kubeletAnswers(t, c, n, "http://"+n.IP+":10255/pods"); status != http.StatusOK {
		t.Errorf("%d, %v", status, err)
	}
	startPod(t, c, "web", restricted("far", n, "wait"))
	if out, err := podExec(t, c, "web", "far", "dial", a+":8080"); err != nil || out != "a" {
		t.Errorf("from node to node: %q, %v", out, err)
	}
	begin := time.Now()
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped the node in %s", since(begin))
	if exists(n.Root) {
		t.Errorf("%s is still there", n.Root)
	}
	for _, path := range []string{"/api/v1/nodes/weak", "/api/v1/namespaces/web/pods/far"} {
		var status *StatusError
		if err := c.Do(t.Context(), http.MethodGet, path, nil, nil); !errors.As(err, &status) || status.Code != http.StatusNotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func runtimeClasses(t *testing.T, c *Cluster, n *Node) {
	const classes = "/apis/node.k8s.io/v1/runtimeclasses"
	if err := c.Do(t.Context(), http.MethodPost, classes, object{"metadata": object{"name": "alt"}, "handler": "runc-alt"}, nil); err != nil {
		t.Fatal(err)
	}
	pod := restricted("alt", n, "wait")
	pod["spec"].(object)["runtimeClassName"] = "alt"
	startPod(t, c, "web", pod)
}

// TestNodeKilled kills the process that started a cluster with a node and a pod: the
// kernel ends all of it, and a sweep removes what is left.
func TestNodeKilled(t *testing.T) {
	needNode(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cmd, dir := startTestChild(t, "node")
	j, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t, j)
	if len(before) < 6 { // four components, a node's first process, cgroups
		t.Fatalf("there is only %q", before)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	begin := time.Now()
	within(t, 5*time.Second, "everything dies with its starter", func() bool {
		for _, trace := range traces(t, j) {
			if !strings.HasPrefix(trace, "cgroup ") {
				return false
			}
		}
		return true
	})
	t.Logf("all processes ended %s after their starter", since(begin))
	sweep(t.Context(), tmp)
	if left := traces(t, j); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
