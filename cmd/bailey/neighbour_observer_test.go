package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

// observed are the things whose change is a disturbance, and which of their fields say so.
// What else changes of them, such as a pod's heartbeats, is nobody's doing.
var observed = map[string][]string{
	"/apis/discovery.k8s.io/v1/endpointslices": {"endpoints", "ports"},
	"/api/v1/pods":                                  {"metadata.ownerReferences", "metadata.labels", "metadata.deletionTimestamp", "status.phase"},
	"/apis/apps/v1/replicasets":                     {"spec.replicas", "status.replicas", "status.readyReplicas"},
	"/apis/policy/v1/poddisruptionbudgets":          {"status.currentHealthy", "status.desiredHealthy", "status.disruptionsAllowed", "status.expectedPods"},
	"/apis/autoscaling/v2/horizontalpodautoscalers": {"spec", "status.desiredReplicas"},
}

// observer watches everything of the observed kinds, in all namespaces.
type observer struct {
	mu      sync.Mutex
	changes []string
	lost    error
	end     context.CancelFunc
	done    sync.WaitGroup
}

// observe begins to watch; what is there already is no change.
func observe(t *testing.T, cluster *devcluster.Cluster) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &observer{end: cancel}
	t.Cleanup(func() { cancel(); o.done.Wait() })
	client, err := cluster.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	for path, fields := range observed {
		var list struct {
			Metadata struct{ ResourceVersion string }
			Items    []map[string]any
		}
		if err := cluster.Do(ctx, http.MethodGet, path, nil, &list); err != nil {
			t.Fatal(err)
		}
		known := map[string][]any{}
		for _, item := range list.Items {
			known[nameOf(item)] = values(item, fields)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, cluster.RESTHost+path+"?watch=true&resourceVersion="+list.Metadata.ResourceVersion, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("watch %s: %s", path, resp.Status)
		}
		kind := path[strings.LastIndexByte(path, '/')+1:]
		o.done.Go(func() {
			defer resp.Body.Close()
			o.watch(ctx, json.NewDecoder(resp.Body), kind, known, fields)
		})
	}
	return o
}

func (o *observer) watch(ctx context.Context, events *json.Decoder, kind string, known map[string][]any, fields []string) {
	for {
		var event struct {
			Type   string
			Object map[string]any
		}
		if err := events.Decode(&event); err != nil {
			if ctx.Err() == nil {
				o.note(nil, fmt.Errorf("the watch of %s ended: %w", kind, err))
			}
			return
		}
		name, now := nameOf(event.Object), values(event.Object, fields)
		before, was := known[name]
		known[name] = now
		switch {
		case event.Type != "MODIFIED" || !was:
			o.note([]string{fmt.Sprintf("%s %s: %s", kind, name, event.Type)}, nil)
		default:
			var changed []string
			for i, field := range fields {
				if !reflect.DeepEqual(before[i], now[i]) {
					changed = append(changed, fmt.Sprintf("%s %s: %s changed", kind, name, field))
				}
			}
			o.note(changed, nil)
		}
	}
}

func (o *observer) note(changes []string, lost error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes = append(o.changes, changes...)
	if lost != nil {
		o.lost = lost
	}
}

// seen gives what changed so far, and fails the test if it cannot be told.
func (o *observer) seen(t *testing.T) []string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost != nil {
		t.Fatal(o.lost)
	}
	return slices.Clone(o.changes)
}

func nameOf(object map[string]any) string {
	m, _ := object["metadata"].(map[string]any)
	return fmt.Sprintf("%v/%v", m["namespace"], m["name"])
}

// values gives the fields of an object by their dotted paths.
func values(object map[string]any, fields []string) []any {
	all := make([]any, len(fields))
	for i, field := range fields {
		var at any = object
		for part := range strings.SplitSeq(field, ".") {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		all[i] = at
	}
	return all
}
