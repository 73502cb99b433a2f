//go:build linux

package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// childVariable makes the test program a process that starts a cluster, so that tests
// can end that process as they like: "attached" waits for its end, "node" does too and has
// a node with a static pod, "detached" exits.
const childVariable = "BAILEY_DEVCLUSTER_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		os.Exit(child(mode))
	}
	os.Exit(m.Run())
}

// child starts a cluster, in the folder that is its only argument or in a temporary
// one, and prints the folder.
func child(mode string) int {
	o := Options{Log: os.Stderr, Detach: mode == "detached", Network: mode == "node"}
	if len(os.Args) > 1 {
		o.State = os.Args[1]
	}
	c, err := Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if mode == "node" {
		if err := childNode(c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Println(c.Dir)
	if mode != "detached" {
		time.Sleep(time.Minute) // the test kills it long before
	}
	return 0
}

// childNode gives the cluster a node with a pod that runs.
func childNode(c *Cluster) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := c.StartNode(ctx, NodeOptions{Log: os.Stderr})
	if err != nil {
		return err
	}
	pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "static", "namespace": "default"}, "spec": object{
		"containers": []object{{"name": "c", "image": pauseImage, "imagePullPolicy": "Never"}},
	}}
	if err := writeJSON(filepath.Join(n.Root, "etc/kubernetes/manifests/static.json"), pod); err != nil {
		return err
	}
	return c.await(ctx, "the static pod runs", func(ctx context.Context) error {
		var got struct{ Status struct{ Phase string } }
		err := c.Do(ctx, http.MethodGet, "/api/v1/namespaces/default/pods/static-"+n.Name, nil, &got)
		if err == nil && got.Status.Phase != "Running" {
			err = fmt.Errorf("it is %s", got.Status.Phase)
		}
		return err
	})
}

// needBinary returns the control plane program, and skips the test with -short.
func needBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	binary, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// testLog writes progress to a test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// within polls until ok, and fails the test after the limit.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// gone fails the test when anything of the cluster still runs.
func gone(t *testing.T, j journal) {
	t.Helper()
	for _, p := range j.live() {
		t.Errorf("%s (pid %d) still runs", p.Component, p.PID)
	}
}
