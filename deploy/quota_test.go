package deploy_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

// bounds are what bounds the namespace, nil where it is not rendered, and the server that it bounds.
func bounds(t *testing.T, values map[string]any) (quota *corev1.ResourceQuota, given *corev1.LimitRange, server *appsv1.Deployment) {
	t.Helper()
	values["image"] = image
	for _, o := range rendered(t, values) {
		var err error
		read := func(into any) { err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into) }
		switch o.GetKind() {
		case "ResourceQuota":
			quota = &corev1.ResourceQuota{}
			read(quota)
		case "LimitRange":
			given = &corev1.LimitRange{}
			read(given)
		case "Deployment":
			server = &appsv1.Deployment{}
			read(server)
		}
		if err != nil {
			t.Fatalf("%s: %v", o.GetKind(), err)
		}
	}
	return quota, given, server
}

// TestQuota: the quota is of twice the replicas and what is beside, however amounts are written, and counts nothing that the server does
// not state.
func TestQuota(t *testing.T) {
	sized := func(resources map[string]any) map[string]any { return map[string]any{"resources": resources} }
	limit := func(memory any) map[string]any {
		return sized(map[string]any{"limits": map[string]any{"memory": memory}})
	}
	for name, c := range map[string]struct {
		values                    map[string]any
		pods, cpu, memory, limits string // empty: not counted
	}{
		"plain": {map[string]any{}, "9", "900m", "3584Mi", "14Gi"},
		"three": {map[string]any{"replicas": 3, "database": map[string]any{"secretName": "db"}, "tls": map[string]any{"secretName": "t"}},
			"13", "1300m", "4608Mi", "18Gi"},
		"fraction":   {limit("1.5Gi"), "9", "900m", "3584Mi", "15Gi"},
		"exponent":   {limit("2e9"), "9", "900m", "3584Mi", "16103Mi"},
		"exa":        {limit("1E"), "9", "900m", "3584Mi", "1907348645101Mi"},
		"thousandth": {limit("1073741824000m"), "9", "900m", "3584Mi", "14Gi"},
		"number":     {limit(float64(1 << 30)), "9", "900m", "3584Mi", "14Gi"},
		// A limit is a request where there is none.
		"no request": {sized(map[string]any{"requests": map[string]any{"cpu": nil, "memory": nil}}), "9", "2700m", "5Gi", "14Gi"},
		"no limit":   {sized(map[string]any{"limits": nil}), "9", "900m", "3584Mi", ""},
		"nothing":    {sized(map[string]any{"requests": nil, "limits": nil}), "9", "", "", ""},
		"beside": {map[string]any{"quota": map[string]any{"beside": map[string]any{"pods": 1, "cpu": 0.5, "memory": "1G", "memoryLimit": 0}}},
			"3", "700m", "1466Mi", "2Gi"},
	} {
		quota, given, server := bounds(t, c.values)
		for name, want := range map[corev1.ResourceName]string{"pods": c.pods, "requests.cpu": c.cpu, "requests.memory": c.memory, "limits.memory": c.limits} {
			got, counted := quota.Spec.Hard[name]
			if counted != (want != "") || counted && got.Cmp(resource.MustParse(want)) != 0 {
				t.Errorf("%s is %s, want %q, with %v", name, got.String(), want, c.values)
			}
		}
		// What a container is given that states nothing is what the server states.
		stated := server.Spec.Template.Spec.Containers[0].Resources
		if (given != nil) != (c.cpu != "") {
			t.Errorf("%s: a container is given %v", name, given)
		}
		if given == nil {
			continue
		}
		item := given.Spec.Limits[0]
		if request := stated.Requests.Cpu(); !request.IsZero() && item.DefaultRequest.Cpu().Cmp(*request) != 0 {
			t.Errorf("%s: the server requests %s of CPU, others %s", name, request, item.DefaultRequest.Cpu())
		}
		if item.Default.Memory().Cmp(*stated.Limits.Memory()) != 0 {
			t.Errorf("%s: the server's limit is %s, that of others %s", name, stated.Limits.Memory(), item.Default.Memory())
		}
	}
	if quota, given, _ := bounds(t, map[string]any{"quota": map[string]any{"enabled": false}}); quota != nil || given != nil {
		t.Errorf("turned off there are %v and %v", quota, given)
	}
}

// TestQuotaHasRoom: while server and gate are both replaced at once, with the old pods still going, no pod is refused. A gate that
// has none stops the cluster.
func TestQuotaHasRoom(t *testing.T) {
	objects := gateObjects(t)
	for _, replicas := range []int{1, 9} {
		quota, _, server := bounds(t, map[string]any{"replicas": replicas, "database": map[string]any{"secretName": "db"}, "tls": map[string]any{"secretName": "t"}})
		used := corev1.ResourceList{}
		use := func(name corev1.ResourceName, q resource.Quantity, times int64) {
			q.Mul(times)
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
		deployments := 0
		fill := func(d *appsv1.Deployment) {
			deployments++
			most := 2 * int64(*d.Spec.Replicas)
			if r := d.Spec.Strategy.RollingUpdate; r != nil {
				most += int64(r.MaxSurge.IntValue())
			}
			use("pods", resource.MustParse("1"), most)
			for _, c := range d.Spec.Template.Spec.Containers {
				use("requests.cpu", *c.Resources.Requests.Cpu(), most)
				use("requests.memory", *c.Resources.Requests.Memory(), most)
				use("limits.memory", *c.Resources.Limits.Memory(), most)
			}
		}
		fill(server)
		for _, o := range objects {
			if d, ok := o.(*appsv1.Deployment); ok {
				fill(d)
			}
		}
		if deployments != 2 {
			t.Fatalf("%d Deployments, want the server's and the gate's", deployments)
		}
		for name, q := range used {
			if hard := quota.Spec.Hard[name]; hard.Cmp(q) <= 0 {
				t.Errorf("%d replicas: %s of %s is used up (%s)", replicas, name, hard.String(), q.String())
			}
		}
	}
}
