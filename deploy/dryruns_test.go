package deploy_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/testdata/platform"
)

// rarely is what the cases of controls lack and experiments try: a pod within a quota of devices that could be resized, and a node
// that is for some, with a namespace that is not trusted.
const rarely = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {bailey.dev/trust: untrusted}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: shop}
spec: {hard: {requests.cpu: "4", limits.cpu: "4", gpu.deviceclass.resource.k8s.io/devices: "2"}}
status: {hard: {requests.cpu: "4", limits.cpu: "4", gpu.deviceclass.resource.k8s.io/devices: "2"}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec:
  nodeName: b
  containers: [{name: c, image: registry.example.com/c:1, resources: {requests: {cpu: "1"}, limits: {cpu: "1"}}}]
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: waiting, namespace: shop}
spec: {containers: [{name: c, image: registry.example.com/c:1}]}
---
apiVersion: v1
kind: Node
metadata: {name: a, labels: {node-restriction.kubernetes.io/for: bank}}
spec: {taints: [{key: for, value: bank, effect: NoSchedule}]}
---
apiVersion: v1
kind: Node
metadata: {name: b}
`

// TestDryRunRights: what the chart gives the prober is what experiments that change nothing ask as themselves, of the cases of all
// controls, the sample platform and what these lack: no less, and no more.
func TestDryRunRights(t *testing.T) {
	needed := map[string]string{} // right to a place where it is needed
	plan := func(where string, texts ...[]byte) {
		for _, grant := range grantsOn(t, texts) {
			if slices.Equal(grant.Verbs, []string{"impersonate"}) {
				continue // of a user whom only the cluster names
			}
			scope := "in each namespace"
			if grant.Namespace == "" || strings.HasPrefix(grant.Namespace, "kube-") {
				scope = "in " + grant.Namespace
			}
			for _, verb := range grant.Verbs {
				needed[fmt.Sprint(scope, ": ", verb, " ", grant.Group, " ", grant.Resource, grant.Path, " ", grant.Names)] = where
			}
		}
	}
	files, err := filepath.Glob("../controls/*/testdata/*/*.txtar")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var texts [][]byte
		for _, f := range txtar.Parse(data).Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				texts = append(texts, f.Data)
			}
		}
		plan(file, texts...)
	}
	names, err := fs.Glob(platform.Manifests, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample [][]byte
	for _, name := range names {
		data, err := platform.Manifests.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sample = append(sample, data)
	}
	plan("the sample platform", sample...)
	plan("what cases lack", []byte(rarely))

	given := map[string]bool{}
	namespaces := map[string]bool{}
	for _, o := range rendered(t, map[string]any{"image": image, "prober": map[string]any{"namespaces": []any{"shop", "1234", "bank", "kube-system", "kube-public", "kube-node-lease"}, "without": []any{"bank"}}}) {
		if !strings.HasSuffix(o.GetKind(), "Role") || o.GetName() != "bailey-dry-runs" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
			t.Fatal(err)
		}
		namespaces[o.GetNamespace()] = true
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, path := range rule.NonResourceURLs {
					given[fmt.Sprint("in : ", verb, "  ", path, " []")] = true
				}
				for _, resource := range rule.Resources {
					scope := "in each namespace"
					if o.GetNamespace() == "" || strings.HasPrefix(o.GetNamespace(), "kube-") {
						scope = "in " + o.GetNamespace()
					}
					given[fmt.Sprint(scope, ": ", verb, " ", strings.Join(rule.APIGroups, ","), " ", resource, " ", rule.ResourceNames)] = true
				}
			}
		}
	}
	if !maps.Equal(namespaces, map[string]bool{"": true, "shop": true, "1234": true, "kube-system": true, "kube-public": true, "kube-node-lease": true}) {
		t.Errorf("it may do something in %v", namespaces)
	}
	for _, right := range slices.Sorted(maps.Keys(needed)) {
		if !given[right] {
			t.Errorf("not given, and needed for %s: %s", needed[right], right)
		}
		delete(given, right)
	}
	for _, right := range slices.Sorted(maps.Keys(given)) {
		t.Errorf("given, and needed nowhere: %s", right)
	}
}

// grantsOn are the rights that dry-runs need where there is what the texts say, beside the namespaces that every cluster has.
func grantsOn(t *testing.T, texts [][]byte) []prove.Grant {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{At: controltest.At, Medium: "cluster", Version: bailey.LatestVersion})
	for _, kind := range bailey.KnownKinds() {
		b.Saw(kind, "")
	}
	for _, text := range append(texts, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n")) {
		for _, f := range controltest.Facts(t, text) {
			if f.UID == "" {
				f.UID = "of-" + f.Name // what an API server holds has one
			}
			b.Saw(f.Kind, "")
			b.Add(f)
		}
	}
	return prove.Grants(prove.Plan(b.Snapshot(), controls.All(), prove.Choice{Worst: bailey.DangerDryRun, Every: true}).Units)
}
