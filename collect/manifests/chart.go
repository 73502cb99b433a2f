package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// renderTime is how long the templates of one chart may run.
const renderTime = 20 * time.Second

// addChart renders a chart, a folder or an archive, and adds what its templates
// give. The options' values apply if the chart is a target itself.
func (c *collector) addChart(ctx context.Context, t *target, name string, named bool) {
	loaded, err := loader.Load(name)
	if err == nil {
		err = loaded.Validate()
	}
	if err != nil {
		t.skip(name, "the chart cannot be loaded: "+shorten(err.Error(), 300), "helm lint says more")
		return
	}
	if loaded.Metadata.Type == "library" {
		t.ignore(name, "a library chart, which gives no objects by itself")
		return
	}
	if missing := missingCharts(loaded); len(missing) > 0 {
		t.skip(name, "its subcharts are not in charts/: "+strings.Join(missing, ", "), "run helm dependency build "+name)
	}
	if text, laid := c.overlaid(path.Join(name, chartutil.ValuesfileName)); laid {
		if loaded.Values, err = loader.LoadValues(bytes.NewReader(text)); err != nil {
			t.skip(name, "values.yaml: "+shorten(err.Error(), 300), "")
			return
		}
	}
	values := map[string]any{}
	if named {
		if values, err = c.values(); err != nil {
			t.skip(name, err.Error(), "")
			return
		}
	}
	rendered, err := c.render(ctx, name, loaded, values)
	if err != nil {
		t.skip(name, "the chart cannot be rendered: "+shorten(err.Error(), 300), "give the values that it needs with --values or --set, or leave it out")
		return
	}
	sources := map[string]string{}
	addSources(loaded, sources)
	rendering := &bailey.Rendering{Medium: "chart", Path: name}
	for _, file := range sortedNames(rendered) {
		text := rendered[file]
		if strings.TrimSpace(text) == "" || path.Base(file) == "NOTES.txt" {
			continue
		}
		from := match(sources[file], text)
		from.rendering = rendering
		c.inputs = append(c.inputs, input{target: t, name: inChart(name, file), data: []byte(text), chart: true, build: name, place: from.place})
	}
	for _, crd := range loaded.CRDObjects() {
		c.inputs = append(c.inputs, input{target: t, name: inChart(name, crd.Filename), data: crd.File.Data, build: name})
	}
}

// inChart is the path of a chart's file: the chart's, and that within it.
func inChart(name, file string) string {
	_, within, _ := strings.Cut(file, "/")
	return path.Join(name, within)
}

// missingCharts names the dependencies that are declared and not there.
func missingCharts(c *chart.Chart) []string {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *chart.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	for _, sub := range c.Dependencies() {
		missing = append(missing, missingCharts(sub)...)
	}
	return missing
}

// values merges the options' value files and assignments.
func (c *collector) values() (map[string]any, error) {
	merged := map[string]any{}
	for _, file := range c.opts.Values {
		data, err := c.read(file)
		if err != nil {
			return nil, fmt.Errorf("values file %s: %s", file, message(err))
		}
		var values map[string]any
		if err := yaml.Unmarshal(data, &values); err != nil {
			return nil, fmt.Errorf("values file %s: %s", file, shorten(err.Error(), 200))
		}
		merged = loader.MergeMaps(merged, values)
	}
	for _, assignment := range c.opts.Set {
		if err := strvals.ParseInto(assignment, merged); err != nil {
			return nil, fmt.Errorf("--set %s: %s", strings.SplitN(assignment, "=", 2)[0], shorten(err.Error(), 200))
		}
	}
	return merged, nil
}

// outcome is what rendering a chart gives.
type outcome struct {
	files     map[string]string // the text of each template
	refused   []string          // by schemas, if Options.Refused asks for it
	unchecked error
	err       error
}

// render gives the text of each template, which get no cluster.
func (c *collector) render(ctx context.Context, name string, loaded *chart.Chart, values map[string]any) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, renderTime)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: fmt.Errorf("helm failed: %v", p)}
			}
			done <- o
		}()
		c.renderNow(ctx, loaded, values, &o)
	}()
	select {
	case o := <-done:
		if c.opts.Refused != nil && o.err == nil {
			c.opts.Refused(name, o.refused, o.unchecked)
		}
		return o.files, o.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("its templates run for more than %v", renderTime)
		}
		return nil, ctx.Err()
	}
}

func (c *collector) renderNow(ctx context.Context, loaded *chart.Chart, values map[string]any, o *outcome) {
	if o.err = chartutil.ProcessDependencies(loaded, values); o.err != nil {
		return
	}
	release := common.ReleaseOptions{Name: c.opts.Release, Namespace: c.opts.Namespace, Revision: 1, IsInstall: true}
	if release.Name == "" {
		release.Name = loaded.Name()
	}
	capabilities := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion("v" + c.version.String() + ".0")
	if err != nil {
		o.err = err
		return
	}
	capabilities.KubeVersion = *version
	// Helm's own check against schemas would ask for what they name on the network.
	all, err := util.ToRenderValuesWithSchemaValidation(loaded, values, release, capabilities, true)
	if err != nil {
		o.err = err
		return
	}
	if c.opts.Refused != nil {
		if merged, err := all.Table("Values"); err == nil {
			o.refused, o.unchecked = refusals(loaded, merged)
		}
	}
	e := engine.Engine{CustomTemplateFuncs: tameFunctions()}
	o.files, o.err = e.RenderWithContext(ctx, loaded, all)
}

// addSources gathers the templates of a chart and its subcharts under the names
// that they are rendered under.
func addSources(c *chart.Chart, sources map[string]string) {
	for _, t := range c.Templates {
		sources[path.Join(c.ChartFullPath(), t.Name)] = string(t.Data)
	}
	for _, sub := range c.Dependencies() {
		addSources(sub, sources)
	}
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// isTestHook reports whether helm would create the object only to test the
// release.
func isTestHook(hook string) bool {
	if hook == "" {
		return false
	}
	for part := range strings.SplitSeq(hook, ",") {
		switch strings.TrimSpace(part) {
		case "test", "test-success", "test-failure":
		default:
			return false
		}
	}
	return true
}
