package enforce

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Fields gives what server-side apply is given to make a change: the whole object
// of a creation, else its identity and the fields that the patch sets. A patch that
// removes something, or that reaches into a list, cannot be applied so, and is an
// error.
func Fields(c bailey.Change) (map[string]any, error) {
	kind, _ := c.Object.Kind.Split()
	if len(c.Patch) == 0 {
		content := copied(c.Content).(map[string]any)
		content["apiVersion"], content["kind"] = c.APIVersion, kind
		return content, nil
	}
	meta := map[string]any{"name": c.Object.Name}
	if c.Object.Namespace != "" {
		meta["namespace"] = c.Object.Namespace
	}
	object := map[string]any{"apiVersion": c.APIVersion, "kind": kind, "metadata": meta}
	for _, op := range c.Patch {
		switch op.Op {
		case "test":
			continue
		case "add", "replace":
		default:
			return nil, fmt.Errorf("%s: the operation %s on %s cannot be applied on the server", c.Object, op.Op, op.Path)
		}
		keys := bailey.PointerPath(op.Path)
		at := object
		for i, key := range keys {
			if key == "-" || isIndex(key) {
				return nil, fmt.Errorf("%s: %s reaches into a list", c.Object, op.Path)
			}
			if i == len(keys)-1 {
				if value, isMap := op.Value.(map[string]any); isMap && at[key] != nil && len(value) == 0 {
					break // an empty parent that is there
				}
				at[key] = copied(op.Value)
				break
			}
			child, isMap := at[key].(map[string]any)
			if !isMap {
				child = map[string]any{}
				at[key] = child
			}
			at = child
		}
	}
	return object, nil
}

func isIndex(key string) bool {
	for _, c := range key {
		if c < '0' || c > '9' {
			return false
		}
	}
	return key != ""
}

// copied is a deep copy of maps and lists.
func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = copied(value)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, value := range v {
			l[i] = copied(value)
		}
		return l
	}
	return v
}

func annotationsOf(f *bailey.Fact) map[string]string {
	switch o := f.Object.(type) {
	case metav1.Object:
		return o.GetAnnotations()
	case map[string]any:
		meta, _ := o["metadata"].(map[string]any)
		notes, _ := meta["annotations"].(map[string]any)
		all := map[string]string{}
		for key, value := range notes {
			all[key], _ = value.(string)
		}
		return all
	}
	return nil
}
