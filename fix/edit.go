// Package fix makes the changes that rules ask for in the text of manifests. It
// is pure: bytes and changes in, bytes out.
//
// A change is made at the byte ranges of the fields that it names, so that
// comments, order, indentation, quotes, flow style, line endings and all that it
// does not name stay as they are. What comes out is parsed again and compared
// with what the patch makes of the parsed text: an edit is exact, or it is
// refused with the reason.
package fix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// maxDocument is how large a document may be that is edited, in bytes.
const maxDocument = 16 << 20

// Place says which object of a file is meant: where its first field is written,
// counted from 1, and what it is. An empty name stands for any.
type Place struct {
	Line, Column int
	Kind, Name   string
}

// Edit gives the file with the RFC 6902 patch made in the object at the place.
// An operation that adds an empty mapping where there is one already leaves that
// as it is: rules put such an operation before the field that they set in it.
// The file itself is not changed; the error says why the patch was not made.
func Edit(file []byte, at Place, patch []bailey.PatchOp) ([]byte, error) {
	if !utf8.Valid(file) {
		return nil, errors.New("the file is not UTF-8")
	}
	for _, part := range documents(file) {
		if at.Line < part.line || at.Line >= part.line+part.lines {
			continue
		}
		text := file[part.from:part.to]
		pointer, err := locate(text, at, part.line)
		if err != nil {
			return nil, err
		}
		if pointer == nil {
			continue
		}
		edited, err := editDocument(text, *pointer, patch)
		if err != nil {
			return nil, err
		}
		return slices.Concat(file[:part.from], edited, file[part.to:]), nil
	}
	return nil, fmt.Errorf("no %s %s begins at line %d of the file", at.Kind, at.Name, at.Line)
}

// EditRoot gives a file of one document with the patch made in it: a chart's
// values, a kustomization.
func EditRoot(file []byte, patch []bailey.PatchOp) ([]byte, error) {
	parts := documents(file)
	if !utf8.Valid(file) || len(parts) != 1 {
		return nil, errors.New("the file is not one YAML document")
	}
	edited, err := editDocument(file[parts[0].from:parts[0].to], "", patch)
	if err != nil {
		return nil, err
	}
	return slices.Concat(file[:parts[0].from], edited, file[parts[0].to:]), nil
}

// NameAt is the name in the metadata of the object that begins at the place;
// empty if there is none.
func NameAt(file []byte, at Place) string {
	at.Name = ""
	for _, part := range documents(file) {
		if at.Line < part.line || at.Line >= part.line+part.lines {
			continue
		}
		pointer, err := locate(file[part.from:part.to], at, part.line)
		if err != nil || pointer == nil {
			continue
		}
		text, err := toJSON(file[part.from:part.to])
		var root any
		if err != nil || decodeJSON(text, &root) != nil {
			return ""
		}
		name, _ := ValueAt(root, append(bailey.PointerPath(*pointer), "metadata", "name")).(string)
		return name
	}
	return ""
}

// Apply gives an object, as JSON, with the patch made in it as Edit would, and the
// operations that this takes: those without what is there already.
func Apply(object []byte, patch []bailey.PatchOp) ([]byte, []bailey.PatchOp, error) {
	ops, err := prepare(object, "", patch)
	if err != nil {
		return nil, nil, err
	}
	out, err := applied(object, ops)
	if err != nil {
		return nil, nil, err
	}
	made := make([]bailey.PatchOp, len(ops))
	for i, o := range ops {
		made[i] = bailey.PatchOp{Op: o.op, Path: bailey.Pointer(o.path...), Value: o.value}
	}
	return out, made, nil
}

// editDocument makes the patch in the object at the pointer of one document, and
// holds the outcome to what the patch makes of the parsed document.
func editDocument(text []byte, pointer string, patch []bailey.PatchOp) ([]byte, error) {
	if len(text) > maxDocument {
		return nil, fmt.Errorf("the document is larger than %d MiB", maxDocument>>20)
	}
	before, err := toJSON(text)
	if err != nil {
		return nil, err
	}
	ops, err := prepare(before, pointer, patch)
	if err != nil {
		return nil, err
	}
	wanted, err := applied(before, ops)
	if err != nil {
		return nil, err
	}
	edited := text
	for _, o := range ops {
		if edited, err = edit(edited, o, ops); err != nil {
			return nil, err
		}
	}
	after, err := toJSON(edited)
	if err != nil {
		return nil, fmt.Errorf("what the edit gives cannot be parsed: %w", err)
	}
	if same, err := equal(after, wanted); err != nil || !same {
		return nil, errors.New("the way the file is written does not let this change be made alone")
	}
	if len(documents(edited)) != 1 {
		return nil, errors.New("the edit would cut the document in two")
	}
	return edited, nil
}

// operation is one operation of a patch upon a whole document.
type operation struct {
	op    string
	path  []string
	value any // as json.Decoder gives it, numbers as json.Number
}

