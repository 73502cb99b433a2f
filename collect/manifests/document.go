package manifests

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// maxDocument is how large one document may be, in bytes.
const maxDocument = 16 << 20

// result is what a part of an input holds, in the order it is written.
type result struct {
	facts   []*bailey.Fact
	broken  []broken
	ignored []bailey.Skip
}

// reader turns chunks of one input into facts.
type reader struct {
	*decoder
	namespace string // of objects that name none
	out       *result

	file  string
	chunk chunk
	// place gives the source of an object, from where its fields are written in
	// the chunk; nil for files, where that is the source.
	place func(positions) bailey.Source
	// chart tells that the input comes from a chart's template.
	chart bool
	whole func(apiVersion, kind string, object any) // of Options
	each  func(f *bailey.Fact, tree func() any)     // of Options
}

// kindInfo is what is to be known of a kind to read its objects.
type kindInfo struct {
	kind              bailey.Kind
	namespaced, known bool
}

func (r *reader) kindInfo(apiVersion, kind string) kindInfo {
	key := [2]string{apiVersion, kind}
	info, found := r.kinds[key]
	if !found {
		info.kind = object.KindOf(apiVersion, kind)
		info.namespaced, info.known = object.Namespaced(info.kind)
		if len(r.kinds) < 4096 {
			r.kinds[key] = info
		}
	}
	return info
}

// read parses a chunk and adds what it holds to the result.
func (r *reader) read(c chunk) {
	r.chunk = c
	if c.node != nil {
		r.document(c.node)
		return
	}
	if len(c.data) > maxDocument {
		r.fail(0, fmt.Sprintf("the document is larger than %d MiB", maxDocument>>20), "split it into several documents, or write the list as kubectl get -o yaml does")
		return
	}
	if first := bytes.TrimLeft(c.data, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		if nodes, ok := parseJSON(c.data); ok {
			for _, n := range nodes {
				r.document(n)
			}
			return
		}
	}
	err := parseYAML(c.data, r.document)
	if err != nil {
		line, message := cutLine(err)
		r.fail(line, message, "")
	}
}

// parseYAML yields the root of each document. A panic of the parser is an error
// like any other: what is parsed is a stranger's.
func parseYAML(data []byte, yield func(*yaml.Node)) (err error) {
	next := func(n *yaml.Node) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("the YAML parser failed: %v", p)
			}
		}()
		return yaml.Unmarshal(data, n)
	}
	if bytes.Contains(data, []byte("\n...")) {
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		next = func(n *yaml.Node) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("the YAML parser failed: %v", p)
				}
			}()
			return decoder.Decode(n)
		}
		for {
			var root yaml.Node
			if err := next(&root); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			yieldContent(&root, yield)
		}
	}
	var root yaml.Node
	if err := next(&root); err != nil {
		return err
	}
	yieldContent(&root, yield)
	return nil
}

func yieldContent(root *yaml.Node, yield func(*yaml.Node)) {
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		yield(root.Content[0])
	}
}

// cutLine takes the line number off a parser's message.
func cutLine(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, found := strings.CutPrefix(message, "line "); found {
		number, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			return n, shorten(text, 160)
		}
	}
	return 0, shorten(message, 160)
}

// document adds the objects of one document.
func (r *reader) document(root *yaml.Node) {
	r.reset()
	if isNull(root) {
		return
	}
	switch {
	case r.chunk.items && root.Kind == yaml.SequenceNode:
		r.list(root, "v1", "List", 0)
	case root.Kind == yaml.MappingNode:
		r.object(root, "", "", 0)
	default:
		r.ignore(root, "not a Kubernetes object")
	}
}

// maxLists is how deep lists may stand in lists.
const maxLists = 3

// object adds one object, or those of a list. What an item of a typed list
// leaves out, the list says.
func (r *reader) object(n *yaml.Node, apiVersion, kind string, lists int) {
	r.reset()
	content := r.pairs(n)
	var items, metadata *yaml.Node
	for i := 0; i+1 < len(content); i += 2 {
		value := resolve(content[i+1])
		switch content[i].Value {
		case "apiVersion":
			if value.Kind == yaml.ScalarNode && value.Value != "" {
				apiVersion = value.Value
			}
		case "kind":
			if value.Kind == yaml.ScalarNode && value.Value != "" {
				kind = value.Value
			}
		case "items":
			items = value
		case "metadata":
			metadata = value
		}
	}
	if apiVersion == "" || kind == "" {
		r.ignore(n, "no apiVersion and kind: not a Kubernetes object")
		return
	}
	apiVersion, kind = r.intern(apiVersion), r.intern(kind)
	if items != nil && strings.HasSuffix(kind, "List") && (items.Kind == yaml.SequenceNode || isNull(items)) {
		r.list(items, apiVersion, kind, lists)
		return
	}
	info := r.kindInfo(apiVersion, kind)
	name := nameIn(r.decoder, metadata)
	if name == "" {
		if object.New(apiVersion, kind) == nil {
			r.ignore(n, "a "+kind+" without a name: settings of a tool, not an object of the cluster")
		} else {
			r.failObject(n, n.Line, info, "", "", "the "+kind+" has no metadata.name", r.hint("give it one"))
		}
		return
	}
	if r.chart && metadata != nil && isTestHook(textIn(r.decoder, childOf(r.decoder, metadata, "annotations"), "helm.sh/hook")) {
		r.ignore(n, kind+" "+name+" is a test of the chart, not part of the release")
		return
	}
	r.keep(n, apiVersion, kind, info, name, metadata)
}

