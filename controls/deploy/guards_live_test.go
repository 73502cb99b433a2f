package deploy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/access"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestGuardsLive(t *testing.T) {
	cluster := devclustertest.Own(t)
	controltest.GuardsLive(t, cluster, ImageIdentity, Admission)
	t.Run(enteringGranted.Name, func(t *testing.T) { enteringLive(t, cluster) })
	t.Run("tried every way", func(t *testing.T) { guardsTried(t, cluster) })
}

// enteringLive wants the experiment to hold with the guard, and to find it broken where the
// policy looks at fewer ways.
func enteringLive(t *testing.T, cluster *devcluster.Cluster) {
	run := func() map[string]prove.Outcome {
		return provetest.Outcomes(provetest.Run(t, cluster, Admission, provetest.Options{Only: []string{enteringRefused.Name}}))
	}
	if got := run(); len(got) > 0 {
		t.Errorf("without a policy: %v", got)
	}
	remove := controltest.Install(t, cluster, provetest.Collect(t, cluster), enteringGranted)
	awaitOutcomes(t, run, func(string) prove.Outcome { return prove.Held })
	const path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/bailey-entering-granted"
	less := map[string]any{"spec": map[string]any{"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
		"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CONNECT"}, "resources": []any{"pods/exec"}}}}}}
	if err := cluster.Do(t.Context(), http.MethodPatch, path, less, nil); err != nil {
		t.Fatal(err)
	}
	awaitOutcomes(t, run, func(name string) prove.Outcome {
		if strings.HasPrefix(name, "attach") || strings.HasPrefix(name, "portforward") {
			return prove.Broken
		}
		return prove.Held
	})
	remove()
}

// awaitOutcomes runs until every probe comes to what is wanted of it.
func awaitOutcomes(t *testing.T, run func() map[string]prove.Outcome, want func(name string) prove.Outcome) {
	t.Helper()
	for begin := time.Now(); ; {
		got := run()
		wrong := len(got) == 0
		for name, outcome := range got {
			wrong = wrong || outcome != want(name)
		}
		if !wrong {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the probes come to %v", got)
		}
	}
}

// guardsTried puts guards of several controls in place, and wants this control's
// experiments, who claim nothing before, to hold.
func guardsTried(t *testing.T, cluster *devcluster.Cluster) {
	namespaces := []string{devclustertest.NamespaceIn(t, cluster, nil), devclustertest.NamespaceIn(t, cluster, nil)}
	var pod map[string]any
	if err := yaml.Unmarshal([]byte(strings.Replace(ordinaryPod(""), "generateName: p-", "name: app", 1)), &pod); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range namespaces {
		if err := cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", pod, nil); err != nil {
			t.Fatal(err)
		}
	}
	controls := []*bailey.Control{Admission, withoutTrustPolicy()}
	for _, c := range controls {
		if p := provetest.Plan(t, cluster, c, provetest.Options{}); len(p.Units) > 0 {
			t.Errorf("%s: %d units without a gate", c.ID, len(p.Units))
		}
	}
	s := provetest.Collect(t, cluster)
	for _, g := range []*bailey.Guard{registriesAllowed, imagesPinned, access.APIBypass.Guards[0], compute.Syscalls.Guards[1]} {
		controltest.Install(t, cluster, s, g)
	}
	unclaimed := []string{"capability", "root", "hostNetwork", "hostPID", "privilege escalation", "unknown digest"}
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		held := map[string]bool{}
		pending := map[string]prove.Outcome{}
		for _, c := range controls {
			for name, outcome := range provetest.Outcomes(provetest.Run(t, cluster, c, provetest.Options{})) {
				thing, _, _ := strings.Cut(name, ",")
				isUnclaimed := slices.ContainsFunc(unclaimed, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
				switch {
				case outcome == prove.Held:
					held[thing] = true
				case !isUnclaimed || outcome != prove.Unclaimed:
					pending[name] = outcome
				}
			}
		}
		if len(pending) == 0 && held["privileged"] && held["hostPath"] && held["image of an unknown registry"] && held["image by a tag"] {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("held are %v, and these do not hold: %v", held, pending)
		}
	}
}
