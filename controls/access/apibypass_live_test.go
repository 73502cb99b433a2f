package access

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

const enforceLabel = "pod-security.kubernetes.io/enforce"

// mountsSnapshot is the cluster with the namespaces named alone, so that those of
// other tests are not tried.
func mountsSnapshot(t *testing.T, cluster *devcluster.Cluster, names ...string) *bailey.Snapshot {
	t.Helper()
	s := provetest.Collect(t, cluster)
	var others []bailey.Ref
	for _, f := range s.List(bailey.KindNamespace, "") {
		mine := false
		for _, name := range names {
			mine = mine || f.Name == name
		}
		if !mine {
			others = append(others, f.Ref)
		}
	}
	return s.Without(others...)
}

// TestBypassMounts tries a namespace that enforces a level, one that does not, and
// one whose label goes between plan and run.
func TestBypassMounts(t *testing.T) {
	cluster := devclustertest.Shared(t)
	baseline := devclustertest.Namespace(t, map[string]string{enforceLabel: "baseline"})
	open := devclustertest.Namespace(t, nil)
	run := func(s *bailey.Snapshot) []*prove.Record {
		return provetest.Run(t, cluster, APIBypass, provetest.Options{Only: []string{mountsRefused.Name}, Snapshot: s})
	}
	pretended := "mirror pod of no node, *" // Kubernetes lets everybody make one
	provetest.Want(t, run(mountsSnapshot(t, cluster, baseline, open)), map[string]prove.Outcome{
		"*, namespace " + open + " (*)": prove.Unclaimed, pretended: prove.Unclaimed,
	})

	t.Run("a policy that knows some ways", func(t *testing.T) {
		refuse(t, cluster, open, "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath) || !(v.hostPath.path.endsWith('.sock') || v.hostPath.path.startsWith('/etc')) || "+
			"object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue())")
		s := mountsSnapshot(t, cluster, open)
		waitHeld(t, func() []*prove.Record { return run(s) }, "hostPath "+containerdSocket+", namespace "+open+" (create pods/containers)")
		provetest.Want(t, run(s), map[string]prove.Outcome{
			"hostPath /run/containerd, *": prove.Broken,
			"hostPath /var/lib/*":         prove.Broken,
			"hostPath /, *":               prove.Broken,
			"hostPath " + containerdSocket + " in a mirror pod, *": prove.Broken,
			pretended: prove.Unclaimed,
		})
	})
	t.Run("a policy against mirror pods", func(t *testing.T) {
		refuse(t, cluster, baseline, "!object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()")
		s := mountsSnapshot(t, cluster, baseline)
		waitHeld(t, func() []*prove.Record { return run(s) }, "mirror pod of no node, namespace "+baseline+" (create pods/mirror)")
		provetest.AllHeld(t, run(s))
	})
}

// refuse makes a policy for the pods of one namespace.
func refuse(t *testing.T, cluster *devcluster.Cluster, namespace, expression string) {
	t.Helper()
	const group = "/apis/admissionregistration.k8s.io/v1/"
	create := func(resource string, o map[string]any) {
		o["metadata"] = map[string]any{"name": namespace}
		if err := cluster.Do(t.Context(), http.MethodPost, group+resource, o, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cluster.Do(context.Background(), http.MethodDelete, group+resource+"/"+namespace, nil, nil)
		})
	}
	create("validatingadmissionpolicies", map[string]any{"spec": map[string]any{
		"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}}},
		"validations":      []any{map[string]any{"expression": expression, "message": "not here"}}}})
	create("validatingadmissionpolicybindings", map[string]any{"spec": map[string]any{"policyName": namespace, "validationActions": []any{"Deny"},
		"matchResources": map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": namespace}}}}})
}

// waitHeld runs until the probe held: policies are in force a little after they
// were made.
func waitHeld(t *testing.T, run func() []*prove.Record, name string) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; {
		records := run()
		if provetest.Outcomes(records)[name] == prove.Held {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%q did not hold:\n%s", name, provetest.Text(records))
		}
	}
}

// TestBypassReviews asks about kubelets, before and after somebody gave everybody a
// right to them.
func TestBypassReviews(t *testing.T) {
	cluster := devclustertest.Shared(t)
	run := func() []*prove.Record {
		return provetest.Run(t, cluster, APIBypass, provetest.Options{Only: []string{kubeletsNotForAll.Name}})
	}
	provetest.AllHeld(t, run())
	const bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	for _, args := range [][]string{
		{"create", "clusterrole", "everybodys-kubelets", "--verb=get", "--resource=nodes/proxy"},
		{"create", "clusterrolebinding", "everybodys-kubelets", "--clusterrole=everybodys-kubelets", "--group=system:serviceaccounts"},
	} {
		if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = cluster.Do(context.Background(), http.MethodDelete, bindings+"/everybodys-kubelets", nil, nil)
		_ = cluster.Do(context.Background(), http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/clusterroles/everybodys-kubelets", nil, nil)
	})
	broken := "enter containers by a WebSocket, any ServiceAccount (get nodes/proxy)"
	for limit := time.Now().Add(20 * time.Second); provetest.Outcomes(run())[broken] != prove.Broken; {
		if time.Now().After(limit) {
			t.Fatal("the binding is not in force")
		}
	}
	provetest.Want(t, run(), map[string]prove.Outcome{broken: prove.Broken, "enter containers by a WebSocket, ServiceAccount */default (get nodes/proxy)": prove.Broken})
}
