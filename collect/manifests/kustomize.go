//lint:file-ignore SA1019 kustomizations in use still have the old fields

package manifests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/baileyhq/bailey"
)

// addKustomizations builds those of the folders that no other one refers to,
// and gives the files that belong to any of them (by absolute path).
func (c *collector) addKustomizations(ctx context.Context, t *target, folders []string) (covered map[string]bool) {
	covered = map[string]bool{}
	if len(folders) == 0 {
		return covered
	}
	g := &graph{root: c.opts.Root, read: c.read, nodes: map[string]*kustomization{}}
	for _, folder := range folders {
		g.add(Absolute(folder))
	}
	for _, n := range g.nodes {
		for _, file := range n.files {
			covered[Absolute(file)] = true
		}
	}
	roots := g.roots(folders)
	builds := c.buildAll(ctx, g, roots)
	for _, folder := range roots {
		if ctx.Err() != nil {
			return covered
		}
		first := len(c.inputs)
		c.addKustomization(t, g, folder, builds[folder])
		for i := range c.inputs[first:] {
			c.inputs[first+i].build = folder
		}
		for file := range builds[folder].files.read {
			covered[file] = true
		}
	}
	c.addUnused(t, g, folders, roots)
	return covered
}

// addUnused tells of the components that no kustomization here takes in. They are not
// applied, so what they add is read only where there is nothing but components.
func (c *collector) addUnused(t *target, g *graph, folders, roots []string) {
	used := map[*kustomization]bool{}
	for _, folder := range roots {
		for _, n := range g.reachable(Absolute(folder)) {
			used[n] = true
		}
	}
	for _, folder := range folders {
		n := g.nodes[Absolute(folder)]
		if n == nil || !n.component || used[n] {
			continue
		}
		if len(roots) > 0 {
			t.ignore(displayPath(folder, Absolute(folder), n.path), "a component that no kustomization here uses, so it is not applied: scan it by itself")
			continue
		}
		t.ignore(displayPath(folder, Absolute(folder), n.path), "a component that no kustomization here uses: its resources are read, its patches are not applied")
		for _, file := range n.resources {
			c.addPlain(t, displayPath(folder, Absolute(folder), file))
		}
	}
}

// addPlain adds a file that a kustomization takes in as it is.
func (c *collector) addPlain(t *target, path string) {
	c.inputs = append(c.inputs, input{target: t, name: path, path: path})
}

// addKustomization adds what one kustomization gives.
func (c *collector) addKustomization(t *target, g *graph, folder string, b *kustomizeBuild) {
	for _, n := range g.reachable(Absolute(folder)) {
		if n.err != nil {
			t.skip(displayPath(folder, Absolute(folder), n.path), shorten(n.err.Error(), 300), "")
			return
		}
		for _, entry := range n.remote {
			t.skip(displayPath(folder, Absolute(folder), n.path), entry+" is not on this machine, and nothing is fetched", "scan what kustomize build gives: kustomize build "+folder+" | bailey scan -")
		}
	}
	if g.isPlain(Absolute(folder)) {
		// Nothing is changed on the way, so the library is spared, which takes
		// longer to start than a folder to read.
		for _, n := range g.reachable(Absolute(folder)) {
			for _, file := range n.resources {
				c.addPlain(t, displayPath(folder, Absolute(folder), file))
			}
		}
		return
	}
	if b.err != nil {
		t.skip(folder, "the kustomization cannot be built: "+shorten(strings.ReplaceAll(b.err.Error(), Absolute(folder), folder), 300), "kustomize build "+folder+" says more")
		return
	}
	rendering := &bailey.Rendering{Medium: "kustomization", Path: folder}
	for _, r := range b.resources {
		object := b.origins.find(r.GetKind(), r.GetName(), originFile(r))
		object.source.Rendered = rendering
		c.inputs = append(c.inputs, input{target: t, name: object.source.File, node: r.YNode(), place: object.place})
	}
}

// originFile takes the note about its origin off a resource. It gives the file,
// relative to the folder that was built; empty if there is none.
func originFile(r *resource.Resource) string {
	origin, err := r.GetOrigin()
	if err != nil || origin == nil || origin.Repo != "" {
		return ""
	}
	if err := r.SetOrigin(nil); err != nil {
		return ""
	}
	if origin.Path == "" {
		return origin.ConfiguredIn
	}
	return origin.Path
}

// displayPath shows an absolute path as the user would write it who named the
// folder.
func displayPath(folder, absoluteFolder, path string) string {
	if within, err := filepath.Rel(absoluteFolder, path); err == nil {
		return filepath.Join(folder, within)
	}
	return path
}

// origins are the objects in the files that a kustomization is built from.
type origins struct {
	folder  string
	objects map[string][]written // by kind
}

// written is an object in the file that it comes from.
type written struct {
	kind, name string
	path       string // of the file, relative to the folder that is built
	source     bailey.Source
}

func (w written) place(*input, chunk, positions) bailey.Source { return w.source }

// originsOf reads the files that the folder's kustomization takes objects from.
func (c *collector) originsOf(g *graph, folder string) *origins {
	o := &origins{folder: folder, objects: map[string][]written{}}
	root := Absolute(folder)
	for _, n := range g.reachable(root) {
		for _, file := range n.resources {
			path, err := filepath.Rel(root, file)
			if err != nil {
				continue
			}
			objects, read := c.written[file]
			if !read {
				objects = c.objectsIn(file)
				c.written[file] = objects
			}
			for _, w := range objects {
				w.path, w.source.File = path, filepath.Join(folder, path)
				o.objects[w.kind] = append(o.objects[w.kind], w)
			}
		}
	}
	return o
}

