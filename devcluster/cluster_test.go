//go:build linux

package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCluster starts one cluster for all its parts.
func TestCluster(t *testing.T) {
	binary := needBinary(t)
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:9") // must not matter
	begin := time.Now()
	c, err := Start(t.Context(), Options{
		Binary:      binary,
		Log:         testLog{t},
		PodSecurity: PodSecurity{Warn: "baseline", ExemptNamespaces: []string{"exempt"}},
		// As many Nodes as here would otherwise be called Unknown meanwhile.
		ExtraControllerManagerArgs: []string{"--controllers=*,-node-lifecycle-controller"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %s", time.Since(begin).Round(10*time.Millisecond))
	stop := func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)

	t.Run("ready", func(t *testing.T) {
		var answer []byte
		if err := c.Do(t.Context(), http.MethodGet, "/readyz", nil, &answer); err != nil || string(answer) != "ok" {
			t.Errorf("/readyz: %q, %v", answer, err)
		}
		if version, err := c.Version(t.Context()); err != nil || !strings.HasPrefix(version, "v1.") {
			t.Errorf("version: %q, %v", version, err)
		}
		for _, component := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
			if c.PIDs()[component] == 0 {
				t.Errorf("%s has no process", component)
			}
			if c.Logs(component, 1) == "" {
				t.Errorf("%s has no log", component)
			}
		}
	})
	t.Run("loopback only", func(t *testing.T) { loopbackOnly(t, c) })
	t.Run("pod security", func(t *testing.T) { podSecurity(t, c) })
	t.Run("encryption at rest", func(t *testing.T) { encryptionAtRest(t, c) })
	t.Run("audit log", func(t *testing.T) { auditLog(t, c) })
	t.Run("identities", func(t *testing.T) { identities(t, c) })
	t.Run("no anonymous requests", func(t *testing.T) { noAnonymous(t, c) })
	t.Run("nodes", func(t *testing.T) { nodes(t, c) })
	t.Run("open", func(t *testing.T) {
		other, err := Open(c.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if other.RESTHost != c.RESTHost || other.Kubeconfig != c.Kubeconfig {
			t.Errorf("got %+v", other)
		}
		if err := other.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("restart", func(t *testing.T) { restart(t, c) })
	t.Run("in use", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Binary: binary, State: c.Dir})
		if err == nil || !strings.Contains(err.Error(), "hint: stop it first") {
			t.Errorf("a second start in the folder: %v", err)
		}
		if err := c.Ready(t.Context()); err != nil {
			t.Errorf("the first did not survive it: %v", err)
		}
	})
	t.Run("stop", func(t *testing.T) {
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(context.Background()) }()
		begin := time.Now()
		stop()
		t.Logf("stopped in %s", time.Since(begin).Round(10*time.Millisecond))
		if err := <-waited; err != nil {
			t.Errorf("Wait: %v", err)
		}
		gone(t, c.journal)
		if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, err := Open(c.Dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Open: %v", err)
		}
		stop() // again
	})
}

// restart kills the API server and starts it again: a new process in the old one's
// place, the same data.
func restart(t *testing.T, c *Cluster) {
	before := c.PIDs()
	if err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": "stays"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartAPIServer(t.Context(), os.Kill); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/stays", nil, nil); err != nil {
		t.Error(err)
	}
	for component, pid := range c.PIDs() {
		if (pid != before[component]) != (component == APIServer) {
			t.Errorf("%s was process %d and is %d", component, before[component], pid)
		}
	}
	other, err := Open(c.Dir)
	if err != nil {
		t.Fatalf("the journal does not know the new process: %v", err)
	}
	if err := other.RestartAPIServer(t.Context(), os.Kill); err == nil {
		t.Error("a cluster that was found can be restarted, with which arguments?")
	}
}

