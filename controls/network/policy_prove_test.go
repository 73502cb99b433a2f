package network

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	wide "github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

const image = "localhost/bailey-probe:dev"

// probeImage builds what probe pods run and gives it to the node.
func probeImage(t *testing.T, node *devcluster.Node) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bailey")
	build := exec.Command("go", "build", "-o", program, "github.com/baileyhq/bailey/internal/provetest/probepod")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := node.Import(t.Context(), image, map[string]string{"/bailey": program}, []string{"/bailey"}); err != nil {
		t.Fatal(err)
	}
}

func onNode(s *bailey.Snapshot) provetest.Options {
	return provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: image, Repeat: 1, Snapshot: s}
}

// TestPluginEnforces runs on a node whose plugin enforces nothing, everything, and
// all but one direction.
func TestPluginEnforces(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	probeImage(t, node)
	s := provetest.Collect(t, cluster)
	t.Run("enforced", func(t *testing.T) {
		devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{})
		provetest.AllHeld(t, provetest.Run(t, cluster, Plugin, onNode(s)))
	})
	t.Run("no egress", func(t *testing.T) {
		devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{Egress: true})
		provetest.Want(t, provetest.Run(t, cluster, Plugin, onNode(s)), map[string]prove.Outcome{"* (egress)": prove.Broken})
	})
	t.Run("nobody", func(t *testing.T) {
		records := provetest.Run(t, cluster, Plugin, onNode(s))
		provetest.Want(t, records, map[string]prove.Outcome{"*": prove.Broken})
		if text := provetest.Text(records); !strings.Contains(text, "still accepted after 30s") {
			t.Error(text)
		}
	})
	t.Run("no such image", func(t *testing.T) {
		o := onNode(s)
		o.Image = "" // the pods cannot be made
		provetest.Want(t, provetest.Run(t, cluster, Plugin, o), map[string]prove.Outcome{"*": prove.Inconclusive})
	})
}

// world is two namespaces: the shop is closed but for its own web and for those
// who watch, and the db may not go out.
const world = `
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
kind: Namespace
metadata: {name: other, labels: {team: other, istio-injection: enabled}}
---
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db, tier: data}}
    spec: {containers: [{name: c, image: i, ports: [{name: sql, containerPort: 5432}]}]}
---
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}
---
kind: Deployment
metadata: {name: guest, namespace: other}
spec:
  template:
    metadata: {labels: {app: guest}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 9000}]}]}
---
kind: NetworkPolicy
metadata: {name: db-in, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]
---
kind: NetworkPolicy
metadata: {name: db-out, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: data}}
  policyTypes: [Egress]
`

// worldOf is the snapshot of a text; only what it names is there.
func worldOf(t *testing.T, text string) *bailey.Snapshot {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range append(bailey.KnownKinds(), wide.WideKinds...) {
		b.Saw(k, "")
	}
	for _, document := range strings.Split(text, "\n---\n") {
		var meta struct {
			Kind     string
			Metadata metav1.ObjectMeta
		}
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatal(err)
		}
		f := &bailey.Fact{Labels: meta.Metadata.Labels}
		f.Name, f.Namespace = meta.Metadata.Name, meta.Metadata.Namespace
		switch meta.Kind {
		case "Namespace":
			f.Kind, f.Object = bailey.KindNamespace, &corev1.Namespace{}
		case "Deployment":
			f.Kind, f.Object = bailey.KindDeployment, &appsv1.Deployment{}
		case "NetworkPolicy":
			f.Kind, f.Object = bailey.KindNetworkPolicy, &networkingv1.NetworkPolicy{}
		}
		if err := yaml.Unmarshal([]byte(document), f.Object); err != nil {
			t.Fatal(err)
		}
		b.Add(f)
	}
	return b.Snapshot()
}

func TestClosedEdgesPlan(t *testing.T) {
	named := func(text string) string {
		var names []string
		p := prove.Plan(worldOf(t, text), []*bailey.Control{Policy}, prove.Choice{Worst: bailey.DangerIsolated, Places: []bailey.Place{bailey.PlaceNode}})
		for _, u := range p.Units {
			if u.Skipped != "" {
				t.Fatal(u.Skipped)
			}
			for _, probe := range u.Probes {
				names = append(names, probe.Path+": "+probe.Name)
			}
		}
		return strings.Join(names, "\n")
	}
	got := named(world)
	for _, want := range []string{"ingress: Deployment other/guest to Deployment shop/db, port 5432", "egress: Deployment shop/db to Deployment "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("planned:\n%s", got)
	}
	for name, change := range map[string][2]string{
		"no policy":         {"kind: NetworkPolicy", "kind: Namespace"},
		"an address block":  {"{podSelector: {matchLabels: {app: web}}}", "{ipBlock: {cidr: 10.0.0.0/8}}"},
		"a namespace named": {"{podSelector: {matchLabels: {app: web}}}", "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}"},
		"a foreign label":   {"{podSelector: {matchLabels: {app: web}}}", "{namespaceSelector: {matchLabels: {istio-injection: enabled}}}"},
	} {
		if got := named(strings.ReplaceAll(world, change[0], change[1])); strings.Contains(got, "ingress: ") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestClosedEdges(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	probeImage(t, node)
	s := worldOf(t, world)
	t.Run("enforced", func(t *testing.T) {
		devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{})
		provetest.AllHeld(t, provetest.Run(t, cluster, Policy, onNode(s)))
	})
	t.Run("one policy is not enforced", func(t *testing.T) {
		devclustertest.Enforce(t, cluster, node, devclustertest.Gaps{Policy: func(p *networkingv1.NetworkPolicy) bool { return p.Name == "db-in" }})
		provetest.Want(t, provetest.Run(t, cluster, Policy, onNode(s)), map[string]prove.Outcome{"* (ingress)": prove.Broken})
	})
}
