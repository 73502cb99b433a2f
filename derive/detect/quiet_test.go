package detect_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/detect"
)

// soakVariable lengthens TestQuiet from a minute to an hour.
const soakVariable = "BAILEY_SOAK"

// TestQuiet lets people and controllers work on a real control plane, and wants
// no alert from medium on.
func TestQuiet(t *testing.T) {
	l := startLive(t)
	check := func(what string) {
		t.Helper()
		for _, a := range l.alerts(t) {
			if a.Severity >= bailey.SeverityMedium {
				t.Errorf("%s: %s", what, show([]detect.Alert{a}))
			} else {
				t.Logf("%s: %s", what, show([]detect.Alert{a}))
			}
		}
	}
	check("the start of the control plane")
	if l.all < 50 {
		t.Errorf("the start left %d events only", l.all)
	}
	node := l.newNode(t)
	end := time.Now()
	if os.Getenv(soakVariable) != "" {
		end = end.Add(time.Hour)
	}
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		namespace := fmt.Sprintf("work-%d", round)
		l.administrator(t, namespace)
		check("an administrator with kubectl")
		l.kubelet(t, node, namespace)
		check("a kubelet")
		l.controller(t, namespace)
		check("a controller")
		must(t, l.kubectl(t, "", "delete", "pod", "bound", "--namespace="+namespace, "--grace-period=0", "--force"))
		must(t, l.kubectl(t, "", "delete", "namespace", namespace, "--wait=true"))
		check("the end of a namespace")
	}
	t.Logf("%d events", l.all)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// administrator is a day's work with kubectl.