// loopbackOnly looks at the sockets that the components listen on.
func loopbackOnly(t *testing.T, c *Cluster) {
	ours := map[string]bool{}
	for _, pid := range c.PIDs() {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:[") {
				ours[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	const listening, loopback = "0A", "0100007F"
	seen := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(table)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listening || !ours[f[9]] {
				continue
			}
			seen++
			if address, _, _ := strings.Cut(f[1], ":"); address != loopback {
				t.Errorf("a component listens on %s", f[1])
			}
		}
	}
	if seen < 4 { // two of etcd, and one each
		t.Errorf("only %d listening sockets seen", seen)
	}
}

func pod(name string, privileged bool) object {
	container := object{"name": "c", "image": "registry.invalid/none"}
	if privileged {
		container["securityContext"] = object{"privileged": true}
	} else {
		container["securityContext"] = object{
			"allowPrivilegeEscalation": false, "runAsNonRoot": true,
			"capabilities": object{"drop": []string{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"},
		}
	}
	return object{"metadata": object{"name": name}, "spec": object{"containers": []object{container}}}
}

func namespace(t *testing.T, c *Cluster, name string, labels object) {
	t.Helper()
	err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": name, "labels": labels}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "a ServiceAccount in "+name, func() bool {
		return c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+name+"/serviceaccounts/default", nil, nil) == nil
	})
}

