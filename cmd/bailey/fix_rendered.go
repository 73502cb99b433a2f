package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/fix"
)

// trees are the objects that a chart or a kustomization gives, as JSON. There is
// one text per object but where it is given several times.
type trees map[string][]string

func treeKey(fact *bailey.Fact) string { return fact.Ref.String() + " " + fact.APIVersion }

// render gives what a chart or a kustomization gives now.
func (f *fixer) render(ctx context.Context, path string) (trees, error) {
	if known := f.trees[path]; known != nil {
		return known, nil
	}
	o, err := f.app.fileOptions(f.target, f.conf)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(f.targets, func(target string) bool { return isSameFolder(target, path) }) {
		o.Values, o.Set = nil, nil // they are for charts that are targets themselves
	}
	all := trees{}
	var failed error
	o.Overlay = f.overlay
	o.Each = func(fact *bailey.Fact, tree func() any) {
		text, err := json.Marshal(tree())
		failed = errors.Join(failed, err)
		all[treeKey(fact)] = append(all[treeKey(fact)], string(text))
	}
	o.Refused = func(chart string, refused []string, unchecked error) {
		if len(refused) > 0 { // more than before, and rendering does not give the wanted change alone
			all["refused: "+chart] = refused
		}
		if unchecked != nil {
			all[uncheckedSchema] = append(all[uncheckedSchema], unchecked.Error())
		}
	}
	s, err := manifests.Collect(ctx, []string{path}, o)
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	for _, target := range s.Meta.Targets {
		for _, skip := range target.Skipped {
			all["skipped: "+skip.What] = []string{skip.Why}
		}
	}
	for _, texts := range all {
		slices.Sort(texts)
	}
	f.trees[path] = all
	return all, nil
}

// isSameFolder reports whether a target is the chart or kustomization at the path.
func isSameFolder(target, path string) bool {
	if filepath.Base(target) == "Chart.yaml" {
		target = filepath.Dir(target)
	}
	return filepath.Clean(target) == filepath.Clean(path)
}

// only gives the object of the fact, if it is given once.
func (t trees) only(fact *bailey.Fact) (string, error) {
	if texts := t[treeKey(fact)]; len(texts) == 1 {
		return texts[0], nil
	}
	return "", fmt.Errorf("%s is given more than once", fact.Ref)
}

// uncheckedSchema is where trees hold why a chart's schema could not be checked.
const uncheckedSchema = "unchecked schema"

// gives reports whether what is rendered now differs from before in the fact's
// object alone, which is as wanted, and the chart's schema refuses no more than before.
func (f *fixer) gives(ctx context.Context, path string, before trees, fact *bailey.Fact, wanted string) (bool, error) {
	now, err := f.render(ctx, path)
	if err != nil {
		return false, err
	}
	expected := maps.Clone(before)
	expected[treeKey(fact)] = []string{wanted}
	return maps.EqualFunc(now, expected, slices.Equal[[]string]), nil
}

// canonical is a JSON text with its keys in order.
func canonical(text []byte) (string, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// rendered gives what is rendered now of the fact's chart or kustomization, the fact's
// object in it, and that object as the change wants it.
func (f *fixer) rendered(ctx context.Context, fact *bailey.Fact, c bailey.Change) (before trees, object, wanted string, err error) {
	if before, err = f.render(ctx, fact.Source.Rendered.Path); err != nil {
		return before, "", "", err
	}
	if object, err = before.only(fact); err != nil {
		return before, "", "", err
	}
	out, _, err := fix.Apply([]byte(object), c.Patch)
	if err != nil {
		return before, "", "", err
	}
	wanted, err = canonical(out)
	return before, object, wanted, err
}

// changeKustomization makes a change in the file that the object comes from, if
// what is built is then changed so and not otherwise, and as a patch in the
// kustomization where not.
func (f *fixer) changeKustomization(ctx context.Context, fact *bailey.Fact, c bailey.Change) (how string, err error) {
	folder := fact.Source.Rendered.Path
	before, object, wanted, err := f.rendered(ctx, fact, c)
	if err != nil {
		return "", err
	}
	names := []string{fact.Name}
	if path, file, err := f.open(fact.Source.File); err == nil && fact.Source.Line > 0 {
		at := fix.Place{Line: f.lineOf(path, fact), Column: fact.Source.Column, Kind: fact.Kind.Short()}
		if name := fix.NameAt(file.after, at); name != "" && name != fact.Name {
			names = append(names, name)
		}
		if edited, err := fix.Edit(file.after, at, c.Patch); err == nil {
			old := file.after
			f.set(path, edited)
			ok, err := f.gives(ctx, folder, before, fact, wanted)
			if err != nil {
				return "", err
			}
			if ok {
				f.shift(path, fact, old, edited)
				return "", nil
			}
			f.set(path, old)
		}
	}
	path, file, err := f.open(f.kustomization(folder))
	if err != nil {
		return "", err
	}
	old := file.after
	strategic := strategicPatch([]byte(object), []byte(wanted))
	tries := []func(name string) ([]byte, error){
		func(name string) ([]byte, error) { return addKustomizePatch(old, fact, name, c.Patch) },
	}
	if strategic != nil {
		tries = slices.Insert(tries, 0, func(name string) ([]byte, error) {
			return addStrategicPatch(old, fact, name, []byte(object), strategic)
		})
	}
	for i := range len(names) * len(tries) {
		edited, err := tries[i/len(names)](names[i%len(names)])
		if err != nil {
			return "", err
		}
		f.set(path, edited)
		ok, err := f.gives(ctx, folder, before, fact, wanted)
		if err != nil {
			return "", err
		}
		if ok {
			return file.name + ", as a patch", nil
		}
		f.set(path, old)
	}
	return "", errors.New("neither a change of the file that it comes from nor a patch in the kustomization gives exactly this change")
}

// kustomization is the file of a folder.
func (f *fixer) kustomization(folder string) string {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, _, err := f.open(filepath.Join(folder, name)); err == nil {
			return filepath.Join(folder, name)
		}
	}
	return filepath.Join(folder, "kustomization.yaml")
}

