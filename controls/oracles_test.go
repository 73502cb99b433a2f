package controls_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/controls"
)

// oracles holds other projects' test cases, with the results they expect.
const oracles = "../../shared/oracles/policies"

// polarisChecks and kyvernoPolicies map what another project checks to the
// rules of ours that mean the same.
var polarisChecks = map[string][]string{
	"clusterrolebindingClusterAdmin":      {"access/service-accounts/account-allowed-everything"},
	"clusterrolePodExecAttach":            {"access/authorization/cluster-role-enters-pods", "access/authorization/wildcard-grant"},
	"clusterrolebindingPodExecAttach":     {"access/authorization/cluster-role-enters-pods", "access/authorization/wildcard-grant"},
	"rolebindingClusterRolePodExecAttach": {"access/authorization/cluster-role-enters-pods", "access/authorization/wildcard-grant"},
	"cpuRequestsMissing":                  {"compute/quotas/no-requests"},
	"dangerousCapabilities":               {"compute/pod-security/capabilities-baseline"},
	"hostIPCSet":                          {"compute/pod-security/host-namespaces"},
	"hostNetworkSet":                      {"compute/pod-security/host-namespaces"},
	"hostPIDSet":                          {"compute/pod-security/host-namespaces"},
	"hostPathSet":                         {"compute/pod-security/host-path-volumes"},
	"hostPortSet":                         {"compute/pod-security/host-ports"},
	"hostProcess":                         {"compute/pod-security/windows-host-process"},
	"insecureCapabilities":                {"compute/pod-security/capabilities-restricted"},
	"livenessProbeMissing":                {"develop/app-design/no-liveness-probe"},
	"memoryLimitsMissing":                 {"compute/quotas/no-memory-limit"},
	"memoryRequestsMissing":               {"compute/quotas/no-requests"},
	"missingNetworkPolicy":                {"network/policy/no-ingress-policy", "network/policy/no-egress-policy"},
	"notReadOnlyRootFilesystem":           {"develop/app-design/writable-root-filesystem"},
	"privilegeEscalationAllowed":          {"compute/pod-security/allow-privilege-escalation"},
	"procMount":                           {"compute/pod-security/proc-mount"},
	"readinessProbeMissing":               {"develop/app-design/no-readiness-probe"},
	"rolebindingClusterAdminClusterRole":  {"access/service-accounts/account-allowed-everything"},
	"rolebindingClusterAdminRole":         {"access/service-accounts/account-allowed-everything"},
	"runAsPrivileged":                     {"compute/pod-security/privileged"},
	"runAsRootAllowed":                    {"compute/pod-security/run-as-non-root", "compute/pod-security/run-as-user"},
	"sensitiveConfigmapContent":           {"storage/app-encryption/secret-in-configmap"},
	"sensitiveContainerEnvVar":            {"storage/app-encryption/secret-in-environment"},
	"tagNotSpecified":                     {"deploy/image-identity/latest-tag"},
	"tlsSettingsMissing":                  {"develop/app-design/ingress-without-tls"},
}

var kyvernoPolicies = map[string][]string{
	"best-practices/disallow-latest-tag":                                {"deploy/image-identity/latest-tag"},
	"best-practices/disallow-cri-sock-mount":                            {"compute/pod-security/host-path-volumes"},
	"best-practices/require-drop-all":                                   {"compute/pod-security/capabilities-restricted"},
	"best-practices/require-probes":                                     {"develop/app-design/no-liveness-probe", "develop/app-design/no-readiness-probe"},
	"best-practices/require-ro-rootfs":                                  {"develop/app-design/writable-root-filesystem"},
	"best-practices/require-pod-requests-limits":                        {"compute/quotas/no-requests", "compute/quotas/no-memory-limit"},
	"best-practices/restrict-service-external-ips":                      {"develop/app-design/service-external-ips"},
	"other/deny-secret-service-account-token-type":                      {"access/service-accounts/long-lived-token"},
	"other/disallow-localhost-services":                                 {"develop/app-design/service-alias-inward"},
	"other/disallow-secrets-from-env-vars":                              {"storage/app-encryption/environment-from-secret"},
	"other/prevent-cr8escape":                                           {"compute/pod-security/sysctls"},
	"other/require-image-checksum":                                      {"deploy/image-identity/not-pinned", "deploy/image-identity/latest-tag"},
	"other/require-ingress-https":                                       {"develop/app-design/ingress-without-tls", "develop/app-design/ingress-plain-http"},
	"other/restrict-clusterrole-csr":                                    {"access/certificate-signing/role-approves-clients"},
	"other/restrict-clusterrole-mutating-validating-admission-webhooks": {"access/authorization/role-changes-admission"},
	"other/restrict-escalation-verbs-roles":                             {"access/authorization/role-escalates"},
	"other/restrict-wildcard-verbs":                                     {"access/authorization/wildcard-grant"},
	"pod-security/baseline/disallow-capabilities":                       {"compute/pod-security/capabilities-baseline"},
	"pod-security/baseline/disallow-host-namespaces":                    {"compute/pod-security/host-namespaces"},
	"pod-security/baseline/disallow-host-path":                          {"compute/pod-security/host-path-volumes"},
	"pod-security/baseline/disallow-host-ports":                         {"compute/pod-security/host-ports"},
	"pod-security/baseline/disallow-host-process":                       {"compute/pod-security/windows-host-process"},
	"pod-security/baseline/disallow-privileged-containers":              {"compute/pod-security/privileged"},
	"pod-security/baseline/disallow-proc-mount":                         {"compute/pod-security/proc-mount"},
	"pod-security/baseline/disallow-selinux":                            {"compute/pod-security/selinux-options"},
	"pod-security/baseline/restrict-apparmor-profiles":                  {"compute/pod-security/apparmor-profile"},
	"pod-security/baseline/restrict-seccomp":                            {"compute/pod-security/seccomp-profile-baseline"},
	"pod-security/baseline/restrict-sysctls":                            {"compute/pod-security/sysctls"},
	"pod-security/restricted/disallow-capabilities-strict":              {"compute/pod-security/capabilities-restricted"},
	"pod-security/restricted/disallow-privilege-escalation":             {"compute/pod-security/allow-privilege-escalation"},
	"pod-security/restricted/require-run-as-non-root-user":              {"compute/pod-security/run-as-user"},
	"pod-security/restricted/require-run-as-nonroot":                    {"compute/pod-security/run-as-non-root"},
	"pod-security/restricted/restrict-seccomp-strict":                   {"compute/pod-security/seccomp-profile-restricted", "compute/pod-security/seccomp-profile-baseline"},
	"pod-security/restricted/restrict-volume-types":                     {"compute/pod-security/restricted-volumes"},
}

