package enforce_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
)

// TestChartIsUninstalled puts the chart of all guards into a cluster, denying, in the order in
// which Helm installs, and takes it away in the order in which Helm uninstalls: nothing of the
// chart may keep another part from going, and afterwards everything is admitted again.
func TestChartIsUninstalled(t *testing.T) {
	cluster := devclustertest.Own(t)
	namespace := devclustertest.NamespaceIn(t, cluster, nil)
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kube.Collect(t.Context(), kube.Options{RESTConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := enforce.Make(s, controls.All())
	if err != nil {
		t.Fatal(err)
	}
	files, err := plan.Render(enforce.LayoutHelm, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	chart, err := loader.LoadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	values, err := util.ToRenderValues(chart, nil, common.ReleaseOptions{Name: "bailey-guards", Namespace: "default"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	// documents writes a release's objects in an order, and tells how many.
	documents := func(order releaseutil.KindSortOrder, keep bool) (file string, n int) {
		t.Helper()
		_, manifests, err := releaseutil.SortManifests(rendered, nil, order)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range manifests {
			if keep || m.Head.Metadata.Annotations["helm.sh/resource-policy"] != "keep" {
				all = append(all, m.Content)
			}
		}
		file = filepath.Join(t.TempDir(), "objects.yaml")
		if err := os.WriteFile(file, []byte(strings.Join(all, "\n---\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return file, len(all)
	}
	file, all := documents(releaseutil.InstallOrder, true)
	if out, err := cluster.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "-f", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The Pod Security levels of namespaces that were there stay; they refuse pods alone.
	labels := map[string]any{"a": "b"}
	deployment := map[string]any{"metadata": map[string]any{"name": "d"}, "spec": map[string]any{"selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "a", "securityContext": map[string]any{"privileged": true}}}}}}}
	refused := func() string {
		err := cluster.Do(t.Context(), http.MethodPost, "/apis/apps/v1/namespaces/"+namespace+"/deployments?dryRun=All", deployment, nil)
		if err != nil {
			return err.Error()
		}
		return ""
	}
	kept := func() string {
		err := cluster.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/kube-system/configmaps/"+bailey.PublishedParam+"?dryRun=All", nil, nil)
		if err != nil {
			return err.Error()
		}
		return ""
	}
	await(t, func() bool {
		return strings.Contains(refused(), "ValidatingAdmissionPolicy") && strings.Contains(kept(), "parameter-kept")
	})

	file, going := documents(releaseutil.UninstallOrder, false)
	begin := time.Now()
	out, err := cluster.Kubectl(t.Context(), "delete", "--wait=false", "-f", file)
	if gone := bytes.Count(out, []byte(" deleted")); err != nil || gone != going {
		t.Errorf("%d of %d objects are deleted, %d are kept: %v\n%s", gone, going, all-going, err, out)
	}
	await(t, func() bool { return refused() == "" && kept() == "" })
	t.Logf("%d objects installed, %d uninstalled, and nothing refused %s later", all, going, time.Since(begin).Round(time.Second))
	out, err = cluster.Kubectl(context.WithoutCancel(t.Context()), "get", "configmaps", "-n", "kube-system", "-l", "app.kubernetes.io/managed-by=bailey", "-o", "name")
	if left := strings.Fields(string(out)); err != nil || !slices.Contains(left, "configmap/"+bailey.PublishedParam) {
		t.Errorf("the lists are not kept: %v %q", err, left)
	}
}

// await waits until something is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for begin := time.Now(); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("it is not so after 30 s")
		}
	}
}
