package network

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	wide "github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// shop is what the tests copy: a database that only the web may call, by one port, and
// that may call only the web, by one port; and strangers.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop, istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: other}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, tier: data, version: v1}}
    spec: {containers: [{name: c, image: i, ports: [{name: sql, containerPort: 5432}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: guest, namespace: other}
spec:
  replicas: 0
  selector: {matchLabels: {app: guest}}
  template:
    metadata: {labels: {app: guest}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 9000}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db-in, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db-out, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: data}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]
`

// snapshotAt is the snapshot of a text at a moment; only what it names is there.
func snapshotAt(t *testing.T, at time.Time, text string) *bailey.Snapshot {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion, At: at})
	for _, k := range append(bailey.KnownKinds(), wide.WideKinds...) {
		b.Saw(k, "")
	}
	b.Add(controltest.Facts(t, []byte(text))...)
	return b.Snapshot()
}

func planned(t *testing.T, s *bailey.Snapshot) []prove.Unit {
	t.Helper()
	p := prove.Plan(s, []*bailey.Control{Policy}, prove.Choice{Worst: bailey.DangerIsolated, Places: []bailey.Place{bailey.PlaceNode}})
	return slices.DeleteFunc(p.Units, func(u prove.Unit) bool {
		if u.Skipped != "" && !strings.Contains(u.Skipped, "have their turn later: 8 of 21 are tried every 7 days") {
			t.Fatal(u.Skipped)
		}
		return u.Skipped != ""
	})
}

// said gives a line for each probe: its path, name, try and twin.
func said(units []prove.Unit) string {
	var lines []string
	for _, u := range units {
		for i := range u.Probes {
			p := &u.Probes[i]
			of := func(s *bailey.Step) string {
				return s.Task.In.Namespace[len(probeNamespaces):] + " " + s.Task.Dial.Address
			}
			lines = append(lines, p.Path+": "+p.Name+": "+of(&p.Try)+", twin "+of(&p.Twin))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestClosedEdges(t *testing.T) {
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	edges := func(text string) string { return said(planned(t, snapshotAt(t, now, text))) }
	if got, want := edges(shop), strings.Join([]string{
		"egress, by port: Deployment shop/db to Deployment shop/web, port 8080: out1 ${server4}:8080, twin out1 ${server3}:80",
		"egress: Deployment shop/db to Deployment other/guest, port 9000: out1 ${server2}:9000, twin out1 ${server3}:80",
		"ingress, by port: Deployment shop/web to Deployment shop/db, port 8080: in0 ${server1}:8080, twin in0 ${server0}:5432",
		"ingress: Deployment other/guest to Deployment shop/db, port 5432: in2 ${server0}:5432, twin in0 ${server0}:5432",
	}, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	const byWeb = "{podSelector: {matchLabels: {app: web}}}"
	for name, c := range map[string]struct{ old, new, has, hasNot string }{
		"no policy":                   {"kind: NetworkPolicy", "kind: LimitRange", "", ":"},
		"an address block":            {byWeb, byWeb + ", {ipBlock: {cidr: 10.0.0.0/8}}", "egress: ", "ingress: "},
		"a block by another port":     {"ports: [{port: sql}]", "ports: [{port: sql}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 443}]", "ingress: ", "port 443"},
		"a namespace's name, closed":  {byWeb, byWeb + ", {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}", "ingress: ", "none"},
		"a namespace's name, open":    {byWeb, "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}", "ingress: Deployment other/guest", "ingress, by port"},
		"a label of another system":   {byWeb, "{namespaceSelector: {matchLabels: {istio-injection: enabled}}}", "ingress: Deployment other/guest", "ingress, by port"},
		"everything is closed":        {"ingress: [{from: [" + byWeb + "], ports: [{port: sql}]}]", "ingress: []", "in0 ${server0}:", "none"},
		"everything is open":          {"ingress: [{from: [" + byWeb + "], ports: [{port: sql}]}]", "ingress: [{}]", "egress: ", "ingress"},
		"a port that is nobody's":     {"port: sql", "port: nosuch", "ingress: ", "ingress, by port"},
		"a policy of another kind":    {"kind: LimitRange", "", "ingress: ", "none"},
		"the database is on the host": {"spec: {containers: [{name: c, image: i, ports: [{name: sql", "spec: {hostNetwork: true, containers: [{name: c, image: i, ports: [{name: sql", "", "shop/db"},
	} {
		got := edges(strings.ReplaceAll(shop, c.old, c.new))
		if !strings.Contains(got, c.has) || strings.Contains(got, c.hasNot) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if got := edges(shop + "---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: all}\nspec: {endpointSelector: {}, ingress: [{}]}\n"); got != "" {
		t.Errorf("beside a policy of Cilium:\n%s", got)
	}
}

// TestShadowShowsLittle: copies have the labels that policies ask for, and no others.
func TestShadowShowsLittle(t *testing.T) {
	units := planned(t, snapshotAt(t, time.Now(), shop))
	if len(units) != 1 {
		t.Fatalf("%d units", len(units))
	}
	for _, step := range units[0].Probes[0].Setup {
		text, err := yaml.Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		for _, never := range []string{"istio", "version: v1", wide.NameLabel, "replicas"} {
			if strings.Contains(string(text), never) {
				t.Errorf("a copy has %q:\n%s", never, text)
			}
		}
		if step.Request != nil && step.Request.Resource != "namespaces" && step.Request.Resource != "networkpolicies" {
			t.Errorf("%s are made", step.Request.Resource)
		}
	}
}

// TestOneWay: a try and its twin go from one node to one other, so that a way between nodes that is
// cut is not taken for a policy.
func TestOneWay(t *testing.T) {
	units := planned(t, snapshotAt(t, time.Now(), shop))
	plugin := prove.Plan(snapshotAt(t, time.Now(), ""), []*bailey.Control{Plugin},
		prove.Choice{Worst: bailey.DangerIsolated, Places: []bailey.Place{bailey.PlaceNode}})
	on := func(step *bailey.Step, node string) bool {
		text, err := yaml.Marshal(step.Task.In.Spec)
		return err == nil && strings.Contains(string(text), "key: metadata.name\n          operator: In\n          values:\n          - ${"+node+"}")
	}
	for _, u := range append(units, plugin.Units...) {
		for i := range u.Probes {
			p := &u.Probes[i]
			bound := map[string]bool{}
			for k := range p.Setup {
				step := &p.Setup[k]
				switch {
				case step.Task == nil:
				case len(bound) < 2: // the two that choose the nodes
					for name, path := range step.Bind {
						bound[name] = path == "spec.nodeName"
					}
				case !on(step, serverNode):
					t.Errorf("%s: the listener %s is anywhere", p.Name, step.Task.In.Name)
				}
			}
			if !bound[serverNode] || !bound[clientNode] {
				t.Errorf("%s: no node is chosen: %v", p.Name, bound)
			}
			if !on(&p.Twin, clientNode) || !on(&p.Try, clientNode) {
				t.Errorf("%s: the clients are anywhere", p.Name)
			}
		}
	}
	if len(units) == 0 || len(plugin.Units) == 0 {
		t.Fatal("nothing is planned")
	}
}

// TestSampleTurns: every week other workloads, the same all week, each in its turn.
func TestSampleTurns(t *testing.T) {
	text := shop
	const more = 20
	for i := range more {
		text += "---\n" + strings.ReplaceAll(`apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: i, ports: [{name: sql, containerPort: 5432}]}]}
