package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/facts"
)

// imageFlags say by what images are judged.
type imageFlags struct {
	registries registryFlags
	policy     string
	try        []string
	registered bool
}

func (f *imageFlags) register(c *cobra.Command) {
	f.registered = true
	f.registries.register(c)
	c.Flags().StringVar(&f.policy, "trust-policy", "", "the trust policy (docs/signing.md): ask registries who vouches for the images in use")
	c.Flags().StringArrayVar(&f.try, "try-image", nil, "with --trust-policy: an image that nobody vouches for, which experiments are to try (repeat); NAME:TAG@DIGEST for a tag that was moved away from that digest")
}

// withImages adds to a snapshot what the trust policy says of its images. One that was
// saved keeps what it holds, unless the flag asks anew.
func (a *app) withImages(ctx context.Context, f *imageFlags, conf *config, s *bailey.Snapshot, p *progress, kept bool) (*bailey.Snapshot, error) {
	if !f.registered {
		return s, nil
	}
	registries, policy, try := f.registries, f.policy, f.try
	if policy == "" && !kept && conf.Images.TrustPolicy != "" {
		policy = conf.relative(conf.Images.TrustPolicy)
	}
	if policy == "" {
		if len(f.try) > 0 {
			return nil, usageError("--try-image goes with --trust-policy\nhint: the policy says what must be refused")
		}
		return s, nil
	}
	if len(try) == 0 {
		try = conf.Images.Try
	}
	if registries.ca == "" && conf.Images.RegistryCA != "" {
		registries.ca = conf.relative(conf.Images.RegistryCA)
	}
	registries.plainHTTP = append(registries.plainHTTP, conf.Images.PlainHTTP...)
	o := facts.Options{Try: try, At: a.now(), Progress: func(done, total int) { p.step(done, total, "asking who vouches for images") }}
	var err error
	if o.Policy, err = trust.Load(policy); err != nil {
		return nil, usageError("the trust policy: %w", err)
	}
	if !a.offline {
		if o.Registry, err = registries.client(); err != nil {
			return nil, err
		}
	}
	s, err = facts.Add(ctx, s, o)
	if err != nil && ctx.Err() == nil {
		return nil, usageError("%w\nhint: name it like registry.example.com/shop/web:1", err)
	}
	return s, err
}

// notTried names the images that were to be tried and that show nothing.
func (a *app) notTried(s *bailey.Snapshot) {
	told, usable := map[string]string{}, map[string]bool{}
	var names []string
	note := func(name, why string) {
		if _, known := told[name]; !known {
			names = append(names, name)
		}
		told[name] = why
	}
	for _, f := range s.List(bailey.KindImageToTry, "") {
		image, ok := bailey.As[*bailey.Image](f)
		switch {
		case !ok:
		case image.Verified:
			note(f.Name, "the trust policy admits it")
		case image.Digest == "" || len(image.Refusals) > 0 && image.Refusals[0].Reason == facts.NotFound:
			note(f.Name, "its registry does not have it, so that a refusal would show nothing")
		case image.Was != "" && image.Was == image.Digest:
			note(f.Name, "its tag has that digest still")
		default:
			usable[f.Name] = true
		}
	}
	_, missing := s.Coverage()
	for _, m := range missing {
		if m.Kind == bailey.KindImageToTry && m.Name != "" {
			note(m.Name, m.Detail)
		}
	}
	for _, name := range names {
		if !usable[name] {
			fmt.Fprintf(a.stderr, "Image %s is not tried: %s.\n", printable(name), printable(told[name]))
		}
	}
}
