package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/fix"
)

// maxTrials is how many values are tried for one field. Each try renders the chart.
const maxTrials = 16

// changeChart makes a change in the values of a chart, if its schema takes them and
// rendering again gives exactly that change, and as a patch for post-rendering where not.
func (f *fixer) changeChart(ctx context.Context, fact *bailey.Fact, c bailey.Change) (how string, err error) {
	chart := fact.Source.Rendered.Path
	before, object, wanted, err := f.rendered(ctx, fact, c)
	if err != nil {
		return "", err
	}
	patched := f.patchedBy(fact)
	if patched != nil {
		if _, err := patched.checked.with(c.Patch); err != nil {
			return "", meetsPatch(err)
		}
	}
	undo := f.state()
	reason := "no value that the chart takes gives exactly this change"
	var place string
	if unchecked := before[uncheckedSchema]; len(unchecked) > 0 {
		reason = unchecked[0]
	} else if place, err = f.setValues(ctx, chart, fact, c.Patch, object); err != nil {
		return "", err
	}
	if place != "" {
		ok, err := f.gives(ctx, chart, before, fact, wanted)
		if err != nil {
			return "", err
		}
		if ok && patched != nil {
			ok = f.patchFrom(fact, patched, []byte(wanted))
		}
		if ok {
			return place, nil
		}
	}
	undo()
	if f.patches == "" {
		return "", errors.New(reason + ": with --fix-patches DIR it is written as a patch for post-rendering")
	}
	return f.postRender(chart, fact, c, object)
}

// patchedBy is the fact's object with the patches for what its chart renders to;
// nil if there are none.
func (f *fixer) patchedBy(fact *bailey.Fact) *patchedObject {
	if fact.Source.Rendered == nil || f.charts[fact.Source.Rendered.Path] == nil {
		return nil
	}
	return f.charts[fact.Source.Rendered.Path].objects[treeKey(fact)]
}

// patchFrom has the patches of an object begin with what the chart gives now. It
// reports whether they can.
func (f *fixer) patchFrom(fact *bailey.Fact, patched *patchedObject, given []byte) bool {
	moved, err := patched.from(given)
	if err == nil {
		assign(f, f.charts[fact.Source.Rendered.Path].objects, treeKey(fact), moved)
	}
	return err == nil
}

// meetsPatch is why a change is not made where an earlier patch waits for it.
func meetsPatch(err error) error {
	if errors.Is(err, errLater) {
		return errors.New("another rule's patch changes the same place: scan what the chart gives with the patches, and fix that")
	}
	return err
}

// setValues finds for each field that the patch sets the value that gives it. It
// names where values were set; nothing if one field has none.
func (f *fixer) setValues(ctx context.Context, chart string, fact *bailey.Fact, patch []bailey.PatchOp, object string) (string, error) {
	var set []string
	var parents []bailey.PatchOp
	for _, op := range patch {
		if empty, isMap := op.Value.(map[string]any); op.Op == "add" && isMap && len(empty) == 0 {
			parents = append(parents, op)
			continue
		}
		out, made, err := fix.Apply([]byte(object), append(slices.Clone(parents), op))
		if err != nil {
			return "", err
		}
		wanted, err := canonical(out)
		if err != nil {
			return "", err
		}
		if wanted == object {
			continue
		}
		place, err := f.setValue(ctx, chart, fact, made[len(made)-1], wanted)
		if err != nil || place == "" {
			return "", err
		}
		object = wanted
		if !slices.Contains(set, place) {
			set = append(set, place)
		}
	}
	return strings.Join(set, ", "), nil
}

