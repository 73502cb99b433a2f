package devclustertest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestImportBailey runs Bailey in a pod that the restricted level admits.
func TestImportBailey(t *testing.T) {
	cluster, node := SharedNode(t)
	named := ImportBailey(t, cluster, node)
	if again := ImportBailey(t, cluster, node); again != named { // it is no work
		t.Errorf("imported again it is %s, and was %s", again, named)
	}
	namespace := NamespaceIn(t, cluster, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	path := "/api/v1/namespaces/" + namespace + "/pods"
	err := cluster.Do(t.Context(), http.MethodPost, path, map[string]any{
		"metadata": map[string]any{"name": "bailey"},
		"spec": map[string]any{
			"restartPolicy":   "Never",
			"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{map[string]any{
				"name": "c", "image": named, "args": []string{"controls"},
				"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []string{"ALL"}}},
			}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	for begin := time.Now(); pod.Status.Phase != corev1.PodSucceeded; time.Sleep(20 * time.Millisecond) {
		if pod.Status.Phase == corev1.PodFailed || time.Since(begin) > time.Minute {
			t.Fatalf("the pod has not succeeded: %+v", pod.Status)
		}
		if err := cluster.Do(t.Context(), http.MethodGet, path+"/bailey", nil, &pod); err != nil {
			t.Fatal(err)
		}
	}
	var log []byte
	if err := cluster.Do(t.Context(), http.MethodGet, path+"/bailey/log", nil, &log); err != nil || !strings.Contains(string(log), "compute/pod-security") {
		t.Errorf("%q, %v", log, err)
	}
}
