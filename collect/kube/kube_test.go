package kube

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

const cilium = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumnetworkpolicies.cilium.io}
spec:
  group: cilium.io
  scope: Namespaced
  names: {kind: CiliumNetworkPolicy, plural: ciliumnetworkpolicies}
  versions:
  - name: v2
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}`

// marker is the value that must never be seen again. It is planted where people
// put passwords.
const marker = "Zq7-marker-Kx93vTpLw0"

func platform(namespace string) string {
	return strings.NewReplacer("NS", namespace, "MARKER", marker).Replace(cilium + `
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deny, namespace: NS, labels: {a: b}}
spec: {endpointSelector: {}, ports: [1, 2.5], description: "password=MARKER"}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: NS}
stringData: {password: MARKER}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: env
  namespace: NS
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"data":{"a":"MARKER"}}', token: "postgres://u:MARKER@db/x"}
data: {password: MARKER, file: "a: b\npassword: MARKER\n"}
binaryData: {blob: WnE3LW1hcmtlci1LeDkzdlRwTHcw}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        command: [web, "--password=MARKER"]
        args: ["--token", MARKER]
        env: [{name: PASSWORD, value: MARKER}]
        resources: {requests: {cpu: 100m, memory: 1.5Gi}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: none, namespace: NS}
spec: {podSelector: {}, policyTypes: [Ingress]}`)
}

func TestCollect(t *testing.T) {
	cluster := devclustertest.Shared(t)
	namespace := devclustertest.Namespace(t, map[string]string{"team": "shop"})
	apply(t, cluster, platform(namespace))
	apply(t, cluster, strings.ReplaceAll(`apiVersion: v1
kind: Pod
metadata: {name: NS-apiserver, namespace: kube-system}
spec:
  containers:
  - {name: a, image: "registry.k8s.io/kube-apiserver:v1.37.2", command: [kube-apiserver, --anonymous-auth=false, "--profiling"]}
