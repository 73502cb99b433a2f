package compute

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestQuotas(t *testing.T) { controltest.Run(t, Quotas) }

func quotaSnapshot(facts ...*bailey.Fact) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(facts...)
	return b.Snapshot()
}

// TestQuotaGuard puts the guard in place, from nothing and beside objects that
// look like it, and wants it present, the rules it covers silent, and no
// workload refused by its own quota.
func TestQuotaGuard(t *testing.T) {
	scope := bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}
	const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: web, resources: {requests: {memory: 1Gi}, limits: {memory: 3Gi}}}
      - {name: log, image: log}
---
`
	for _, beside := range []string{"", `
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: shop}
spec: {hard: {services: "1"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: defaults, namespace: shop}
spec: {limits: [{type: Container, defaultRequest: {cpu: 1m}}]}
`} {
		facts := controltest.Facts(t, []byte(workloads+beside))
		before := quotaSnapshot(facts...)
		g := boundedNamespace
		v := bailey.NewView(before)
		v.Allow(nil, g.Needs, g.Derives)
		if g.Present(v, scope).InPlace {
			t.Errorf("the guard is in place beside %q", beside)
		}
		changes := g.Objects(v, scope)
		if len(changes) != 2 {
			t.Fatalf("%d changes, want a LimitRange and a ResourceQuota", len(changes))
		}
		hard := changes[1].Content["spec"].(map[string]any)["hard"].(map[string]any)
		// Four pods, each with 3 GiB and, for the other container, the default of 256 MiB: half as much again.
		if want := "19968Mi"; hard["limits.memory"] != want {
			t.Errorf("limits.memory is %v, want %s", hard["limits.memory"], want)
		}
		for _, c := range changes {
			facts = append(facts, controltest.Apply(t, before, c))
		}
		after := quotaSnapshot(facts...)
		if after.Len() != len(facts) {
			t.Errorf("the guard replaces an object beside it")
		}
		v = bailey.NewView(after)
		v.Allow(nil, g.Needs, g.Derives)
		if p := g.Present(v, scope); !p.InPlace {
			t.Errorf("the guard is not in place after its own objects: %s", p.Why)
		}
		if more := g.Objects(v, scope); more != nil {
			t.Errorf("the guard wants more though it is in place: %v", more)
		}
		for _, r := range append([]*bailey.Rule{quotaRefuses}, g.Covers...) {
			for _, f := range facts {
				v.Allow(r.On, r.Needs, r.Derives)
				for _, k := range r.On {
					if f.Kind == k {
						if found := r.Check(v, f); found != nil || len(v.Missing()) > 0 {
							t.Errorf("the guard is in place and %s finds %v on %s, missing %v", r.Name, found, f.Ref, v.Missing())
						}
					}
				}
			}
		}
	}
}

// TestAmountsAsStored wants the guard's amounts written as the API server stores them,
// whatever is in use: 1Gi for 1024Mi, which would be taken for a change of what was applied.
func TestAmountsAsStored(t *testing.T) {
	canonical := func(amount string) {
		t.Helper()
		if q, err := resource.ParseQuantity(amount); err != nil || q.String() != amount {
			t.Errorf("%s is stored as %s (%v)", amount, q.String(), err)
		}
	}
	for n := range int64(4000) {
		for _, amount := range (use{cpu: n, memory: n << 20, limit: n << 20}).hardLimits() {
			canonical(amount)
		}
		canonical(millicores(n))
		canonical(mebibytes(n))
	}
}

// TestQuotasAllocate holds the rules that run on every workload to nothing
// allocated where nothing is wrong.
func TestQuotasAllocate(t *testing.T) {
	facts := controltest.Facts(t, []byte(`
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec:
  initContainers: [{name: i, image: i, resources: {requests: {cpu: 1m}, limits: {memory: 1Mi}}}]
  containers: [{name: c, image: i, resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 1Mi}}}]
`))
	v := bailey.NewView(quotaSnapshot(facts...))
	for _, r := range []*bailey.Rule{noRequests, noMemoryLimit} {
		if n := testing.AllocsPerRun(100, func() {
			v.Allow(r.On, r.Needs, r.Derives)
			if found := r.Check(v, facts[0]); found != nil {
				t.Fatalf("%s finds %v", r.Name, found)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", r.Name, n)
		}
	}
}
