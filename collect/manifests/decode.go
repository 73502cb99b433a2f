package manifests

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// maxDepth is how deep an object may be nested; the deepest of the built-in
	// kinds needs about 20.
	maxDepth = 100
	// maxAliased is how many nodes the aliases of one document may stand for.
	maxAliased = 100_000
)

// decoder turns YAML nodes into objects. It goes straight from node to field,
// without JSON in between: that is a third of the time, and tells which line a
// wrong type is on. A decoder belongs to one goroutine.
type decoder struct {
	interned map[string]string
	kinds    map[[2]string]kindInfo

	// labels are the last few maps of labels; those of an object, its selector
	// and its template are mostly alike, and facts are never changed.
	labels [4]map[string]string
	next   int

	depth   int
	inAlias int
	aliased int
	err     error // the first
}

func newDecoder() *decoder {
	return &decoder{interned: map[string]string{}, kinds: map[[2]string]kindInfo{}}
}

// reset starts a document.
func (d *decoder) reset() { d.depth, d.inAlias, d.aliased, d.err = 0, 0, 0, nil }

// fieldError is a value that does not fit its field.
type fieldError struct {
	line int // in the chunk
	msg  string
}

func (e *fieldError) Error() string { return e.msg }

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	if d.err == nil {
		d.err = &fieldError{n.Line, fmt.Sprintf(format, args...)}
	}
}

// enter guards the way down to a node; leave follows when it is true.
func (d *decoder) enter(n *yaml.Node) bool {
	if d.depth >= maxDepth {
		d.fail(n, "nested deeper than %d levels", maxDepth)
		return false
	}
	if n.Kind == yaml.AliasNode {
		d.inAlias++
	}
	if d.inAlias > 0 {
		if d.aliased++; d.aliased > maxAliased {
			d.fail(n, "aliases stand for more than %d nodes", maxAliased)
			if n.Kind == yaml.AliasNode {
				d.inAlias--
			}
			return false
		}
	}
	d.depth++
	return true
}

func (d *decoder) leave(n *yaml.Node) {
	d.depth--
	if n.Kind == yaml.AliasNode {
		d.inAlias--
	}
}

// resolve gives what an alias stands for, and any other node itself.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

// pairs gives the names and values of a mapping, with merge keys ("<<")
// resolved: what is written in the mapping itself comes before what is merged.
func (d *decoder) pairs(n *yaml.Node) []*yaml.Node {
	merges := false
	for i := 0; i < len(n.Content); i += 2 {
		merges = merges || isMerge(n.Content[i])
	}
	if !merges {
		return n.Content
	}
	if d.aliased++; d.aliased > maxAliased {
		d.fail(n, "aliases stand for more than %d nodes", maxAliased)
	}
	if d.err != nil || !d.enter(n) {
		return nil
	}
	defer d.leave(n)
	seen := make(map[string]bool, len(n.Content))
	var all, merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !isMerge(key) {
			all = append(all, key, value)
			seen[key.Value] = true
			continue
		}
		sources := []*yaml.Node{value}
		if v := resolve(value); v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		for _, source := range sources {
			m := resolve(source)
			if m.Kind != yaml.MappingNode {
				d.fail(source, "a merge key takes a mapping or a list of mappings")
				return all
			}
			merged = append(merged, d.pairs(m)...)
		}
	}
	for i := 0; i+1 < len(merged); i += 2 {
		if d.aliased++; d.aliased > maxAliased {
			d.fail(n, "aliases stand for more than %d nodes", maxAliased)
			break
		}
		if key := merged[i].Value; !seen[key] {
			seen[key] = true
			all = append(all, merged[i], merged[i+1])
		}
	}
	return all
}

func isMerge(key *yaml.Node) bool {
	return key.Value == "<<" && key.Kind == yaml.ScalarNode && key.Tag == "!!merge"
}

// intern gives one copy of the short strings that manifests repeat.
func (d *decoder) intern(s string) string {
	if len(s) > 48 {
		return s
	}
	if known, found := d.interned[s]; found {
		return known
	}
	if len(d.interned) < 8192 {
		d.interned[s] = s
	}
	return s
}

// tree decodes into maps, lists and scalars.
func (d *decoder) tree(n *yaml.Node) any {
	if !d.enter(n) {
		return nil
	}
	defer d.leave(n)
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		content := d.pairs(n)
		m := make(map[string]any, len(content)/2)
		for i := 0; i+1 < len(content); i += 2 {
			m[d.key(content[i])] = d.tree(content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.tree(item)
		}
		return list
	case yaml.ScalarNode:
		return d.scalar(n)
	}
	return nil
}

