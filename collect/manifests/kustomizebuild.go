package manifests

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizeBuild is one folder's kustomization, and what the library made of it.
type kustomizeBuild struct {
	origins   *origins
	files     *kustomizeFiles
	resources []*resource.Resource
	err       error
}

// schemas lets builds run together, and one that sets a schema alone: the
// library keeps it in a variable that all builds share.
var schemas sync.RWMutex

// buildAll builds the folders that the library is needed for, as many at once
// as there are processors: a build takes longer than all else in a scan.
func (c *collector) buildAll(ctx context.Context, g *graph, folders []string) map[string]*kustomizeBuild {
	builds := make(map[string]*kustomizeBuild, len(folders))
	work := make(chan *kustomizeBuild, len(folders))
	for _, folder := range folders {
		root := Absolute(folder)
		b := &kustomizeBuild{files: &kustomizeFiles{FileSystem: filesys.MakeFsOnDisk(), root: root, confine: g.root, read: map[string]bool{}, plugins: g.plugins(root), overlay: c.opts.Overlay}}
		builds[folder] = b
		nodes := g.reachable(root)
		if g.isPlain(root) || slices.ContainsFunc(nodes, func(n *kustomization) bool { return n.err != nil }) {
			continue
		}
		b.files.schema = slices.ContainsFunc(nodes, func(n *kustomization) bool { return n.schema })
		b.origins = c.originsOf(g, folder)
		work <- b
	}
	close(work)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(work)) {
		wg.Go(func() {
			for b := range work {
				if b.err = ctx.Err(); b.err == nil {
					b.build()
				}
			}
		})
	}
	wg.Wait()
	return builds
}

func (b *kustomizeBuild) build() {
	b.resources, b.err = kustomize(b.files)
	if b.err == nil && slices.ContainsFunc(b.resources, func(r *resource.Resource) bool { return b.origins.ambiguous(r.GetKind(), r.GetName()) }) {
		// Asking for the origins doubles the time, so it is done only where names do not tell.
		b.files.annotate = true
		b.resources, b.err = kustomize(b.files)
	}
}

// kustomize runs the library on the files.
func kustomize(files *kustomizeFiles) (resources []*resource.Resource, err error) {
	if files.schema {
		schemas.Lock()
		defer schemas.Unlock()
	} else {
		schemas.RLock()
		defer schemas.RUnlock()
	}
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
