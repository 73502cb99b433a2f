package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
)

// TestKilled kills a prover with -9 at one step after the other of an isolated
// experiment, as the journal shows them. The reaper then leaves nothing, and the
// evidence says that the run was interrupted. The soak goes through every step;
// here a few must do.
func TestKilled(t *testing.T) {
	cluster := devclustertest.Shared(t)
	state := t.TempDir()
	prover := []string{"prove", "access/service-accounts", "--isolated", "--kubeconfig", cluster.Kubeconfig, "--repeat", "1", "-o", "json"}
	steps := []int{1, 2, 3, 4, 6, 9}
	every := os.Getenv("BAILEY_SOAK") != ""
	interrupted := 0
	for i := 0; every || i < len(steps); i++ {
		lines := i + 1
		if !every {
			lines = steps[i]
		}
		ended := killAt(t, state, lines, prover...)
		out, errs, code := programIn(t, state, "prove", "--reap", "--kubeconfig", cluster.Kubeconfig)
		if code != exitOK {
			t.Fatalf("killed after %d lines, the reaper ended with %d: %s%s", lines, code, out, errs)
		}
		if strings.Contains(errs, "Cleaned up after run") {
			interrupted++
		}
		if left := leftOf(t, cluster); left != "" {
			t.Fatalf("killed after %d lines of the journal, it left %s", lines, left)
		}
		if journals, _ := filepath.Glob(filepath.Join(state, "bailey", "*", "runs", "*")); len(journals) > 0 {
			t.Fatalf("killed after %d lines, the journal stays: %v", lines, journals)
		}
		if ended {
			t.Logf("the run has %d steps", lines-1)
			break
		}
	}
	files, err := filepath.Glob(filepath.Join(state, "bailey", "*", "evidence", "*.dsse.json"))
	if err != nil {
		t.Fatal(err)
	}
	said := 0
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
			said++
		}
	}
	if interrupted == 0 || said == 0 || said > interrupted {
		t.Errorf("%d runs were cut off, and %d pieces of evidence say so", interrupted, said)
	}
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
			if code := cmd.ProcessState.ExitCode(); code != exitOK {
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
		"/apis/certificates.k8s.io/v1/certificatesigningrequests", "/api/v1/pods", "/api/v1/serviceaccounts"} {
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
