// Package facts asks, for the images that a snapshot's workloads use, what a trust policy
// says of them, and adds that to the snapshot: facts of bailey.KindImage. Rules and
// experiments judge by them, and a saved snapshot holds them.
package facts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
)

// The bounds of one snapshot's questions.
const (
	// imageLimit is how many images are asked for, each once for all namespaces.
	imageLimit = 5000
	tryLimit   = 64
	atOnce     = 8
	eachLimit  = 30 * time.Second
	// downAfter is how many failures in a row of one registry mean that it is not asked again.
	downAfter = 3
)

// Options say by what images are judged.
type Options struct {
	Policy *trust.Policy
	// Registry is nil where no registry may be asked: what takes one to judge is unseen.
	Registry *registry.Client
	// Try names images that experiments are to try: a reference, or with tag and digest one
	// whose tag had that digest before.
	Try      []string
	At       time.Time // by which certificates are judged
	Progress func(done, total int)
}

// apiVersion is that of the facts.
const apiVersion = "bailey.dev/v1"

// use is one image in one namespace.
type use struct {
	ref  bailey.Ref
	text imageref.Ref // canonical
	was  string
}

// Add gives the snapshot with what the policy says of its images. It fails only where the
// options are wrong or ctx ends; what cannot be told of an image is missing, with the reason.
func Add(ctx context.Context, s *bailey.Snapshot, o Options) (*bailey.Snapshot, error) {
	b := without(s)
	uses := used(s)
	tries, err := named(s, o.Try)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		b.Saw(k, "")
	}
	for _, k := range bailey.PodBearing {
		if m := s.Unseen(k, "", ""); m != nil {
			b.Miss(bailey.Missing{Kind: bailey.KindImage, Reason: m.Reason, Detail: "the images of each " + k.Short() + " were not seen: " + m.Detail, Hint: m.Hint})
			break
		}
	}
	c := &collector{o: o, down: map[string]int{}}
	order, groups := grouped(append(uses, tries...))
	results := make([][]found, len(order))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, key := range order {
		group.Go(func() error {
			if i < imageLimit {
				results[i] = c.judge(ctx, groups[key])
			} else {
				results[i] = failed(groups[key], bailey.Missing{Reason: bailey.ReasonNotCollected, Detail: "more images are in use than are asked for at once"})
			}
			c.step(len(order))
			return nil
		})
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return nil, err
	}
	for _, list := range results {
		for _, f := range list {
			if f.image == nil {
				b.Miss(f.missing)
			} else {
				b.Add(&bailey.Fact{Ref: f.ref, APIVersion: apiVersion, Object: f.image})
			}
		}
	}
	return b.Snapshot(), nil
}

var kinds = []bailey.Kind{bailey.KindImage, bailey.KindImageToTry}

// without begins a snapshot with all of another but for its images.
func without(s *bailey.Snapshot) *bailey.Builder {
	b := bailey.NewBuilder(s.Meta)
	for _, k := range s.Kinds() {
		if !slices.Contains(kinds, k) {
			b.Add(s.List(k, "")...)
		}
	}
	seen, missing := s.Coverage()
	for _, m := range missing {
		if !slices.Contains(kinds, m.Kind) {
			b.Miss(m)
		}
	}
	for _, r := range seen {
		if !slices.Contains(kinds, r.Kind) {
			b.Saw(r.Kind, r.Namespace)
		}
	}
	return b
}

// used gives the images of the snapshot's workloads, each once for a namespace.
func used(s *bailey.Snapshot) []use {
	known := map[bailey.Ref]bool{}
	var all []use
	for _, k := range bailey.PodBearing {
		for _, f := range s.List(k, "") {
			w, ok := workload.Of(f)
			if !ok || f.Dormant {
				continue
			}
			add := func(text string) {
				ref, err := imageref.Parse(text)
				if err != nil {
					return // another rule finds it
				}
				ref = ref.Canonical()
				u := use{ref: bailey.Ref{Kind: bailey.KindImage, Namespace: f.Namespace, Name: strings.Clone(text)}, text: ref}
				if !known[u.ref] {
					known[u.ref] = true
					all = append(all, u)
				}
			}
			for c := range w.Containers() {
				add(c.Image)
			}
			for i := range w.Spec.Volumes {
				if v := w.Spec.Volumes[i].Image; v != nil {
					add(v.Reference)
				}
			}
		}
	}
	return all
}

// named gives the images to try, in each namespace.
func named(s *bailey.Snapshot, texts []string) ([]use, error) {
	if len(texts) > tryLimit {
		return nil, errTooMany
	}
	var all []use
	for _, text := range texts {
		ref, err := imageref.Parse(text)
		if err != nil {
			return nil, &TryError{text, err}
		}
		ref = ref.Canonical()
		u := use{text: ref}
		if ref.Tag != "" && ref.Digest != "" { // what the tag had, and has no more
			u.was, u.text.Digest = ref.Digest, ""
		}
		for _, ns := range s.List(bailey.KindNamespace, "") {
			u.ref = bailey.Ref{Kind: bailey.KindImageToTry, Namespace: ns.Name, Name: text}
			all = append(all, u)
		}
	}
	return all, nil
}

// grouped puts the uses of one image together, in order of their first.
func grouped(uses []use) (order []string, groups map[string][]use) {
	groups = map[string][]use{}
	for _, u := range uses {
		key := u.text.Full()
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], u)
	}
	return order, groups
}

// TryError is an image to try that is no reference.
type TryError struct {
	Text string
	Err  error
}

func (e *TryError) Error() string {
	return "the image to try " + strings.ToValidUTF8(e.Text[:min(len(e.Text), 100)], "") + " " + e.Err.Error()
}

var errTooMany = errors.New("more than 64 images are named to be tried")
