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
	proxiesGranted(t, cluster)
	const path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/bailey-entering-granted"
	less := map[string]any{"spec": map[string]any{"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
		"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CONNECT"}, "resources": []any{"pods/exec"}}}}}}
	if err := cluster.Do(t.Context(), http.MethodPatch, path, less, nil); err != nil {
		t.Fatal(err)
	}
	awaitOutcomes(t, run, func(name string) prove.Outcome {
		for _, way := range []string{"pods/attach", "pods/portforward", "pods/proxy"} {
			if strings.Contains(name, way) {
				return prove.Broken
			}
		}
		return prove.Held
	})
	const services = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/bailey-service-proxy-granted"
	less["spec"].(map[string]any)["matchConstraints"].(map[string]any)["resourceRules"].([]any)[0].(map[string]any)["resources"] = []any{"services/nothing"}
	if err := cluster.Do(t.Context(), http.MethodPatch, services, less, nil); err != nil {
		t.Fatal(err)
	}
	awaitOutcomes(t, run, func(name string) prove.Outcome {
		for _, way := range []string{"pods/attach", "pods/portforward", "pods/proxy", "services/proxy"} {
			if strings.Contains(name, way) {
				return prove.Broken
			}
		}
		return prove.Held
	})
	remove()
}

// proxiesGranted asks for proxies as somebody whom RBAC lets, without the verb enter and
// with it on two names: a name is found between a scheme and a port.
func proxiesGranted(t *testing.T, cluster *devcluster.Cluster) {
	without := controltest.WithoutGrants(t, cluster)
	const granted, rbac = "bailey-enters", "/apis/rbac.authorization.k8s.io/v1/"
	role := map[string]any{"metadata": map[string]any{"name": granted}, "rules": []any{
		map[string]any{"apiGroups": []any{""}, "resources": []any{"pods/proxy", "services/proxy", "nodes/proxy"}, "verbs": []any{"get", "create"}},
		map[string]any{"apiGroups": []any{""}, "resources": []any{"pods", "services", "nodes"}, "resourceNames": []any{"mine"}, "verbs": []any{"enter"}}}}
	binding := map[string]any{"metadata": map[string]any{"name": granted},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": granted},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": granted}}}
	for resource, o := range map[string]any{"clusterroles": role, "clusterrolebindings": binding} {
		if err := cluster.Do(t.Context(), http.MethodPost, rbac+resource, o, nil); err != nil {
			t.Fatal(err)
		}
	}
	with, err := cluster.HTTPClientFor(granted)
	if err != nil {
		t.Fatal(err)
	}
	const pods, services, nodes = "/api/v1/namespaces/default/pods/", "/api/v1/namespaces/default/services/", "/api/v1/nodes/"
	for _, test := range []struct {
		as      *http.Client
		path    string
		refused bool
	}{
		{without, pods + "mine/proxy/", true}, {without, services + "mine/proxy/", true}, {without, nodes + "mine/proxy/pods", true},
		{with, pods + "mine/proxy/", false}, {with, services + "mine/proxy/", false}, {with, nodes + "mine/proxy/pods", false},
		{with, pods + "mine:80/proxy/", false}, {with, services + "https:mine:443/proxy/", false}, {with, nodes + "https:mine:10250/proxy/run", false},
		{with, pods + "other/proxy/", true}, {with, pods + "other:mine/proxy/", true}, {with, pods + "mine:other:80/proxy/", true},
		{with, services + "other/proxy/", true}, {with, nodes + "other:10250/proxy/pods", true},
	} {
		for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			err := cluster.DoAs(t.Context(), test.as, http.MethodGet, test.path, nil, nil)
			if err == nil {
				t.Fatalf("%s: there is nothing to reach", test.path)
			}
			byPolicy := strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'bailey-")
			byRBAC := strings.Contains(err.Error(), " cannot ")
			if byPolicy == test.refused && !byRBAC {
				break
			}
			if time.Since(begin) > 20*time.Second {
				t.Errorf("%s: %v", test.path, err)
				break
			}
		}
	}
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
