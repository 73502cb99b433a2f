package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestInstall installs Bailey on a node, in a namespace that admits restricted pods only, sees it
// judge the cluster, judges its own namespace, and takes it away again.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute or two")
	}
	cluster, node := devclustertest.SharedNode(t)
	image := devclustertest.ImportBailey(t, cluster, node)
	before := installed(t, cluster)
	data := volumeFor(t, cluster, node, "install-test")
	flags := []string{"install", "--kubeconfig", cluster.Kubeconfig, "--wait", "3m"}
	apply := append(flags, "--apply", "--set", "image="+image, "--set", "persistence.size=1Gi", "--set", "config.failOn=high",
		"--set", "ingress.enabled=true,ingress.host=bailey.example.com,ingress.from[0].ipBlock.cidr=192.0.2.0/24")
	if out, errs, code := program(t, apply...); code != exitOK {
		t.Fatalf("exit %d\n%s%s\n%s", code, out, errs, kubectlLoose(t, cluster, "-n", "bailey", "logs", "deployment/bailey"))
	}
	if got := string(kubectl(t, cluster, "get", "namespace", "bailey", "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`)); got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	if got := string(kubectl(t, cluster, "-n", "bailey", "get", "ingress", "bailey", "-o", "jsonpath={.spec.rules[*].host} {.spec.rules[*].http.paths[*].backend.service.port.name}")); got != "bailey.example.com https" {
		t.Errorf("the Ingress leads from %q", got)
	}
	answersReady(t, cluster)
	metrics := scraped(t, cluster)
	if !strings.Contains(metrics, "\nbailey_out_of_sight_seconds 0\n") || !strings.Contains(metrics, `bailey_control_rung{control="compute/pod-security"}`) {
		t.Errorf("the server does not see the cluster:\n%s", metrics)
	}
	logs := string(kubectl(t, cluster, "-n", "bailey", "logs", "deployment/bailey"))
	if strings.Contains(logs, "forbidden") {
		t.Errorf("a right is missing:\n%s", logs)
	}

	judgesItself(t, cluster)

	// Again, with less: the policies and the quota are taken away, the rest stays. And with more: the schedule may make objects of its own.
	changed := time.Now()
	if _, errs, code := program(t, append(apply, "--set", "networkPolicy.enabled=false,quota.enabled=false", "--set", "prober.every=1m,prober.isolated=true",
		"--set", "prober.controls={access/service-accounts,compute/syscalls},config.schedule.window=00:00-24:00")...); code != exitOK {
		t.Fatalf("the second time: exit %d\n%s", code, errs)
	}
	if got := kubectl(t, cluster, "-n", "bailey", "get", "networkpolicies,resourcequotas,limitranges", "-o", "name"); len(got) > 0 {
		t.Errorf("left of what is no longer wanted: %s", got)
	}
	acted := scheduled(t, cluster, "with objects of its own", func(r store.Run) bool { return r.Danger == bailey.DangerIsolated && r.Started.After(changed) })
	if acted.State != store.RunDone || acted.Held < 2 || acted.Inconclusive > 0 {
		t.Errorf("what the schedule did with objects of its own: %+v", acted)
	}
	// Elsewhere it may not, whatever the names.
	pod := []string{"run", "bailey-probe-x", "--image=x", "--as=system:serviceaccount:bailey:bailey-prober", "-n"}
	if out, err := cluster.Kubectl(t.Context(), append(pod, "default")...); err == nil || !strings.Contains(string(out)+err.Error(), "outside of its own namespaces") {
		t.Errorf("a pod of the prober's in another namespace than its own: %s%v", out, err)
	}
	// History outlives the installation, unless it is asked not to.
	if _, errs, code := program(t, append(flags, "--uninstall")...); code != exitOK || !strings.Contains(errs, "left: persistentvolumeclaim") {
		t.Fatalf("uninstall: exit %d\n%s", code, errs)
	}
	again := time.Now()
	if _, errs, code := program(t, apply...); code != exitOK {
		t.Fatalf("over what was left: exit %d\n%s", code, errs)
	}
	if _, errs, code := program(t, append(flags, "--uninstall", "--delete-data")...); code != exitOK {
		t.Fatalf("uninstall with its data: exit %d\n%s", code, errs)
	}
	if after := installed(t, cluster); after != before {
		t.Errorf("left after uninstall:\n%s\nbefore:\n%s", after, before)
	}
	knownBefore(t, cluster, data, again)
	if _, err := os.Stat(filepath.Join(data, "ledger", "ledger.json")); err != nil {
		t.Errorf("no ledger was kept: %v", err)
	}
}

