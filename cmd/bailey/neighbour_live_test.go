package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// shop is an application with everything that a stranger's pod could disturb. Its
// Service and its budget select by fewer labels than its Deployment. Nothing measures its
// load, so that the autoscaler has nothing to go by but what is there.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web, part: server}}
  template:
    metadata: {labels: {app: web, part: server}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: "localhost/pause:dev", imagePullPolicy: Never, resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {cpu: 100m, memory: 32Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  minReplicas: 2
  maxReplicas: 4
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: shop}
spec: {hard: {pods: "10", requests.cpu: "2", requests.memory: 2Gi, limits.cpu: "4", limits.memory: 4Gi}}
`

// TestGoodNeighbour is a week in small: `bailey prove --every` of the default class runs
// beside an application on a real node, and no endpoint changes, no pod comes, goes or
// is adopted, no budget moves, and nobody's pager goes off but for the prober itself. The same
// observer then notices a neighbour that is not so good. With BAILEY_SOAK the whole of the
// default is run for ten minutes.
func TestGoodNeighbour(t *testing.T) {
	cluster, _ := devclustertest.SharedNode(t)
	manifest := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(manifest, []byte(shop), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "apply", "-f", manifest)
	t.Cleanup(func() {
		for _, what := range []string{"namespace/shop", "clusterrolebinding/stranger"} {
			if _, err := cluster.Kubectl(context.Background(), "delete", what, "--wait=false", "--ignore-not-found"); err != nil {
				t.Error(err)
			}
		}
	})
	waitFor(t, "the application is ready and its budget knows", func() bool {
		var budget struct {
			Status struct{ CurrentHealthy, DisruptionsAllowed int }
		}
		return cluster.Do(t.Context(), http.MethodGet, "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web", nil, &budget) == nil &&
			budget.Status.CurrentHealthy == 2 && budget.Status.DisruptionsAllowed == 1 && readyEndpoints(t, cluster) == 2
	})

	begin := time.Now()
	o := observe(t, cluster)
	state := t.TempDir()
	args := []string{"prove", "--kubeconfig", cluster.Kubeconfig, "--every", "1s", "-o", "json"}
	if os.Getenv("BAILEY_SOAK") == "" {
		args = append(args, "--quick", "--times", "2")
	} else {
		args = append(args, "--times", "1")
	}
	runs := 0
	for end := begin.Add(10 * time.Minute); runs == 0 || os.Getenv("BAILEY_SOAK") != "" && time.Now().Before(end); {
		out, errs, code := programIn(t, state, args...)
		if code != exitOK && code != exitFindings { // this platform has gaps of its own
			t.Fatalf("exit code %d: %s", code, errs)
		}
		held := 0
		for reports := json.NewDecoder(strings.NewReader(out)); ; runs++ {
			var report struct {
				Results []struct{ Scope, Outcome string }
			}
			if err := reports.Decode(&report); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if strings.Contains(r.Scope, "shop") && r.Outcome == "held" {
					held++
				}
			}
		}
		if held == 0 {
			t.Fatalf("nothing was tried in the application's namespace: %s", errs)
		}
	}
	t.Logf("%d runs in %s", runs, time.Since(begin).Round(time.Second))
	if changes := o.seen(t); len(changes) > 0 {
		t.Errorf("something changed:\n%s", strings.Join(changes, "\n"))
	}
	for _, a := range strangersAlerts(t, cluster, begin) {
		t.Errorf("an alert that is not the prober's own: %+v", a)
	}

	// Nor would the test see anything if it were blind.
	o = observe(t, cluster)
	pod := func(name string, labels map[string]any) {
		t.Helper()
		if err := cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/shop/pods", map[string]any{
			"metadata": map[string]any{"name": name, "labels": labels},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "localhost/pause:dev", "imagePullPolicy": "Never",
				"resources": map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "8Mi"}, "limits": map[string]any{"cpu": "10m", "memory": "8Mi"}}}}},
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	noticed := func(changes ...string) {
		t.Helper()
		waitFor(t, "it is noticed: "+strings.Join(changes, ", "), func() bool {
			seen := o.seen(t)
			return !slices.ContainsFunc(changes, func(want string) bool {
				return !slices.ContainsFunc(seen, func(change string) bool {
					kind, what, _ := strings.Cut(want, " ")
					return strings.HasPrefix(change, kind+" ") && strings.HasSuffix(change, what)
				})
			})
		})
	}
	pod("looks-served", map[string]any{"app": "web"})
	noticed("pods ADDED", "endpointslices endpoints changed", "poddisruptionbudgets status.currentHealthy changed")
	pod("looks-owned", labelsOf(t, cluster, "app=web,part=server"))
	noticed("pods metadata.ownerReferences changed", "pods DELETED", "replicasets status.replicas changed")
	kubectl(t, cluster, "create", "clusterrolebinding", "stranger", "--clusterrole=cluster-admin", "--user=stranger")
	waitFor(t, "an alert is raised for a stranger", func() bool { return len(strangersAlerts(t, cluster, begin)) > 0 })
}

// strangersAlerts gives what Bailey's detections find since then in the audit log, but
// for what the prober itself did.
func strangersAlerts(t *testing.T, cluster *devcluster.Cluster, since time.Time) (alerts []detect.Alert) {
	t.Helper()
	out, errs, code := program(t, "detect", "-o", "json", "--show", "low", cluster.AuditLog)
	if code != exitOK && code != exitFindings {
		t.Fatalf("bailey detect: %d %s", code, errs)
	}
	for lines := json.NewDecoder(strings.NewReader(out)); ; {
		var a detect.Alert
		if err := lines.Decode(&a); err == io.EOF {
			return alerts
		} else if err != nil {
			t.Fatal(err)
		}
		if a.Time.After(since) && !strings.HasPrefix(a.UserAgent, "bailey-prober/") {
			alerts = append(alerts, a)
		}
	}
}

// labelsOf gives the labels of the first pod that these select: all that its ReplicaSet selects by.
func labelsOf(t *testing.T, cluster *devcluster.Cluster, selector string) (labels map[string]any) {
	t.Helper()
	if err := json.Unmarshal(kubectl(t, cluster, "get", "pods", "-n", "shop", "-l", selector, "-o", "jsonpath={.items[0].metadata.labels}"), &labels); err != nil {
		t.Fatal(err)
	}
	return labels
}

func readyEndpoints(t *testing.T, cluster *devcluster.Cluster) int {
	t.Helper()
	out := kubectl(t, cluster, "get", "endpointslices", "-n", "shop", "-o", "jsonpath={.items[*].endpoints[*].conditions.ready}")
	return strings.Count(string(out), strconv.FormatBool(true))
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in two minutes: %s", what)
		}
	}
}
