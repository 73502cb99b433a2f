package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
)

// policyEvery is how often the trust policy is read again.
const policyEvery = 5 * time.Second

// gateRegistry asks registries as the gate: with its own credentials
// ($DOCKER_CONFIG/config.json), and with the registries' own CA if one is given.
func gateRegistry(caFile string, plain []string) (*registry.Client, error) {
	client := &registry.Client{Keychain: authn.DefaultKeychain, PlainHTTP: plain, UserAgent: "bailey/" + version}
	if caFile == "" {
		return client, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("the CA of the registries: %w\nhint: --registry-ca names a PEM file", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate\nhint: --registry-ca names a PEM file", caFile)
	}
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = pool
	client.Transport = transport
	return client, nil
}

// gateTrust is what the gate judges images by: this policy, asking this way.
func gateTrust(policy *trust.Policy, client *registry.Client, now func() time.Time) *gate.Trust {
	return &gate.Trust{
		Revision: policy.Revision(),
		Rule:     func(namespace string, image imageref.Ref) string { return policy.For(namespace, image.Name()).Key() },
		Unnamed: func(namespace string, image imageref.Ref) (bool, error) {
			wanted := policy.For(namespace, image.Name())
			if wanted.Named() {
				return false, nil
			}
			if d := wanted.Unmatched(); !d.Verified {
				return true, &gate.Refusal{Reason: "is not to be trusted: " + d.Reason(), Hint: d.Hint()}
			}
			return true, nil
		},
		Resolve: func(ctx context.Context, image imageref.Ref) (string, error) {
			digest, err := client.Resolve(ctx, registry.Reference{Repository: image.Name(), Tag: image.Tag})
			return digest, notThere(err)
		},
		Verify: func(ctx context.Context, namespace string, image imageref.Ref) (gate.Verdict, error) {
			wanted := policy.For(namespace, image.Name())
			var d trust.Decision
			verify := func(bundles []*trust.Bundle) {
				d = wanted.Verify(trust.Artifact{Repository: image.Name(), Digest: image.Digest}, bundles, now())
			}
			if wanted.Empty() {
				verify(nil)
			} else if err := client.Judge(ctx, image.Name(), image.Digest, verify); err != nil {
				return gate.Verdict{}, notThere(err)
			}
			if d.Verified {
				return gate.Verdict{By: vouchers(d), Until: d.Until}, nil
			}
			refusal := &gate.Refusal{Reason: "is not to be trusted: " + d.Reason(), Hint: d.Hint()}
			if len(d.Refusals) > 0 {
				refusal.Rule = d.Refusals[0].Rule
			}
			return gate.Verdict{}, refusal
		},
	}
}

// notThere makes a verdict of an image that its registry does not have.
func notThere(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return &gate.Refusal{Reason: "is not in its registry: " + err.Error(), Hint: "push it first, or mend the reference"}
	}
	return err
}

// vouchers says who vouches for an image.
func vouchers(d trust.Decision) string {
	var all []string
	for _, e := range d.Evidence {
		all = append(all, fmt.Sprintf("%s by %s (%s)", e.Kind, e.Authority, e.Signer))
	}
	if len(all) == 0 {
		return "nobody, which the trust policy admits"
	}
	return strings.Join(all, ", ")
}

// reread reads something again and again until ctx ends. A failure is told once, as long as
// it stays the same.
func reread(ctx context.Context, log *slog.Logger, complaint string, read func() error) {
	tick := time.NewTicker(policyEvery)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text := ""
		if err := read(); err != nil {
			text = err.Error()
		}
		if text != "" && text != told {
			log.Error(complaint, "error", text)
		}
		told = text
	}
}

// followPolicy reads the policy again and again, and judges by it when it has changed. One
// that cannot be read is told, and the one before stays in force.
func followPolicy(ctx context.Context, g *gate.Gate, path, revision string, log *slog.Logger, make func(*trust.Policy) *gate.Trust) {
	reread(ctx, log, "the trust policy cannot be read; the one before stays in force", func() error {
		policy, err := trust.Load(path)
		switch {
		case err != nil:
			g.PolicyFailed()
			return fmt.Errorf("%w (revision %s is in force)", err, revision)
		case policy.Revision() != revision:
			revision = policy.Revision()
			g.SetTrust(make(policy))
			log.Info("another trust policy is in force", "revision", revision)
		}
		return nil
	})
}
