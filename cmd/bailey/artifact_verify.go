package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/trust"
)

type verifyFlags struct {
	bundle, policy, namespace, format string
	key, ca, trustedRoot              string
	types                             []string
	identity, identityRegexp          string
	issuer, issuerRegexp              string
	log, timestamps, sct              int
	registry                          registryFlags
}

func (a *app) verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify FILE|sha256:HEX|IMAGE",
		Short: "Verify who signed a file or an image, and what was attested of it",
		Long: `Verify holds the signatures and attestations of an artifact to a trust policy, or to
one signer that the flags name: a key (--key), certificates of one's own CA (--ca-roots),
or a keyless identity (--certificate-identity with --certificate-oidc-issuer, and the
trusted root of the sigstore instance). Those of an image are found in its registry,
those of a file in --bundle.

A keyless signature must be in a transparency log, with its time, and its certificate in a
certificate transparency log; a key's signature must be in a log where the trusted root
names one. Regular expressions match the whole text. The trusted root is a file: Bailey
fetches none, not even the public one, and --offline opens no socket at all.

Exit codes: 0 verified, 1 not verified, 2 usage, 3 could not be judged.`,
		Example: `  bailey verify app.tar.gz --bundle app.sigstore.json --key release.pub
  bailey verify registry.example.com/shop/web:1.4 --policy trust.yaml --namespace shop
  bailey verify app.tar.gz --bundle app.sigstore.json --trusted-root trusted_root.json \
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com
  bailey verify registry.example.com/shop/web:1.4 --key release.pub --type slsaprovenance1`,
		Args: oneArtifact,
		RunE: func(c *cobra.Command, args []string) error {
			if f.format != "text" && f.format != "json" {
				return usageError("verify has no output format %q: use text or json", f.format)
			}
			return a.verify(c.Context(), f, args[0])
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.bundle, "bundle", "", "the sigstore bundle (for an image: in the place of what its registry has)")
	flags.StringVar(&f.policy, "policy", "", "a trust policy (docs/signing.md)")
	flags.StringVar(&f.namespace, "namespace", "", "with --policy: the namespace that the image is to run in")
	flags.StringVar(&f.key, "key", "", "the signer's public key, in PEM")
	flags.StringVar(&f.ca, "ca-roots", "", "certificates of the signer's own CA, in PEM: the root, and intermediate ones")
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "a sigstore trusted root: its CA, logs and timestamp authorities")
	flags.StringVar(&f.identity, "certificate-identity", "", "the subject that the certificate must name")
	flags.StringVar(&f.identityRegexp, "certificate-identity-regexp", "", "the same as a regular expression over the whole subject")
	flags.StringVar(&f.issuer, "certificate-oidc-issuer", "", "the OIDC issuer that must have vouched for the subject")
	flags.StringVar(&f.issuerRegexp, "certificate-oidc-issuer-regexp", "", "the same as a regular expression over the whole issuer")
	flags.StringArrayVar(&f.types, "type", nil, "want an attestation of this type: slsaprovenance1, spdxjson, cyclonedx, ... or a URI (repeat: any of them)")
	flags.IntVar(&f.log, "transparency-log", -1, "how many transparency logs must hold the signature (default: 1 if the trusted root names one)")
	flags.IntVar(&f.timestamps, "timestamps", -1, "how many timestamp authorities must have signed its time (default: 0)")
	flags.IntVar(&f.sct, "certificate-transparency", -1, "how many certificate transparency logs must hold the certificate (default: 1 for keyless)")
	for _, name := range []string{"transparency-log", "timestamps", "certificate-transparency"} {
		flags.Lookup(name).DefValue = "" // the default is not a number
	}
	flags.StringVarP(&f.format, "output", "o", "text", "text or json")
	f.registry.register(c)
	return c
}

func oneArtifact(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s wants one file, digest or image\nhint: %s --help shows examples", c.CommandPath(), c.CommandPath())
	}
	return nil
}

func (a *app) verify(ctx context.Context, f *verifyFlags, arg string) error {
	s, err := parseSubject(arg)
	if err != nil {
		return err
	}
	switch {
	case s.image == nil && f.bundle == "":
		return usageError("a file's signature is in a bundle, and none is named\nhint: --bundle FILE")
	case s.image != nil && f.bundle != "" && s.artifact.Digest == "" && a.offline:
		return usageError("%s names no digest, and --offline asks no registry for it\nhint: write NAME@sha256:...", arg)
	case s.image != nil && f.bundle == "" && a.offline:
		return usageError("the signatures of an image are in its registry, and --offline opens no socket\nhint: --bundle FILE")
	}
	policy, err := f.trust()
	if err != nil {
		return err
	}
	var bundles []*trust.Bundle
	if f.bundle != "" {
		data, err := readBounded(f.bundle, trust.BundleLimit)
		if err != nil {
			return fmt.Errorf("the bundle could not be read: %w", err)
		}
		bundles = []*trust.Bundle{trust.ParseBundle(f.bundle, data)}
	}
	if s.image != nil && (f.bundle == "" || s.artifact.Digest == "") {
		client, err := f.registry.client()
		if err != nil {
			return err
		}
		if err := s.resolve(ctx, client); err != nil {
			return err
		}
		if f.bundle == "" {
			if bundles, err = client.Fetch(ctx, s.artifact.Repository, s.artifact.Digest); err != nil {
				return err
			}
		}
	}
	d := policy.For(f.namespace, s.artifact.Repository).Verify(s.artifact, bundles, a.now())
	return a.printDecision(f, s, d)
}

