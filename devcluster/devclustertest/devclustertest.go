// Package devclustertest gives tests a real control plane: one for the whole run when
// with-cluster started it, else one for each test program, started by the first test
// that asks. Each test takes a namespace of its own.
//
//	func TestMain(m *testing.M) { devclustertest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		cluster := devclustertest.Shared(t)
//		namespace := devclustertest.Namespace(t, nil)
//		...
//
// A test that needs pods that run takes [SharedNode]: a second cluster, with a node, in a
// network of its own. It skips where no node can be started, and says what is missing.
package devclustertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
)

// The variables by which with-cluster tells tests of the cluster of the whole run.
const (
	KubeconfigVariable = "BAILEY_TEST_KUBECONFIG"
	StateVariable      = "BAILEY_TEST_STATE"
)

const (
	startLimit = 3 * time.Minute
	stopLimit  = 30 * time.Second
	callLimit  = 30 * time.Second
)

var shared struct {
	mu      sync.Mutex
	hooked  bool // Main runs
	tried   bool
	cluster *devcluster.Cluster
	err     error
	own     bool // started here
}

// Main runs the tests, stops the cluster that Shared may have started, and exits. Call
// it from TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main without the exit, for a TestMain that has more to do.
func Run(m *testing.M) int {
	shared.mu.Lock()
	shared.hooked = true
	shared.mu.Unlock()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var stop []*devcluster.Cluster
	if shared.own {
		stop = append(stop, shared.cluster)
	}
	if withNode.cluster != nil {
		stop = append(stop, withNode.cluster)
	}
	for _, cluster := range stop {
		if err := cluster.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// Shared returns the cluster for this run. With -short it skips the test; when there is
// no cluster to be had, the test fails and says how to get one. The cluster is not the
// test's own: leave alone what other tests may see.
func Shared(t testing.TB) *devcluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.tried {
		shared.tried = true
		shared.cluster, shared.err = get()
		shared.own = shared.err == nil && os.Getenv(StateVariable) == ""
	}
	if shared.err != nil {
		t.Fatalf("no control plane for this test: %v", shared.err)
	}
	return shared.cluster
}

var errNotHooked = errors.New("nobody would stop it\nhint: func TestMain(m *testing.M) { devclustertest.Main(m) }")

func get() (*devcluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if state := os.Getenv(StateVariable); state != "" {
		cluster, err := devcluster.Open(state)
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", StateVariable, err)
		}
		return cluster, cluster.Ready(ctx)
	}
	if os.Getenv(KubeconfigVariable) != "" {
		return nil, fmt.Errorf("$%s is set without $%s\nhint: with-cluster sets both; tests run on no other cluster", KubeconfigVariable, StateVariable)
	}
	if !shared.hooked {
		return nil, errNotHooked
	}
	return devcluster.Start(ctx, devcluster.Options{})
}

// Own gives a control plane for one test alone, which ends with it: for tests whose
// objects other tests would meet, such as admission policies.
func Own(t testing.TB) *devcluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{})
	if err != nil {
		t.Fatalf("start a control plane: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
	})
	return cluster
}

// Namespace does what NamespaceIn does in the cluster of Shared.
func Namespace(t testing.TB, labels map[string]string) string {
	t.Helper()
	return NamespaceIn(t, Shared(t), labels)
}

// NamespaceIn makes a namespace with these labels (which may be nil), waits until it has
// its default ServiceAccount, and returns its name, which begins with that of the test.
// It is deleted when the test ends, without waiting until it has gone.
func NamespaceIn(t testing.TB, cluster *devcluster.Cluster, labels map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	name := namespaceName(t.Name())
	err := cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces", map[string]any{
		"metadata": map[string]any{"name": name, "labels": labels},
	}, nil)
	if err != nil {
		t.Fatalf("make the namespace %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		err := cluster.Do(ctx, http.MethodDelete, "/api/v1/namespaces/"+name, nil, nil)
		var status *devcluster.StatusError
		if err != nil && !(errors.As(err, &status) && status.Code == http.StatusNotFound) {
			t.Errorf("delete the namespace %s: %v", name, err)
		}
	})
	for {
		err := cluster.Do(ctx, http.MethodGet, "/api/v1/namespaces/"+name+"/serviceaccounts/default", nil, nil)
		if err == nil {
			return name
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the namespace %s has no default ServiceAccount: %v%s", name, err, "\n"+cluster.Logs(devcluster.ControllerManager, 10))
		}
	}
}

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// namespaceName makes a DNS label of at most 63 characters.
func namespaceName(test string) string {
	readable := strings.Trim(unfit.ReplaceAllString(strings.ToLower(test), "-"), "-")
	if readable == "" || readable[0] < 'a' {
		readable = "t-" + readable
	}
	if len(readable) > 48 {
		readable = strings.TrimRight(readable[:48], "-")
	}
	return readable + "-" + strings.ToLower(rand.Text()[:8])
}
