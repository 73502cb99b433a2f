package controls_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// kubeLinterChecks map a check of kube-linter to the kinds of objects that it is about and
// the rules of ours that mean the same. In its fixtures what is right is named "dont-fire".
var kubeLinterChecks = map[string]struct {
	kinds string
	rules []string
}{
	"access-to-create-pods":          {"Role", []string{"access/authorization/cluster-role-creates-pods"}},
	"access-to-secrets":              {"Role", []string{"access/authorization/cluster-role-reads-secrets"}},
	"cluster-admin-role-binding":     {"ClusterRoleBinding", []string{"access/authorization/cluster-admin-bound", "access/service-accounts/account-allowed-everything"}},
	"dangling-networkpolicy":         {"NetworkPolicy", []string{"network/policy/selects-nothing"}},
	"default-service-account":        {"Deployment", []string{"access/service-accounts/default-account-used"}},
	"docker-sock":                    {"Deployment", []string{"compute/pod-security/host-path-volumes"}},
	"env-var-secret":                 {"Deployment", []string{"storage/app-encryption/secret-in-environment"}},
	"host-ipc":                       {"Deployment", []string{"compute/pod-security/host-namespaces"}},
	"host-network":                   {"Deployment", []string{"compute/pod-security/host-namespaces"}},
	"host-pid":                       {"Deployment", []string{"compute/pod-security/host-namespaces"}},
	"latest-tag":                     {"Deployment", []string{"deploy/image-identity/latest-tag"}},
	"no-liveness-probe":              {"Deployment", []string{"develop/app-design/no-liveness-probe"}},
	"no-read-only-root-fs":           {"Deployment", []string{"develop/app-design/writable-root-filesystem"}},
	"no-readiness-probe":             {"Deployment", []string{"develop/app-design/no-readiness-probe"}},
	"non-existent-service-account":   {"Deployment", []string{"access/service-accounts/missing-account"}},
	"non-isolated-pod":               {"Deployment", []string{"network/policy/no-ingress-policy"}},
	"privilege-escalation-container": {"Deployment", []string{"compute/pod-security/allow-privilege-escalation"}},
	"privileged-container":           {"Deployment", []string{"compute/pod-security/privileged"}},
	"read-secret-from-env-var":       {"Deployment", []string{"storage/app-encryption/environment-from-secret"}},
	"run-as-non-root":                {"Deployment", []string{"compute/pod-security/run-as-non-root", "compute/pod-security/run-as-user"}},
	"sensitive-host-mounts":          {"Deployment", []string{"compute/pod-security/host-path-volumes"}},
	"unsafe-proc-mount":              {"Deployment", []string{"compute/pod-security/proc-mount"}},
	"unsafe-sysctls":                 {"Deployment", []string{"compute/pod-security/sysctls"}},
	"unset-cpu-requirements":         {"Deployment", []string{"compute/quotas/no-requests"}},
	"unset-memory-requirements":      {"Deployment", []string{"compute/quotas/no-requests", "compute/quotas/no-memory-limit"}},
	"wildcard-in-rules":              {"Role", []string{"access/authorization/wildcard-grant"}},
	"writable-host-mount":            {"Deployment", []string{"compute/pod-security/host-path-volumes"}},
}

// compareKubeLinter runs its fixtures. What OpenShift has beside Kubernetes is left out.
func compareKubeLinter(t *testing.T, compare func(name string, theyFind, weFind bool)) {
	t.Helper()
	for check, c := range kubeLinterChecks {
		file := filepath.Join(oracles, "kube-linter/tests/checks", check+".yml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var o struct {
				APIVersion, Kind string
				Metadata         struct{ Name string }
			}
			if err := yaml.Unmarshal(document, &o); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if o.Kind != c.kinds || strings.Contains(o.APIVersion, "openshift") {
				continue
			}
			fires := !strings.HasPrefix(o.Metadata.Name, "dont-fire")
			compare("kube-linter "+check+"/"+o.Metadata.Name, fires, slices.Contains(foundIn(t, file, c.rules), o.Kind+" "+o.Metadata.Name))
		}
	}
}

