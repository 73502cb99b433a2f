package deploy_test

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/deploy"
)

// TestReaderWithout: what is not to be read is not granted, the rest is, and a name that stands for nothing is told of.
func TestReaderWithout(t *testing.T) {
	granted := func(without ...any) (all []string) {
		for _, o := range rendered(t, map[string]any{"image": image, "reader": map[string]any{"without": without}}) {
			if o.GetName() != "bailey-reader" || o.GetKind() != "ClusterRole" {
				continue
			}
			var role rbacv1.ClusterRole
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				if len(rule.Resources) == 0 {
					t.Errorf("without %v there is a rule of no resources: %v", without, rule)
				}
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						all = append(all, verb+" "+strings.TrimSuffix(resource+"."+rule.APIGroups[0], "."))
					}
				}
			}
		}
		return all
	}
	whole := granted()
	// Of a group whose only resource is left out nothing is left, and of one of the same name in another group everything.
	without := []any{"configmaps", "cronjobs.batch", "ingresses.networking.k8s.io", "endpointslices.discovery.k8s.io"}
	left := slices.DeleteFunc(slices.Clone(whole), func(right string) bool {
		_, resource, _ := strings.Cut(right, " ")
		return slices.Contains(without, any(resource))
	})
	if got := granted(without...); !slices.Equal(got, left) || len(left) != len(whole)-2*len(without) {
		t.Errorf("granted are %d rights of %d, want %d:\n%s", len(got), len(whole), len(left), strings.Join(got, "\n"))
	}
	for name, want := range map[string]string{
		"namespaces":    "which cluster it is in",
		"secrets":       "the server reads no secrets",
		"cronjobs":      "the server reads no cronjobs",
		"CronJob.batch": "does not match pattern",
	} {
		_, err := deploy.Objects(deploy.Release{Name: "bailey", Namespace: "bailey", Values: map[string]any{"image": image, "reader": map[string]any{"without": []any{name}}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
