package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// followed is what a follower was told, laid over one another.
type followed struct {
	mu      sync.Mutex
	snap    *bailey.Snapshot
	wholes  int
	contact []Contact
	news    chan struct{} // a value whenever something was told
}

func startFollowing(t *testing.T, c *devcluster.Cluster) *followed {
	t.Helper()
	return startFollowingAs(t, FollowOptions{Options: Options{Kubeconfig: c.Kubeconfig}})
}

func startFollowingAs(t *testing.T, o FollowOptions) *followed {
	t.Helper()
	f := &followed{news: make(chan struct{}, 1)}
	tell := func(change func()) {
		f.mu.Lock()
		defer f.mu.Unlock()
		change()
		select {
		case f.news <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Follow(ctx, o, Follower{
			Whole: func(s *bailey.Snapshot) { tell(func() { f.snap = s; f.wholes++ }) },
			Changed: func(facts []*bailey.Fact, gone []bailey.Ref) {
				tell(func() { f.snap = f.snap.Overlay(facts...).Without(gone...) })
			},
			Contact: func(c Contact) { tell(func() { f.contact = append(f.contact, c) }) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != context.Canceled {
				t.Errorf("Follow ended with %v", err)
			}
		case <-time.After(limit):
			t.Error("Follow does not end")
		}
	})
	f.await(t, "the cluster", func() bool { return f.snap != nil })
	return f
}

func (f *followed) await(t *testing.T, what string, there func() bool) {
	t.Helper()
	for end := time.After(limit); ; {
		f.mu.Lock()
		is := there()
		f.mu.Unlock()
		if is {
			return
		}
		select {
		case <-f.news:
		case <-end:
			f.mu.Lock()
			t.Fatalf("not told within %s: %s (%d wholes, contact %v)", limit, what, f.wholes, f.contact)
		}
	}
}

// TestFollow: what is followed is what is read anew, with the same things cut out, through
// changes of built-in and custom kinds, and through the end of the API server.
func TestFollow(t *testing.T) {
	c := devclustertest.Own(t)
	f := startFollowing(t, c)
	ns := devclustertest.NamespaceIn(t, c, nil)
	apply(t, c, platform(ns)) // makes a CRD, which is only seen when everything is read again

	settings := func(i int) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: %s}\ndata: {password: %s}", i, ns, marker)
	}
	for i := range 20 {
		apply(t, c, settings(i))
	}
	for i := range 10 {
		path := fmt.Sprintf("/api/v1/namespaces/%s/configmaps/c%d", ns, i)
		if err := c.Do(t.Context(), http.MethodDelete, path, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	last := bailey.Ref{Kind: bailey.KindConfigMap, Namespace: ns, Name: "c19"}
	gone := bailey.Ref{Kind: bailey.KindConfigMap, Namespace: ns, Name: "c9"}
	f.await(t, "the changes", func() bool { return f.snap.Get(last) != nil && f.snap.Get(gone) == nil })
	f.sameAs(t, c)

	// The server ends without a word and comes back.
	f.mu.Lock()
	told := len(f.contact)
	f.mu.Unlock()
	if err := c.RestartAPIServer(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	apply(t, c, settings(100))
	f.await(t, "what was made afterwards", func() bool {
		return f.snap.Get(bailey.Ref{Kind: bailey.KindConfigMap, Namespace: ns, Name: "c100"}) != nil
	})
	f.await(t, "that the cluster is back", func() bool { return f.contact[len(f.contact)-1].Lost.IsZero() })
	f.mu.Lock()
	lost := slices.ContainsFunc(f.contact[told:], func(c Contact) bool { return !c.Lost.IsZero() && c.Why != nil })
	f.mu.Unlock()
	if !lost {
		t.Error("nobody was told that the cluster was lost")
	}
	f.sameAs(t, c)
}

// TestFollowGranted: what was forbidden is read soon after it is granted, and until then nothing is read
// anew for it.
func TestFollowGranted(t *testing.T) {
	c := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	config := account(t, c, ns)
	grant := func(name, resources string) {
		apply(t, c, strings.NewReplacer("NS", ns, "NAME", name, "RESOURCES", resources).Replace(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-NAME}
rules: [{apiGroups: [""], resources: [RESOURCES], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-NAME}
subjects: [{kind: ServiceAccount, namespace: NS, name: scanner}]`))
	}
	grant("watch", "pods")
	awaitAllowed(t, c, "system:serviceaccount:"+ns+":scanner", "watch", "pods")
	const soon = 200 * time.Millisecond
	f := startFollowingAs(t, FollowOptions{Options: Options{RESTConfig: config}, Refused: soon})
	f.mu.Lock()
	if f.snap.Unseen(bailey.KindConfigMap, "", "") == nil {
		t.Error("ConfigMaps are seen without permission")
	}
	f.mu.Unlock()
	time.Sleep(5 * soon)
	f.mu.Lock()
	if f.wholes != 1 {
		t.Errorf("all was read %d times with nothing granted", f.wholes)
	}
	f.mu.Unlock()
	grant("more", "configmaps")
	f.await(t, "what was granted", func() bool { return f.snap.Unseen(bailey.KindConfigMap, "", "") == nil })
}

// failing answers requests of one path with an error, or not at all, while it is switched on.
type failing struct {
	http.RoundTripper
	path   string
	silent bool
	on     atomic.Bool
}

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case !f.on.Load() || r.URL.Path != f.path:
		return f.RoundTripper.RoundTrip(r)
	case f.silent:
		return nil, errors.New("silent, as the test wants")
	}
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// TestFollowFailed: a list that failed while the rest was read is read soon after it answers again, and until then
// nothing is read anew for it.
func TestFollowFailed(t *testing.T) {
	t.Run("answers with an error", func(t *testing.T) { followFailed(t, false) })
	// So often that the client holds the API server for gone.
	t.Run("does not answer", func(t *testing.T) { followFailed(t, true) })
}

func followFailed(t *testing.T, silent bool) {
	c := devclustertest.Shared(t)
	broken := &failing{path: "/api/v1/configmaps", silent: silent}
	broken.on.Store(true)
	around := func(config *rest.Config) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { broken.RoundTripper = next; return broken })
	}
	const soon = 200 * time.Millisecond
	f := startFollowingAs(t, FollowOptions{Options: Options{Kubeconfig: c.Kubeconfig, Around: around}, Refused: soon})
	f.mu.Lock()
	if m := f.snap.Unseen(bailey.KindConfigMap, "", ""); m == nil || m.Reason != bailey.ReasonUnreadable {
		t.Errorf("of ConfigMaps, whose list failed, is said: %v", m)
	}
	f.mu.Unlock()
	time.Sleep(15 * soon)
	f.mu.Lock()
	if f.wholes != 1 {
		t.Errorf("all was read %d times while the list failed", f.wholes)
	}
	f.mu.Unlock()
	broken.on.Store(false)
	f.await(t, "what failed", func() bool { return f.snap.Unseen(bailey.KindConfigMap, "", "") == nil })
}

// awaitAllowed waits until the authorizer knows of a grant.
func awaitAllowed(t *testing.T, c *devcluster.Cluster, user, verb, resource string) {
	t.Helper()
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
		"user": user, "resourceAttributes": map[string]any{"verb": verb, "resource": resource}}}
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		var answer struct{ Status struct{ Allowed bool } }
		if err := c.Do(t.Context(), http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the grant does not come into force")
		}
	}
}

// sameAs compares what was followed with the cluster read anew.
func (f *followed) sameAs(t *testing.T, c *devcluster.Cluster) {
	t.Helper()
	var difference string
	f.await(t, "the same as a new reading", func() bool {
		difference = differenceOf(f.snap, collect(t, Options{Kubeconfig: c.Kubeconfig}))
		return difference == "" || t.Context().Err() != nil
	})
	if difference != "" {
		t.Error(difference)
	}
}

// differenceOf names the first object that differs, but for kinds that were not served when
// the first snapshot was taken.
func differenceOf(followed, anew *bailey.Snapshot) string {
	kinds := map[bailey.Kind]bool{}
	for _, k := range slices.Concat(followed.Kinds(), anew.Kinds()) {
		kinds[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		if k == "CiliumNetworkPolicy.cilium.io" {
			continue
		}
		have, want := followed.List(k, ""), anew.List(k, "")
		if len(have) != len(want) {
			return fmt.Sprintf("%d of %s are followed, and there are %d", len(have), k, len(want))
		}
		for i := range have {
			if have[i].Ref != want[i].Ref || !equality.Semantic.DeepEqual(have[i].Object, want[i].Object) || have[i].Owner != want[i].Owner || have[i].Dormant != want[i].Dormant {
				return fmt.Sprintf("%s is followed as\n%+v\nand is\n%+v", have[i].Ref, have[i].Object, want[i].Object)
			}
		}
	}
	return ""
}