// setValue tries the values that the field may come from.
func (f *fixer) setValue(ctx context.Context, chart string, fact *bailey.Fact, op bailey.PatchOp, wanted string) (string, error) {
	before, err := f.render(ctx, chart)
	if err != nil {
		return "", err
	}
	files := []string{filepath.Join(chart, "values.yaml")}
	if slices.ContainsFunc(f.targets, func(target string) bool { return isSameFolder(target, chart) }) {
		files = append(files, f.target.values...)
		slices.Reverse(files) // the last one given is the strongest
	}
	trials := 0
	for _, name := range files {
		path, file, err := f.open(name)
		if err != nil {
			continue // of an archive, or no file to write: a patch is left
		}
		for _, candidate := range candidates(file.after, op) {
			if trials++; trials > maxTrials {
				return "", nil
			}
			edited, err := fix.EditRoot(file.after, []bailey.PatchOp{candidate})
			if err != nil {
				continue
			}
			old := file.after
			f.set(path, edited)
			ok, err := f.gives(ctx, chart, before, fact, wanted)
			if err != nil {
				return "", err
			}
			if ok {
				return name + ": " + strings.Join(bailey.PointerPath(candidate.Path), "."), nil
			}
			f.set(path, old)
		}
	}
	return "", nil
}

// candidates are the changes of values that may set what an operation sets: of
// the values that are named as the field, or as one that it stands in. The most
// exact come first.
func candidates(values []byte, op bailey.PatchOp) []bailey.PatchOp {
	var root any
	if op.Op == "remove" || yaml.Unmarshal(values, &root) != nil {
		return nil
	}
	var field []string // without the indexes of lists
	for _, step := range bailey.PointerPath(op.Path) {
		if _, err := strconv.Atoi(step); err != nil && step != "-" {
			field = append(field, step)
		}
	}
	if strings.HasSuffix(op.Path, "/-") {
		return nil
	}
	type candidate struct {
		op   bailey.PatchOp
		rank int
	}
	var found []candidate
	var look func(v any, path []string)
	look = func(v any, path []string) {
		m, _ := v.(map[string]any)
		if len(path) > 8 {
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			at := append(slices.Clone(path), key)
			for i, name := range field {
				rest := field[i+1:]
				exact := strings.EqualFold(key, name)
				ends := len(rest) > 0 && strings.HasSuffix(strings.ToLower(key), strings.ToLower(name))
				_, isMap := m[key].(map[string]any)
				if !exact && !ends || len(rest) > 0 && !isMap && m[key] != nil {
					continue
				}
				// Parents that are not there are made with the value in them.
				there := 0
				for there < len(rest) && fix.ValueAt(m[key], rest[:there+1]) != nil {
					there++
				}
				there = min(there+1, len(rest))
				value := op.Value
				for _, step := range slices.Backward(rest[there:]) {
					value = map[string]any{step: value}
				}
				rank := 10*len(rest) + len(path)
				if !exact {
					rank += 5
				}
				pointer := bailey.Pointer(slices.Concat(at, rest[:there])...)
				found = append(found, candidate{bailey.PatchOp{Op: "add", Path: pointer, Value: value}, rank})
			}
			look(m[key], at)
		}
	}
	look(root, nil)
	slices.SortStableFunc(found, func(a, b candidate) int { return a.rank - b.rank })
	ops := make([]bailey.PatchOp, len(found))
	for i, c := range found {
		ops[i] = c.op
	}
	return ops
}

// postRender is a kustomization that patches what a chart renders to.
type postRender struct {
	folder  string
	objects map[string]*patchedObject
	// What an earlier run left in its files; nil for none.
	earlier, script []byte
}

// earlierFile reads what an earlier run wrote, which begins with the mark; nil if
// there is no file.
func earlierFile(path, mark string) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var text []byte
	if err == nil && info.Mode().IsRegular() {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(text), mark) {
		return nil, fmt.Errorf("%s is there already, and not bailey's: name another folder for --fix-patches", path)
	}
	return text, nil
}

