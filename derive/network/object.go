package network

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Custom resources come as maps, in whatever shape their author gave them:
// what is not of the expected type counts as absent.

func mapAt(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

func textAt(m map[string]any, path ...string) string {
	last := len(path) - 1
	text, _ := mapAt(m, path[:last]...)[path[last]].(string)
	return text
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

func listAt(m map[string]any, key string) []map[string]any {
	list := anyList(m[key])
	maps := make([]map[string]any, 0, len(list))
	for _, entry := range list {
		if o, ok := entry.(map[string]any); ok {
			maps = append(maps, o)
		}
	}
	return maps
}

// selectorOrAll is selectorOf for a selector that selects everything when it is
// left out.
func selectorOrAll(v any) predicate {
	if v == nil {
		return everything
	}
	return selectorOf(v)
}

// selectorOf compiles a label selector. One that is absent or of another shape
// selects nothing.
func selectorOf(v any) predicate {
	m, ok := v.(map[string]any)
	if !ok {
		return func(labelsOf) bool { return false }
	}
	all := make([]metav1.LabelSelectorRequirement, 0, 4)
	for key, value := range mapAt(m, "matchLabels") {
		want, _ := value.(string)
		all = append(all, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{want}})
	}
	for _, e := range listAt(m, "matchExpressions") {
		r := metav1.LabelSelectorRequirement{Key: textAt(e, "key"), Operator: metav1.LabelSelectorOperator(textAt(e, "operator"))}
		for _, value := range anyList(e["values"]) {
			want, _ := value.(string)
			r.Values = append(r.Values, want)
		}
		all = append(all, r)
	}
	return func(l labelsOf) bool {
		for i := range all {
			got, found := l(all[i].Key)
			if !holds(&all[i], got, found) {
				return false
			}
		}
		return true
	}
}
