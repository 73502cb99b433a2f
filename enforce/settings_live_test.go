package enforce_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/enforce"
)

// unseen is the plan for a cluster of whose components nothing was seen.
func unseen(t *testing.T) *enforce.Plan {
	t.Helper()
	plan, err := enforce.Make(bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion}).Snapshot(), controls.All())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// settingsIn writes the files of a plan's settings, with a key, and gives the flags of a
// component that name them there.
func settingsIn(t *testing.T, plan *enforce.Plan, folder string) (flags func(component string) []string) {
	t.Helper()
	files, err := plan.RenderSettings()
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(bailey.SettingsFolder), []byte(filepath.Join(folder, "control-plane")))
		text = bytes.ReplaceAll(text, []byte(bailey.KeyHere), []byte(base64.StdEncoding.EncodeToString(key)))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// These name places of a machine, and devcluster has its own.
	own := []string{"audit-log-path", "kubelet-certificate-authority"}
	return func(component string) []string {
		var args []string
		for _, s := range plan.SettingsOf(component) {
			value, isText := s.Value.(string)
			if isText && !slices.Contains(own, s.Flag) {
				args = append(args, "--"+s.Flag+"="+strings.ReplaceAll(value, bailey.SettingsFolder, filepath.Join(folder, "control-plane")))
			}
		}
		return args
	}
}

// TestSettingsLive starts a control plane with every file and flag that is written out
// for one of which nothing was seen, and holds it to what they are for.
func TestSettingsLive(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	flags := settingsIn(t, unseen(t), t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{State: filepath.Join(t.TempDir(), "state"),
		ExtraAPIServerArgs: flags("kube-apiserver"), ExtraControllerManagerArgs: flags("kube-controller-manager")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	t.Run("strangers", func(t *testing.T) { strangersOnHealthPathsOnly(t, cluster) })
	t.Run("authorizers", func(t *testing.T) { authorizersInOrder(t, cluster) })
	t.Run("stored", func(t *testing.T) { storedUnderTheKey(t, cluster) })
	t.Run("old TLS", func(t *testing.T) { oldTLSRefused(t, cluster) })
	t.Run("audit", func(t *testing.T) { changesAudited(t, cluster) })
	t.Run("flags", func(t *testing.T) {
		for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
			help, _ := exec.CommandContext(ctx, cluster.Binary, component, "--help").CombinedOutput()
			for _, s := range unseen(t).SettingsOf(component) {
				for _, flag := range append([]string{s.Flag}, s.Replaces...) {
					if !strings.Contains(string(help), "--"+flag+" ") && !strings.Contains(string(help), "--"+flag+"\n") && !strings.Contains(string(help), "--"+flag+"=") {
						t.Errorf("%s has no flag --%s", component, flag)
					}
				}
			}
		}
	})
}

func strangersOnHealthPathsOnly(t *testing.T, cluster *devcluster.Cluster) {
	stranger := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer stranger.CloseIdleConnections()
	for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/healthz": 200, "/api": 401, "/version": 401, "/apis": 401,
		"/metrics": 401, "/readyz/../api": 401, "/openapi/v3": 401, "/api/v1/namespaces/kube-public/configmaps/cluster-info": 401} {
		response, err := stranger.Get(cluster.RESTHost + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s as a stranger: %d, want %d", path, response.StatusCode, want)
		}
	}
}