var (
	quantityType    = reflect.TypeFor[resource.Quantity]()
	intOrStringType = reflect.TypeFor[intstr.IntOrString]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// value decodes a node into a field. A null leaves the field as it is.
func (d *decoder) value(n *yaml.Node, v reflect.Value) {
	if d.err != nil || !d.enter(n) {
		return
	}
	defer d.leave(n)
	n = resolve(n)
	if isNull(n) {
		return
	}
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, v.Elem())
	case reflect.String:
		if n.Kind != yaml.ScalarNode {
			d.mismatch(n, "a string")
			return
		}
		v.SetString(d.intern(n.Value))
	case reflect.Struct:
		d.structure(n, v, t)
	case reflect.Slice:
		d.slice(n, v, t)
	case reflect.Map:
		d.mapping(n, v, t)
	case reflect.Bool:
		b, ok := parseBool(n.Value)
		if n.Kind != yaml.ScalarNode || !ok {
			d.mismatch(n, "a boolean")
			return
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, ok := parseInt(n.Value)
		if f, isFloat := parseFloat(n.Value); !ok && isFloat && f == float64(int64(f)) {
			i, ok = int64(f), true
		}
		if n.Kind != yaml.ScalarNode || !ok || v.OverflowInt(i) {
			d.mismatch(n, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Interface:
		if tree := d.tree(n); tree != nil {
			v.Set(reflect.ValueOf(tree))
		}
	default:
		d.viaJSON(n, v)
	}
}

func (d *decoder) mismatch(n *yaml.Node, want string) {
	got := "a list"
	switch n.Kind {
	case yaml.MappingNode:
		got = "a mapping"
	case yaml.ScalarNode:
		got = "another value"
	}
	d.fail(n, "%s is expected here, and %s is given", want, got)
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, t reflect.Type) {
	if t == quantityType || t == intOrStringType {
		d.special(n, v, t)
		return
	}
	info := structOf(t)
	if info.json {
		d.viaJSON(n, v)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.mismatch(n, "a mapping")
		return
	}
	content := d.pairs(n)
	var seen [2]uint64
	for i := 0; i+1 < len(content); i += 2 {
		f, found := info.fields[content[i].Value]
		if !found {
			continue // the API server drops, or refuses, what it does not know
		}
		field := v.FieldByIndex(f.index)
		if bit := uint64(1) << (f.number % 64); seen[f.number/64%2]&bit != 0 {
			field.SetZero() // written twice: the last one counts
		} else {
			seen[f.number/64%2] |= bit
		}
		d.value(content[i+1], field)
		if f.labels && d.err == nil {
			d.share(field.Addr().Interface().(*map[string]string))
		}
	}
}

// share puts an equal map that is there already in the place of the map.
func (d *decoder) share(m *map[string]string) {
	for _, known := range d.labels {
		if known != nil && maps.Equal(known, *m) {
			*m = known
			return
		}
	}
	d.labels[d.next%len(d.labels)] = *m
	d.next++
}

func (d *decoder) special(n *yaml.Node, v reflect.Value, t reflect.Type) {
	if n.Kind != yaml.ScalarNode {
		d.mismatch(n, "a number or a string")
		return
	}
	if t == intOrStringType {
		if i, ok := parseInt(n.Value); ok && isPlain(n) && i == int64(int32(i)) {
			*v.Addr().Interface().(*intstr.IntOrString) = intstr.FromInt32(int32(i))
		} else {
			*v.Addr().Interface().(*intstr.IntOrString) = intstr.FromString(n.Value)
		}
		return
	}
	q, err := resource.ParseQuantity(n.Value)
	if err != nil {
		d.fail(n, "%q is not a quantity", shorten(n.Value, 40))
		return
	}
	*v.Addr().Interface().(*resource.Quantity) = q
}

func (d *decoder) slice(n *yaml.Node, v reflect.Value, t reflect.Type) {
	if t.Elem().Kind() == reflect.Uint8 {
		if n.Kind != yaml.ScalarNode {
			d.mismatch(n, "base64 text")
			return
		}
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			b = []byte(n.Value) // only its class is kept, and a bundle to be filled in later is common
		}
		v.SetBytes(b)
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, "a list")
		return
	}
	list := reflect.MakeSlice(t, len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, list.Index(i))
	}
	v.Set(list)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, t reflect.Type) {
	if n.Kind != yaml.MappingNode {
		d.mismatch(n, "a mapping")
		return
	}
	content := d.pairs(n)
	if m, ok := v.Addr().Interface().(*map[string]string); ok {
		*m = make(map[string]string, len(content)/2)
		for i := 0; i+1 < len(content); i += 2 {
			value := resolve(content[i+1])
			if value.Kind != yaml.ScalarNode {
				d.mismatch(value, "a string")
				return
			}
			text := value.Value
			if isNull(value) {
				text = ""
			}
			(*m)[d.key(content[i])] = d.intern(text)
		}
		return
	}
	m := reflect.MakeMapWithSize(t, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		element := reflect.New(t.Elem()).Elem()
		d.value(content[i+1], element)
		m.SetMapIndex(reflect.ValueOf(d.key(content[i])).Convert(t.Key()), element)
	}
	v.Set(m)
}

// viaJSON decodes the types that read themselves: times, durations, raw
// extensions.
func (d *decoder) viaJSON(n *yaml.Node, v reflect.Value) {
	text, err := json.Marshal(d.tree(n))
	if err == nil {
		err = json.Unmarshal(text, v.Addr().Interface())
	}
	if err != nil {
		d.fail(n, "%s", shorten(err.Error(), 160))
	}
}

// structInfo is how a struct is written as JSON.
type structInfo struct {
	fields map[string]structField
	json   bool // it decodes itself
}

type structField struct {
	index  []int
	number int
	labels bool // a map of labels, or a selector of them
}

var structs sync.Map // reflect.Type -> *structInfo

func structOf(t reflect.Type) *structInfo {
	if info, found := structs.Load(t); found {
		return info.(*structInfo)
	}
	info := &structInfo{fields: map[string]structField{}, json: reflect.PointerTo(t).Implements(unmarshalerType)}
	if !info.json {
		info.collect(t, nil)
	}
	structs.Store(t, info)
	return info
}

// collect adds the fields of a struct and of those embedded in it.
func (s *structInfo) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := append(append([]int(nil), index...), i)
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			s.collect(f.Type, at)
		case name != "" && name != "-" && f.IsExported():
			labels := f.Type == reflect.TypeFor[map[string]string]() && (name == "labels" || name == "matchLabels" || name == "selector")
			s.fields[name] = structField{at, len(s.fields), labels}
		}
	}
}