// kubeScoreCases list what kube-score's own tests expect of its fixtures: those in which it
// finds what the rules mean, and those in which it does not.
var kubeScoreCases = []struct {
	rules        []string
	finds, quiet []string
}{
	{[]string{"deploy/image-identity/latest-tag"}, []string{"pod-image-tag-latest", "pod-image-pullpolicy-undefined-no-tag"}, []string{"pod-image-tag-fixed"}},
	{[]string{"deploy/image-identity/stale-image"}, []string{"pod-image-pullpolicy-never", "pod-image-pullpolicy-undefined"},
		[]string{"pod-image-pullpolicy-always", "pod-image-pullpolicy-undefined-latest-tag", "pod-image-pullpolicy-undefined-no-tag"}},
	{[]string{"network/policy/no-ingress-policy", "network/policy/no-egress-policy"},
		[]string{"networkpolicy-matching-only-egress", "networkpolicy-matching-only-ingress", "networkpolicy-not-matching", "networkpolicy-deployment-not-matching-selector",
			"networkpolicy-statefulset-not-matching-selector", "networkpolicy-cronjob-not-matching-selector"},
		[]string{"networkpolicy-matching", "networkpolicy-targets-all-pods", "networkpolicy-deployment-matching", "networkpolicy-statefulset-matching", "networkpolicy-cronjob-matching"}},
	{[]string{"network/policy/selects-nothing"}, []string{"networkpolicy-targets-pod-not-matching"}, []string{"networkpolicy-targets-pod", "networkpolicy-targets-pod-deployment", "networkpolicy-targets-all-pods"}},
	{[]string{"develop/app-design/no-liveness-probe", "develop/app-design/no-readiness-probe"},
		[]string{"pod-probes-all-missing", "pod-probes-missing-live", "pod-probes-missing-ready", "pod-probes-targeted-by-service", "pod-probes-targeted-by-service-same-namespace",
			"pod-probes-targeted-by-service-same-namespace-multi-labels"},
		[]string{"pod-probes-both", "pod-probes-on-different-containers-init", "pod-probes-not-targeted-by-service", "pod-probes-not-targeted-by-service-multi-labels",
			"pod-probes-targeted-by-service-different-namespace"}},
	{[]string{"compute/pod-security/privileged"}, []string{"pod-security-context-privileged"}, []string{"pod-security-context-all-good"}},
	{[]string{"develop/app-design/writable-root-filesystem"}, []string{"pod-security-context-writeablerootfilesystem", "pod-security-context-nosecuritycontext"},
		[]string{"pod-security-context-all-good", "security-inherit-pod-security-context"}},
	{[]string{"compute/pod-security/run-as-user"}, []string{"pod-security-context-low-user-id"}, []string{"pod-security-context-all-good", "security-inherit-pod-security-context"}},
	{[]string{"compute/pod-security/seccomp-profile-restricted"}, []string{"pod-seccomp-no-annotation", "pod-seccomp-container-securecontext-warning", "pod-seccomp-securecontext-warning"},
		[]string{"pod-seccomp-container-securecontext-ok", "pod-seccomp-securecontext-ok", "pod-seccomp-annotated"}},
	{[]string{"compute/quotas/no-requests", "compute/quotas/no-memory-limit"}, []string{"pod-test-resources-none", "pod-test-resources-no-limits"},
		[]string{"pod-test-resources-limits-and-requests", "pod-test-resources-limits-and-requests-no-cpu-limit", "pod-test-resources-only-limits"}},
}

func compareKubeScore(t *testing.T, compare func(name string, theyFind, weFind bool)) {
	t.Helper()
	for _, c := range kubeScoreCases {
		for i, fixtures := range [][]string{c.finds, c.quiet} {
			for _, fixture := range fixtures {
				file := filepath.Join(oracles, "kube-score/score/testdata", fixture+".yaml")
				_, rule, _ := cutLast(c.rules[0], "/")
				compare("kube-score "+rule+"/"+fixture, i == 0, len(foundIn(t, file, c.rules)) > 0)
			}
		}
	}
}
