package controltest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// Facts decodes the objects of a YAML text the way collectors do: stripped and
// redacted. A namespaced object without a namespace goes to "default".
func Facts(t *testing.T, text []byte) []*bailey.Fact {
	t.Helper()
	var facts []*bailey.Fact
	for _, data := range documents(t, text) {
		facts = append(facts, decode(t, data))
	}
	return facts
}

// documents gives the objects of a YAML text as JSON.
func documents(t *testing.T, text []byte) [][]byte {
	t.Helper()
	var all [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if string(data) != "null" {
			all = append(all, data)
		}
	}
}

func decode(t *testing.T, data []byte) *bailey.Fact {
	t.Helper()
	f, err := object.Decode(data, bailey.Source{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	return f
}

// Apply gives the fact that a change makes.
func Apply(t *testing.T, s *bailey.Snapshot, change bailey.Change) *bailey.Fact {
	t.Helper()
	if change.Content != nil {
		data, err := json.Marshal(change.Content)
		if err != nil {
			t.Fatal(err)
		}
		return decode(t, data)
	}
	old := s.Get(change.Object)
	if old == nil {
		t.Fatalf("the fix changes %s, which is not there", change.Object)
	}
	before, err := json.Marshal(old.Object)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := json.Marshal(change.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		t.Fatalf("%v: %s", err, ops)
	}
	after, err := patch.Apply(before)
	if err != nil {
		t.Fatalf("the fix does not apply to %s: %v\n%s", change.Object, err, ops)
	}
	kind, _ := change.Object.Kind.Split()
	f, err := object.DecodeAs(old.APIVersion, kind, after, bailey.Source{})
	if err != nil {
		t.Fatalf("the fix of %s gives an object that does not decode: %v", change.Object, err)
	}
	return f
}