func podSecurity(t *testing.T, c *Cluster) {
	restricted := object{"pod-security.kubernetes.io/enforce": "restricted"}
	namespace(t, c, "locked", restricted)
	namespace(t, c, "exempt", restricted)
	namespace(t, c, "loose", nil)
	for _, test := range []struct {
		namespace           string
		privileged, refused bool
	}{
		{"locked", true, true},
		{"locked", false, false},
		{"exempt", true, false},
		{"loose", true, false},
	} {
		err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+test.namespace+"/pods?dryRun=All", pod("p", test.privileged), nil)
		var status *StatusError
		switch {
		case !test.refused && err != nil:
			t.Errorf("%+v: %v", test, err)
		case test.refused && (!errors.As(err, &status) || status.Code != 403 || !strings.Contains(status.Message, "violates PodSecurity")):
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func encryptionAtRest(t *testing.T, c *Cluster) {
	const secret, plain = "cipherMarker6180339887", "plainMarker2718281828"
	for _, o := range []struct{ kind, field, value string }{
		{"secrets", "stringData", secret},
		{"configmaps", "data", plain},
	} {
		err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/default/"+o.kind, object{
			"metadata": object{"name": "marker"}, o.field: object{"k": o.value},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if found := inFiles(t, filepath.Join(c.Dir, "etcd"), secret); len(found) > 0 {
		t.Errorf("the Secret is readable in %v", found)
	}
	// That the ConfigMap is readable shows that the search would have found the Secret.
	for _, text := range []string{plain, "k8s:enc:aescbc:v1:key1:"} {
		if found := inFiles(t, filepath.Join(c.Dir, "etcd"), text); len(found) == 0 {
			t.Errorf("%q is nowhere in etcd's files", text)
		}
	}
	var back struct {
		Data map[string][]byte `json:"data"`
	}
	if err := c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/default/secrets/marker", nil, &back); err != nil || string(back.Data["k"]) != secret {
		t.Errorf("read back: %q, %v", back.Data, err)
	}
}

func inFiles(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func auditLog(t *testing.T, c *Cluster) {
	namespace(t, c, "audited", nil)
	err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/audited/secrets", object{
		"metadata": object{"name": "watched"}, "stringData": object{"k": "auditMarker"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log []byte
	within(t, 5*time.Second, "audit event", func() bool {
		log, _ = os.ReadFile(c.AuditLog)
		return bytes.Contains(log, []byte(`"requestURI":"/api/v1/namespaces/audited/secrets"`))
	})
	if !bytes.Contains(log, []byte(`"user":{"username":"admin"`)) {
		t.Error("no event names its user")
	}
	if bytes.Contains(log, []byte("auditMarker")) || bytes.Contains(log, []byte("YXVkaXRNYXJrZXI")) {
		t.Error("the audit log holds a Secret's value")
	}
}

func identities(t *testing.T, c *Cluster) {
	const user = "eve: \"quoted\" <eve@example.com>"
	client, err := c.HTTPClientFor(user, "visitors")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	err = c.do(t.Context(), client, http.MethodGet, "/api/v1/secrets", nil, nil)
	var status *StatusError
	if !errors.As(err, &status) || status.Code != http.StatusForbidden || !strings.Contains(status.Message, "eve") {
		t.Errorf("a visitor lists Secrets: %v", err)
	}
	if _, err := c.KubeconfigFor(""); err == nil {
		t.Error("a kubeconfig for nobody")
	}
	kubeconfig, err := c.KubeconfigFor(user, "visitors")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(kubeconfig); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	who, err := c.Kubectl(t.Context(), "--kubeconfig", kubeconfig, "auth", "whoami", "-o", "json")
	if err != nil || !bytes.Contains(who, []byte(`eve: \"quoted\"`)) || !bytes.Contains(who, []byte(`"visitors"`)) {
		t.Errorf("whoami: %s, %v", who, err)
	}
	_, err = c.Kubectl(t.Context(), "--kubeconfig", kubeconfig, "get", "secrets")
	if err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("kubectl get secrets: %v", err)
	}
	if out, err := c.Kubectl(t.Context(), "get", "namespace", "default", "-o", "name"); err != nil || string(out) != "namespace/default\n" {
		t.Errorf("kubectl as the administrator: %q, %v", out, err)
	}
}

func noAnonymous(t *testing.T, c *Cluster) {
	ca, err := authority(t.TempDir(), "ca", "stranger")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.issue(subject{name: "admin", groups: []string{"system:masters"}, client: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]*keyPair{"no certificate": {cert: stranger.cert}, "another CA's": stranger} {
		client, err := c.httpClient("ca", pair)
		if err != nil {
			t.Fatal(err)
		}
		if name == "no certificate" {
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
		}
		err = c.do(t.Context(), client, http.MethodGet, "/api", nil, nil)
		client.CloseIdleConnections()
		var status *StatusError
		if !errors.As(err, &status) || status.Code != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func nodes(t *testing.T, c *Cluster) {
	const n = 100
	begin := time.Now()
	names, err := c.RegisterNodes(t.Context(), n, func(i int, node map[string]any) {
		if i == 7 {
			node["metadata"].(object)["labels"].(object)["pool"] = "odd"
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes in %s", n, time.Since(begin).Round(time.Millisecond))
	if len(names) != n || names[7] != "node-00007" {
		t.Errorf("%d names, %q", len(names), names[7])
	}
	var list struct {
		Items []struct {
			Status struct {
				Conditions []struct{ Type, Status string }
				NodeInfo   struct{ KubeletVersion string }
			}
		}
	}
	if err := c.Do(t.Context(), http.MethodGet, "/api/v1/nodes?labelSelector=kubernetes.io/os%3Dlinux", nil, &list); err != nil {
		t.Fatal(err)
	}
	ready := 0
	for _, node := range list.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" && node.Status.NodeInfo.KubeletVersion != "" {
				ready++
			}
		}
	}
	if ready != n {
		t.Errorf("%d of %d nodes are Ready", ready, len(list.Items))
	}
	if again, err := c.RegisterNodes(t.Context(), 3, nil); err != nil || len(again) != 3 {
		t.Errorf("again: %v, %v", again, err)
	}
	if err := c.Do(t.Context(), http.MethodGet, "/api/v1/nodes?labelSelector=pool%3Dodd", nil, &list); err != nil || len(list.Items) != 1 {
		t.Errorf("change was not taken: %d, %v", len(list.Items), err)
	}
}
