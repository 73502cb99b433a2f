package enforce

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Field is the value of a field of an object.
type Field struct {
	Path  []string `json:"path"`
	Value any      `json:"value"`
}

// Leaves gives the fields that an apply sets, but for the object's identity. A list
// is one field.
func Leaves(fields map[string]any) []Field {
	var all []Field
	var walk func(path []string, v any)
	walk = func(path []string, v any) {
		if m, isMap := v.(map[string]any); isMap && len(m) > 0 {
			for key, child := range m {
				walk(append(slices.Clone(path), key), child)
			}
			return
		}
		switch {
		case len(path) == 1 && (path[0] == "apiVersion" || path[0] == "kind"),
			len(path) == 2 && path[0] == "metadata" && (path[1] == "name" || path[1] == "namespace"):
			return
		}
		all = append(all, Field{path, v})
	}
	walk(nil, fields)
	slices.SortFunc(all, func(a, b Field) int { return slices.Compare(a.Path, b.Path) })
	return all
}

// ValueAt is the value of a field of an object, nil where it is not there.
func ValueAt(object map[string]any, path []string) any {
	v, _, err := unstructured.NestedFieldNoCopy(object, path...)
	if err != nil {
		return nil
	}
	return v
}

// differences gives the fields of an apply that an object does not hold.
func differences(object, apply map[string]any) []Field {
	var all []Field
	for _, f := range Leaves(apply) {
		if !Holds(ValueAt(object, f.Path), f.Value) {
			all = append(all, f)
		}
	}
	return all
}

// Holds reports whether a value of an object is what was applied. The API server
// fills in fields of its own in lists and maps; what was applied must be there.
func Holds(have, applied any) bool {
	switch want := applied.(type) {
	case map[string]any:
		m, isMap := have.(map[string]any)
		if !isMap {
			return len(want) == 0 && have == nil
		}
		for key, v := range want {
			if !Holds(m[key], v) {
				return false
			}
		}
		return true
	case []any:
		l, isList := have.([]any)
		if !isList || len(l) != len(want) {
			return len(want) == 0 && have == nil
		}
		for i := range want {
			if !Holds(l[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(number(have), number(applied))
}

// number makes one type of JSON's numbers.
func number(v any) any {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int32:
		return float64(n)
	case int64:
		return float64(n)
	}
	return v
}
