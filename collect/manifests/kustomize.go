package manifests

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/baileyhq/bailey"
)

// addKustomizations builds those of the folders that no other one refers to,
// and gives the files that belong to any of them (by absolute path).
func (c *collector) addKustomizations(ctx context.Context, t *target, folders []string) (covered map[string]bool) {
	covered = map[string]bool{}
	if len(folders) == 0 {
		return covered
	}
	g := &graph{nodes: map[string]*kustomization{}}
	for _, folder := range folders {
		g.add(absolute(folder))
	}
	for _, n := range g.nodes {
		for _, file := range n.files {
			covered[absolute(file)] = true
		}
	}
	for _, folder := range g.roots(folders) {
		if ctx.Err() != nil {
			return covered
		}
		c.addKustomization(t, g, folder, covered)
	}
	return covered
}

// addKustomization builds one kustomization.
func (c *collector) addKustomization(t *target, g *graph, folder string, covered map[string]bool) {
	for _, n := range g.reachable(absolute(folder)) {
		if n.err != nil {
			t.skip(displayPath(folder, absolute(folder), n.path), shorten(n.err.Error(), 300), "")
			return
		}
		for _, entry := range n.remote {
			t.skip(displayPath(folder, absolute(folder), n.path), entry+" is not on this machine, and nothing is fetched", "scan what kustomize build gives: kustomize build "+folder+" | bailey scan -")
		}
	}
	files := &kustomizeFiles{FileSystem: filesys.MakeFsOnDisk(), root: absolute(folder), read: covered}
	resources, err := build(files)
	if err != nil {
		t.skip(folder, "the kustomization cannot be built: "+shorten(strings.ReplaceAll(err.Error(), absolute(folder), folder), 300), "kustomize build "+folder+" says more")
		return
	}
	origins := &originFiles{folder: folder, files: map[string][]written{}}
	for _, r := range resources {
		text, origin, err := plain(r)
		if err != nil {
			t.skip(folder, shorten(err.Error(), 300), "")
			continue
		}
		object := origins.find(origin, r.GetKind(), r.GetName())
		c.inputs = append(c.inputs, input{target: t, name: object.source.File, data: text, place: object.place})
	}
}

// kustomizing lets one build run at a time: the library keeps its schema in a
// variable that all builds share.
var kustomizing sync.Mutex

func build(files *kustomizeFiles) (resources []*resource.Resource, err error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize failed: %v", p)
		}
	}()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, files.root)
	if err != nil {
		return nil, err
	}
	return m.Resources(), nil
}

// plain gives a resource as YAML without the annotation about its origin, and
// that origin.
func plain(r *resource.Resource) ([]byte, *resource.Origin, error) {
	origin, err := r.GetOrigin()
	if err != nil {
		return nil, nil, err
	}
	if err := r.SetOrigin(nil); err != nil {
		return nil, nil, err
	}
	text, err := r.AsYAML()
	return text, origin, err
}

// displayPath shows an absolute path as the user would write it who named the
// folder.
func displayPath(folder, absoluteFolder, path string) string {
	if within, err := filepath.Rel(absoluteFolder, path); err == nil {
		return filepath.Join(folder, within)
	}
	return path
}

// originFiles finds where the objects of a kustomization were written.
type originFiles struct {
	folder string
	files  map[string][]written
}

// written is an object in the file that it comes from.
type written struct {
	kind, name string
	source     bailey.Source
}

func (w written) place(*input, chunk, positions) bailey.Source { return w.source }

// find gives the place of an object. Names change on the way (prefixes,
// suffixes, hashes), so the longest original name within the final one counts.
func (o *originFiles) find(origin *resource.Origin, kind, name string) written {
	none := written{source: bailey.Source{File: o.folder}}
	if origin == nil {
		return none
	}
	file := origin.Path
	if file == "" {
		file = origin.ConfiguredIn
	}
	if file == "" || origin.Repo != "" {
		return none
	}
	path := filepath.Join(o.folder, file)
	objects, read := o.files[path]
	if !read {
		objects = objectsIn(path)
		o.files[path] = objects
	}
	best := written{source: bailey.Source{File: path}}
	for _, w := range objects {
		if w.kind == kind && strings.Contains(name, w.name) && len(w.name) > len(best.name) {
			best = w
		}
	}
	return best
}

