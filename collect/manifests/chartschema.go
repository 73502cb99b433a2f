package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// refusals gives, sorted, what the values.schema.json of a chart and of its subcharts refuse
// of the values, in the library's words. Helm asks the same of the values that it renders
// with. The error is of a schema that cannot be read by itself: one that names others, in
// files or on the network, is not followed.
func refusals(of *chart.Chart, values map[string]any) ([]string, error) {
	var all []string
	if of.Schema != nil {
		refused, err := refusedBy(of.Schema, values)
		if err != nil {
			return nil, fmt.Errorf("the values.schema.json of %s cannot be checked: %s", of.Name(), shorten(err.Error(), 300))
		}
		for _, line := range refused {
			all = append(all, of.ChartFullPath()+": "+line)
		}
	}
	for _, sub := range of.Dependencies() {
		under, isMap := values[sub.Name()].(map[string]any)
		if !isMap {
			continue // helm says so itself where it is something else
		}
		refused, err := refusals(sub, under)
		if err != nil {
			return nil, err
		}
		all = append(all, refused...)
	}
	slices.Sort(all)
	return all, nil
}

func refusedBy(schema []byte, values map[string]any) ([]string, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(values) // the numbers of YAML as JSON has them
	if err != nil {
		return nil, err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	const name = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(alone{})
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return nil, err
	}
	var refused *jsonschema.ValidationError
	switch err := compiled.Validate(instance); {
	case err == nil:
		return nil, nil
	case errors.As(err, &refused):
		return strings.Split(refused.Error(), "\n")[1:], nil // the first line says that it was refused
	default:
		return nil, err
	}
}

// alone reads no other schema: a chart must not have files read, nor servers asked.
type alone struct{}

func (alone) Load(url string) (any, error) {
	return nil, fmt.Errorf("it names another schema, %s", url)
}