// trust is the policy that the flags give.
func (f *verifyFlags) trust() (*trust.Policy, error) {
	single := f.key != "" || f.ca != "" || f.trustedRoot != "" || f.identity != "" || f.identityRegexp != "" || f.issuer != "" || f.issuerRegexp != "" || len(f.types) > 0
	switch {
	case f.policy != "" && single:
		return nil, usageError("--policy says who is trusted; the flags that name a signer or a type do not go with it")
	case f.policy != "":
		p, err := trust.Load(f.policy)
		return p, unlessMissing(err)
	case f.namespace != "":
		return nil, usageError("--namespace goes with --policy")
	case f.key == "" && f.ca == "" && f.trustedRoot == "":
		return nil, usageError("nobody is named whose signature counts\nhint: --key FILE, --ca-roots FILE, or --trusted-root FILE with --certificate-identity and --certificate-oidc-issuer; or --policy FILE")
	case f.key == "" && f.identity == "" && f.identityRegexp == "":
		return nil, usageError("everybody with a certificate could have signed it\nhint: --certificate-identity says who must have")
	case f.key == "" && f.ca == "" && f.issuer == "" && f.issuerRegexp == "":
		return nil, usageError("another issuer could vouch for the same identity\nhint: --certificate-oidc-issuer says which one must have")
	}
	s := trust.Signer{Subject: f.identity, SubjectRegexp: f.identityRegexp, Issuer: f.issuer, IssuerRegexp: f.issuerRegexp}
	for _, file := range []struct {
		flag, path string
		into       *string
	}{{"--key", f.key, &s.Key}, {"--ca-roots", f.ca, &s.CA}, {"--trusted-root", f.trustedRoot, &s.TrustedRoot}} {
		if file.path == "" {
			continue
		}
		data, err := readBounded(file.path, signingFileLimit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.flag, err)
		}
		*file.into = string(data)
	}
	for _, t := range []struct {
		value int
		into  **int
	}{{f.log, &s.TransparencyLog}, {f.timestamps, &s.Timestamps}, {f.sct, &s.CertificateTransparency}} {
		if t.value >= 0 {
			*t.into = &t.value
		}
	}
	types := f.types
	if len(types) == 0 && f.bundle != "" {
		types = []string{""} // whatever is in the bundle
	}
	p, err := trust.Single(s, types...)
	if err != nil {
		return nil, usageError("%s", asFlags.Replace(err.Error()))
	}
	return p, nil
}

// asFlags puts the flags into the place of a policy's fields.
var asFlags = strings.NewReplacer("keys[0]:", "--key:", "ca[0]:", "--ca-roots:", "trustedRoot:", "--trusted-root:", "identities[0]: ", "",
	"transparencyLog:", "--transparency-log:", "timestamps:", "--timestamps:", "certificateTransparency:", "--certificate-transparency:")

// unlessMissing makes a usage error of what is wrong in a file, and leaves alone what
// could not be read.
func unlessMissing(err error) error {
	if err == nil || errors.As(err, new(*fs.PathError)) {
		return err
	}
	return &exitError{exitUsage, err}
}

func (a *app) printDecision(f *verifyFlags, s *subject, d trust.Decision) error {
	if f.format == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			SchemaVersion string `json:"schemaVersion"`
			Artifact      string `json:"artifact"`
			Digest        string `json:"digest"`
			trust.Decision
		}{"bailey.verify/v1", s.name, s.artifact.Digest, d}); err != nil {
			return err
		}
	} else {
		a.printDecisionText(f, s, d)
	}
	if !d.Verified {
		return &exitError{code: exitFindings}
	}
	return nil
}

func (a *app) printDecisionText(f *verifyFlags, s *subject, d trust.Decision) {
	if !d.Verified {
		fmt.Fprintf(a.stdout, "NOT VERIFIED: %s\n", printable(s.String()))
		for _, r := range d.Refusals {
			prefix := "reason: "
			if r.Rule != "" {
				prefix = "reason: rule " + r.Rule + ": "
			}
			fmt.Fprintf(a.stdout, "%s\n", printable(prefix+oneLine(r.Message)))
			if r.Hint != "" {
				fmt.Fprintf(a.stdout, "hint: %s\n", printable(oneLine(r.Hint)))
			}
		}
		return
	}
	fmt.Fprintf(a.stdout, "verified: %s\n", printable(s.String()))
	if s.String() != s.artifact.String() {
		fmt.Fprintf(a.stdout, "digest: %s\n", s.artifact.Digest)
	}
	for _, e := range d.Evidence {
		what := string(e.Kind)
		if e.PredicateType != "" && e.PredicateType != trust.PredicateSignature {
			what += " " + e.PredicateType
		}
		who := e.Signer
		if f.policy != "" {
			who = e.Authority + ", " + who
		}
		if e.Issuer != "" {
			who += ", vouched for by " + e.Issuer
		}
		if !e.Time.IsZero() {
			who += ", at " + e.Time.Format(time.RFC3339)
		}
		fmt.Fprintf(a.stdout, "%s: by %s\n", printable(what), printable(who))
	}
	for _, e := range d.Evidence {
		if f.policy == "" && len(f.types) == 0 && e.Kind != trust.KindSignature {
			fmt.Fprintf(a.stdout, "No --type was asked for: what was verified is an attestation of type %s, which says what that type says, and is no signature alone.\n", printable(e.PredicateType))
		}
	}
	if len(d.Evidence) == 0 {
		fmt.Fprintln(a.stdout, "The policy wants nothing of it.")
	}
	if f.policy == "" && f.trustedRoot == "" {
		fmt.Fprintln(a.stdout, "No log and no timestamp was asked for: without --trusted-root only the signature counts.")
	}
	if !d.Until.IsZero() {
		fmt.Fprintf(a.stdout, "It verifies until %s, when a certificate expires that no timestamp outlives.\n", d.Until.UTC().Format(time.RFC3339))
	}
}