// objectsIn reads a file again for the places in it.
func objectsIn(path string) []written {
	data, err := readBounded(path)
	if err != nil {
		return nil
	}
	var found []written
	for chunk := range func(yield func(chunk) bool) { split(data, yield) } {
		var out result
		r := reader{decoder: newDecoder(), out: &out, file: path, chunk: chunk}
		r.read(chunk)
		for _, f := range out.facts {
			if f.Kind != bailey.KindComponent {
				found = append(found, written{kind: f.Kind.Short(), name: f.Name, source: f.Source})
			}
		}
	}
	return found
}

// graph is how kustomizations refer to each other.
type graph struct {
	nodes map[string]*kustomization // by absolute path of the folder
}

// kustomization is what a kustomization file names.
type kustomization struct {
	path      string // of the file
	component bool
	folders   []string // absolute
	files     []string // absolute
	remote    []string
	err       error
}

// maxKustomizations is how many folders are followed from one to the next.
const maxKustomizations = 10_000

func (g *graph) add(folder string) {
	if g.nodes[folder] != nil || len(g.nodes) >= maxKustomizations {
		return
	}
	n := &kustomization{path: kustomizationIn(folder)}
	g.nodes[folder] = n
	if n.path == "" {
		n.path, n.err = folder, fmt.Errorf("no kustomization.yaml in %s", folder)
		return
	}
	data, err := readBounded(n.path)
	if err == nil {
		var k types.Kustomization
		if err = unmarshal(data, &k); err == nil {
			n.component = k.Kind == types.ComponentKind
			n.collect(folder, &k)
		}
	}
	if err != nil {
		n.err = fmt.Errorf("not a kustomization: %s", message(err))
	}
	for _, next := range n.folders {
		g.add(next)
	}
}

// collect notes what the kustomization refers to.
func (n *kustomization) collect(folder string, k *types.Kustomization) {
	for _, entry := range slices.Concat(k.Resources, k.Bases, k.Components, k.Generators, k.Transformers, k.Validators) {
		switch {
		case isInline(entry):
		case isRemote(entry):
			n.remote = append(n.remote, entry)
		default:
			path := filepath.Join(folder, entry)
			if kustomizationIn(path) != "" {
				n.folders = append(n.folders, absolute(path))
			} else {
				n.files = append(n.files, path)
			}
		}
	}
	files := slices.Concat(k.Crds, k.Configurations)
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		files = append(files, p.Path)
	}
	for _, p := range k.PatchesStrategicMerge {
		if !isInline(string(p)) {
			files = append(files, string(p))
		}
	}
	for _, r := range k.Replacements {
		files = append(files, r.Path)
	}
	for _, m := range k.ConfigMapGenerator {
		files = append(files, sourcesOf(m.KvPairSources)...)
	}
	for _, s := range k.SecretGenerator {
		files = append(files, sourcesOf(s.KvPairSources)...)
	}
	files = append(files, k.OpenAPI["path"])
	for _, file := range files {
		switch {
		case file == "":
		case isRemoteFile(file):
			n.remote = append(n.remote, file)
		default:
			n.files = append(n.files, filepath.Join(folder, file))
		}
	}
}

func sourcesOf(s types.KvPairSources) []string {
	files := append(slices.Clone(s.EnvSources), s.EnvSource)
	for _, file := range s.FileSources {
		_, path, named := strings.Cut(file, "=")
		if !named {
			path = file
		}
		files = append(files, path)
	}
	return files
}

// roots gives the folders that are built: those that no other refers to. Of a
// circle, which kustomize refuses, the first folder is built, so that it is
// reported.
func (g *graph) roots(folders []string) []string {
	referred := map[string]bool{}
	for _, n := range g.nodes {
		for _, folder := range n.folders {
			referred[folder] = true
		}
	}
	var roots []string
	reached := map[*kustomization]bool{}
	take := func(folder string) {
		roots = append(roots, folder)
		for _, n := range g.reachable(absolute(folder)) {
			reached[n] = true
		}
	}
	for _, folder := range folders {
		if n := g.nodes[absolute(folder)]; n != nil && !referred[absolute(folder)] && (!n.component || len(folders) == 1) {
			take(folder)
		}
	}
	for _, folder := range folders {
		if n := g.nodes[absolute(folder)]; n != nil && !n.component && !reached[n] {
			take(folder)
		}
	}
	return roots
}

// reachable gives a folder's kustomization and all that it is built from.
func (g *graph) reachable(folder string) []*kustomization {
	var all []*kustomization
	seen := map[string]bool{folder: true}
	for queue := []string{folder}; len(queue) > 0; queue = queue[1:] {
		n := g.nodes[queue[0]]
		if n == nil {
			continue
		}
		all = append(all, n)
		for _, next := range n.folders {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return all
}