---
apiVersion: v1
kind: Pod
metadata: {name: fake, namespace: NS}
spec:
  containers:
  - {name: a, image: "kube-apiserver:v1.37.2", command: [kube-apiserver, --anonymous-auth=true]}`, "NS", namespace))
	awaitPods(t, cluster, namespace, 3)

	agent := "bailey-test/" + namespace
	var progress []string
	s := collect(t, Options{Kubeconfig: cluster.Kubeconfig, UserAgent: agent, Progress: func(done, total int, what string) {
		if done != len(progress)+1 || done > total {
			t.Errorf("progress %d of %d after %d", done, total, len(progress))
		}
		progress = append(progress, what)
	}})
	if !slices.ContainsFunc(progress, func(what string) bool { return strings.HasPrefix(what, "pods: ") }) {
		t.Errorf("progress: %q", progress)
	}

	t.Run("held", func(t *testing.T) {
		again := collect(t, Options{Kubeconfig: cluster.Kubeconfig, Held: s.Get})
		for _, kind := range []bailey.Kind{bailey.KindDeployment, bailey.KindNetworkPolicy, bailey.KindServiceAccount} {
			for _, f := range again.List(kind, namespace) {
				if f != s.Get(f.Ref) {
					t.Errorf("%s did not change, and is held twice", f.Ref)
				}
			}
		}
	})
	t.Run("meta", func(t *testing.T) {
		var system struct{ Metadata struct{ UID string } }
		if err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/kube-system", nil, &system); err != nil {
			t.Fatal(err)
		}
		version, err := cluster.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want, err := bailey.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		m := s.Meta
		if m.ClusterUID != system.Metadata.UID || m.Version != want || m.AssumedVersion || m.Medium != "cluster" || m.Context == "" {
			t.Errorf("%+v", m)
		}
		if since := time.Since(m.At).Abs(); since > limit {
			t.Errorf("At is %s away", since)
		}
		if len(m.Targets) != 1 || m.Targets[0].Objects != s.Len() || s.Len() == 0 {
			t.Errorf("%+v of %d facts", m.Targets, s.Len())
		}
	})

	t.Run("facts", func(t *testing.T) {
		get := func(kind bailey.Kind, name string) *bailey.Fact {
			f := s.Get(bailey.Ref{Kind: kind, Namespace: namespace, Name: name})
			if f == nil {
				t.Fatalf("no %s %s", kind, name)
			}
			return f
		}
		web, ok := bailey.As[*appsv1.Deployment](get(bailey.KindDeployment, "web"))
		if !ok || *web.Spec.Replicas != 2 || web.Spec.Template.Spec.Containers[0].Image != "registry.example/web:1" || web.ManagedFields != nil {
			t.Errorf("%+v", web)
		}
		policy, ok := bailey.As[map[string]any](get("CiliumNetworkPolicy.cilium.io", "deny"))
		if !ok || !reflect.DeepEqual(policy["spec"].(map[string]any)["ports"], []any{int64(1), 2.5}) {
			t.Errorf("%#v", policy)
		}
		get(bailey.KindNetworkPolicy, "none")
		pods := 0
		for _, f := range s.List(bailey.KindPod, namespace) {
			if f.Owner.Kind == bailey.KindReplicaSet && f.OwnerUID != "" && f.Labels["app"] == "web" {
				pods++
			}
		}
		if pods != 2 {
			t.Errorf("%d pods of the ReplicaSet, want 2", pods)
		}
		if f := s.Get(bailey.Ref{Kind: bailey.KindNamespace, Name: namespace}); f == nil || f.Labels["team"] != "shop" {
			t.Errorf("the namespace: %+v", f)
		}
	})

	t.Run("coverage", func(t *testing.T) {
		for _, kind := range []bailey.Kind{bailey.KindPod, bailey.KindMutatingAdmissionPolicy, "CiliumNetworkPolicy.cilium.io", "APIService.apiregistration.k8s.io",
			"Tier.projectcalico.org"} { // not served, so seen to be absent
			if m := s.Unseen(kind, "", ""); m != nil {
				t.Errorf("%s: %+v", kind, m)
			}
		}
		if m := s.Unseen("Secret", namespace, ""); m == nil || m.Reason != bailey.ReasonNotCollected || m.Hint == "" {
			t.Errorf("Secret: %+v", m)
		}
		for _, kind := range s.Kinds() {
			if kind.Short() == "Event" || kind.Short() == "Lease" || kind == "Secret" {
				t.Errorf("%s was read", kind)
			}
		}
	})

	t.Run("component", func(t *testing.T) {
		list := s.List(bailey.KindAPIServer, "")
		if len(list) != 1 {
			t.Fatalf("%d components, want that of %s alone", len(list), systemNamespace)
		}
		c := list[0].Object.(*bailey.Component)
		if list[0].Name != namespace+"-apiserver" || c.Flags["anonymous-auth"] != "false" || c.Flags["profiling"] != "true" || c.Version != "v1.37.2" {
			t.Errorf("%+v", c)
		}
		if m := s.Unseen(bailey.KindEtcd, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
			t.Errorf("etcd: %+v", m)
		}
	})

	t.Run("saved", func(t *testing.T) {
		var file bytes.Buffer
		if err := saved.Write(&file, s); err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		content, err := z.DecodeAll(file.Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(content, []byte(marker)); i >= 0 {
			t.Errorf("a value is in the file: %q", content[max(i-200, 0):i+50])
		}
		if !bytes.Contains(content, []byte("registry.example/web:1")) {
			t.Error("the image is not in the file, so this test shows nothing")
		}
		again, err := saved.Read(&file, saved.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Meta, s.Meta) {
			t.Errorf("Meta %+v\nwant %+v", again.Meta, s.Meta)
		}
		for _, kind := range s.Kinds() {
			want, got := s.List(kind, ""), again.List(kind, "")
			if len(got) != len(want) {
				t.Errorf("%d facts of %s, want %d", len(got), kind, len(want))
				continue
			}
			for i := range want {
				// Semantic: a quantity that was written down holds its text.
				if !equality.Semantic.DeepEqual(want[i], got[i]) {
					t.Errorf("%+v\nwant %+v", got[i], want[i])
				}
			}
		}
		if d := saved.Diff(s, again); d.Unchanged != s.Len() {
			t.Errorf("%+v", d)
		}
	})

	t.Run("audit", func(t *testing.T) {
		for _, e := range audited(t, cluster, agent) {
			if e.Verb != "get" && e.Verb != "list" {
				t.Errorf("%s %s", e.Verb, e.RequestURI)
			}
			for _, resource := range []string{"secrets", "events", "leases", "proxy"} {
				if strings.Contains(e.RequestURI, resource) {
					t.Errorf("%s %s", e.Verb, e.RequestURI)
				}
			}
		}
	})
}

var rulePattern = regexp.MustCompile(`\{apiGroups:.*\}`)

func TestPodsOnly(t *testing.T) {
	cluster := devclustertest.Shared(t)
	namespace := devclustertest.Namespace(t, nil)
	config := account(t, cluster, namespace)
	user := "system:serviceaccount:" + namespace + ":scanner"
	var s *bailey.Snapshot
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if s, err = Collect(t.Context(), Options{RESTConfig: config}); err == nil {
			break
		} else if time.Now().After(end) || !strings.Contains(err.Error(), "forbidden") {
			t.Fatal(err) // until the binding is known to the authorizer, nothing at all can be read
		}
	}
	if m := s.Unseen(bailey.KindPod, "", ""); m != nil {
		t.Errorf("pods: %+v", m)
	}
	if s.Meta.ClusterUID != "" {
		t.Error("the cluster's UID is known without permission")
	}
	_, missing := s.Coverage()
	forbidden := 0
	for _, m := range missing {
		if m.Kind == "Secret" || m.Kind.New() != nil {
			continue
		}
		forbidden++
		if m.Reason != bailey.ReasonForbidden || !strings.Contains(m.Detail, user) || len(m.Detail) > 300 || !rulePattern.MatchString(m.Hint) {
			t.Errorf("%+v", m)
		}
	}
	if forbidden < 40 {
		t.Errorf("%d kinds are forbidden, want all but pods", forbidden)
	}
	m := s.Unseen(bailey.KindDeployment, "", "")
	if want := fmt.Sprintf("list deployments.apps at cluster scope is forbidden for %q", user); m == nil || m.Detail != want {
		t.Fatalf("%+v\nwant %s", m, want)
	}

	// The hint's rule is the one that helps.
	apply(t, cluster, strings.NewReplacer("NS", namespace, "RULE", rulePattern.FindString(m.Hint)).Replace(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-more}
rules: [RULE]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-more}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-more}
subjects: [{kind: ServiceAccount, namespace: NS, name: scanner}]`))
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if s = collect(t, Options{RESTConfig: config}); s.Unseen(bailey.KindDeployment, "", "") == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("with the hint's rule bound, Deployments are still not seen")
		}
	}
	if s.Unseen(bailey.KindReplicaSet, "", "") == nil {
		t.Error("ReplicaSets are seen without permission")
	}
}