// list adds the items of a List, or of a typed one.
func (r *reader) list(items *yaml.Node, apiVersion, kind string, lists int) {
	if lists >= maxLists {
		r.failAt(items, fmt.Sprintf("lists stand in lists more than %d deep", maxLists))
		return
	}
	itemVersion, itemKind := "", ""
	if kind != "List" {
		itemVersion, itemKind = apiVersion, strings.TrimSuffix(kind, "List")
	}
	for _, item := range items.Content {
		if item = resolve(item); item.Kind == yaml.MappingNode {
			r.object(item, itemVersion, itemKind, lists+1)
		} else {
			r.ignore(item, "not a Kubernetes object")
		}
	}
}

// keep decodes an object and adds the facts it gives.
func (r *reader) keep(n *yaml.Node, apiVersion, kind string, info kindInfo, name string, metadata *yaml.Node) {
	obj := object.New(apiVersion, kind)
	switch o := obj.(type) {
	case nil:
		if object.Outdated(apiVersion, kind) {
			r.failObject(n, n.Line, info, textIn(r.decoder, metadata, "namespace"), name,
				kind+" of "+apiVersion+" is a version that Bailey does not read", "write it in a version that Kubernetes serves (kubectl api-resources)")
			return
		}
		if version, right, refused := object.Meant(apiVersion, kind); refused {
			hint := "write apiVersion: " + version
			if right != kind {
				hint = "write kind: " + right
			}
			r.failObject(n, n.Line, r.kindInfo(version, right), textIn(r.decoder, metadata, "namespace"), name,
				"there is no "+kind+" in "+apiVersion+": every API server refuses it", hint)
			return
		}
		obj = r.custom(n, metadata)
	case *corev1.Secret:
		r.secret(n, o)
	default:
		r.value(n, reflect.ValueOf(obj).Elem())
	}
	if r.err != nil {
		line := n.Line
		var wrong *fieldError
		if errors.As(r.err, &wrong) {
			line = wrong.line
		}
		r.failObject(n, line, info, textIn(r.decoder, metadata, "namespace"), name, r.err.Error(), "")
		return
	}
	component := object.Component(obj)
	r.reset()
	at := r.add(make(positions, 0, 2*len(n.Content)), n, 0, n, r.chunk.line)
	src := bailey.Source{File: r.file, Line: n.Line + r.chunk.line, Column: n.Column}
	if r.place != nil {
		src = r.place(at)
	} else {
		at = append(positions(nil), at...) // without the spare room of growing
		src.Locate = at.locate
	}
	if kind == "Secret" && src.Locate != nil {
		src.Locate = ofStringData(src.Locate)
	}
	if r.whole != nil {
		r.show(obj, apiVersion, kind, info)
	}
	fact := object.Fact(obj, apiVersion, kind, src)
	r.setNamespace(fact, info)
	r.out.facts = append(r.out.facts, fact)
	if r.each != nil {
		r.each(fact, func() any { r.reset(); return r.tree(n) })
	}
	if component != nil {
		component.Source, component.Owner.Namespace = src, fact.Namespace
		r.out.facts = append(r.out.facts, component)
	}
}

// show hands the object on whole, in its namespace.
func (r *reader) show(obj any, apiVersion, kind string, info kindInfo) {
	if info.known && info.namespaced {
		switch o := obj.(type) {
		case metav1.Object:
			o.SetNamespace(cmp.Or(o.GetNamespace(), r.namespace))
		case map[string]any:
			if meta, ok := o["metadata"].(map[string]any); ok && meta["namespace"] == nil {
				meta["namespace"] = r.namespace
			}
		}
	}
	r.whole(apiVersion, kind, obj)
}

// setNamespace gives an object that names no namespace the one it would be
// created in.
func (r *reader) setNamespace(f *bailey.Fact, info kindInfo) {
	switch {
	case !info.known, info.namespaced && f.Namespace != "", !info.namespaced && f.Namespace == "":
		return
	}
	namespace := ""
	if info.namespaced {
		namespace = r.namespace
	}
	moveTo(f, namespace)
}

// moveTo sets the namespace of a fact and of the object in it.
func moveTo(f *bailey.Fact, namespace string) {
	f.Namespace = namespace
	if f.Owner.Name != "" && namespace != "" {
		if namespaced, known := object.Namespaced(f.Owner.Kind); namespaced || !known {
			f.Owner.Namespace = namespace
		}
	}
	switch o := f.Object.(type) {
	case metav1.Object:
		o.SetNamespace(namespace)
	case map[string]any:
		if meta, ok := o["metadata"].(map[string]any); ok {
			if meta["namespace"] = namespace; namespace == "" {
				delete(meta, "namespace")
			}
		}
	}
}