// answersReady asks what is installed through the API server, which speaks TLS to the pod.
func answersReady(t *testing.T, cluster *devcluster.Cluster) {
	t.Helper()
	for _, path := range []string{"/readyz", "/healthz"} {
		if got := kubectl(t, cluster, "get", "--raw", "/api/v1/namespaces/bailey/services/https:bailey:https/proxy"+path); strings.TrimSpace(string(got)) != "ok" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// judgesItself scans the namespace of what is installed, and wants nothing found there, nor of what is Bailey's outside of namespaces; and
// that this, and its image, was seen.
func judgesItself(t *testing.T, cluster *devcluster.Cluster) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bailey.snapshot")
	r := result(t, "--kubeconfig", cluster.Kubeconfig, "-n", "bailey", "--save", file)
	s, err := saved.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	namespace := bailey.Ref{Kind: bailey.KindNamespace, Name: "bailey"}
	if pods := s.List(bailey.KindPod, namespace.Name); len(pods) == 0 || s.Unseen(bailey.KindPod, namespace.Name, "") != nil || s.Get(namespace) == nil {
		t.Errorf("of the namespace %d pods were read, or not all, or not itself", len(pods))
	}
	for _, f := range r.Findings {
		ours := f.Object.Namespace == namespace.Name || f.Object.Namespace == "" && strings.HasPrefix(f.Object.Name, "bailey")
		if ours && f.Severity >= bailey.SeverityLow {
			t.Errorf("%s (%s) on %s: %s", f.Rule, f.Severity, f.Object, f.Message)
		}
	}
	image := slices.IndexFunc(r.Verdicts, func(v bailey.Verdict) bool {
		return v.Control == "deploy/image-identity" && v.Scope.Object.Namespace == namespace.Name && v.Scope.Object.Name == "bailey"
	})
	if image < 0 || r.Verdicts[image].Coverage.Seen == 0 || r.Verdicts[image].Findings > 0 {
		t.Errorf("of the image's identity nothing was seen, or something found: %+v", r.Verdicts[max(image, 0)])
	}
	if s.Get(bailey.Ref{Kind: bailey.KindClusterRole, Name: "bailey-reader"}) == nil {
		t.Error("what is Bailey's outside of namespaces was not read")
	}
	for _, control := range []string{"compute/pod-security", "compute/quotas"} {
		at := slices.IndexFunc(r.Verdicts, func(v bailey.Verdict) bool {
			return v.Control == control && v.Scope.Kind == bailey.ScopeNamespace && v.Scope.Object == namespace
		})
		if at < 0 || r.Verdicts[at].Rung < bailey.RungSound {
			t.Errorf("%s is not sound there: %+v", control, r.Verdicts[max(at, 0)])
		}
	}
}

// knownBefore tells whether the history in a volume's folder has most of its findings from before a moment.
func knownBefore(t *testing.T, cluster *devcluster.Cluster, data string, moment time.Time) {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), filepath.Join(data, "server"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	uid := string(kubectl(t, cluster, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"))
	page, err := kept.Findings(t.Context(), store.FindingQuery{Cluster: uid, Access: store.Everything(), State: store.Open, Limit: 1000})
	known := 0
	for _, f := range page.Items {
		if f.First.Before(moment) {
			known++
		}
	}
	if err != nil || known == 0 || known < len(page.Items)/2 {
		t.Errorf("of %d findings %d were known before it was installed or changed again: %v", len(page.Items), known, err)
	}
}

// scraped gives the metrics of the pod that is installed, read as Prometheus would: by an account that may get them.
func scraped(t *testing.T, cluster *devcluster.Cluster) string {
	t.Helper()
	const scraper = "install-test-scraper"
	kubectl(t, cluster, "create", "serviceaccount", scraper, "-n", "default")
	kubectl(t, cluster, "create", "clusterrolebinding", scraper, "--clusterrole=bailey-metrics", "--serviceaccount=default:"+scraper)
	t.Cleanup(func() {
		kubectlLoose(t, cluster, "delete", "clusterrolebinding", scraper)
		kubectlLoose(t, cluster, "delete", "serviceaccount", scraper, "-n", "default")
	})
	token := strings.TrimSpace(string(kubectl(t, cluster, "create", "token", scraper, "-n", "default")))
	address := strings.TrimSpace(string(kubectl(t, cluster, "-n", "bailey", "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")))
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: cluster.Dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a certificate of its own making
	defer client.CloseIdleConnections()
	read := func(bearer string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+net.JoinHostPort(address, "8443")+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := read(""); status != http.StatusUnauthorized {
		t.Errorf("a stranger who asks for the metrics gets %d: %.200s", status, body)
	}
	var status int
	var body string
	awaitWithin(t, time.Minute, "the metrics are given to who may get them", func() bool {
		status, body = read(token)
		return status == http.StatusOK
	})
	return body
}

// volumeFor gives the folder of a volume on the node that the claim of an installation is bound to.
func volumeFor(t *testing.T, cluster *devcluster.Cluster, node *devcluster.Node, name string) string {
	t.Helper()
	path := "/mnt/" + name
	dir := filepath.Join(node.Root, path)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	object := map[string]any{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": map[string]any{"name": name}, "spec": map[string]any{
		"capacity": map[string]any{"storage": "1Gi"}, "accessModes": []any{"ReadWriteOnce"}, "persistentVolumeReclaimPolicy": "Retain", "local": map[string]any{"path": path},
		"claimRef": map[string]any{"namespace": "bailey", "name": "bailey"},
		"nodeAffinity": map[string]any{"required": map[string]any{"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{
			map[string]any{"key": "kubernetes.io/hostname", "operator": "In", "values": []any{node.Name}}}}}}}}}
	if err := cluster.Do(t.Context(), http.MethodPost, "/api/v1/persistentvolumes", object, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectlLoose(t, cluster, "delete", "persistentvolume", name, "--wait=false") })
	return dir
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
	out := kubectl(t, cluster, "get", "namespaces,clusterroles,clusterrolebindings,roles,rolebindings,deployments,services,ingresses,configmaps,serviceaccounts,networkpolicies,resourcequotas,limitranges,persistentvolumeclaims,validatingadmissionpolicies,validatingadmissionpolicybindings", "-A", "-o", "json")
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
	out, err := cluster.Kubectl(context.WithoutCancel(t.Context()), args...) // also at the end of a test
	if err != nil {
		return err.Error()
	}
	return string(out)
}
