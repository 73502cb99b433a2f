package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/report"
)

// TestInstall installs Bailey on a node, in a namespace that admits restricted pods only, sees it
// judge the cluster, judges its own namespace, and takes it away again.
func TestInstall(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes a minute or two: BAILEY_SOAK=1")
	}
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	before := installed(t, cluster)
	flags := []string{"install", "--kubeconfig", cluster.Kubeconfig, "--wait", "3m"}
	apply := append(flags, "--apply", "--set", "image="+devclustertest.BaileyImage, "--set", "persistence.enabled=false")
	if out, errs, code := program(t, apply...); code != exitOK {
		t.Fatalf("exit %d\n%s%s\n%s", code, out, errs, kubectlLoose(t, cluster, "-n", "bailey", "logs", "deployment/bailey"))
	}
	if got := string(kubectl(t, cluster, "get", "namespace", "bailey", "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`)); got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	// Through the API server, which speaks TLS to the pod.
	for _, path := range []string{"/readyz", "/healthz"} {
		if got := kubectl(t, cluster, "get", "--raw", "/api/v1/namespaces/bailey/services/https:bailey:https/proxy"+path); strings.TrimSpace(string(got)) != "ok" {
			t.Errorf("%s: %s", path, got)
		}
	}
	metrics := string(kubectl(t, cluster, "get", "--raw", "/api/v1/namespaces/bailey/services/https:bailey:https/proxy/metrics"))
	if !strings.Contains(metrics, "\nbailey_out_of_sight_seconds 0\n") || !strings.Contains(metrics, `bailey_control_rung{control="compute/pod-security"}`) {
		t.Errorf("the server does not see the cluster:\n%s", metrics)
	}
	logs := string(kubectl(t, cluster, "-n", "bailey", "logs", "deployment/bailey"))
	if strings.Contains(logs, "forbidden") {
		t.Errorf("a right is missing:\n%s", logs)
	}

	out, errs, _ := program(t, "scan", "--kubeconfig", cluster.Kubeconfig, "-n", "bailey", "-o", "json", "--fail-on", "none")
	r, err := report.ReadJSON(strings.NewReader(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	for _, f := range r.Findings {
		// The test's image is built here, and has no digest.
		if f.Object.Namespace == "bailey" && f.Severity >= bailey.SeverityLow && !strings.HasPrefix(f.Rule, "deploy/image-identity/") {
			t.Errorf("%s (%s) on %s: %s", f.Rule, f.Severity, f.Object, f.Message)
		}
	}

	// Again, with less: the policies are taken away, the rest stays.
	if _, errs, code := program(t, append(apply, "--set", "networkPolicy.enabled=false")...); code != exitOK {
		t.Fatalf("the second time: exit %d\n%s", code, errs)
	}
	if got := kubectl(t, cluster, "-n", "bailey", "get", "networkpolicies", "-o", "name"); len(got) > 0 {
		t.Errorf("left of what is no longer wanted: %s", got)
	}
	if _, errs, code := program(t, append(flags, "--uninstall")...); code != exitOK {
		t.Fatalf("uninstall: exit %d\n%s", code, errs)
	}
	if after := installed(t, cluster); after != before {
		t.Errorf("left after uninstall:\n%s\nbefore:\n%s", after, before)
	}
}

// installed lists what an installation may leave: namespaces, and what is named after it.
func installed(t *testing.T, cluster *devcluster.Cluster) string {
	t.Helper()
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
	}
	out := kubectl(t, cluster, "get", "namespaces,clusterroles,clusterrolebindings,roles,rolebindings,deployments,services,configmaps,serviceaccounts,networkpolicies,persistentvolumeclaims,validatingadmissionpolicies,validatingadmissionpolicybindings", "-A", "-o", "json")
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, item := range list.Items {
		if item.Metadata.Namespace == "bailey" || strings.HasPrefix(item.Metadata.Name, "bailey") {
			b.WriteString(item.Kind + " " + item.Metadata.Namespace + "/" + item.Metadata.Name + "\n")
		}
	}
	return b.String()
}

// kubectlLoose is kubectl for what only explains a failure.
func kubectlLoose(t *testing.T, cluster *devcluster.Cluster, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), args...)
	if err != nil {
		return err.Error()
	}
	return string(out)
}
