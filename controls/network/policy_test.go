package network

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestPolicy(t *testing.T) { controltest.Run(t, Policy) }

const barePod = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: web}]}
`

func snapshot(facts ...*bailey.Fact) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(facts...)
	return b.Snapshot()
}

// TestPolicyGuards puts each guard in place, from nothing and beside policies
// that look like it, and wants it present and the rules it covers silent.
func TestPolicyGuards(t *testing.T) {
	scope := bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}
	for _, beside := range []string{"", `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-ingress, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-egress, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 1}]}], egress: [{ports: [{port: 1}]}]}
`} {
		facts := controltest.Facts(t, []byte(barePod+"---"+beside))
		for _, g := range Policy.Guards {
			before := snapshot(facts...)
			v := bailey.NewView(before)
			v.Allow(nil, g.Needs, g.Derives)
			if g.Present(v, scope).InPlace {
				t.Errorf("%s is in place beside %q", g.Name, beside)
			}
			changes := g.Objects(v, scope)
			if len(changes) == 0 {
				t.Errorf("%s gives no objects", g.Name)
			}
			after := facts
			for _, c := range changes {
				after = append(after, controltest.Apply(t, before, c))
			}
			if got, want := snapshot(after...).Len(), len(facts)+len(changes); got != want {
				t.Errorf("%s replaces a policy beside it: %d objects, want %d", g.Name, got, want)
			}
			v = bailey.NewView(snapshot(after...))
			v.Allow(nil, g.Needs, g.Derives)
			if p := g.Present(v, scope); !p.InPlace {
				t.Errorf("%s is not in place after its own objects: %s", g.Name, p.Why)
			}
			if more := g.Objects(v, scope); more != nil {
				t.Errorf("%s wants more though it is in place: %v", g.Name, more)
			}
			for _, r := range g.Covers {
				v.Allow(r.On, r.Needs, r.Derives)
				if found := r.Check(v, facts[0]); found != nil || len(v.Missing()) > 0 {
					t.Errorf("%s is in place and %s finds %v, missing %v", g.Name, r.Name, found, v.Missing())
				}
			}
		}
	}
}

// TestPolicyOfAnotherBuild has a workload in two builds and a policy in one of them, or
// in a third.
func TestPolicyOfAnotherBuild(t *testing.T) {
	const text = barePod + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`
	for _, c := range []struct {
		pod, policy []string
		want        int
	}{
		{nil, nil, 0},
		{[]string{"base", "closed"}, []string{"closed"}, 1},
		{[]string{"", "closed"}, []string{"closed"}, 1},
		{[]string{"closed"}, []string{"closed", "other"}, 0},
		{[]string{"base", "closed"}, []string{""}, 0}, // a part of its own, which goes with both
	} {
		facts := controltest.Facts(t, []byte(text))
		for _, f := range facts {
			f.Builds = c.pod
			if f.Kind == bailey.KindNetworkPolicy {
				f.Builds = c.policy
			}
		}
		v := bailey.NewView(snapshot(facts...))
		for _, r := range []*bailey.Rule{noIngressPolicy, noEgressPolicy} {
			v.Allow(r.On, r.Needs, r.Derives)
			if found := r.Check(v, facts[0]); len(found) != c.want {
				t.Errorf("%s, the pod in %q and the policy in %q: found %v, want %d", r.Name, c.pod, c.policy, found, c.want)
			}
		}
	}
}

// TestPolicyAllocates holds the rules that run on every workload to nothing
// allocated where nothing is wrong.
func TestPolicyAllocates(t *testing.T) {
	facts := controltest.Facts(t, []byte(barePod+`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`))
	v := bailey.NewView(snapshot(facts...))
	for _, r := range Policy.Rules {
		v.Allow(r.On, r.Needs, r.Derives)
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

// TestMetadataFixKeepsResolver: on GKE with Cloud DNS the address answers the pods' DNS
// (https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns).
func TestMetadataFixKeepsResolver(t *testing.T) {
	for ports, resolves := range map[string]bool{"": true, ", ports: [{port: 80}, {port: 53, protocol: UDP}]": true, ", ports: [{port: 80}]": false} {
		f := controltest.Facts(t, []byte("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\n"+
			"spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]"+ports+"}]}\n"))[0]
		s := snapshot(f)
		v := bailey.NewView(s)
		v.Allow(metadataEgress.On, metadataEgress.Needs, metadataEgress.Derives)
		found := metadataEgress.Check(v, f)
		if len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		changes := metadataEgress.Fix(v, f, found[0])
		if len(changes) != 1 {
			t.Fatalf("the fix is %v", changes)
		}
		fixed := controltest.Apply(t, s, changes[0])
		if still := metadataEgress.Check(v, fixed); len(still) != 0 {
			t.Errorf("with ports %q the fix leaves %v", ports, still)
		}
		if got := keepsResolver(fixed.Object.(*networkingv1.NetworkPolicy)); got != resolves {
			t.Errorf("with ports %q the fix keeps the resolver: %t, want %t", ports, got, resolves)
		}
	}
}
