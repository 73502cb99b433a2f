//lint:file-ignore SA1019 kustomizations in use still have the old fields

package manifests

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kustomizeFiles is the file system that kustomize sees. It bounds what is
// read, notes which files are, and hands out kustomization files without what
// would be fetched from elsewhere, written in current fields (the library
// prints a warning about old ones).
type kustomizeFiles struct {
	filesys.FileSystem
	root string
	// confine is the folder out of which nothing is read; see Options.Root.
	confine string
	// annotate asks for the origin of objects.
	annotate bool
	schema   bool // the build sets the library's schema
	read     map[string]bool
	plugins  map[string]bool // files that can make kustomize load others
	overlay  map[string][]byte
	bytes    int64
}

// ReadFile reads a file within the bounds.
func (f *kustomizeFiles) ReadFile(path string) ([]byte, error) {
	if !confined(f.confine, path) {
		return nil, fmt.Errorf("%s: %w", path, errOutside)
	}
	if info, err := f.FileSystem.Open(path); err == nil {
		stat, err := info.Stat()
		info.Close()
		if err == nil && stat.Size() > maxFile {
			return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
		}
	}
	data, laid := f.overlay[Absolute(path)]
	if !laid {
		var err error
		if data, err = f.FileSystem.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if f.bytes += int64(len(data)); f.bytes > maxTotal || len(f.read) > maxFiles {
		return nil, errors.New("the kustomization reads too much")
	}
	f.read[Absolute(path)] = true
	if slices.Contains(kustomizationNames[:], filepath.Base(path)) {
		return localKustomization(data, f.annotate), nil
	}
	if f.plugins[Absolute(path)] && namesAddress(data) {
		return nil, fmt.Errorf("%s: the settings of a generator or transformer name an address, and nothing is fetched", path)
	}
	return data, nil
}

// Open opens a file within the root.
func (f *kustomizeFiles) Open(path string) (filesys.File, error) {
	if !confined(f.confine, path) {
		return nil, fmt.Errorf("%s: %w", path, errOutside)
	}
	return f.FileSystem.Open(path)
}

// ReadDir lists a folder within the root.
func (f *kustomizeFiles) ReadDir(path string) ([]string, error) {
	if !confined(f.confine, path) {
		return nil, fmt.Errorf("%s: %w", path, errOutside)
	}
	return f.FileSystem.ReadDir(path)
}

// Exists reports whether a path is there, within the root.
func (f *kustomizeFiles) Exists(path string) bool {
	return confined(f.confine, path) && f.FileSystem.Exists(path)
}

// IsDir reports whether a path is a folder within the root.
func (f *kustomizeFiles) IsDir(path string) bool {
	return confined(f.confine, path) && f.FileSystem.IsDir(path)
}

// namesAddress reports whether a text in the YAML names a web server, as far as
// the YAML can be read.
func namesAddress(data []byte) bool {
	found := false
	var look func(n *yaml3.Node, depth int)
	look = func(n *yaml3.Node, depth int) {
		text := strings.ToLower(n.Value)
		found = found || depth > maxDepth || strings.Contains(text, "http:") || strings.Contains(text, "https:")
		for _, below := range n.Content {
			if !found {
				look(below, depth+1)
			}
		}
	}
	for part := range func(yield func(chunk) bool) { split(data, false, yield) } {
		if err := parseYAML(part.data, func(n *yaml3.Node) { look(n, 0) }); err != nil {
			return true
		}
	}
	return found
}

// localKustomization rewrites a kustomization file. One that cannot be read is
// left as it is, for kustomize to complain about.
func localKustomization(data []byte, annotate bool) []byte {
	var k types.Kustomization
	if unmarshal(data, &k) != nil {
		return data
	}
	k.FixKustomization()
	k.Patches = append(k.Patches, k.PatchesJson6902...)
	k.PatchesJson6902 = nil
	for _, p := range k.PatchesStrategicMerge {
		if isInline(string(p)) {
			k.Patches = append(k.Patches, types.Patch{Patch: string(p)})
		} else {
			k.Patches = append(k.Patches, types.Patch{Path: string(p)})
		}
	}
	k.PatchesStrategicMerge = nil
	if len(k.CommonLabels) > 0 {
		k.Labels = append(k.Labels, types.Label{Pairs: k.CommonLabels, IncludeSelectors: true})
		k.CommonLabels = nil
	}
	k.Resources, k.Components = local(k.Resources), local(k.Components)
	k.Generators, k.Transformers, k.Validators = local(k.Generators), local(k.Transformers), local(k.Validators)
	k.Crds, k.Configurations = local(k.Crds), local(k.Configurations)
	k.Patches = slices.DeleteFunc(k.Patches, func(p types.Patch) bool { return isRemoteFile(p.Path) })
	k.Replacements = slices.DeleteFunc(k.Replacements, func(r types.ReplacementField) bool { return isRemoteFile(r.Path) })
	k.ConfigMapGenerator = slices.DeleteFunc(k.ConfigMapGenerator, func(m types.ConfigMapArgs) bool { return slices.ContainsFunc(sourcesOf(m.KvPairSources), isRemoteFile) })
	k.SecretGenerator = slices.DeleteFunc(k.SecretGenerator, func(s types.SecretArgs) bool { return slices.ContainsFunc(sourcesOf(s.KvPairSources), isRemoteFile) })
	if isRemoteFile(k.OpenAPI["path"]) {
		k.OpenAPI = nil
	}
	k.BuildMetadata = nil
	if annotate && k.Kind != types.ComponentKind {
		k.BuildMetadata = []string{types.OriginAnnotations}
	}
	rewritten, err := yaml.Marshal(k)
	if err != nil {
		return data
	}
	return rewritten
}

// unmarshal reads a kustomization file as kustomize does.
func unmarshal(data []byte, k *types.Kustomization) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser failed: %v", p)
		}
	}()
	return k.Unmarshal(data)
}

func local(entries []string) []string {
	return slices.DeleteFunc(entries, func(entry string) bool {
		if isInline(entry) {
			return namesAddress([]byte(entry))
		}
		return isRemote(entry)
	})
}

// isInline tells content from the name of a file.
func isInline(entry string) bool {
	return strings.Contains(entry, "\n") || strings.HasPrefix(strings.TrimSpace(entry), "{")
}

// isRemote reports whether kustomize may take the entry for a repository. It
// looks at the text before it looks for a folder of that name, so a colon, an
// "@" or GitHub's name suffices.
func isRemote(entry string) bool {
	return strings.ContainsAny(entry, ":@?") || strings.Contains(strings.ToLower(entry), "github.com")
}

// isRemoteFile reports whether kustomize would ask a web server for the file.
func isRemoteFile(entry string) bool {
	entry = strings.ToLower(strings.TrimSpace(entry))
	return strings.HasPrefix(entry, "http:") || strings.HasPrefix(entry, "https:")
}
