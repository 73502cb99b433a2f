package enforce

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// Layout is a way to write the planned objects for those who let no tool write to their
// cluster.
type Layout string

const (
	// LayoutKustomize is a kustomization that lists the objects.
	LayoutKustomize Layout = "kustomize"
	// LayoutHelm is a chart whose value validationActions says what policies do.
	LayoutHelm Layout = "helm"
)

// Marker begins every file that Render gives: a later rendering may replace them.
const Marker = "# Written by bailey enforce.\n"

// actionsMark stands in a chart's files for what the bindings of policies do.
const actionsMark = "BAILEY-VALIDATION-ACTIONS"

// Render gives the planned objects as files, by their path with slashes. Rendered by
// kustomize or Helm they are the same objects, but that Helm is told to keep those that
// it does not create, and parameters: a namespace is not deleted with a release.
func (p *Plan) Render(layout Layout, version string) (map[string][]byte, error) {
	files := map[string][]byte{}
	folder := ""
	if layout == LayoutHelm {
		folder = "templates/"
	}
	var names []string
	for i := range p.Changes {
		c := &p.Changes[i]
		object := copied(c.Apply).(map[string]any)
		if layout == LayoutHelm {
			forHelm(c, object)
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Object, err)
		}
		if layout == LayoutHelm {
			text = escaped(text)
		}
		name := fileName(c.Object)
		names = append(names, name)
		files[folder+name] = []byte(Marker + c.Remarks() + string(text))
	}
	slices.Sort(names)
	switch layout {
	case LayoutKustomize:
		text, err := yaml.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names})
		if err != nil {
			return nil, err
		}
		files["kustomization.yaml"] = []byte(Marker + string(text))
	case LayoutHelm:
		files["Chart.yaml"] = []byte(Marker + "apiVersion: v2\nname: bailey-guards\ndescription: What keeps the cluster from violating its controls again\ntype: application\nversion: 0.1.0\nappVersion: " + fmt.Sprintf("%q", version) + "\n")
		files["values.yaml"] = []byte(Marker + "# What policies do with what they forbid. To see what that would be, begin with [Warn, Audit].\nvalidationActions: [Deny, Audit]\n")
	default:
		return nil, fmt.Errorf("no layout %q: use %s or %s", layout, LayoutKustomize, LayoutHelm)
	}
	return files, nil
}

// forHelm makes an object a chart's: what it does not create it does not delete, nor the
// parameters of policies. Helm deletes ConfigMaps before bindings, and without its
// parameter a policy refuses everything, or another that keeps it refuses the deletion.
func forHelm(c *Change, object map[string]any) {
	if !c.Creates || c.Object.Kind == bailey.KindConfigMap {
		meta := under(object, "metadata")
		notes, isMap := meta["annotations"].(map[string]any)
		if !isMap {
			notes = map[string]any{}
			meta["annotations"] = notes
		}
		notes["helm.sh/resource-policy"] = "keep"
	}
	if c.Object.Kind == bailey.KindValidatingAdmissionPolicyBinding {
		under(object, "spec")["validationActions"] = actionsMark
	}
}

// escaped writes what Helm would take for a template as a template of itself.
func escaped(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("{{"), []byte("{{ `{{` }}"))
	return bytes.ReplaceAll(text, []byte(actionsMark), []byte("{{ toJson .Values.validationActions }}"))
}

func fileName(o bailey.Ref) string {
	parts := []string{strings.ToLower(o.Kind.Short())}
	if o.Namespace != "" {
		parts = append(parts, o.Namespace)
	}
	return strings.ReplaceAll(strings.Join(append(parts, o.Name), "-"), ":", "-") + ".yaml"
}

// Remarks says as YAML comments what must be decided before the object is applied.
func (c *Change) Remarks() string {
	var b strings.Builder
	if c.Managed != "" {
		fmt.Fprintf(&b, "# %s is owned by %s: change it at its source.\n", c.Object, c.Managed)
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(note, "\n", " "))
	}
	return b.String()
}
