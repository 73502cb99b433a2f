package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/enforce"
)

// violations gives for each text of a rule the object that violates it, and the same
// object without the violation: as the rule's fix leaves it, and without any one value
// that the rule does not find it without.
func violations(version bailey.Version, r *bailey.Rule) ([]enforce.Pair, error) {
	var pairs []enforce.Pair
	for _, bad := range r.Bad {
		objects, err := objectsOf(bad)
		if err != nil || len(objects) == 0 {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		e := example{version: version, rule: r, objects: objects}
		pair := enforce.Pair{Bad: objects[0], Good: e.fixed()}
		var paths [][]string
		leaves(objects[0], nil, &paths)
		for _, path := range paths {
			if path[0] == "kind" || path[0] == "apiVersion" {
				continue
			}
			without := (&unstructured.Unstructured{Object: objects[0]}).DeepCopy().Object
			remove(without, path)
			if e.silent(without) {
				pair.Good = append(pair.Good, without)
			}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

func objectsOf(text string) (all []map[string]any, err error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if document, err = utilyaml.ToJSON(document); err != nil {
			return nil, err
		}
		var o map[string]any
		if err := utiljson.Unmarshal(document, &o); err != nil {
			return nil, err
		}
		if o != nil {
			all = append(all, o)
		}
	}
}

// example is a text of a rule: the object that violates it, and what goes with it.
type example struct {
	version bailey.Version
	rule    *bailey.Rule
	objects []map[string]any
}

// judge runs the rule on the first object, in the place of which another may stand.
func (e *example) judge(first map[string]any) (v *bailey.View, f *bailey.Fact, findings []bailey.Finding) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: e.version})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	for i, o := range e.objects {
		if i == 0 {
			o = first
		}
		fact := factOf(o)
		if fact == nil {
			return nil, nil, nil
		}
		b.Saw(fact.Kind, "")
		b.Add(fact)
		if i == 0 {
			f = fact
		}
	}
	v = bailey.NewView(b.Snapshot())
	v.Allow(e.rule.On, e.rule.Needs, e.rule.Derives)
	return v, f, e.rule.Check(v, f)
}

// silent reports whether the rule finds nothing in the object, and knows it.
func (e *example) silent(first map[string]any) bool {
	v, f, findings := e.judge(first)
	return f != nil && len(findings) == 0 && len(v.Missing()) == 0
}

// fixed gives the object as the rule's fix leaves it; nothing if it has none.
func (e *example) fixed() []map[string]any {
	if e.rule.Fix == nil {
		return nil
	}
	v, f, findings := e.judge(e.objects[0])
	text, err := json.Marshal(e.objects[0])
	if f == nil || err != nil {
		return nil
	}
	for _, finding := range findings {
		for _, change := range e.rule.Fix(v, f, finding) {
			if change.Object != f.Ref || len(change.Patch) == 0 {
				continue
			}
			operations, err := json.Marshal(change.Patch)
			if err != nil {
				return nil
			}
			patch, err := jsonpatch.DecodePatch(operations)
			if err != nil {
				return nil
			}
			if patched, err := patch.Apply(text); err == nil {
				text = patched
			}
		}
	}
	var o map[string]any
	if utiljson.Unmarshal(text, &o) != nil || !e.silent(o) {
		return nil
	}
	return []map[string]any{o}
}

// factOf is the object as a rule sees it; nil if it is none.
func factOf(o map[string]any) *bailey.Fact {
	u := unstructured.Unstructured{Object: o}
	text, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	target := object.New(u.GetAPIVersion(), u.GetKind())
	if target == nil {
		return object.Fact((&u).DeepCopy().Object, u.GetAPIVersion(), u.GetKind(), bailey.Source{})
	}
	if json.Unmarshal(text, target) != nil {
		return nil
	}
	f := object.Fact(target, u.GetAPIVersion(), u.GetKind(), bailey.Source{})
	if namespaced, known := object.Namespaced(f.Kind); f.Namespace == "" && (namespaced || !known) {
		f.Namespace = "default"
	}
	return f
}

// leaves gives the paths of the values that are no maps and no lists but of such.
func leaves(v any, path []string, all *[][]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			leaves(child, append(path[:len(path):len(path)], key), all)
		}
	case []any:
		for i, child := range v {
			leaves(child, append(path[:len(path):len(path)], strconv.Itoa(i)), all)
		}
	default:
		*all = append(*all, path)
	}
}

// remove takes the value at a path away; of a list the whole item, if it is a plain value.
func remove(o any, path []string) any {
	switch o := o.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(o, path[0])
		} else {
			o[path[0]] = remove(o[path[0]], path[1:])
		}
		return o
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i >= len(o) {
			return o
		}
		if len(path) == 1 {
			return append(o[:i:i], o[i+1:]...)
		}
		o[i] = remove(o[i], path[1:])
		return o
	}
	return o
}
