// Package deploy holds Bailey's own Helm chart, with its alert rules and dashboard, and renders it.
package deploy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

//go:embed all:chart
var files embed.FS

// Files are those of the chart, from its folder.
func Files() fs.FS {
	sub, err := fs.Sub(files, "chart")
	if err != nil {
		panic(err) // it is compiled in
	}
	return sub
}

// Release says how the chart is rendered.
type Release struct {
	Name      string
	Namespace string
	// Values are laid over the chart's.
	Values map[string]any
	// KubeVersion is the cluster's, as in "v1.37.0"; empty means that of the Helm library.
	KubeVersion string
}

// AllValues are the chart's with the release's over them.
func (r Release) AllValues() (map[string]any, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	return util.CoalesceValues(c, r.Values)
}

// Objects renders the chart, in the order in which the objects are to be made. The Release's
// namespace is not among them.
func Objects(r Release) ([]*unstructured.Unstructured, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	if r.KubeVersion != "" {
		version, err := common.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, err
		}
		capabilities.KubeVersion = *version
	}
	options := common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(c, r.Values, options, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, values)
	if err != nil {
		return nil, plain(err)
	}
	for name := range rendered {
		if path.Ext(name) != ".yaml" {
			delete(rendered, name)
		}
	}
	hooks, sorted, err := releaseutil.SortManifests(rendered, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	if len(hooks) > 0 {
		return nil, errors.New("the chart has hooks, which are not run here")
	}
	objects := make([]*unstructured.Unstructured, 0, len(sorted))
	for _, m := range sorted {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(m.Content), &o.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if o.Object != nil {
			objects = append(objects, o)
		}
	}
	return objects, nil
}

func load() (*chart.Chart, error) {
	var list []*archive.BufferedFile
	err := fs.WalkDir(Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files(), name)
		list = append(list, &archive.BufferedFile{Name: name, Data: data})
		return err
	})
	if err != nil {
		return nil, err
	}
	return loader.LoadFiles(list)
}

// plain keeps of an error of the engine what the chart itself says by `required`.
func plain(err error) error {
	if _, at, found := strings.Cut(err.Error(), "execution error at ("); found {
		if _, said, found := strings.Cut(at, "): "); found {
			return errors.New(said)
		}
	}
	return err
}
