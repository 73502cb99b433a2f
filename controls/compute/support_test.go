package compute

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/collect/kube"
)

func configOf(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := kube.RESTConfig(kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// pausePod is a pod that the restricted level admits and that has no name yet.
func pausePod() map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "p-"}, "spec": map[string]any{
		"securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{"name": "c", "image": "registry.example/app:1",
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}}}},
	}}
}
