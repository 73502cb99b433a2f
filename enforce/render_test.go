package enforce

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// renderedPlan holds what a renderer could take for something of its own.
func renderedPlan() *Plan {
	p := onlyNamed("object.metadata.name != '{{ .Values.x }}' && object.kind != 'a: b' && !object.metadata.name.contains('{{{{')")
	p.Changes[0].Creates, p.Changes[1].Creates = true, true
	p.Changes[1].Apply["spec"].(map[string]any)["validationActions"] = []any{"Deny", "Audit"}
	p.Changes[0].Notes = []string{"a note\nof two lines"}
	p.Changes = append(p.Changes,
		Change{Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}, Apply: map[string]any{"apiVersion": "v1", "kind": "Namespace",
			"metadata": map[string]any{"name": "shop", "labels": map[string]any{"pod-security.kubernetes.io/enforce": "baseline"}}}},
		Change{Object: bailey.Ref{Kind: bailey.KindConfigMap, Namespace: "kube-system", Name: "list"}, Creates: true, Apply: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "list", "namespace": "kube-system"}, "data": map[string]any{"lines": "a\nb: {{ c }}\n", "number": "1"}}})
	return p
}

func write(t *testing.T, p *Plan, layout Layout) (folder string) {
	t.Helper()
	files, err := p.Render(layout, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// objectsOf parses documents, by kind and name.
func objectsOf(t *testing.T, documents ...string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, text := range documents {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all[o["kind"].(string)+" "+under(o, "metadata")["name"].(string)] = o
	}
	return all
}

func wanted(t *testing.T, p *Plan) map[string]map[string]any {
	t.Helper()
	var documents []string
	for _, c := range p.Changes {
		text, err := yaml.Marshal(c.Apply)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(text))
	}
	return objectsOf(t, documents...)
}

func TestKustomizationIsTheObjects(t *testing.T) {
	p := renderedPlan()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), write(t, p, LayoutKustomize))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := objectsOf(t, strings.Split(string(text), "\n---\n")...), wanted(t, p); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

func TestChartIsTheObjects(t *testing.T) {
	p := renderedPlan()
	folder := write(t, p, LayoutHelm)
	render := func(values map[string]any) map[string]map[string]any {
		t.Helper()
		chart, err := loader.LoadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := chart.Validate(); err != nil {
			t.Fatal(err)
		}
		all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "guards", Namespace: "default"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		files, err := engine.Render(chart, all)
		if err != nil {
			t.Fatal(err)
		}
		var documents []string
		for _, text := range files {
			documents = append(documents, text)
		}
		return objectsOf(t, documents...)
	}
	want := wanted(t, p)
	for _, kept := range []string{"Namespace shop", "ConfigMap list"} {
		under(want[kept], "metadata")["annotations"] = map[string]any{"helm.sh/resource-policy": "keep"}
	}
	if got := render(nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	under(want["ValidatingAdmissionPolicyBinding p"], "spec")["validationActions"] = []any{"Warn", "Audit"}
	if got := render(map[string]any{"validationActions": []any{"Warn", "Audit"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("with other actions: got\n%v\nwant\n%v", got, want)
	}
}
