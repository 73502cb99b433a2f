package manifests

import (
	"strings"
	"testing"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"
)

// TestRefusals: schemas of a chart and its subcharts are asked, and those that they name in
// files or on the network are not read.
func TestRefusals(t *testing.T) {
	named := func(name, schema string) *chart.Chart {
		return &chart.Chart{Metadata: &chart.Metadata{Name: name}, Schema: []byte(schema)}
	}
	strict := `{"type": "object", "properties": {"port": {"type": "integer", "maximum": 10}}, "additionalProperties": false}`
	for _, c := range []struct {
		name   string
		schema string
		values map[string]any
		want   string // in what is refused, or in the error
	}{
		{"taken", strict, map[string]any{"port": int64(3)}, ""},
		{"too large", strict, map[string]any{"port": float64(30)}, "/port"},
		{"unknown", strict, map[string]any{"x": nil}, "'x'"},
		{"within itself", `{"$defs": {"p": {"type": "string"}}, "properties": {"port": {"$ref": "#/$defs/p"}}}`, map[string]any{"port": 1}, "/port"},
		{"no schema", `{`, nil, "cannot be checked"},
		{"a file", `{"$ref": "file:///etc/passwd"}`, nil, "it names another schema"},
		{"a relative file", `{"$ref": "other.json"}`, nil, "it names another schema"},
		{"the network", `{"$ref": "https://example.com/s.json"}`, nil, "it names another schema"},
		{"another draft", `{"$schema": "https://example.com/draft", "type": "object"}`, nil, "it names another schema"},
	} {
		of := named("c", c.schema)
		parent := named("parent", "{}")
		parent.AddDependency(of)
		for under, given := range map[*chart.Chart]map[string]any{of: c.values, parent: {"c": c.values}} {
			if under == of && c.values == nil {
				given = map[string]any{}
			}
			if under == parent && c.values == nil {
				given["c"] = map[string]any{}
			}
			refused, err := refusals(under, given)
			got := strings.Join(refused, "\n")
			if err != nil {
				got += err.Error()
			}
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("%s under %s: %q %v, want %q", c.name, under.Name(), refused, err, c.want)
			}
		}
	}
}

// FuzzRefusals checks values against schemas of all kinds.
func FuzzRefusals(f *testing.F) {
	f.Add(`{"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"maximum": 1}}}`, "a: 2\n")
	f.Add(`{"$ref": "file:///x"}`, "a: [1, null, x]\n")
	f.Add(`{"properties": {"a": {"pattern": "^(a+)+$"}}}`, "a: aaaa\n")
	f.Fuzz(func(t *testing.T, schema, text string) {
		var values map[string]any
		if len(schema) > 4<<10 || yaml.Unmarshal([]byte(text), &values) != nil {
			return
		}
		_, _ = refusals(&chart.Chart{Metadata: &chart.Metadata{Name: "c"}, Schema: []byte(schema)}, values)
	})
}