func authorizersInOrder(t *testing.T, cluster *devcluster.Cluster) {
	ask := func(user string, groups []string, attributes map[string]any) (allowed bool, reason string) {
		t.Helper()
		var answer struct {
			Status struct {
				Allowed bool
				Reason  string
			}
		}
		review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
			"spec": map[string]any{"user": user, "groups": groups, "resourceAttributes": attributes}}
		if err := cluster.Do(t.Context(), http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Status.Allowed, answer.Status.Reason
	}
	secret := map[string]any{"verb": "get", "resource": "secrets", "namespace": "default", "name": "s"}
	if allowed, reason := ask("system:node:n1", []string{"system:nodes"}, secret); allowed || !strings.Contains(reason, "no relationship found between node") {
		t.Errorf("a node and a Secret that it has no use for: %v, %q", allowed, reason)
	}
	if allowed, reason := ask("system:node:n1", []string{"system:nodes"}, map[string]any{"verb": "get", "resource": "nodes", "name": "n1"}); !allowed {
		t.Errorf("a node and itself: %q", reason)
	}
	if allowed, reason := ask("jane", []string{"system:authenticated"}, secret); allowed {
		t.Errorf("somebody without a role: %q", reason)
	}
	if allowed, reason := ask("admin", []string{"system:masters"}, secret); !allowed {
		t.Errorf("an administrator: %q", reason)
	}
}

func storedUnderTheKey(t *testing.T, cluster *devcluster.Cluster) {
	for resource, object := range map[string]map[string]any{
		"secrets":    {"metadata": map[string]any{"name": "hidden"}, "stringData": map[string]any{"marker": "plain-marker"}},
		"configmaps": {"metadata": map[string]any{"name": "hidden"}, "data": map[string]any{"marker": "plain-marker"}},
	} {
		if err := cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/default/"+resource, object, nil); err != nil {
			t.Fatal(err)
		}
		if value := stored(t, cluster, "/registry/"+resource+"/default/hidden"); !bytes.HasPrefix(value, []byte("k8s:enc:secretbox:v1:key1:")) || bytes.Contains(value, []byte("plain-marker")) {
			t.Errorf("%s are stored as %.40q", resource, value)
		}
	}
}

func oldTLSRefused(t *testing.T, cluster *devcluster.Cluster) {
	address := strings.TrimPrefix(cluster.RESTHost, "https://")
	for _, c := range []struct {
		name   string
		config *tls.Config
		works  bool
	}{
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"no forward secrecy", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		{"CBC", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, true},
	} {
		c.config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", address, c.config)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != c.works {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// changesAudited finds in the audit log what was done, and no Secret's content.
func changesAudited(t *testing.T, cluster *devcluster.Cluster) {
	role := map[string]any{"metadata": map[string]any{"name": "audited"}, "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}}
	if err := cluster.Do(t.Context(), http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterroles", role, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	seen := map[string]bool{}
	for !seen["role"] || !seen["secret"] {
		file, err := os.Open(cluster.AuditLog)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			if bytes.Contains(lines.Bytes(), []byte("plain-marker")) {
				t.Fatalf("a Secret's content is in the audit log: %s", lines.Bytes())
			}
			var e struct {
				Stage, Verb, Level string
				ObjectRef          struct{ Resource, Name string }
				RequestObject      json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				continue // the last one is being written
			}
			switch {
			case e.Stage == "RequestReceived":
				t.Fatal("the stage RequestReceived is in the log")
			case e.Verb == "create" && e.ObjectRef.Resource == "clusterroles" && bytes.Contains(e.RequestObject, []byte(`"audited"`)):
				seen["role"] = true
			case e.Verb == "create" && e.ObjectRef.Resource == "secrets" && e.Level == "Metadata" && e.RequestObject == nil:
				seen["secret"] = true
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		file.Close()
		select {
		case <-ctx.Done():
			t.Fatalf("the audit log shows only %v", seen)
		case <-tick.C:
		}
	}
}

// stored is what etcd holds under a key.
func stored(t *testing.T, cluster *devcluster.Cluster, key string) []byte {
	t.Helper()
	info := transport.TLSInfo{CertFile: filepath.Join(cluster.PKI, "etcd-client.crt"), KeyFile: filepath.Join(cluster.PKI, "etcd-client.key"), TrustedCAFile: filepath.Join(cluster.PKI, "etcd-ca.crt")}
	config, err := info.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{cluster.Etcd}, TLS: config, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	response, err := client.Get(t.Context(), key)
	if err != nil || len(response.Kvs) != 1 {
		t.Fatalf("%s: %d values, %v", key, len(response.Kvs), err)
	}
	return response.Kvs[0].Value
}