// candidates gives the objects that one of this kind and final name can come
// from. Names change on the way (prefixes, suffixes), so the longest original
// names within the final one are those.
func (o *origins) candidates(kind, name string) []written {
	var found []written
	for _, w := range o.objects[kind] {
		if !strings.Contains(name, w.name) || len(found) > 0 && len(w.name) < len(found[0].name) {
			continue
		}
		if len(found) > 0 && len(w.name) > len(found[0].name) {
			found = found[:0]
		}
		found = append(found, w)
	}
	return found
}

func (o *origins) ambiguous(kind, name string) bool { return len(o.candidates(kind, name)) > 1 }

// find gives the place of an object; the file, where it is known, decides
// between several. What no file holds is made by a generator of the
// kustomization.
func (o *origins) find(kind, name, file string) written {
	found := o.candidates(kind, name)
	for _, w := range found {
		if file == "" || w.path == file {
			return w
		}
	}
	made := written{source: bailey.Source{File: kustomizationIn(o.folder)}}
	if file != "" {
		made.source.File = filepath.Join(o.folder, file)
	}
	return made
}

// objectsIn reads a file again for the places in it.
func (c *collector) objectsIn(path string) []written {
	data, err := c.read(path)
	if err != nil {
		return nil
	}
	var found []written
	for chunk := range func(yield func(chunk) bool) { split(data, false, yield) } {
		var out result
		r := reader{decoder: newDecoder(), out: &out, file: path, chunk: chunk}
		r.read(chunk)
		for _, f := range out.facts {
			if f.Kind.Program() == "" {
				found = append(found, written{kind: f.Kind.Short(), name: f.Name, source: f.Source})
			}
		}
	}
	return found
}

// graph is how kustomizations refer to each other.
type graph struct {
	root  string                    // see Options.Root
	nodes map[string]*kustomization // by absolute path of the folder
	read  func(path string) ([]byte, error)
}

// kustomization is what a kustomization file names.
type kustomization struct {
	path      string // of the file
	component bool
	plain     bool     // it only lists resources
	schema    bool     // it sets the schema that the library shares between builds
	folders   []string // absolute
	files     []string // absolute
	resources []string // those of the files that hold objects
	plugins   []string // files and folders with settings of generators and transformers
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
	data, err := []byte(nil), errOutside
	if confined(g.root, n.path) {
		data, err = g.read(n.path)
	}
	if err == nil {
		var k types.Kustomization
		if err = unmarshal(data, &k); err == nil {
			n.component = k.Kind == types.ComponentKind
			n.plain = isPlainKustomization(k)
			n.schema = len(k.OpenAPI) > 0
			n.collect(g.root, folder, &k)
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
func (n *kustomization) collect(root, folder string, k *types.Kustomization) {
	for i, entry := range slices.Concat(k.Resources, k.Bases, k.Components, k.Generators, k.Transformers, k.Validators) {
		plugin := i >= len(k.Resources)+len(k.Bases)+len(k.Components)
		switch {
		case isInline(entry):
			if plugin && namesAddress([]byte(entry)) {
				n.remote = append(n.remote, "what an inline generator or transformer names")
			}
		case isRemote(entry):
			n.remote = append(n.remote, entry)
		default:
			path := filepath.Join(folder, entry)
			if !confined(root, path) {
				n.err = fmt.Errorf("%s: %w", entry, errOutside)
				continue
			}
			if plugin {
				n.plugins = append(n.plugins, Absolute(path))
			}
			if kustomizationIn(path) != "" {
				n.folders = append(n.folders, Absolute(path))
			} else if info, err := os.Stat(path); err != nil || info.IsDir() {
				n.err = fmt.Errorf("%s is neither a file nor the folder of a kustomization", entry)
			} else {
				n.files = append(n.files, path)
				if i < len(k.Resources)+len(k.Bases) {
					n.resources = append(n.resources, path)
				}
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
		case !confined(root, filepath.Join(folder, file)):
			n.err = fmt.Errorf("%s: %w", file, errOutside)
		default:
			n.files = append(n.files, filepath.Join(folder, file))
		}
	}
}

// isPlainKustomization reports whether the file does nothing but list resources.
func isPlainKustomization(k types.Kustomization) bool {
	if k.Kind != "" && k.Kind != types.KustomizationKind {
		return false
	}
	k.TypeMeta, k.MetaData, k.Resources, k.Bases, k.BuildMetadata, k.SortOptions = types.TypeMeta{}, nil, nil, nil, nil, nil
	return reflect.ValueOf(k).IsZero()
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
// circle, which kustomize refuses, the first folder is taken, so that it is
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
		for _, n := range g.reachable(Absolute(folder)) {
			reached[n] = true
		}
	}
	for _, folder := range folders {
		if n := g.nodes[Absolute(folder)]; n != nil && !referred[Absolute(folder)] && (!n.component || len(folders) == 1) {
			take(folder)
		}
	}
	for _, folder := range folders {
		if n := g.nodes[Absolute(folder)]; n != nil && !n.component && !reached[n] {
			if n.err == nil {
				n.err = errors.New("it is built from what is built from it")
			}
			take(folder)
		}
	}
	return roots
}

// plugins gives the files that hold settings of generators and transformers,
// for a folder and all that it is built from.
func (g *graph) plugins(folder string) map[string]bool {
	files := map[string]bool{}
	for _, n := range g.reachable(folder) {
		for _, plugin := range n.plugins {
			files[plugin] = true
			for _, below := range g.reachable(plugin) {
				for _, file := range below.resources {
					files[Absolute(file)] = true
				}
			}
		}
	}
	return files
}

// isPlain reports whether building the folder changes nothing.
func (g *graph) isPlain(folder string) bool {
	return !slices.ContainsFunc(g.reachable(folder), func(n *kustomization) bool { return !n.plain })
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
