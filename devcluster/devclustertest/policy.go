package devclustertest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey/devcluster"
)

// Gaps are what an Enforcer leaves open on purpose. A nil function leaves nothing open.
type Gaps struct {
	Policy  func(*networkingv1.NetworkPolicy) bool // such policies do not count
	Pod     func(*corev1.Pod) bool                 // such pods are not isolated
	Ingress bool                                   // incoming connections are not looked at
	Egress  bool                                   // outgoing connections are not looked at
	Port    int                                    // connections to this TCP port are let through; 0 for none
}

// Enforcer does on one node what a network plugin does with NetworkPolicies: it watches
// policies, pods and namespaces and keeps packet filter rules on the node that allow what
// the policies allow. It stands in for a plugin where experiments are tested; it knows
// IPv4, TCP, UDP and SCTP.
type Enforcer struct {
	cluster *devcluster.Cluster
	node    *devcluster.Node
	gaps    Gaps

	mu    sync.Mutex
	rules string // in force
}

// Enforce starts an Enforcer on the node, which ends with the test, and returns once the
// policies that are there are enforced. The cluster's nodes enforce nothing otherwise.
func Enforce(t testing.TB, cluster *devcluster.Cluster, node *devcluster.Node, gaps Gaps) *Enforcer {
	t.Helper()
	e := &Enforcer{cluster: cluster, node: node, gaps: gaps}
	e.Sync(t)
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(150 * time.Millisecond):
			}
			if err := e.sync(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("enforce network policies on %s: %v", node.Name, err)
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		loop.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		if err := e.load(ctx, noRules); err != nil {
			t.Errorf("end the enforcement on %s: %v", node.Name, err)
		}
	})
	return e
}

// Sync returns once what the API server holds now is enforced.
func (e *Enforcer) Sync(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	if err := e.sync(ctx); err != nil {
		t.Fatalf("enforce network policies on %s: %v", e.node.Name, err)
	}
}

func (e *Enforcer) sync(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var w world
	for path, into := range map[string]any{
		"/api/v1/namespaces": &w.namespaces,
		"/api/v1/pods":       &w.pods,
		"/apis/networking.k8s.io/v1/networkpolicies": &w.policies,
	} {
		if err := e.cluster.Do(ctx, http.MethodGet, path, nil, into); err != nil {
			return err
		}
	}
	rules, err := w.rules(e.node.Name, e.gaps)
	if err != nil || rules == e.rules {
		return err
	}
	if err := e.load(ctx, rules); err != nil {
		return err
	}
	e.rules = rules
	return nil
}

// load replaces the rules at once.
func (e *Enforcer) load(ctx context.Context, rules string) error {
	cmd := e.node.Command(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &loadError{err, string(out), rules}
	}
	return nil
}

type loadError struct {
	err           error
	output, rules string
}

func (e *loadError) Error() string { return "nft: " + e.err.Error() + "\n" + e.output + "\n" + e.rules }
