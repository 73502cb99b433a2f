package controls_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

const allCases = "*/testdata/*/*.txtar"

// TestRulesAndPoliciesAgree: on generated objects every guard's rules find something in
// exactly what its policies refuse.
func TestRulesAndPoliciesAgree(t *testing.T) {
	controltest.Agree(t, controls.All(), allCases, 1000)
}

// TestRulesAndAPIServerAgree is the same on a live API server with all policies in place.
func TestRulesAndAPIServerAgree(t *testing.T) {
	objects := 150
	if os.Getenv("BAILEY_SOAK") != "" {
		objects = 2000
	}
	controltest.AgreeLive(t, devclustertest.Own(t), controls.All(), allCases, objects)
}

// TestSamplePlatformFixedIsAdmitted: the sample platform has faults that the policies
// refuse; once they are fixed, nothing of it is refused.
func TestSamplePlatformFixedIsAdmitted(t *testing.T) {
	files, err := filepath.Glob("../testdata/platform/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	var text []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, "\n---\n"...), data...)
	}
	if refused := controltest.Mended(t, controls.All(), text, mended); refused < 20 {
		t.Errorf("only %d objects are refused before", refused)
	}
}

// mended does to the sample platform what no rule can do by itself: it pins images, in a
// registry that is allowed, and takes away what nobody should have.
func mended(o *unstructured.Unstructured) bool {
	pinImages(o.Object)
	pod, _, _ := unstructured.NestedMap(o.Object, "spec", "template", "spec")
	switch o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName() {
	case "Secret ci/runner-token", // a token that never ends
		"ClusterRoleBinding /ci-runner", "Role ci/anything-in-ci", "ClusterRole /db-operator", "ClusterRole /db-operator-view": // rights that are too wide
		return false
	case "PersistentVolume /orders-archive":
		_ = unstructured.SetNestedStringSlice(o.Object, []string{"sec=krb5p"}, "spec", "mountOptions")
	case "StorageClass /fast":
		_ = unstructured.SetNestedField(o.Object, "true", "parameters", "encrypted")
	case "Deployment ci/runner", "DaemonSet ci/node-cleaner", "DaemonSet monitoring/node-agent": // mount what leads round the API server
		for _, v := range pod["volumes"].([]any) {
			if volume := v.(map[string]any); volume["hostPath"] != nil {
				delete(volume, "hostPath")
				volume["emptyDir"] = map[string]any{}
			}
		}
	}
	switch o.GetKind() {
	case "Service": // none of these namespaces is listed
		if kind, _, _ := unstructured.NestedString(o.Object, "spec", "type"); kind == "NodePort" || kind == "LoadBalancer" {
			_ = unstructured.SetNestedField(o.Object, "ClusterIP", "spec", "type")
		}
	case "Pod":
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
		for _, c := range containers {
			c.(map[string]any)["resources"] = map[string]any{"requests": map[string]any{"cpu": "10m"}, "limits": map[string]any{"memory": "64Mi"}}
		}
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "containers")
	}
	labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	if pod != nil && (labels["kiosk.example/trust"] == "untrusted" || o.GetNamespace() == "ci") { // ci is an untrusted namespace
		pod["runtimeClassName"] = "gvisor"
		delete(pod, "tolerations")
	}
	if pod != nil {
		_ = unstructured.SetNestedMap(o.Object, pod, "spec", "template", "spec")
	}
	return true
}

// pinImages gives every image below a digest, in a registry that is allowed.
func pinImages(v any) {
	switch v := v.(type) {
	case map[string]any:
		if image, is := v["image"].(string); is && !(strings.HasPrefix(image, "registry.example.com/") && strings.Contains(image, "@sha256:")) {
			v["image"] = "registry.example.com/pinned@sha256:" + strings.Repeat("a", 64)
		}
		for _, child := range v {
			pinImages(child)
		}
	case []any:
		for _, child := range v {
			pinImages(child)
		}
	}
}
