package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

// gatewayKinds has what a cluster with the Gateway API serves, as far as an installation asks for it.
const gatewayKinds = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: PLURAL.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, of a test"}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// installsThroughGateway asks for an HTTPRoute of a cluster that has no such kind, which changes nothing, and of one that has
// it; run runs bailey install. It leaves an installation without one.
func installsThroughGateway(t *testing.T, cluster *devcluster.Cluster, run func(want int, args ...string) string, apply []string) {
	t.Helper()
	through := append(apply[:len(apply):len(apply)], "--set",
		"gateway.enabled=true,gateway.parentRefs[0].name=public,gateway.hostnames[0]=bailey.example.com,gateway.backendTLS.caConfigMap=ca,gateway.from[0].ipBlock.cidr=192.0.2.0/24")
	said := run(exitFailed, through...)
	if !strings.Contains(said, "backendtlspolicy bailey/bailey: the cluster serves no BackendTLSPolicy of gateway.networking.k8s.io/v1") || !strings.Contains(said, "hint: nothing was applied") {
		t.Errorf("without the kinds it says:\n%s", said)
	}
	if got := kubectl(t, cluster, "get", "namespace", "bailey", "--ignore-not-found", "-o", "name"); len(got) > 0 {
		t.Errorf("without the kinds it made %s", got)
	}

	file := filepath.Join(t.TempDir(), "kinds.yaml")
	text := strings.NewReplacer("KIND", "HTTPRoute", "PLURAL", "httproutes").Replace(gatewayKinds) + "---\n" +
		strings.NewReplacer("KIND", "BackendTLSPolicy", "PLURAL", "backendtlspolicies").Replace(gatewayKinds)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "apply", "-f", file)
	kubectl(t, cluster, "wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
	// The garbage collector takes what is being deleted away once it has seen the new kinds, which may be half a minute.
	list := func() string {
		return string(kubectl(t, cluster, "-n", "bailey", "get", "httproutes,backendtlspolicies", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name}{.metadata.deletionTimestamp} {end}`))
	}
	run(exitOK, through...)
	if got := list(); got != "HTTPRoute/bailey BackendTLSPolicy/bailey " {
		t.Errorf("there are %q", got)
	}
	run(exitOK, apply...)
	for _, o := range strings.Fields(list()) {
		if strings.HasSuffix(o, "/bailey") {
			t.Errorf("left of what is no longer wanted: %s", o)
		}
	}
}
