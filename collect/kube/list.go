package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/bounds"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/collect/share"
)

// pageSize is how many objects one request asks for.
const pageSize = 500

// maxDepth is how deep lists and maps of a custom resource may be nested.
const maxDepth = 500

// list is the outcome of listing one resource, everywhere or in a namespace.
type list struct {
	resource  resource
	namespace string

	facts      []*bailey.Fact
	components []*bailey.Fact
	kubelets   []kubelet
	providers  []*provider      // of each node; nil where none is known
	broken     []bailey.Missing // single objects that could not be decoded
	err        error            // the list is not whole
	version    string           // the resource version that it shows
	sharer     share.Sharer
	options    *Options
}

// read lists a resource page by page. While one page is decoded, the next is on
// its way. Pages that expire (410 Gone, after some minutes) make it start
// again, once, without pages.
func (c *client) read(ctx context.Context, r resource, namespace string, o *Options) *list {
	l := &list{resource: r, namespace: namespace, options: o}
	err := c.pages(ctx, l, pageSize)
	if hasCode(err, http.StatusGone) {
		*l = list{resource: r, namespace: namespace, options: o}
		err = c.pages(ctx, l, 0)
	}
	if err != nil {
		// Part of a list looks like a whole one to whoever forgets to ask.
		*l = list{resource: r, namespace: namespace, err: err}
	}
	return l
}

func (c *client) pages(ctx context.Context, l *list, limit int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.page(ctx, l.resource, l.namespace, limit, "")
	for next := ""; ; {
		if err != nil {
			return err
		}
		p, err2 := readPage(body)
		if err2 != nil {
			return fmt.Errorf("decode the list: %w", err2)
		}
		if p.next != "" && p.next == next {
			return errors.New("the server gives the same page again and again")
		}
		next, l.version = p.next, p.version
		type answer struct {
			body []byte
			err  error
		}
		var ahead chan answer
		if p.next != "" {
			ahead = make(chan answer, 1)
			go func() {
				body, err := c.page(ctx, l.resource, l.namespace, limit, p.next)
				ahead <- answer{body, err}
			}()
		}
		for i, item := range p.items {
			l.add(item, p.protobuf)
			p.items[i] = nil
		}
		if ahead == nil {
			return nil
		}
		a := <-ahead
		body, err = a.body, a.err
	}
}

func (c *client) page(ctx context.Context, r resource, namespace string, limit int, next string) ([]byte, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if next != "" {
		query.Set("continue", next)
	}
	path := r.path(namespace)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	accept := acceptJSON
	if _, ok := object.New(r.apiVersion(), r.kind).(unmarshaler); ok {
		accept = acceptProtobuf
	}
	return c.get(ctx, path, accept)
}

// unmarshaler is what the types of k8s.io/api are.
type unmarshaler interface {
	metav1.Object
	Unmarshal([]byte) error
}

// add decodes an item and makes it a fact.
func (l *list) add(item []byte, protobuf bool) {
	content, err := l.decode(item, protobuf)
	if err != nil {
		m := bailey.Missing{Kind: l.resource.factKind(), Reason: bailey.ReasonUnreadable}
		m.Namespace, m.Name = nameOf(item, protobuf)
		m.Detail = l.resource.String() + " " + m.Name + ": " + short(err.Error())
		l.broken = append(l.broken, m)
		return
	}
	switch o := content.(type) {
	case *corev1.Pod:
		// Elsewhere anybody can run a pod that looks like an API server.
		if o.Namespace == systemNamespace {
			if f := object.Component(o); f != nil {
				l.components = append(l.components, f)
			}
		}
	case *corev1.Node:
		l.kubelets = append(l.kubelets, kubeletOf(o))
		l.providers = append(l.providers, providerOfNode(o))
	}
	if l.options.Whole != nil {
		l.options.Whole(l.resource.apiVersion(), l.resource.kind, content)
	}
	f := object.Fact(content, l.resource.apiVersion(), l.resource.kind, bailey.Source{})
	if held := l.held(f); held != nil {
		l.facts = append(l.facts, held)
		return
	}
	l.sharer.Next(f)
	l.facts = append(l.facts, f)
}

// held gives the fact from an earlier reading, if it says the same.
func (l *list) held(f *bailey.Fact) *bailey.Fact {
	if l.options.Held == nil {
		return nil
	}
	if held := l.options.Held(f.Ref); held != nil && share.Same(held, f) {
		return held
	}
	return nil
}

func (l *list) decode(item []byte, protobuf bool) (any, error) {
	typed := object.New(l.resource.apiVersion(), l.resource.kind)
	switch {
	case protobuf:
		o, ok := typed.(unmarshaler)
		if !ok {
			return nil, errors.New("the server sent protobuf for a kind that is read as JSON")
		}
		return o, o.Unmarshal(item)
	case typed != nil:
		return typed, utiljson.Unmarshal(item, typed)
	}
	if !bounds.Shallow(item, maxDepth) {
		return nil, fmt.Errorf("lists and maps are nested deeper than %d", maxDepth)
	}
	var m map[string]any
	if err := utiljson.Unmarshal(item, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("it is null")
	}
	// The lists of built-in kinds leave these out.
	m["apiVersion"], m["kind"] = l.resource.apiVersion(), l.resource.kind
	return m, nil
}

// nameOf reads no more of an object than its name.
func nameOf(item []byte, protobuf bool) (namespace, name string) {
	var o struct{ Metadata metav1.ObjectMeta }
	if protobuf {
		protobufFields(item, func(number uint64, value []byte) {
			if number == 1 {
				o.Metadata.Unmarshal(value)
			}
		})
	} else if json.Unmarshal(item, &o) != nil {
		var bare struct {
			Metadata struct{ Namespace, Name string }
		}
		json.Unmarshal(item, &bare)
		o.Metadata.Namespace, o.Metadata.Name = bare.Metadata.Namespace, bare.Metadata.Name
	}
	if o.Metadata.Name == "" {
		return o.Metadata.Namespace, "(without a readable name)"
	}
	return o.Metadata.Namespace, o.Metadata.Name
}
