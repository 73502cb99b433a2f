package facts

import (
	"context"
	"errors"
	"sync"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
)

// found is what came of one use: an image, or why none.
type found struct {
	ref     bailey.Ref
	image   *bailey.Image
	missing bailey.Missing
}

type collector struct {
	o    Options
	mu   sync.Mutex
	down map[string]int // failures in a row, by registry
	done int
}

func (c *collector) step(total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if c.o.Progress != nil {
		c.o.Progress(c.done, total)
	}
}

func failed(uses []use, m bailey.Missing) []found {
	all := make([]found, len(uses))
	for i, u := range uses {
		m.Kind, m.Namespace, m.Name = u.ref.Kind, u.ref.Namespace, u.ref.Name
		all[i] = found{ref: u.ref, missing: m}
	}
	return all
}

// judge decides about one image in all of its namespaces. The registry is asked at most
// once for its tag and once for its signatures, and not at all for an image in use that no
// rule names: whoever writes a pod does not choose whom Bailey talks to.
func (c *collector) judge(ctx context.Context, uses []use) []found {
	name := uses[0].text.Name()
	all := make([]found, 0, len(uses))
	var asked []use
	for _, u := range uses {
		wanted := c.o.Policy.For(u.ref.Namespace, name)
		if u.ref.Kind == bailey.KindImageToTry || wanted.Named() {
			asked = append(asked, u)
			continue
		}
		i := c.image(u, wanted)
		decided(i, wanted.Unmatched())
		all = append(all, found{ref: u.ref, image: i})
	}
	if len(asked) == 0 {
		return all
	}
	digest, err := c.digest(ctx, asked[0].text)
	if err == nil {
		var more []found
		if more, err = c.verify(ctx, asked, name, digest); err == nil {
			return append(all, more...)
		}
	}
	if errors.Is(err, registry.ErrNotFound) {
		for _, u := range asked {
			i := c.image(u, c.o.Policy.For(u.ref.Namespace, name))
			i.Digest = u.text.Digest
			i.Refusals = []bailey.ImageRefusal{{Reason: NotFound, Message: "its registry does not have it", Hint: "push it, or mend the reference"}}
			all = append(all, found{ref: u.ref, image: i})
		}
		return all
	}
	return append(all, failed(asked, missingFor(err))...)
}

// NotFound is the reason of a refusal of an image that its registry does not have.
const NotFound = "not-found"

// errOffline stands for a registry that may not be asked.
var errOffline = errors.New("no registry is asked with --offline")

func missingFor(err error) bailey.Missing {
	m := bailey.Missing{Reason: bailey.ReasonUnreadable, Detail: err.Error(), Hint: "is the registry up, and may Bailey read it? scan again"}
	switch {
	case errors.Is(err, errOffline):
		m.Reason, m.Hint = bailey.ReasonNotCollected, "scan without --offline, or a snapshot that was saved with --trust-policy"
	case errors.Is(err, registry.ErrDenied):
		m.Reason, m.Hint = bailey.ReasonForbidden, "log in with a credential that may read this repository (docker login)"
	}
	return m
}

func (c *collector) image(u use, wanted trust.Requirements) *bailey.Image {
	return &bailey.Image{Repository: u.text.Name(), Tag: u.text.Tag, Digest: u.text.Digest, Was: u.was,
		Policy: c.o.Policy.Revision(), At: c.o.At, Rules: wanted.Names()}
}

// ask counts a registry's failures, and does not ask one that is down.
func (c *collector) ask(ctx context.Context, image imageref.Ref, question func(context.Context) error) error {
	if c.o.Registry == nil {
		return errOffline
	}
	c.mu.Lock()
	down := c.down[image.Registry] >= downAfter
	c.mu.Unlock()
	if down {
		return errors.New(image.Registry + " did not answer several times, and is not asked again")
	}
	ctx, cancel := context.WithTimeout(ctx, eachLimit)
	defer cancel()
	err := question(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, registry.ErrUnavailable) {
		c.down[image.Registry]++
	} else {
		c.down[image.Registry] = 0
	}
	return err
}

func (c *collector) digest(ctx context.Context, image imageref.Ref) (digest string, err error) {
	if image.Pinned() {
		return image.Digest, nil
	}
	tag := image.Tag
	if tag == "" {
		tag = imageref.DefaultTag
	}
	err = c.ask(ctx, image, func(ctx context.Context) (err error) {
		digest, err = c.o.Registry.Resolve(ctx, registry.Reference{Repository: image.Name(), Tag: tag})
		return err
	})
	return digest, err
}

// verify judges the image in each namespace by what it bears, which is read once.
func (c *collector) verify(ctx context.Context, uses []use, name, digest string) ([]found, error) {
	all := make([]found, 0, len(uses))
	judge := func(bundles []*trust.Bundle) {
		verdicts := map[string]trust.Decision{}
		for _, u := range uses {
			wanted := c.o.Policy.For(u.ref.Namespace, name)
			d, known := verdicts[wanted.Key()]
			if !known {
				d = wanted.Verify(trust.Artifact{Repository: name, Digest: digest}, bundles, c.o.At)
				verdicts[wanted.Key()] = d
			}
			i := c.image(u, wanted)
			i.Digest, i.Attached = digest, len(bundles)
			decided(i, d)
			all = append(all, found{ref: u.ref, image: i})
		}
	}
	err := c.ask(ctx, uses[0].text, func(ctx context.Context) error { return c.o.Registry.Judge(ctx, name, digest, judge) })
	return all, err
}

func decided(i *bailey.Image, d trust.Decision) {
	i.Verified = d.Verified
	for _, e := range d.Evidence {
		i.Evidence = append(i.Evidence, bailey.ImageEvidence{Rule: e.Rule, Kind: string(e.Kind), Authority: e.Authority, Signer: e.Signer})
	}
	for _, r := range d.Refusals {
		i.Refusals = append(i.Refusals, bailey.ImageRefusal{Rule: r.Rule, Kind: string(r.Kind), Reason: string(r.Reason), Message: r.Message, Hint: r.Hint})
	}
}