func TestPagesAndNamespaces(t *testing.T) {
	cluster := devclustertest.Shared(t)
	namespace, other := devclustertest.Namespace(t, nil), devclustertest.Namespace(t, nil)
	makeConfigMaps(t, cluster, namespace, 600)
	requests := &counter{}
	s := collect(t, Options{RESTConfig: administrator(cluster, requests), Namespaces: []string{namespace, namespace}})
	found := map[string]bool{}
	for _, f := range s.List(bailey.KindConfigMap, namespace) {
		found[f.Name] = true
	}
	for i := range 600 {
		if name := fmt.Sprintf("cm-%04d", i); !found[name] {
			t.Errorf("no %s", name)
		}
	}
	if n := requests.paths["/api/v1/namespaces/"+namespace+"/configmaps"]; n != 2 {
		t.Errorf("%d requests for 600 ConfigMaps, want 2", n)
	}
	for path := range requests.paths {
		if strings.Contains(path, other) || path == "/api/v1/configmaps" || path == "/api/v1/namespaces" {
			t.Errorf("read %s although only %s was asked for", path, namespace)
		}
	}
	if m := s.Unseen(bailey.KindConfigMap, namespace, ""); m != nil {
		t.Errorf("%+v", m)
	}
	if m := s.Unseen(bailey.KindConfigMap, other, ""); m == nil || m.Reason != bailey.ReasonNotCollected || !strings.Contains(m.Detail, namespace) {
		t.Errorf("the other namespace: %+v", m)
	}
	if s.Meta.ClusterUID == "" {
		t.Error("the cluster's UID is not known")
	}
	if list := s.List(bailey.KindNamespace, ""); len(list) != 1 || list[0].Name != namespace {
		t.Errorf("namespaces: %v", list)
	}
	if s.Unseen(bailey.KindClusterRole, "", "") != nil || len(s.List(bailey.KindClusterRole, "")) == 0 {
		t.Error("cluster-wide kinds are read whatever the namespaces")
	}

	_, err := Collect(t.Context(), Options{RESTConfig: administrator(cluster, nil), Namespaces: []string{"no-such-namespace"}})
	if err == nil || !strings.Contains(err.Error(), `no namespace "no-such-namespace"`) || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
}