func (l *live) administrator(t *testing.T, namespace string) {
	n := "--namespace=" + namespace
	file := filepath.Join(t.TempDir(), "app.yaml")
	must(t, os.WriteFile(file, []byte(application), 0o600))
	must(t, l.kubectl(t, "", "create", "namespace", namespace))
	must(t, l.kubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "team=a"))
	must(t, l.kubectl(t, "", "label", "namespace", namespace, "team-"))
	must(t, l.kubectl(t, "", "apply", n, "-f", file))
	must(t, l.kubectl(t, "", "apply", n, "-f", file))
	must(t, l.kubectl(t, "", "apply", n, "-f", file, "--server-side", "--force-conflicts"))
	must(t, l.kubectl(t, "", "diff", n, "-f", file))
	for _, args := range [][]string{
		{"get", "all"}, {"get", "pods", "-A", "-o", "wide"}, {"get", "secrets"}, {"get", "secret", "password", "-o", "yaml"},
		{"describe", "deployment", "web"}, {"describe", "secret", "password"}, {"get", "events"}, {"auth", "can-i", "--list"},
		{"auth", "can-i", "get", "secrets", "--as=system:serviceaccount:" + namespace + ":default"},
		{"auth", "can-i", "create", "pods", "--as=system:node:x", "--as-group=system:nodes"},
		{"api-resources"}, {"version"}, {"get", "nodes"}, {"explain", "pods"}, {"get", "clusterroles"}, {"get", "validatingwebhookconfigurations"},
		{"create", "secret", "generic", "another", "--from-literal=a=b"}, {"create", "configmap", "settings", "--from-literal=a=b"},
		{"create", "role", "reader", "--verb=get,list", "--resource=pods"},
		{"create", "rolebinding", "reader", "--role=reader", "--serviceaccount=" + namespace + ":default"},
		{"create", "rolebinding", "viewers", "--clusterrole=view", "--user=jane"},
		{"rollout", "restart", "deployment/web"}, {"scale", "deployment/web", "--replicas=3"}, {"set", "env", "deployment/web", "A=1"},
		{"annotate", "deployment/web", "note=x"}, {"delete", "secret", "another"}, {"autoscale", "deployment/web", "--max=4", "--cpu=50"},
	} {
		err := l.kubectl(t, "", append([]string{n}, args...)...)
		if args[0] == "auth" { // no is an answer
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = l.kubectl(t, "", n, "logs", "deployment/web") // no node runs it
	// Somebody who may do less: kubectl get all meets many refusals.
	_ = l.kubectl(t, "jane", n, "get", "pods")
	_ = l.kubectl(t, "jane", "get", "all", "-A")
}

// kubelet does what a kubelet does to the API, by hand: there is no node here.
func (l *live) kubelet(t *testing.T, node, namespace string) {
	must(t, l.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", map[string]any{
		"metadata": map[string]any{"name": "bound"},
		"spec": map[string]any{
			"nodeName": node, "serviceAccountName": "default",
			"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{map[string]any{"name": "a", "image": "example.com/a:1", "envFrom": []any{map[string]any{"secretRef": map[string]any{"name": "password"}}},
				"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []string{"ALL"}}}}},
		},
	}, nil))
	var pod struct{ Metadata struct{ UID string } }
	must(t, l.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/bound", nil, &pod))
	kubelet := request{user: "system:node:" + node, groups: "system:nodes", agent: "kubelet/v1.37.2 (linux/amd64) kubernetes/8f1d5e9"}
	for _, r := range []request{
		{path: "/api/v1/nodes/" + node + "?resourceVersion=0&timeout=10s"},
		{path: "/api/v1/pods?fieldSelector=spec.nodeName%3D" + node + "&limit=500&resourceVersion=0"},
		{path: "/api/v1/namespaces/" + namespace + "/secrets/password"},
		{method: http.MethodPost, path: "/api/v1/namespaces/" + namespace + "/serviceaccounts/default/token", body: map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
			"spec": map[string]any{"audiences": []string{}, "expirationSeconds": 3607, "boundObjectRef": map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "bound", "uid": pod.Metadata.UID}},
		}},
		{method: http.MethodPatch, path: "/api/v1/namespaces/" + namespace + "/pods/bound/status", contentType: "application/strategic-merge-patch+json", body: `{"status":{"phase":"Running"}}`},
		{method: http.MethodPost, path: "/apis/authorization.k8s.io/v1/subjectaccessreviews", body: map[string]any{
			"spec": map[string]any{"user": "kube-apiserver-kubelet-client", "resourceAttributes": map[string]any{"verb": "create", "resource": "nodes", "subresource": "proxy", "name": node}},
		}},
		{method: http.MethodPost, path: "/apis/certificates.k8s.io/v1/certificatesigningrequests", body: map[string]any{
			"metadata": map[string]any{"generateName": "csr-"},
			"spec":     map[string]any{"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": []string{"digital signature", "client auth"}, "request": newCSR(t, "system:node:"+node, "system:nodes")},
		}},
	} {
		r.user, r.groups, r.agent = kubelet.user, kubelet.groups, kubelet.agent
		if code := l.send(t, r); code < 200 || code > 299 {
			t.Errorf("a kubelet's %s %s gave %d", r.method, r.path, code)
		}
	}
	for _, path := range []string{"/readyz", "/livez", "/healthz", "/version"} { // a load balancer
		l.send(t, request{path: path})
	}
}

// controller does what an operator does that was installed for the whole cluster.
func (l *live) controller(t *testing.T, namespace string) {
	const user = "system:serviceaccount:operators:operator"
	must(t, l.kubectl(t, "", "create", "clusterrolebinding", "operator-"+namespace, "--clusterrole=edit", "--user="+user))
	for _, path := range []string{
		"/api/v1/secrets?limit=500&resourceVersion=0", "/api/v1/secrets?allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=1&watch=true",
		"/api/v1/configmaps?limit=500&resourceVersion=0", "/apis/apps/v1/deployments?limit=500&resourceVersion=0",
	} {
		l.send(t, request{user: user, agent: "operator/v1.4.2 (linux/amd64) kubernetes/$Format", path: path})
	}
	must(t, l.kubectl(t, "", "delete", "clusterrolebinding", "operator-"+namespace))
}

const application = `
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: not-one}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects:
- {kind: ServiceAccount, name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: web
        image: example.com/web:1
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: job, image: "example.com/job:1"}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
`
