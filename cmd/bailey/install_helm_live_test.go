package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestHelm installs the chart by Helm itself, on a node, in a namespace that admits restricted pods only, changes
// it, goes back, and takes it away: history stays throughout.
func TestHelm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	cluster, node := devclustertest.SharedNode(t)
	image := devclustertest.ImportBailey(t, cluster, node)
	helm := devclustertest.Helm(t, cluster)
	home, before := t.TempDir(), installed(t, cluster)
	data := volumeFor(t, cluster, node, "helm-test")
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, helm, append(args, "--namespace", "bailey")...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil {
			t.Fatalf("helm %s: %v\n%s\n%s", strings.Join(args, " "), err, out, kubectlLoose(t, cluster, "-n", "bailey", "get", "pods,events"))
		}
	}
	kubectl(t, cluster, "create", "namespace", "bailey")
	t.Cleanup(func() {
		_, _ = run("uninstall", "bailey", "--ignore-not-found")
		kubectlLoose(t, cluster, "delete", "namespace", "bailey", "--ignore-not-found")
	})
	kubectl(t, cluster, "label", "namespace", "bailey", "pod-security.kubernetes.io/enforce=restricted")
	wait := []string{"--wait", "--timeout", "3m"}
	chart, values := filepath.Join("..", "..", "deploy", "chart"), []string{"--set", "image=" + image, "--set", "persistence.size=1Gi", "--set", "config.failOn=high"}
	must(append(append([]string{"install", "bailey", chart}, values...), wait...)...)
	answersReady(t, cluster)
	judgesItself(t, cluster)

	// bailey install leaves alone what is Helm's.
	if _, errs, code := program(t, "install", "--kubeconfig", cluster.Kubeconfig, "--apply", "--set", "image="+image); code != exitFailed ||
		!strings.Contains(errs, "is of Helm's release bailey in namespace bailey") || !strings.Contains(errs, "hint: helm upgrade") {
		t.Errorf("over Helm's release: exit %d\n%s", code, errs)
	}

	// With Helm alone its experiments run on schedule.
	first := scheduled(t, cluster, "first of all", func(store.Run) bool { return true })
	if first.State != store.RunDone || first.Held == 0 {
		t.Errorf("the first run of experiments: %+v", first)
	}
	changed := time.Now()
	policies := func() string {
		return string(kubectl(t, cluster, "-n", "bailey", "get", "networkpolicies", "-o", "name"))
	}
	must(append([]string{"upgrade", "bailey", chart, "--reuse-values", "--set", "networkPolicy.enabled=false"}, wait...)...)
	if got := policies(); got != "" {
		t.Errorf("left of what is no longer wanted: %s", got)
	}
	// Beside what is Helm's stands what Helm cannot know: whom else the prober may act as.
	rights, errs, code := program(t, "install", "--rights", "--kubeconfig", cluster.Kubeconfig)
	if code != exitOK {
		t.Fatalf("rights: exit %d\n%s", code, errs)
	}
	given := filepath.Join(t.TempDir(), "rights.yaml")
	if err := os.WriteFile(given, []byte(rights), 0o600); err != nil {
		t.Fatal(err)
	}
	actsAsNode := func() bool {
		said := kubectlLoose(t, cluster, "auth", "can-i", "impersonate", "users/system:node:"+node.Name, "--as", "system:serviceaccount:bailey:bailey-prober")
		return strings.TrimSpace(said) == "yes"
	}
	if actsAsNode() {
		t.Error("by the chart alone the prober may act as a node")
	}
	kubectl(t, cluster, "apply", "-f", given)
	t.Cleanup(func() { kubectlLoose(t, cluster, "delete", "-f", given, "--ignore-not-found") })
	awaitWithin(t, time.Minute, "the prober may act as a node", actsAsNode)
	for _, own := range []string{"clusterrole/bailey-prober", "role/bailey-prober", "validatingadmissionpolicy/bailey-prober-dry-run-only"} {
		kubectl(t, cluster, "-n", "bailey", "get", own)
	}
	kubectl(t, cluster, "delete", "-f", given)
	must(append([]string{"rollback", "bailey", "1"}, wait...)...)
	if got := policies(); got == "" {
		t.Error("what was wanted before is not back")
	}
	answersReady(t, cluster)
	must("uninstall", "bailey", "--wait")
	were := strings.Split(before, "\n")
	left := slices.DeleteFunc(strings.Split(installed(t, cluster), "\n"), func(line string) bool {
		return slices.Contains(were, line) || line == "Namespace /bailey" || line == "ConfigMap bailey/kube-root-ca.crt" || line == "ServiceAccount bailey/default"
	})
	if !slices.Equal(left, []string{"PersistentVolumeClaim bailey/bailey"}) {
		t.Errorf("left after uninstall: %q", left)
	}
	knownBefore(t, cluster, data, changed)
	kubectl(t, cluster, "delete", "namespace", "bailey")
	if after := installed(t, cluster); after != before {
		t.Errorf("left without the namespace:\n%s\nbefore:\n%s", after, before)
	}

	// Nor does Helm take what bailey install made.
	if _, errs, code := program(t, "install", "--kubeconfig", cluster.Kubeconfig, "--apply", "--wait", "0", "--set", "image="+image); code != exitOK {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	if out, err := run(append([]string{"install", "bailey", chart}, values...)...); err == nil || !strings.Contains(out, "ownership") {
		t.Errorf("helm install over bailey install: %v\n%s", err, out)
	}
	if _, errs, code := program(t, "install", "--kubeconfig", cluster.Kubeconfig, "--uninstall", "--delete-data", "--wait", "1m"); code != exitOK {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	if after := installed(t, cluster); after != before {
		t.Errorf("left at last:\n%s\nbefore:\n%s", after, before)
	}
}

// scheduled waits until the newest run of experiments of the schedule that is wanted has ended, and findings are kept, and gives it.
func scheduled(t *testing.T, cluster *devcluster.Cluster, what string, wanted func(store.Run) bool) (ended store.Run) {
	t.Helper()
	uid := string(kubectl(t, cluster, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"))
	awaitWithin(t, 4*time.Minute, "a run of the schedule has ended, "+what, func() bool {
		kept := historyOf(t, cluster)
		if kept == nil {
			return false
		}
		defer kept.Close()
		found, err := kept.Findings(t.Context(), store.FindingQuery{Cluster: uid, Access: store.Everything()})
		runs, more := kept.Runs(t.Context(), store.RunQuery{Cluster: uid, Access: store.Everything()})
		if err != nil || more != nil || len(found.Items) == 0 {
			return false
		}
		at := slices.IndexFunc(runs.Items, func(r store.Run) bool {
			return r.Trigger == store.TriggerSchedule && r.State != store.RunRunning && wanted(r)
		})
		if at >= 0 {
			ended = runs.Items[at]
		}
		return at >= 0
	})
	return ended
}

// historyOf is what the server that is installed remembers, in a store of the test's own; nil while it cannot be had.
func historyOf(t *testing.T, cluster *devcluster.Cluster) *store.Store {
	t.Helper()
	said := kubectlLoose(t, cluster, "-n", "bailey", "exec", "deployment/bailey", "--", "/bailey", "history", "export", "-", "--data", "/data/server")
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Import(t.Context(), strings.NewReader(said)); err != nil {
		kept.Close()
		return nil
	}
	return kept
}
