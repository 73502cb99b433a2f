package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
)

// directWriteArgs let the prover write past the API server, with the log given.
func directWriteArgs(cluster *devcluster.Cluster, log string) []string {
	pki := func(name string) string { return filepath.Join(cluster.PKI, name) }
	return []string{"access/api-bypass", "--allow-disruptive", "--audit-log", log,
		"--etcd", cluster.Etcd, "--etcd-ca", pki("etcd-ca.crt"), "--etcd-cert", pki("etcd-client.crt"), "--etcd-key", pki("etcd-client.key")}
}

// originOf runs the prover and gives what the direct write came to.
func originOf(t *testing.T, cluster *devcluster.Cluster, log string) proved {
	t.Helper()
	args := append([]string{"prove", "--kubeconfig", cluster.Kubeconfig, "--quick", "-o", "json"}, directWriteArgs(cluster, log)...)
	out, errs, code := program(t, args...)
	var all struct{ Results []proved }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("exit %d: %s: %v", code, errs, err)
	}
	for _, p := range all.Results {
		if p.Experiment == "direct-write-told" {
			if len(p.LeftBehind) > 0 || len(p.Probes) != 1 {
				t.Errorf("%+v", p)
			}
			return p
		}
	}
	t.Fatalf("no direct write: %s%s", out, errs)
	return proved{}
}

// TestDirectWrite writes into etcd past the API server, and wants the audit log to
// tell it; not where somebody wrote a request for it into the log.
func TestDirectWrite(t *testing.T) {
	cluster := devclustertest.Own(t)
	if p := originOf(t, cluster, cluster.AuditLog); p.Outcome != prove.Held || p.Held != 1 {
		t.Errorf("%s: %+v", p.Outcome, p.Probes)
	}
	if left := leftOf(t, cluster); left != "" {
		t.Errorf("it left %s", left)
	}

	forged := forgingForwarder(t, cluster)
	p := originOf(t, cluster, forged)
	if p.Outcome != prove.Broken || !strings.Contains(strings.Join(p.Probes[0].Why, ";"), "holds a request that made it") {
		t.Errorf("with a forged record it is %s: %+v", p.Outcome, p.Probes)
	}

	_, errs, code := program(t, "prove", "access/api-bypass", "--allow-disruptive", "--kubeconfig", cluster.Kubeconfig, "--quick", "--explain")
	if code != exitOK {
		t.Errorf("--explain ends with %d: %s", code, errs)
	}
}

// forgingForwarder copies the audit log as it grows, and adds a record that a
// ConfigMap was made for each that is looked at.
func forgingForwarder(t *testing.T, cluster *devcluster.Cluster) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forwarded.log")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(cluster.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Seek(0, 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done; _ = from.Close(); _ = to.Close() })
	go func() {
		defer close(done)
		var rest []byte
		buffer := make([]byte, 64<<10)
		for ctx.Err() == nil {
			n, _ := from.Read(buffer)
			rest = append(rest, buffer[:n]...)
			end := bytes.LastIndexByte(rest, '\n') + 1
			whole := bytes.Clone(rest[:end])
			rest = rest[end:]
			for line := range bytes.Lines(whole) {
				_, _ = to.Write(line)
				var e struct {
					Verb      string
					ObjectRef struct{ Resource, Namespace, Name string }
				}
				if json.Unmarshal(line, &e) == nil && e.Verb == "get" && e.ObjectRef.Resource == "configmaps" {
					var event map[string]any
					_ = json.Unmarshal(line, &event)
					event["verb"], event["responseStatus"] = "create", map[string]any{"code": 201}
					forged, _ := json.Marshal(event)
					fmt.Fprintf(to, "%s\n", forged)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return path
}

// TestDirectWriteUnseen leaves ConfigMaps out of the audit policy: nothing can be told.
func TestDirectWriteUnseen(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("starts a control plane of its own: BAILEY_SOAK=1")
	}
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{AuditPolicy: `apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: None, resources: [{group: "", resources: [configmaps]}]}, {level: Metadata}]
`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := originOf(t, cluster, cluster.AuditLog)
	if p.Outcome != prove.Inconclusive || !strings.Contains(p.Why, "its policy may not record them") {
		t.Errorf("%s: %s", p.Outcome, p.Why)
	}
	if left := leftOf(t, cluster); left != "" {
		t.Errorf("it left %s", left)
	}
}