// custom decodes an object without a type. Its names are texts, even where a
// file leaves out the quotes: name: 8080.
func (r *reader) custom(n, metadata *yaml.Node) any {
	tree := r.tree(n)
	m, _ := tree.(map[string]any)
	if meta, ok := m["metadata"].(map[string]any); ok {
		for _, key := range [...]string{"name", "generateName", "namespace"} {
			if v := meta[key]; v != nil {
				meta[key] = textIn(r.decoder, metadata, key)
			}
		}
	}
	return tree
}

// secret decodes a Secret but for its values, which are not looked at.
func (r *reader) secret(n *yaml.Node, s *corev1.Secret) {
	shell := *n
	shell.Content = nil
	for i, content := 0, r.pairs(n); i+1 < len(content); i += 2 {
		switch key := content[i].Value; key {
		case "data", "stringData":
			values := resolve(content[i+1])
			if values.Kind != yaml.MappingNode {
				continue
			}
			if s.Data == nil {
				s.Data = map[string][]byte{}
			}
			names := r.pairs(values)
			for j := 0; j < len(names); j += 2 {
				s.Data[r.key(names[j])] = nil
			}
		default:
			shell.Content = append(shell.Content, content[i], content[i+1])
		}
	}
	r.value(&shell, reflect.ValueOf(s).Elem())
}

// nameIn is the name, or what one will be made from.
func nameIn(d *decoder, metadata *yaml.Node) string {
	if name := textIn(d, metadata, "name"); name != "" {
		return name
	}
	return textIn(d, metadata, "generateName")
}

// textIn is a text of a mapping, and "" if there is none.
func textIn(d *decoder, n *yaml.Node, key string) string {
	if value := childOf(d, n, key); value != nil && value.Kind == yaml.ScalarNode && !isNull(value) {
		return value.Value
	}
	return ""
}

// childOf is the value of a mapping's key, and nil if there is none.
func childOf(d *decoder, n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	content := d.pairs(n)
	for i := len(content) - 2; i >= 0; i -= 2 {
		if content[i].Value == key {
			return resolve(content[i+1])
		}
	}
	return nil
}

func (r *reader) ignore(n *yaml.Node, why string) {
	r.out.ignored = append(r.out.ignored, bailey.Skip{What: r.where(n.Line), Why: why})
}

// failAt notes a part that may hold objects of any kind.
func (r *reader) failAt(n *yaml.Node, why string) {
	r.out.broken = append(r.out.broken, broken{skip: bailey.Skip{What: r.where(n.Line), Why: why}})
}

func (r *reader) failObject(n *yaml.Node, line int, info kindInfo, namespace, name, why, hint string) {
	b := broken{skip: bailey.Skip{What: r.where(line), Why: why, Hint: hint}, kind: info.kind, namespace: namespace, name: name}
	if info.known && info.namespaced && namespace == "" {
		b.namespace = r.namespace
	}
	r.out.broken = append(r.out.broken, b)
}

// fail notes a chunk that could not be parsed. What it would have been is
// guessed from its lines; one that mentions neither apiVersion nor kind holds
// no object and is not missed.
func (r *reader) fail(line int, why, hint string) {
	at := r.where(max(line, 1))
	guess := guessObject(r.chunk.data)
	if !guess.isObject {
		r.out.ignored = append(r.out.ignored, bailey.Skip{What: at, Why: "not YAML, and without apiVersion and kind: " + why})
		return
	}
	b := broken{skip: bailey.Skip{What: at, Why: why, Hint: r.hint(hint)}}
	if guess.kind != "" && guess.apiVersion != "" {
		info := r.kindInfo(guess.apiVersion, guess.kind)
		b.kind, b.name, b.namespace = info.kind, guess.name, guess.namespace
		if info.known && info.namespaced && b.namespace == "" {
			b.namespace = r.namespace
		}
	}
	r.out.broken = append(r.out.broken, b)
}

// hint gives the hint, or a better one if the chunk seems to be a template.
func (r *reader) hint(otherwise string) string {
	if !r.chart && bytes.Contains(r.chunk.data, []byte("{{")) {
		return "it looks like a template: scan the chart's folder, or what the template renders to"
	}
	return otherwise
}

// where names a line of the chunk. Of a template's output it says so: the
// template has other lines.
func (r *reader) where(line int) string {
	switch {
	case r.chunk.node != nil:
		return r.file
	case r.chart:
		return r.file + " (line " + strconv.Itoa(line+r.chunk.line) + " of what it renders to)"
	}
	return where(r.file, line+r.chunk.line)
}

func where(file string, line int) string {
	if line <= 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// shorten cuts a message to n bytes and one line.
func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