// kustomizePatches are the patches of a kustomization.
type kustomizePatches struct {
	Patches []struct {
		Target map[string]string `json:"target"`
		Patch  string            `json:"patch"`
	} `json:"patches"`
}

// lastFor is the text of the patch that stands last, if it is for the target.
func (k *kustomizePatches) lastFor(target map[string]string) (text string, ok bool) {
	last := len(k.Patches) - 1
	if last < 0 || !maps.Equal(k.Patches[last].Target, target) {
		return "", false
	}
	return k.Patches[last].Patch, true
}

func patchTarget(fact *bailey.Fact, name string) map[string]string {
	target := map[string]string{"kind": fact.Kind.Short(), "name": name}
	if _, group := fact.Kind.Split(); group != "" {
		target["group"] = group
	}
	return target
}

// addStrategicPatch adds a strategic-merge patch of an object to a kustomization.
// One of the same object that stands last, as bailey writes it, takes it in.
func addStrategicPatch(text []byte, fact *bailey.Fact, name string, object []byte, patch map[string]any) ([]byte, error) {
	var k kustomizePatches
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	target := patchTarget(fact, name)
	if old, ok := k.lastFor(target); ok {
		var before map[string]any
		if err := yaml.Unmarshal([]byte(old), &before); err == nil && before["kind"] != nil {
			same, err := yaml.Marshal(before)
			if err != nil {
				return nil, err
			}
			if merged := mergedPatches(object, before, patch); merged != nil && strings.TrimSpace(string(same)) == strings.TrimSpace(old) {
				whole, err := strategicText(object, name, merged)
				if err != nil {
					return nil, err
				}
				return k.replaceLast(text, whole)
			}
		}
	}
	whole, err := strategicText(object, name, patch)
	if err != nil {
		return nil, err
	}
	return k.add(text, target, whole)
}

// addKustomizePatch adds a JSON patch of an object to a kustomization. A patch of
// the same object that stands last takes the operations in.
func addKustomizePatch(text []byte, fact *bailey.Fact, name string, patch []bailey.PatchOp) ([]byte, error) {
	var k kustomizePatches
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	target := patchTarget(fact, name)
	if old, ok := k.lastFor(target); ok {
		var ops []bailey.PatchOp
		if err := yaml.UnmarshalStrict([]byte(old), &ops); err == nil {
			whole, err := patchText(append(ops, withoutRepeats(ops, patch)...))
			if err != nil {
				return nil, err
			}
			return k.replaceLast(text, whole)
		}
	}
	whole, err := patchText(patch)
	if err != nil {
		return nil, err
	}
	return k.add(text, target, whole)
}

// replaceLast puts a text in the place of the last patch's.
func (k *kustomizePatches) replaceLast(text []byte, patch string) ([]byte, error) {
	return fix.EditRoot(text, []bailey.PatchOp{{Op: "replace", Path: fmt.Sprintf("/patches/%d/patch", len(k.Patches)-1), Value: patch}})
}

// add adds a patch behind the others.
func (k *kustomizePatches) add(text []byte, target map[string]string, patch string) ([]byte, error) {
	entry := map[string]any{"target": target, "patch": patch}
	if k.Patches == nil {
		return fix.EditRoot(text, []bailey.PatchOp{{Op: "add", Path: "/patches", Value: []any{entry}}})
	}
	return fix.EditRoot(text, []bailey.PatchOp{{Op: "add", Path: "/patches/-", Value: entry}})
}

// withoutRepeats leaves out the parents that an earlier operation makes already.
func withoutRepeats(earlier, patch []bailey.PatchOp) []bailey.PatchOp {
	return slices.DeleteFunc(slices.Clone(patch), func(op bailey.PatchOp) bool {
		empty, isMap := op.Value.(map[string]any)
		return isMap && len(empty) == 0 && slices.ContainsFunc(earlier, func(e bailey.PatchOp) bool { return e.Path == op.Path })
	})
}

// patchText writes operations as YAML.
func patchText(ops []bailey.PatchOp) (string, error) {
	text, err := yaml.Marshal(ops)
	return strings.TrimSuffix(string(text), "\n"), err
}
