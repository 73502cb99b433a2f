package enforce_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// TestKubeletSettings starts a kubelet with the drop-in that is written out for another
// kubelet, and reads back what it runs with.
func TestKubeletSettings(t *testing.T) {
	cluster, first := devclustertest.SharedNode(t)
	nodes := []*devcluster.Node{first}
	plan := func() *enforce.Plan {
		t.Helper()
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		b.Saw(bailey.KindKubelet, "")
		for _, node := range nodes {
			// The kubelets listen in a network of their own, and the API server is in it.
			var answer struct {
				KubeletConfig map[string]any `json:"kubeletconfig"`
			}
			if err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/nodes/"+node.Name+"/proxy/configz", nil, &answer); err != nil {
				t.Fatal(err)
			}
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindKubelet, Name: node.Name}, APIVersion: "bailey.dev/v1",
				Object: &bailey.Component{Node: node.Name, Config: answer.KubeletConfig}})
		}
		plan, err := enforce.Make(b.Snapshot(), controls.All())
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	lacks := func(p *enforce.Plan, node string) []string {
		all := map[string]bool{}
		for _, s := range p.SettingsOf("kubelet") {
			for _, seen := range s.Seen {
				if seen.Component == "kubelet@"+node {
					all[s.Field] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(all))
	}
	before := plan()
	if got := lacks(before, first.Name); !slices.Contains(got, "podPidsLimit") || slices.Contains(got, "seccompDefault") || slices.Contains(got, "serverTLSBootstrap") {
		t.Errorf("of devcluster's kubelet the plan wants %q", got)
	}
	files, err := before.RenderSettings()
	if err != nil {
		t.Fatal(err)
	}
	var dropIn map[string]any
	if err := yaml.UnmarshalStrict(files["kubelet/10-bailey.conf"], &dropIn); err != nil {
		t.Fatal(err)
	}
	// The kernel's settings are the machine's, which a test leaves alone.
	delete(dropIn, "protectKernelDefaults")
	second, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{Name: "hardened", ExtraKubeletConfig: dropIn})
	if err != nil {
		t.Fatal(err)
	}
	nodes = append(nodes, second)
	if got := lacks(plan(), second.Name); !slices.Equal(got, []string{"protectKernelDefaults"}) {
		t.Errorf("a kubelet with the drop-in still lacks %q", got)
	}
}
