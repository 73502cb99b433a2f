package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// strategicPatch is the strategic-merge patch that makes of the object, as JSON,
// the wanted one; nil if its kind is not a built-in one or no such patch is
// found. It names fields and items by their keys, so it leaves alone what is set
// beside them later, which operations on pointers would undo or fail on.
// Whether kustomize makes of it what is wanted is for the caller to check: it does
// not read all directives that the API server does.
func strategicPatch(object, wanted []byte) map[string]any {
	meta := patchMeta(object)
	if meta == nil {
		return nil
	}
	text, err := strategicpatch.CreateTwoWayMergePatchUsingLookupPatchMeta(object, wanted, meta)
	if err != nil {
		return nil
	}
	var patch map[string]any
	if err := json.Unmarshal(text, &patch); err != nil || len(patch) == 0 {
		return nil
	}
	withoutOrder(patch)
	return patch
}

// patchMeta tells how lists of the object's kind are merged; nil if that is not known.
func patchMeta(object []byte) strategicpatch.LookupPatchMeta {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(object, &head); err != nil {
		return nil
	}
	empty, err := scheme.Scheme.New(schema.FromAPIVersionAndKind(head.APIVersion, head.Kind))
	if err != nil {
		return nil
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(empty)
	if err != nil {
		return nil
	}
	return meta
}

// withoutOrder takes out the directives for the order of lists, which kustomize
// does not read.
func withoutOrder(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(key string, _ any) bool {
			return strings.HasPrefix(key, "$setElementOrder/") || key == "$retainKeys"
		})
		for _, below := range v {
			withoutOrder(below)
		}
	case []any:
		for _, below := range v {
			withoutOrder(below)
		}
	}
}

// strategicText writes the patch as YAML, with what kustomize wants of one that it
// reads: kind and name.
func strategicText(object []byte, name string, patch map[string]any) (string, error) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(object, &head); err != nil {
		return "", err
	}
	whole := maps.Clone(patch)
	whole["apiVersion"], whole["kind"] = head.APIVersion, head.Kind
	metadata := map[string]any{}
	if m, ok := patch["metadata"].(map[string]any); ok {
		maps.Copy(metadata, m)
	}
	metadata["name"] = name
	whole["metadata"] = metadata
	text, err := yaml.Marshal(whole)
	return strings.TrimSuffix(string(text), "\n"), err
}

// mergedPatches is one strategic-merge patch that does what both do, the second
// one after the first.
func mergedPatches(object []byte, first, second map[string]any) map[string]any {
	meta := patchMeta(object)
	if meta == nil {
		return nil
	}
	merged, err := strategicpatch.MergeStrategicMergeMapPatchUsingLookupPatchMeta(meta, first, second)
	if err != nil {
		return nil
	}
	return merged
}

// patchedAs is what kustomize makes of one object, as JSON, with a patch for it.
func patchedAs(object []byte, patch any) (out string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize failed: %v", p)
		}
	}()
	kustomization, err := yaml.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": []string{"rendered.yaml"}, "patches": []any{patch}})
	if err != nil {
		return "", err
	}
	files := filesys.MakeFsInMemory()
	for name, text := range map[string][]byte{"rendered.yaml": object, "kustomization.yaml": kustomization} {
		if err := files.WriteFile("/"+name, text); err != nil {
			return "", err
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/")
	if err != nil {
		return "", err
	}
	if built.Size() != 1 {
		return "", fmt.Errorf("kustomize made %d objects of one", built.Size())
	}
	text, err := built.Resources()[0].MarshalJSON()
	if err != nil {
		return "", err
	}
	return canonical(text)
}

// covers reports whether a value, as JSON has it, holds all that the other does.
func covers(v, other any) bool {
	switch other := other.(type) {
	case map[string]any:
		m, ok := v.(map[string]any)
		for key := range other {
			if _, there := m[key]; !there || !covers(m[key], other[key]) {
				return false
			}
		}
		return ok
	case []any:
		list, ok := v.([]any)
		for _, item := range other {
			if !slices.ContainsFunc(list, func(mine any) bool { return covers(mine, item) }) {
				return false
			}
		}
		return ok
	}
	return reflect.DeepEqual(v, other)
}

// keepsPatches reports whether a kustomization holds all that an earlier one does.
func keepsPatches(text, earlier []byte) bool {
	now, err := openedPatches(text)
	if err != nil {
		return false
	}
	then, err := openedPatches(earlier)
	return err == nil && covers(now, then)
}

// openedPatches reads a kustomization, with its patches as values, not as texts.
func openedPatches(text []byte) (map[string]any, error) {
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	patches, _ := k["patches"].([]any)
	for _, entry := range patches {
		m, _ := entry.(map[string]any)
		body, ok := m["patch"].(string)
		var v any
		if ok && yaml.Unmarshal([]byte(body), &v) == nil {
			m["patch"] = v
		}
	}
	return k, nil
}