// TestOracles runs the cases of other projects whose check means the same
// as a rule of ours. Where we differ, docs/disagreements.md names the case in a
// row of its tables ("*" stands for any run of characters but slashes), with
// the reason. A row that no difference needs is an error.
func TestOracles(t *testing.T) {
	if _, err := os.Stat(oracles); err != nil {
		t.Skip("no ../shared/oracles/policies: the comparison with other projects is skipped")
	}
	text, err := os.ReadFile("../docs/disagreements.md")
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{} // by row
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.Contains(cells[1], "/") {
			needed[strings.TrimSpace(cells[1])] = false
		}
	}
	cases, differ := 0, 0
	compare := func(name string, theyFind, weFind bool) {
		cases++
		if theyFind == weFind {
			return
		}
		differ++
		listed := false
		for row := range needed {
			if match, err := path.Match(row, name); err != nil {
				t.Fatalf("%s: %v", row, err)
			} else if match {
				needed[row], listed = true, true
			}
		}
		if !listed {
			t.Errorf("%s: they find something: %t; we do: %t", name, theyFind, weFind)
		}
	}
	for name, rules := range polarisChecks {
		files, _ := filepath.Glob(filepath.Join(oracles, "polaris/test/checks", name, "*.yaml"))
		for _, file := range files {
			outcome, _, _ := strings.Cut(filepath.Base(file), ".")
			if outcome == "failure" || outcome == "success" {
				compare("polaris "+name+"/"+filepath.Base(file), outcome == "failure", len(foundIn(t, file, rules)) > 0)
			}
		}
	}
	for name, rules := range kyvernoPolicies {
		for _, r := range kyvernoResults(t, filepath.Join(oracles, "kyverno", name, ".kyverno-test")) {
			compare("kyverno "+name+"/"+r.object, r.fails, slices.Contains(foundIn(t, r.file, rules), r.object))
		}
	}
	compareKubeLinter(t, compare)
	compareKubeScore(t, compare)
	for row, is := range needed {
		if !is {
			t.Errorf("docs/disagreements.md lists %s, and there is no such difference", row)
		}
	}
	t.Logf("%d cases, %d listed disagreements", cases, differ)
	if cases < 300 {
		t.Errorf("only %d cases were compared", cases)
	}
}

// judgedFiles keeps the reports of files that several cases are about.
var judgedFiles = map[string]*bailey.Report{}

// foundIn lists the objects ("Pod web") of the file in which one of the rules
// finds something, folded ones included.
func foundIn(t *testing.T, file string, rules []string) []string {
	t.Helper()
	r := judgedFiles[file]
	if r == nil {
		s, err := manifests.Collect(t.Context(), []string{file}, manifests.Options{Complete: []bailey.Kind{bailey.KindLimitRange}})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if r, err = check.Judge(t.Context(), s, controls.All(), check.Options{}); err != nil {
			t.Fatal(err)
		}
		judgedFiles[file] = r
	}
	var objects []string
	for _, f := range r.Findings {
		if slices.Contains(rules, f.Rule) {
			for _, ref := range append([]bailey.Ref{f.Object}, f.Related...) {
				objects = append(objects, ref.Kind.Short()+" "+ref.Name)
			}
		}
	}
	return objects
}

// kyvernoResult is what one policy says of one object.
type kyvernoResult struct {
	file, object string
	fails        bool
}

// kyvernoResults reads a test of kyverno's command line. An object that one of
// the policy's rules fails counts as failed.
func kyvernoResults(t *testing.T, folder string) []kyvernoResult {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "kyverno-test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var test struct {
		Resources []string
		Results   []struct {
			Kind, Result string
			Resources    []string
		}
	}
	if err := yaml.Unmarshal(text, &test); err != nil || len(test.Resources) != 1 {
		t.Fatalf("%s: %v, %d files", folder, err, len(test.Resources))
	}
	var all []kyvernoResult
	for _, r := range test.Results {
		for _, name := range r.Resources {
			_, name, _ = cutLast(name, "/")
			next := kyvernoResult{filepath.Join(folder, test.Resources[0]), r.Kind + " " + name, r.Result == "fail"}
			if i := slices.IndexFunc(all, func(k kyvernoResult) bool { return k.object == next.object }); i >= 0 {
				all[i].fails = all[i].fails || next.fails
			} else if r.Result == "pass" || r.Result == "fail" {
				all = append(all, next)
			}
		}
	}
	return all
}

// cutLast cuts around the last separator; without one, all is after it.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(separator):], true
}
