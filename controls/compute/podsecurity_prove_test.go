package compute

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// compliantPod is what the restricted level admits.
const compliantPod = `{apiVersion: v1, kind: Pod, metadata: {name: NAME}, spec: {
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}},
  containers: [{name: c, image: "registry.example/app:1", resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 20m, memory: 32Mi}},
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}`

func createPodNamed(t *testing.T, namespace, name, text string) {
	t.Helper()
	createQuotaObject(t, namespace, "pods", strings.ReplaceAll(text, "NAME", name))
}

func relabel(t *testing.T, namespace string, labels map[string]any) {
	t.Helper()
	patch := map[string]any{"metadata": map[string]any{"labels": labels}}
	if err := devclustertest.Shared(t).Do(t.Context(), http.MethodPatch, "/api/v1/namespaces/"+namespace, patch, nil); err != nil {
		t.Fatal(err)
	}
}

func TestProvePodSecurity(t *testing.T) {
	cluster := devclustertest.Shared(t)
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		ns := devclustertest.Namespace(t, map[string]string{api.EnforceLevelLabel: string(level)})
		createPodNamed(t, ns, "app", compliantPod)
		records := provetest.Run(t, cluster, PodSecurity, provetest.Options{Namespace: ns})
		provetest.AllHeld(t, records)
		outcomes := provetest.Outcomes(records)
		for _, name := range []string{"privileged, container (create pods/containers)", "privileged, initContainer (create pods/initContainers)",
			"privileged, sidecar (create pods/sidecars)", "privileged, ephemeral container (patch pods/ephemeralcontainers)", "a copy of pod app (create pods)"} {
			if outcomes[name] != prove.Held {
				t.Errorf("%s: %q: %s", level, name, outcomes[name])
			}
		}
		t.Logf("%s: %d probes", level, len(outcomes))
	}
}

// TestProvePodSecurityNotEnforced plans while the namespace enforces the level and
// runs when it no longer does.
func TestProvePodSecurityNotEnforced(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, map[string]string{api.EnforceLevelLabel: "baseline"})
	createPodNamed(t, ns, "app", compliantPod)
	snapshot := provetest.Collect(t, cluster)
	relabel(t, ns, map[string]any{api.EnforceLevelLabel: nil})
	records := provetest.Run(t, cluster, PodSecurity, provetest.Options{Namespace: ns, Snapshot: snapshot, Only: []string{"refused-by-pod-security"}})
	provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Broken})
}

func TestProvePodSecurityOldPod(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	createPodNamed(t, ns, "good", compliantPod)
	createPodNamed(t, ns, "old", strings.Replace(compliantPod, "containers:", "hostPID: true, containers:", 1))
	relabel(t, ns, map[string]any{api.EnforceLevelLabel: "restricted"})
	records := provetest.Run(t, cluster, PodSecurity, provetest.Options{Namespace: ns})
	provetest.Want(t, records, map[string]prove.Outcome{"a copy of pod old (create pods)": prove.Broken})
}

// TestProvePodSecurityOtherRefusals wants no answer where something else stands
// in the way of try and twin: a quota that is full, and a prober without rights.
func TestProvePodSecurityOtherRefusals(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, map[string]string{api.EnforceLevelLabel: "restricted"})
	createPodNamed(t, ns, "app", compliantPod)
	createQuotaObject(t, ns, "resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: full}, spec: {hard: {pods: "0"}}}`)
	waitFor(t, func() string {
		if s := dryRun(t, ns, pausePod()); s != nil && strings.Contains(s.Message, "exceeded quota") {
			return ""
		}
		return "the quota is not in force"
	})
	records := provetest.Run(t, cluster, PodSecurity, provetest.Options{Namespace: ns})
	for name, outcome := range provetest.Outcomes(records) {
		want := prove.Inconclusive
		if strings.Contains(name, "ephemeral") {
			want = prove.Held // no quota counts those
		}
		if outcome != want {
			t.Errorf("%s: %s under a full quota", name, outcome)
		}
	}
	nobody, err := cluster.KubeconfigFor("nobody")
	if err != nil {
		t.Fatal(err)
	}
	records = provetest.Run(t, cluster, PodSecurity, provetest.Options{Namespace: ns, Snapshot: provetest.Collect(t, cluster), Config: configOf(t, nobody)})
	provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Inconclusive})
}
