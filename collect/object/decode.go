package object

import (
	"encoding/json"
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// Decode makes a fact of an object's JSON, the way collectors do: stripped and redacted. A
// field that its kind does not have is an error. What is namespaced and names no namespace
// is of "default".
func Decode(data []byte, src bailey.Source) (*bailey.Fact, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Kind == "" {
		return nil, errors.New("it names no kind")
	}
	return DecodeAs(head.APIVersion, head.Kind, data, src)
}

// DecodeAs is Decode for an object that need not say what it is.
func DecodeAs(apiVersion, kind string, data []byte, src bailey.Source) (*bailey.Fact, error) {
	if k := bailey.KindOf(apiVersion, kind); k.New() != nil {
		var head struct {
			Metadata struct{ Namespace, Name string }
		}
		own := k.New()
		if err := errors.Join(json.Unmarshal(data, &head), json.Unmarshal(data, own)); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		return &bailey.Fact{Ref: bailey.Ref{Kind: k, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}, APIVersion: apiVersion, Object: own, Source: src}, nil
	}
	target := New(apiVersion, kind)
	var err error
	if target == nil {
		m := map[string]any{}
		err, target = json.Unmarshal(data, &m), m
	} else {
		err = yaml.UnmarshalStrict(data, target)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	f := Fact(target, apiVersion, kind, src)
	if namespaced, known := Namespaced(f.Kind); known && namespaced && f.Namespace == "" {
		f.Namespace = "default"
	}
	return f, nil
}