// throttle answers the first requests itself, as an API server does that has too
// many of them.
type throttle struct {
	next http.RoundTripper
	left atomic.Int32
}

func (c *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.left.Add(-1) < 0 {
		return c.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"kind":"Status","message":"too many requests"}`)),
	}, nil
}

func TestThrottled(t *testing.T) {
	cluster := devclustertest.Shared(t)
	through := &throttle{}
	through.left.Store(2)
	config := administrator(cluster, nil)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { through.next = next; return through })
	start := time.Now()
	s := collect(t, Options{RESTConfig: config})
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("told twice to wait a second, it took %s", took)
	}
	if m := s.Unseen(bailey.KindPod, "", ""); m != nil {
		t.Errorf("%+v", m)
	}
}

// TestOlderDiscovery asks a real server both ways, and wants one plan.
func TestOlderDiscovery(t *testing.T) {
	cluster := devclustertest.Shared(t)
	c, err := newClient(administrator(cluster, nil), Options{}.orDefault())
	if err != nil {
		t.Fatal(err)
	}
	var plans []plan
	for _, accept := range []string{acceptAggregated, acceptJSON} {
		d, err := c.discover(t.Context(), accept)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, makePlan(d))
	}
	if !reflect.DeepEqual(plans[0], plans[1]) || len(plans[0].resources) < 50 {
		t.Errorf("aggregated: %+v\nolder: %+v", plans[0], plans[1])
	}
}

func TestPermissionsCoverRequests(t *testing.T) {
	cluster := devclustertest.Shared(t)
	requests := &counter{}
	collect(t, Options{RESTConfig: administrator(cluster, requests)})
	allowed := map[string]bool{"/version": true, "/api": true, "/apis": true}
	for _, p := range Permissions() {
		for _, r := range p.Resources {
			allowed[p.APIGroup+"/"+r] = true
		}
	}
	if len(requests.paths) < 50 {
		t.Errorf("%d paths", len(requests.paths))
	}
	for path := range requests.paths {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		key := path
		switch {
		case len(parts) == 3 && parts[0] == "api":
			key = "/" + parts[2]
		case len(parts) == 4:
			key = parts[1] + "/" + parts[3]
		}
		if !allowed[key] {
			t.Errorf("%s is read and no permission says so", path)
		}
	}
}