`, "NAME", "pod-"+string(rune('a'+i)))
	}
	met := map[string]bool{}
	begin := time.Unix(2900*7*24*3600, 0)
	for week := range 4 {
		var before string
		for _, day := range []int{0, 6} {
			var names []string
			for _, u := range planned(t, snapshotAt(t, begin.Add(time.Duration(week*7+day)*24*time.Hour), text)) {
				names = append(names, u.Scope.Object.String())
				met[u.Scope.Object.Name] = true
			}
			now := strings.Join(names, " ")
			if len(names) != sampleSize || before != "" && before != now {
				t.Errorf("week %d, day %d: %s, before: %s", week, day, now, before)
			}
			before = now
		}
	}
	if len(met) != more+1 { // and the db
		t.Errorf("only %d were in a sample: %v", len(met), met)
	}
}

// makeShop makes the shop in the cluster, in namespaces that end with the test.
func makeShop(t *testing.T, cluster *devcluster.Cluster, text string) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		metadata := o["metadata"].(map[string]any)
		path := map[any]string{
			"Namespace":     "/api/v1/namespaces",
			"Deployment":    "/apis/apps/v1/namespaces/%/deployments",
			"NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/%/networkpolicies",
		}[o["kind"]]
		if o["kind"] == "Namespace" {
			t.Cleanup(func() {
				if err := cluster.Do(t.Context(), http.MethodDelete, path+"/"+metadata["name"].(string), nil, nil); err != nil && t.Context().Err() == nil {
					t.Error(err)
				}
			})
		} else {
			path = strings.ReplaceAll(path, "%", metadata["namespace"].(string))
		}
		if err := cluster.Do(t.Context(), http.MethodPost, path, o, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProvePolicy(t *testing.T) {
	soak(t)
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	makeShop(t, cluster, shop)
	o := onNode(provetest.Collect(t, cluster))
	for name, c := range map[string]struct {
		gaps devclustertest.Gaps
		want map[string]prove.Outcome
	}{
		"enforced":  {devclustertest.Gaps{}, nil},
		"no egress": {devclustertest.Gaps{Egress: true}, map[string]prove.Outcome{"* (egress*": prove.Broken}},
		"one port":  {devclustertest.Gaps{Port: anyPort}, map[string]prove.Outcome{"* by port)": prove.Broken}},
	} {
		t.Run(name, func(t *testing.T) {
			devclustertest.Enforce(t, cluster, node, c.gaps)
			provetest.Want(t, provetest.Run(t, cluster, Policy, o), c.want)
		})
	}
	t.Run("nobody enforces", func(t *testing.T) {
		provetest.Want(t, provetest.Run(t, cluster, Policy, o), map[string]prove.Outcome{"*": prove.Broken})
	})
}
