package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

// limit bounds a whole collection in these tests.
const limit = time.Minute

// apply creates the objects of a text of YAML documents, in order, and deletes
// the cluster-wide ones when the test ends. Those that are there are kept.
func apply(t *testing.T, c *devcluster.Cluster, text string) {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		plural := strings.ToLower(o.Kind) + "s"
		if strings.HasSuffix(plural, "ys") {
			plural = strings.TrimSuffix(plural, "ys") + "ies"
		}
		path := "/apis/" + o.APIVersion
		if !strings.Contains(o.APIVersion, "/") {
			path = "/api/" + o.APIVersion
		}
		if o.Metadata.Namespace != "" {
			path += "/namespaces/" + o.Metadata.Namespace
		}
		path += "/" + plural
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		// A custom resource's API takes a moment to be served.
		err := c.Do(ctx, http.MethodPost, path, content, nil)
		for isStatus(err, http.StatusNotFound) && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			err = c.Do(ctx, http.MethodPost, path, content, nil)
		}
		if err != nil && !isStatus(err, http.StatusConflict) {
			t.Fatalf("create %s %s: %v", o.Kind, o.Metadata.Name, err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			err := c.Do(ctx, http.MethodDelete, path+"/"+o.Metadata.Name, map[string]any{"gracePeriodSeconds": 0}, nil)
			if err != nil && !isStatus(err, http.StatusNotFound) {
				t.Errorf("delete %s %s: %v", o.Kind, o.Metadata.Name, err)
			}
		})
	}
}

func isStatus(err error, code int) bool {
	s, ok := err.(*devcluster.StatusError)
	return ok && s.Code == code
}

func collect(t *testing.T, o Options) *bailey.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := Collect(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitPods waits until the namespace has this many pods.
func awaitPods(t *testing.T, c *devcluster.Cluster, namespace string, n int) {
	t.Helper()
	var list struct{ Items []any }
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == n {
			return
		}
	}
	t.Fatalf("%s has %d pods, want %d", namespace, len(list.Items), n)
}

type auditEvent struct{ Verb, RequestURI, UserAgent string }

// audited gives what the API server's audit log says of a user agent. The log is
// written a moment after the answers.
func audited(t *testing.T, c *devcluster.Cluster, agent string) []auditEvent {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var events []auditEvent
		f, err := os.Open(c.AuditLog)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var e auditEvent
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.UserAgent == agent {
				events = append(events, e)
			}
		}
		f.Close()
		if len(events) >= 50 {
			return events
		}
		if time.Now().After(end) {
			t.Fatalf("the audit log has %d requests of %s, want 50 or more", len(events), agent)
		}
	}
}

// account makes a ServiceAccount that may list pods, and gives its credentials.
func account(t *testing.T, c *devcluster.Cluster, namespace string) *rest.Config {
	t.Helper()
	apply(t, c, strings.ReplaceAll(`apiVersion: v1
kind: ServiceAccount
metadata: {name: scanner, namespace: NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-pods}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-pods}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-pods}
subjects: [{kind: ServiceAccount, namespace: NS, name: scanner}]`, "NS", namespace))
	var token struct{ Status struct{ Token string } }
	err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/scanner/token",
		map[string]any{"spec": map[string]any{"expirationSeconds": 600}}, &token)
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{Host: c.RESTHost, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(c.PKI, "ca.crt")}}
}

// counter counts requests by path, and may act before one.
type counter struct {
	next   http.RoundTripper
	before func(n int32, r *http.Request)
	n      atomic.Int32
	mu     sync.Mutex
	paths  map[string]int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	n := c.n.Add(1)
	c.mu.Lock()
	if c.paths == nil {
		c.paths = map[string]int{}
	}
	c.paths[r.URL.Path]++
	c.mu.Unlock()
	if c.before != nil {
		c.before(n, r)
	}
	return c.next.RoundTrip(r)
}

// administrator is the way in to a cluster with full rights, through a counter.
func administrator(c *devcluster.Cluster, through *counter) *rest.Config {
	config := &rest.Config{Host: c.RESTHost, TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(c.PKI, "ca.crt"), CertFile: filepath.Join(c.PKI, "admin.crt"), KeyFile: filepath.Join(c.PKI, "admin.key"),
	}}
	if through != nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			through.next = next
			return through
		})
	}
	return config
}

func makeConfigMaps(t *testing.T, c *devcluster.Cluster, namespace string, n int) {
	t.Helper()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < n; i += 8 {
				err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/configmaps",
					map[string]any{"metadata": map[string]any{"name": fmt.Sprintf("cm-%04d", i)}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