// postRender adds a change to the patches for what the chart renders to.
func (f *fixer) postRender(chart string, fact *bailey.Fact, c bailey.Change, object string) (how string, err error) {
	if why := f.barred[chart]; why != nil {
		return "", why
	}
	p := f.charts[chart]
	if p == nil {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(absolutePath(chart)), ".tgz"), ".tar.gz")
		p = &postRender{folder: filepath.Join(f.patches, name), objects: map[string]*patchedObject{}}
		for n := 2; slices.ContainsFunc(slices.Collect(maps.Values(f.charts)), func(o *postRender) bool { return o.folder == p.folder }); n++ {
			p.folder = filepath.Join(f.patches, fmt.Sprintf("%s-%d", name, n))
		}
		if p.earlier, err = earlierFile(filepath.Join(p.folder, "kustomization.yaml"), patchMark); err != nil {
			return "", err
		}
		if p.script, err = earlierFile(filepath.Join(p.folder, "post-render"), "#!/bin/sh\n"+patchMark); err != nil {
			return "", err
		}
	}
	o := p.objects[treeKey(fact)]
	if o == nil {
		if o, err = newPatchedObject(fact, []byte(object)); err != nil {
			return "", err
		}
	}
	if o, err = o.with(c.Patch); err != nil {
		return "", meetsPatch(err)
	}
	assign(f, p.objects, treeKey(fact), o)
	assign(f, f.charts, chart, p)
	return filepath.Join(p.folder, "kustomization.yaml") + ", as a patch for post-rendering", nil
}

func absolutePath(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// isPatched reports whether the changes are of objects that a patch for
// post-rendering changes, which the chart by itself does not show.
func (f *fixer) isPatched(s *bailey.Snapshot, changes []bailey.Change) bool {
	return slices.ContainsFunc(changes, func(c bailey.Change) bool {
		fact := s.Get(c.Object)
		return fact != nil && f.patchedBy(fact) != nil
	})
}

// patchMark begins every file of patches: a later run may replace it.
const patchMark = "# Written by bailey scan --fix.\n"

// postRenderScript is what helm's --post-renderer runs. What the chart renders to may hold
// secrets, so it goes to a folder that nobody else reads and that is removed.
const postRenderScript = "#!/bin/sh\n" + patchMark + `set -eu
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$(dirname "$0")/kustomization.yaml" "$folder/"
cat > "$folder/rendered.yaml"
kubectl kustomize "$folder"
`

// text is the kustomization with the patches.
func (p *postRender) text() ([]byte, error) {
	var patches []any
	for _, key := range slices.Sorted(maps.Keys(p.objects)) {
		text, err := p.objects[key].patch()
		if err != nil {
			return nil, err
		}
		patches = append(patches, map[string]any{"target": p.objects[key].target, "patch": text})
	}
	text, err := yaml.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": []string{"rendered.yaml"}, "patches": patches})
	return append([]byte(patchMark), text...), err
}

// lost are the charts whose patches would take the place of others that an earlier
// run left and this one does not make, with what to say of it.
func (f *fixer) lost() (map[string]error, error) {
	all := map[string]error{}
	for chart, p := range f.charts {
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		if p.earlier != nil && !keepsPatches(text, p.earlier) {
			all[chart] = fmt.Errorf("%s has patches of an earlier run: remove it, or fix all at once", filepath.Join(p.folder, "kustomization.yaml"))
		}
	}
	return all, nil
}

// patchFiles are the files of the patches for post-rendering that change, by name.
func (f *fixer) patchFiles() ([]*fixedFile, error) {
	var files []*fixedFile
	for _, p := range f.charts {
		text, err := p.text()
		if err != nil {
			return nil, fmt.Errorf("the patches in %s could not be written: %w", p.folder, err)
		}
		for _, file := range []*fixedFile{
			{path: filepath.Join(p.folder, "kustomization.yaml"), mode: 0o644, before: p.earlier, after: text},
			{path: filepath.Join(p.folder, "post-render"), mode: 0o755, before: p.script, after: []byte(postRenderScript)},
		} {
			file.name = file.path
			if !bytes.Equal(file.before, file.after) {
				files = append(files, file)
			}
		}
	}
	slices.SortFunc(files, func(a, b *fixedFile) int { return strings.Compare(a.name, b.name) })
	return files, nil
}
