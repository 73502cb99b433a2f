package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
)

// TestKilled kills a prover with -9 at one step after the other of an isolated
// experiment, as the journal shows them. The reaper then leaves nothing, and the
// evidence says that the run was interrupted. Here a few steps must do; see
// TestKilledAtEveryStep.
func TestKilled(t *testing.T) {
	cluster := devclustertest.Own(t)
	killed(t, cluster, []int{1, 2, 3, 4, 6, 9}, "access/service-accounts")
}

// TestKilledDirectWrite does the same to one that writes into etcd past the API
// server: around the lines that announce the written object and say that it is there.
func TestKilledDirectWrite(t *testing.T) {
	cluster := devclustertest.Own(t)
	killed(t, cluster, []int{7, 8}, directWriteArgs(cluster, cluster.AuditLog)...)
}

// TestKilledAtEveryStep does so at every step of every experiment that acts, on nodes
// where it needs pods.
func TestKilledAtEveryStep(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes an hour: make soak, or BAILEY_SOAK=1")
	}
	for _, c := range controls.All() {
		for _, x := range c.Experiments {
			if x.Danger != bailey.DangerIsolated && x.Danger != bailey.DangerDisruptive {
				continue
			}
			t.Run(c.ID+" "+x.Name, func(t *testing.T) {
				args := []string{c.ID}
				var cluster *devcluster.Cluster
				if !slices.Contains(x.Places, bailey.PlaceNode) {
					cluster = devclustertest.Own(t)
				} else {
					var first *devcluster.Node
					cluster, first = devclustertest.SharedNode(t)
					second, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if err := second.Stop(context.Background()); err != nil {
							t.Error(err)
						}
					})
					devclustertest.ImportBailey(t, cluster, first, second)
					kubectl(t, cluster, "apply", "-f", runtimeClass(t))
					args = append(args, "--probe-image", devclustertest.BaileyImage)
				}
				if slices.Contains(x.Places, bailey.PlaceEtcd) {
					args = directWriteArgs(cluster, cluster.AuditLog)
				}
				killed(t, cluster, nil, args...)
			})
		}
	}
}

// runtimeClass gives a manifest of a class that calls itself a sandbox, so that it is tried.
func runtimeClass(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "class.yaml")
	const class = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: sandboxed}, handler: runc-alt}"
	if err := os.WriteFile(path, []byte(class), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// killed kills the prover when its journal has so many lines, each time after it was
// cleaned up after; with nil at each line until it ends by itself.
func killed(t *testing.T, cluster *devcluster.Cluster, lines []int, args ...string) {
	t.Helper()
	state := t.TempDir()
	prover := append([]string{"prove", "--isolated", "--kubeconfig", cluster.Kubeconfig, "--repeat", "1", "-o", "json"}, args...)
	interrupted, evidenced := 0, 0
	for i := 0; lines == nil || i < len(lines); i++ {
		at := i + 1
		if lines != nil {
			at = lines[i]
		}
		ended := killAt(t, state, at, prover...)
		begun := underWay(t, state)
		out, errs, code := programIn(t, state, "prove", "--reap", "--kubeconfig", cluster.Kubeconfig)
		if code != exitOK {
			t.Fatalf("killed after %d lines, the reaper ended with %d: %s%s", at, code, out, errs)
		}
		if left := leftOf(t, cluster); left != "" {
			t.Fatalf("killed after %d lines of the journal, it left %s", at, left)
		}
		if journals, _ := filepath.Glob(filepath.Join(state, "bailey", "*", "runs", "*")); len(journals) > 0 {
			t.Fatalf("killed after %d lines, the journal stays: %v", at, journals)
		}
		interrupted += begun
		if evidenced = saidInterrupted(t, state); evidenced != interrupted {
			t.Fatalf("killed after %d lines: %d experiments were cut off so far, and %d pieces of evidence say so", at, interrupted, evidenced)
		}
		if ended {
			t.Logf("the run's journal has %d lines", at-1)
			break
		}
	}
	if interrupted == 0 {
		t.Error("no experiment was ever cut off")
	}
}

// underWay counts the experiments, one at most, that the journal of a run which was killed
// says to have begun and not to have ended.
func underWay(t *testing.T, state string) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(state, "bailey", "*", "runs", "*.jsonl"))
	if err != nil || len(paths) > 1 {
		t.Fatalf("%v %v", paths, err)
	}
	if len(paths) == 0 {
		return 0
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1] // half a line was not done
	return bytes.Count(data, []byte(`,"unit":{`)) - bytes.Count(data, []byte(`,"done":true`))
}

// saidInterrupted counts the pieces of evidence that say that an experiment was cut off.
func saidInterrupted(t *testing.T, state string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "bailey", "*", "evidence", "*.dsse.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		key, err := readPublicKeys([]string{filepath.Join(filepath.Dir(file), "..", "evidence.pub")})
		if err != nil {
			t.Fatal(err)
		}
		s, err := prove.LoadFile(t.Context(), file, key)
		if err != nil {
			t.Fatal(err)
		}
		if s.Predicate.Evidence.Interrupted {
			n++
		}
	}
	return n
}

// killAt runs the program and kills it once its journal has so many lines. It
// reports whether the program ended by itself before.
func killAt(t *testing.T, state string, lines int, args ...string) (ended bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asBailey+"=1", "XDG_STATE_HOME="+state)
	cmd.Dir = t.TempDir()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if code := cmd.ProcessState.ExitCode(); code != exitOK && code != exitFindings { // this platform need not be sound
				t.Fatalf("the prover ended with %d (%v): %s", code, err, errs.String())
			}
			return true
		case <-time.After(time.Millisecond):
		}
		journals, _ := filepath.Glob(filepath.Join(state, "bailey", "*", "runs", "*.jsonl"))
		for _, path := range journals {
			data, err := os.ReadFile(path)
			if err == nil && bytes.Count(data, []byte("\n")) >= lines {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				<-done
				return false
			}
		}
	}
}

// leftOf names what bears a run's label, or a probe's name, in the cluster.
func leftOf(t *testing.T, cluster *devcluster.Cluster) string {
	t.Helper()
	var left []string
	for _, path := range []string{"/api/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		"/apis/certificates.k8s.io/v1/certificatesigningrequests", "/api/v1/pods", "/api/v1/serviceaccounts", "/api/v1/configmaps"} {
		var list struct {
			Items []struct {
				Metadata struct {
					Name, Namespace string
					Labels          map[string]string
				}
			}
		}
		var data []byte
		if err := cluster.Do(t.Context(), "GET", path, nil, &data); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if m := item.Metadata; m.Labels["bailey.dev/run"] != "" {
				left = append(left, fmt.Sprintf("%s %s/%s", filepath.Base(path), m.Namespace, m.Name))
			}
		}
	}
	return strings.Join(left, ", ")
}
