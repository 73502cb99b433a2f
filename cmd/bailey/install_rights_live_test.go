package main

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestInstallRights: with the cluster at hand bailey install gives the prober what the experiments of the chosen controls need there,
// and no more: nothing where there is no prober, and little where nothing is tried.
func TestInstallRights(t *testing.T) {
	t.Parallel() // it mostly waits
	cluster := devclustertest.Own(t)
	kubectl(t, cluster, "create", "namespace", "guarded")
	kubectl(t, cluster, "label", "namespace", "guarded", "pod-security.kubernetes.io/enforce=restricted")
	printed := func(args ...string) []*unstructured.Unstructured {
		t.Helper()
		out, errs, code := program(t, append([]string{"install", "--kubeconfig", cluster.Kubeconfig, "--namespace", "watch"}, args...)...)
		if code != exitOK {
			t.Fatalf("install %s: exit %d\n%s", args, code, errs)
		}
		return objectsIn(t, out)
	}
	install := func(values ...string) []*unstructured.Unstructured {
		t.Helper()
		return printed("--set", strings.Join(append(values, "image=registry.example.com/bailey:1"), ","))
	}

	const chart = 1 // the chart has the account too, without a right
	if got := ofProber(install("prober.enabled=false")); len(got) > 0 {
		t.Errorf("without a prober there are %d of its objects", len(got))
	}
	always := []string{"get /readyz", "get /version"}
	idle := ""
	for _, c := range controls.All() {
		if len(c.Experiments) == 0 {
			idle = c.ID
		}
	}
	for control, want := range map[string][]string{
		"compute/pod-security": append([]string{"guarded: create pods"}, always...),
		"access/api-server": append([]string{"get /apis", "get /metrics", "get /openapi/v3", "kube-system: list configmaps", "list namespaces", "list nodes",
			"list pods"}, always...),
		idle: always,
	} {
		objects := ofProber(install("prober.controls={" + control + "}"))
		slices.Sort(want)
		if got := rightsIn(t, objects); !slices.Equal(got, want) {
			t.Errorf("%s gives the prober\n%s\nwant\n%s", control, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// The same without the chart's, for what Helm installs.
		alone := printed("--rights", "--set", "prober.controls={"+control+"}")
		if len(alone) != len(ofProber(alone)) || len(alone) != len(objects)-chart || !slices.Equal(rightsIn(t, alone), want) {
			t.Errorf("%s: --rights prints %d objects, with others %d", control, len(alone), len(objects))
		}
	}
	// The chart's own are for where nobody looks at the cluster.
	generic := func(objects []*unstructured.Unstructured) (places []string) {
		for _, o := range objects {
			if o.GetName() == "bailey-dry-runs" && o.GetKind() == "Role" {
				places = append(places, o.GetNamespace())
			}
		}
		return places
	}
	if got := generic(install()); len(got) > 0 {
		t.Errorf("with the cluster at hand there are rights for any in %q", got)
	}
	blind := []string{"install", "--namespace", "watch", "--set", "image=registry.example.com/bailey:1"}
	out, errs, code := program(t, blind...)
	if got := generic(objectsIn(t, out)); code != exitOK || !slices.Equal(got, []string{"watch"}) || !strings.Contains(errs, "Dry-runs are made in namespace watch only") {
		t.Errorf("without the cluster: exit %d, rights in %q\n%s", code, got, errs)
	}
	out, errs, code = program(t, append(blind, "--set", "prober.namespaces={shop,bank}")...)
	if got := generic(objectsIn(t, out)); code != exitOK || !slices.Equal(got, []string{"bank", "shop"}) || errs != "" {
		t.Errorf("with namespaces named: exit %d, rights in %q\n%s", code, got, errs)
	}
	all := rightsIn(t, ofProber(install()))
	for _, want := range append([]string{"guarded: create pods", "list nodes"}, always...) {
		if !slices.Contains(all, want) {
			t.Errorf("all controls do not give %s", want)
		}
	}
	// Not all rights where the few were misspelt.
	for want, args := range map[string][]string{"hint: --context NAME": {}, "'control' not allowed": {"--kubeconfig", cluster.Kubeconfig, "--set", "prober.control={compute/pod-security}"}} {
		if out, errs, code := program(t, append([]string{"install", "--rights"}, args...)...); code != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("--rights %v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

// objectsIn reads the YAML that install prints.
func objectsIn(t *testing.T, text string) (objects []*unstructured.Unstructured) {
	t.Helper()
	for _, document := range strings.Split(text, "---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

// ofProber gives the objects that are named after the prober.
func ofProber(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return !strings.HasPrefix(o.GetName(), proberAccount) })
}

// rightsIn lists what the prober's objects give, like "shop: create pods". They give it to the prober alone, by a role for each binding,
// and hold it by a policy that is bound.
func rightsIn(t *testing.T, objects []*unstructured.Unstructured) (rights []string) {
	t.Helper()
	var roles, bound, held []string
	for _, o := range objects {
		at := ""
		if o.GetNamespace() != "" {
			at = o.GetNamespace() + ": "
		}
		switch o.GetKind() {
		case "Role", "ClusterRole":
			var role rbacv1.ClusterRole
			read(t, o, &role)
			roles = append(roles, at+o.GetKind())
			for _, rule := range role.Rules {
				for _, verb := range rule.Verbs {
					for _, what := range append(rule.Resources, rule.NonResourceURLs...) {
						if group := strings.Join(rule.APIGroups, ","); group != "" {
							what += "." + group
						}
						rights = append(rights, at+strings.Join(append([]string{verb, what}, rule.ResourceNames...), " "))
					}
				}
			}
		case "RoleBinding", "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			read(t, o, &binding)
			bound = append(bound, at+binding.RoleRef.Kind)
			if binding.RoleRef.Name != proberAccount || len(binding.Subjects) != 1 || binding.Subjects[0] != (rbacv1.Subject{Kind: "ServiceAccount", Name: proberAccount, Namespace: "watch"}) {
				t.Errorf("%s %s gives %v to %v", o.GetKind(), o.GetName(), binding.RoleRef, binding.Subjects)
			}
		case "ServiceAccount":
			if o.GetNamespace() != "watch" {
				t.Errorf("the prober is in %q", o.GetNamespace())
			}
		default:
			held = append(held, o.GetKind())
		}
	}
	if !slices.Equal(roles, bound) || !slices.Equal(held, []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}) {
		t.Errorf("roles %q, bound %q, held by %q", roles, bound, held)
	}
	slices.Sort(rights)
	return rights
}

func read(t *testing.T, o *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
		t.Fatal(err)
	}
}