// prepare turns the patch into operations upon the document: below the pointer
// of the object, values as plain JSON. What adds an empty mapping that is there
// already is left out.
func prepare(document []byte, pointer string, patch []bailey.PatchOp) ([]operation, error) {
	var root any
	if err := decodeJSON(document, &root); err != nil {
		return nil, err
	}
	var ops []operation
	for _, p := range patch {
		o := operation{op: p.Op, path: bailey.PointerPath(pointer + p.Path)}
		switch p.Op {
		case "test":
			text, err := json.Marshal(p.Value)
			if err != nil {
				return nil, err
			}
			if err := decodeJSON(text, &o.value); err != nil {
				return nil, err
			}
		case "add", "replace":
			text, err := json.Marshal(p.Value)
			if err != nil {
				return nil, err
			}
			if err := decodeJSON(text, &o.value); err != nil {
				return nil, err
			}
			there, isMap := ValueAt(root, o.path).(map[string]any)
			if empty, scaffold := o.value.(map[string]any); p.Op == "add" && scaffold && len(empty) == 0 && isMap && there != nil {
				continue
			}
		case "remove":
		default:
			return nil, fmt.Errorf("the operation %q of a patch is none that is made in files", p.Op)
		}
		ops = append(ops, o)
	}
	return ops, nil
}

// ValueAt is what stands at the path in a value as JSON has it; nil if nothing does.
func ValueAt(v any, path []string) any {
	for _, step := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, ok := indexOf(step, len(at)-1)
			if !ok {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// applied is the document with the operations made, by the library for RFC 6902.
func applied(document []byte, ops []operation) ([]byte, error) {
	type wire struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	wires := make([]wire, 0, len(ops))
	for _, o := range ops {
		wires = append(wires, wire{o.op, bailey.Pointer(o.path...), o.value})
	}
	text, err := json.Marshal(wires)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, err
	}
	out, err := patch.Apply(document)
	if err != nil {
		return nil, fmt.Errorf("the object in the file is not the one that was judged: %w", err)
	}
	return out, nil
}

// toJSON parses a document as kubectl does. A panic of the parser is an error
// like any other.
func toJSON(text []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser failed: %v", p)
		}
	}()
	return sigsyaml.YAMLToJSON(text)
}

func decodeJSON(text []byte, v *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

func equal(a, b []byte) (bool, error) {
	var va, vb any
	if err := errors.Join(decodeJSON(a, &va), decodeJSON(b, &vb)); err != nil {
		return false, err
	}
	return reflect.DeepEqual(va, vb), nil
}

// locate gives the JSON pointer of the object at the place, of a document whose
// first line is given; nil if it is not there. Lists of objects are looked into.
func locate(text []byte, at Place, firstLine int) (*string, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	var found []string
	var exact *string
	var look func(n *yaml.Node, pointer, kind string, depth int)
	look = func(n *yaml.Node, pointer, kind string, depth int) {
		n = resolve(n)
		if n.Kind != yaml.MappingNode || depth > 3 {
			return
		}
		if k := child(n, "kind"); k != nil {
			kind = k.Value
		}
		if items := child(n, "items"); items != nil && strings.HasSuffix(kind, "List") && items.Kind == yaml.SequenceNode {
			for i, item := range items.Content {
				look(item, fmt.Sprintf("%s/items/%d", pointer, i), strings.TrimSuffix(kind, "List"), depth+1)
			}
			return
		}
		if n.Line+firstLine-1 != at.Line || kind != at.Kind {
			return
		}
		if at.Name != "" && !isNamed(child(n, "metadata"), at.Name) {
			return
		}
		found = append(found, pointer)
		if n.Column == at.Column {
			exact = &pointer
		}
	}
	look(d.root, "", "", 0)
	switch {
	case exact != nil:
		return exact, nil
	case len(found) == 1:
		return &found[0], nil
	}
	return nil, nil
}

// isNamed reports whether the metadata hold the name, or what it is made from.
func isNamed(metadata *yaml.Node, name string) bool {
	if metadata == nil {
		return false
	}
	if own := child(metadata, "name"); own != nil && own.Value != "" {
		return own.Value == name
	}
	generated := child(metadata, "generateName")
	return generated != nil && strings.HasPrefix(name, generated.Value)
}

// child is what a mapping's own field holds, aliases resolved; nil if it has none.
func child(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	if i := fieldOf(n, key); i >= 0 {
		return resolve(n.Content[i+1])
	}
	return nil
}

// fieldOf is the index of a mapping's key in its content, and -1 if it is not
// written there. Of two equal ones the last counts.
func fieldOf(n *yaml.Node, key string) int {
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if k := n.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key && k.Tag != "!!merge" {
			return i
		}
	}
	return -1
}

func resolve(n *yaml.Node) *yaml.Node {
	for range 100 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}
