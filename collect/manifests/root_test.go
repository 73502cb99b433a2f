package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRoot: nothing outside of the root is read, whatever names it, and what is inside
// is read as without one.
func TestRoot(t *testing.T) {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %}\n"
	for name, c := range map[string]struct {
		kustomization string
		inside        bool
	}{
		"resource":    {"resources: [own.yaml, ../../outside/plain.yaml]", false},
		"link":        {"resources: [own.yaml, link.yaml]", false},
		"base":        {"resources: [own.yaml]\nbases: [../../outside]", false},
		"component":   {"resources: [own.yaml]\ncomponents: [../../outside]", false},
		"patch":       {"resources: [own.yaml]\npatches: [{path: ../../outside/plain.yaml}]", false},
		"generator":   {"resources: [own.yaml]\nconfigMapGenerator: [{name: g, files: [x=../../outside/plain.yaml]}]", false},
		"transformer": {"resources: [own.yaml]\ntransformers: [../../outside/plain.yaml]", false},
		"sibling":     {"resources: [own.yaml, ../beside]", true},
		"prefixed":    {"namePrefix: x-\nresources: [own.yaml, ../beside]", true},
	} {
		top := t.TempDir()
		root := filepath.Join(top, "root")
		for _, folder := range []string{"root/app", "root/beside", "outside"} {
			if err := os.MkdirAll(filepath.Join(top, folder), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(root, "app"), "own.yaml", strings.Replace(object, "%", "own", 1))
		write(t, filepath.Join(root, "app"), "kustomization.yaml", c.kustomization)
		write(t, filepath.Join(root, "beside"), "beside.yaml", strings.Replace(object, "%", "beside", 1))
		write(t, filepath.Join(root, "beside"), "kustomization.yaml", "resources: [beside.yaml]")
		write(t, filepath.Join(top, "outside"), "plain.yaml", strings.Replace(object, "%", "outside", 1))
		write(t, filepath.Join(top, "outside"), "kustomization.yaml", "resources: [plain.yaml]")
		if err := os.Symlink("../../outside/plain.yaml", filepath.Join(root, "app", "link.yaml")); err != nil {
			t.Fatal(err)
		}
		s, err := Collect(t.Context(), []string{root}, Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range s.Kinds() {
			for _, f := range s.List(k, "") {
				names = append(names, f.Name)
			}
		}
		seen, skipped := strings.Join(names, " "), false
		for _, skip := range s.Meta.Targets[0].Skipped {
			skipped = skipped || strings.HasSuffix(skip.What, "kustomization.yaml") && strings.Contains(skip.Why, errOutside.Error())
		}
		if strings.Contains(seen, "outside") || c.inside != strings.Contains(seen, "own") || skipped == c.inside {
			t.Errorf("%s: saw %q, skipped %+v", name, seen, s.Meta.Targets[0].Skipped)
		}
	}
}
