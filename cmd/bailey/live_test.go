package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/report"
)

// programLimit bounds one run of the program in tests.
const programLimit = 5 * time.Minute

// program runs bailey as a process of its own and gives its exit code.
func program(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return programIn(t, t.TempDir(), args...)
}

// programIn runs bailey with a state folder of the caller's.
func programIn(t *testing.T, state string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asBailey+"=1", "XDG_STATE_HOME="+state)
	cmd.Dir = t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// result runs a scan and decodes its JSON.
func result(t *testing.T, args ...string) *bailey.Report {
	t.Helper()
	out, errs, code := program(t, append([]string{"scan", "-o", "json", "--fail-on", "none"}, args...)...)
	if code != exitOK {
		t.Fatalf("bailey scan %s: exit %d\n%s", strings.Join(args, " "), code, errs)
	}
	r, err := report.ReadJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kubectl(t *testing.T, cluster *devcluster.Cluster, args ...string) []byte {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// workloads is what the tests load: several kinds, good and bad.
const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: setup, image: example.com/setup, securityContext: {privileged: true}}
      containers:
      - name: web
        image: example.com/web:1
        env: [{name: DB_PASSWORD, value: "k3Jd92lsPq0zXv71"}, {name: MODE, value: production}]
        args: ["--token=Zx81kLmQ02pRt55vWq"]
        ports: [{containerPort: 8080, hostPort: 8080}]
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
          hostPID: true
          containers: [{name: job, image: example.com/job:latest}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  app.properties: |
    mode=production
    db.password=Jq82nLs0Pz71Xv
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-all}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{}], policyTypes: [Ingress]}
`

// TestLiveSavedExported scans one namespace live, from its snapshot and from
// its exported manifests.
func TestLiveSavedExported(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	dir := t.TempDir()
	load := filepath.Join(dir, "load.yaml")
	if err := os.WriteFile(load, []byte(workloads), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "apply", "-n", ns, "-f", load)
	waitForPods(t, cluster, ns, 2)

	live := result(t, "--kubeconfig", cluster.Kubeconfig, "-n", ns)
	snapshot := filepath.Join(dir, "snapshot.zst")
	if _, errs, code := program(t, "snapshot", "save", "--kubeconfig", cluster.Kubeconfig, "-n", ns, "-o", snapshot); code != exitOK {
		t.Fatal(errs)
	}
	saved := result(t, snapshot)
	if l, s := lines(live, nil), lines(saved, nil); !slices.Equal(l, s) {
		t.Errorf("live:\n%s\nsaved:\n%s", strings.Join(l, "\n"), strings.Join(s, "\n"))
	}
	text, _, _ := program(t, "scan", "--all", "--fail-on", "none", "-o", "json", "--kubeconfig", cluster.Kubeconfig, "-n", ns)
	for _, marker := range []string{"k3Jd92lsPq0zXv71", "Zx81kLmQ02pRt55vWq", "Jq82nLs0Pz71Xv"} {
		if strings.Contains(text, marker) {
			t.Errorf("the report holds the value %s", marker)
		}
	}

	exported := filepath.Join(dir, "exported")
	if err := os.Mkdir(exported, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"deployments", "replicasets", "pods", "cronjobs", "configmaps", "networkpolicies", "serviceaccounts", "services", "roles", "rolebindings"} {
		out := kubectl(t, cluster, "get", kind, "-n", ns, "-o", "yaml")
		if err := os.WriteFile(filepath.Join(exported, kind+".yaml"), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := result(t, exported)
	// Only rules all of whose facts a folder holds can agree.
	sameFacts := func(rule string) bool {
		_, r := bailey.FindRule(controls.All(), rule)
		return r != nil && !slices.ContainsFunc(append(needsOf(r), r.On...), func(k bailey.Kind) bool {
			return slices.ContainsFunc(files.Verdicts, func(v bailey.Verdict) bool {
				return slices.ContainsFunc(v.Coverage.Missing, func(m bailey.Missing) bool { return m.Kind == k && m.Reason == bailey.ReasonOpenWorld })
			})
		})
	}
	l, f := lines(live, sameFacts), lines(files, sameFacts)
	if len(l) < 10 {
		t.Errorf("only %d findings compare; the test has lost its object", len(l))
	}
	if !slices.Equal(l, f) {
		t.Errorf("live:\n%s\nfiles:\n%s", strings.Join(l, "\n"), strings.Join(f, "\n"))
	}
}

// lines gives findings as text that can be compared across media.
func lines(r *bailey.Report, keep func(rule string) bool) []string {
	var all []string
	for _, f := range r.Findings {
		if keep == nil || keep(f.Rule) {
			all = append(all, f.ID+" "+f.Rule+" "+f.Object.String()+" "+f.Field+": "+f.Message)
		}
	}
	slices.Sort(all)
	return all
}

func waitForPods(t *testing.T, cluster *devcluster.Cluster, ns string, n int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		pods := strings.Fields(string(kubectl(t, cluster, "get", "pods", "-n", ns, "-o", "name")))
		if len(pods) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d pods", len(pods), n)
		}
		time.Sleep(100 * time.Millisecond) // polls a controller
	}
}

// TestForbidden scans with an identity that may list pods and nothing else.
func TestForbidden(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	user := "only-pods-" + ns
	kubectl(t, cluster, "create", "clusterrole", user, "--verb=list", "--resource=pods")
	kubectl(t, cluster, "create", "clusterrolebinding", user, "--clusterrole="+user, "--user="+user)
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "clusterrolebinding,clusterrole", user)
	})
	kubectl(t, cluster, "run", "bad", "-n", ns, "--image=example.com/bad", "--privileged")
	kubeconfig, err := cluster.KubeconfigFor(user)
	if err != nil {
		t.Fatal(err)
	}

	r := result(t, "--kubeconfig", kubeconfig)
	if !slices.ContainsFunc(r.Findings, func(f bailey.Finding) bool {
		return f.Rule == "compute/pod-security/privileged" && f.Object.Namespace == ns
	}) {
		t.Error("the pod that could be read was not judged")
	}
	byControl := map[string]bailey.Verdict{}
	for _, v := range r.Verdicts {
		if v.Scope.Kind == bailey.ScopeCluster {
			byControl[v.Control] = v
		}
	}
	for _, c := range controls.All() {
		needs := map[bailey.Kind]bool{}
		for _, rule := range c.Rules {
			for _, k := range rule.On {
				needs[k] = true
			}
		}
		delete(needs, bailey.KindPod)
		if v := byControl[c.ID]; v.Rung > bailey.RungUnknown && (len(needs) > 0 || len(c.Rules) == 0) {
			t.Errorf("%s stands at %s without the permission to read %v", c.ID, v.Rung, needs)
		}
	}
	forbidden := map[bailey.Kind]bailey.Missing{}
	for _, m := range r.Coverage.Missing {
		if m.Reason == bailey.ReasonForbidden {
			forbidden[m.Kind] = m
		}
	}
	for _, k := range []bailey.Kind{bailey.KindDeployment, bailey.KindNamespace, bailey.KindServiceAccount, bailey.KindNetworkPolicy} {
		if m, known := forbidden[k]; !known || m.Detail == "" || m.Hint == "" {
			t.Errorf("the missing permission for %s is not named: %+v", k, m)
		}
	}
}

// TestProve runs the experiment against a cluster in which Pod Security holds,
// and against one whose plug-in was told to exempt the administrator.
func TestProve(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	held := proveIn(t, cluster.Kubeconfig, ns)
	if held.Outcome != prove.Held || len(held.Probes) < 10 || held.Evidence == "" {
		t.Errorf("%s with %d probes: %s", held.Outcome, len(held.Probes), held.Why)
	}
	for _, p := range held.Probes {
		if p.Outcome() != prove.Held || p.Held != 2 {
			t.Errorf("%s: %s %d/%d: %s", p.Name, p.Outcome(), p.Held, p.Tried, p.Why)
		}
	}
	if pods := kubectl(t, cluster, "get", "pods", "-n", ns, "-o", "name"); len(bytes.TrimSpace(pods)) > 0 {
		t.Errorf("the probes left %s", pods)
	}

	broken, err := devcluster.Start(t.Context(), devcluster.Options{PodSecurity: devcluster.PodSecurity{ExemptUsers: []string{"admin", "kubernetes-admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broken.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, broken, "create", "namespace", "shop")
	kubectl(t, broken, "label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted")
	for _, p := range proveIn(t, broken.Kubeconfig, "shop").Probes {
		if p.Outcome() != prove.Broken {
			t.Errorf("with an exempt prober %s is %s: %s", p.Name, p.Outcome(), p.Why)
		}
	}
}

// proveIn runs the control's experiments of a namespace twice over.
func proveIn(t *testing.T, kubeconfig, ns string) proved {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	out, errs, code := program(t, "prove", "compute/pod-security", "--kubeconfig", kubeconfig, "--repeat", "2", "-o", "json")
	if code > exitFindings {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var all struct{ Results []proved }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	in := slices.DeleteFunc(all.Results, func(p proved) bool { return p.Scope != "namespace "+ns })
	if len(in) != 1 {
		t.Fatalf("%d experiments ran in %s: %s", len(in), ns, out)
	}
	return in[0]
}
