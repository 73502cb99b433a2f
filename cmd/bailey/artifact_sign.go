package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/sign"
)

// passphraseVariable holds the passphrase of a key, under cosign's name.
const passphraseVariable = "COSIGN_PASSWORD"

// tokenVariable holds the identity token, under cosign's name.
const tokenVariable = "SIGSTORE_ID_TOKEN"

type signFlags struct {
	key, certificate      string
	fulcio, token         string
	rekor, timestamp      string
	rekorVersion          uint32
	bundle                string
	push                  bool
	registry              registryFlags
	generate              string
	predicate, predicates string // attest: the file, and the type
}

func (f *signFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.key, "key", "", "the private key, in PEM (PKCS#8, or as cosign encrypts it; passphrase in "+passphraseVariable+")")
	flags.StringVar(&f.certificate, "certificate", "", "with --key: its certificate of one's own CA, then the issuers, in PEM")
	flags.StringVar(&f.fulcio, "fulcio-url", "", "keyless: the CA that gives a certificate for the identity token")
	flags.StringVar(&f.token, "identity-token", "", "keyless: a file with the OIDC token, or the token (default: "+tokenVariable+")")
	flags.StringVar(&f.rekor, "rekor-url", "", "a transparency log to write to")
	flags.Uint32Var(&f.rekorVersion, "rekor-version", 1, "the log's API: 1, or 2 for tiles")
	flags.StringVar(&f.timestamp, "timestamp-url", "", "the endpoint of a timestamp authority (RFC 3161)")
	flags.StringVar(&f.bundle, "bundle", "", "the file to write the bundle to (an image's is pushed beside it as well)")
	flags.BoolVar(&f.push, "push", true, "an image: put the bundle beside it in the registry")
	f.registry.register(c)
}

func (a *app) signCommand() *cobra.Command {
	f := &signFlags{}
	c := &cobra.Command{
		Use:   "sign FILE|IMAGE",
		Short: "Sign a file or an image",
		Long: `Sign makes a sigstore bundle: by a private key, by a key with a certificate of one's
own CA, or keyless. A file's bundle is written to --bundle; an image's is put beside it in
the registry as a referrer, where cosign and others find it. Nothing is written or pushed
unless all of it could be made. No service is asked that is not named.`,
		Example: `  bailey sign --generate-key release                     makes release.key and release.pub
  bailey sign app.tar.gz --key release.key --bundle app.sigstore.json
  bailey sign registry.example.com/shop/web:1.4 --key release.key
  bailey sign app.tar.gz --bundle app.sigstore.json --identity-token token.jwt \
    --fulcio-url https://fulcio.example.com --rekor-url https://rekor.example.com`,
		Args: func(c *cobra.Command, args []string) error {
			if f.generate != "" && len(args) == 0 {
				return nil
			}
			return oneArtifact(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.generate != "" {
				if len(args) > 0 {
					return usageError("--generate-key signs nothing\nhint: run it alone first")
				}
				return a.generateKey(f.generate)
			}
			return a.sign(c.Context(), f, args[0], func(ctx context.Context, s *subject, o sign.Options) ([]byte, string, error) {
				if s.image != nil {
					bundle, err := sign.Image(ctx, s.artifact, o)
					return bundle, trust.PredicateSignature, err
				}
				content, err := s.artifact.Open()
				if err != nil {
					return nil, "", err
				}
				defer content.Close()
				bundle, err := sign.File(ctx, content, o)
				return bundle, "", err
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.generate, "generate-key", "", "make a key instead: PREFIX.key and PREFIX.pub")
	return c
}

func (a *app) attestCommand() *cobra.Command {
	f := &signFlags{}
	c := &cobra.Command{
		Use:   "attest FILE|IMAGE --predicate FILE --type TYPE",
		Short: "Sign an SBOM, provenance or another statement about a file or an image",
		Long: `Attest makes an in-toto statement of a predicate about the artifact, signs it, and puts
it where sign puts signatures. TYPE is slsaprovenance1, spdxjson, cyclonedx, vuln, openvex
or the URI of a predicate type.`,
		Example: `  bailey attest registry.example.com/shop/web:1.4 --predicate sbom.json --type cyclonedx --key release.key
  bailey attest app.tar.gz --predicate provenance.json --type slsaprovenance1 --key release.key --bundle app.provenance.json`,
		Args: oneArtifact,
		RunE: func(c *cobra.Command, args []string) error {
			if f.predicate == "" || f.predicates == "" {
				return usageError("attest wants --predicate FILE and --type TYPE")
			}
			predicateType, err := trust.PredicateType(f.predicates)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			predicate, err := readBounded(f.predicate, sign.PredicateLimit)
			if err != nil {
				return fmt.Errorf("--predicate: %w", err)
			}
			return a.sign(c.Context(), f, args[0], func(ctx context.Context, s *subject, o sign.Options) ([]byte, string, error) {
				name := s.artifact.Repository
				if s.image == nil {
					name = s.name
				}
				bundle, err := sign.Attest(ctx, name, s.artifact.Digest, predicateType, predicate, o)
				return bundle, predicateType, err
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.predicate, "predicate", "", "the file with the predicate, in JSON")
	c.Flags().StringVar(&f.predicates, "type", "", "the predicate's type")
	return c
}

// maker makes a bundle, and names the type of its predicate if it has one.
type maker func(context.Context, *subject, sign.Options) ([]byte, string, error)

func (a *app) sign(ctx context.Context, f *signFlags, arg string, make maker) error {
	s, err := parseSubject(arg)
	if err != nil {
		return err
	}
	switch {
	case s.image == nil && s.artifact.Open == nil && f.predicate == "":
		return usageError("a digest alone cannot be signed\nhint: name the file or the image")
	case s.image == nil && f.bundle == "":
		return usageError("where is the bundle to go?\nhint: --bundle FILE")
	case s.image != nil && !f.push && f.bundle == "":
		return usageError("with --push=false the bundle has nowhere to go\nhint: --bundle FILE")
	case a.offline && (f.fulcio != "" || f.rekor != "" || f.timestamp != "" || s.image != nil && (f.push || s.artifact.Digest == "")):
		return usageError("--offline opens no socket, and this would\nhint: sign a file, or an image NAME@sha256:... with --push=false, by a key and without log and timestamp")
	}
	o, err := a.signOptions(f)
	if err != nil {
		return err
	}
	client, err := f.registry.client()
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, client); err != nil {
		return err
	}
	bundle, predicateType, err := make(ctx, s, o)
	if err != nil {
		return err
	}
	if f.bundle != "" {
		if err := writeFile(f.bundle, 0o644, func(w io.Writer) error { _, err := w.Write(append(bundle, '\n')); return err }); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "Signed %s: %s\n", printable(s.String()), printable(f.bundle))
	}
	if s.image == nil || !f.push {
		return nil
	}
	manifest, err := client.Attach(ctx, s.artifact.Repository, s.artifact.Digest, bundle, predicateType, a.now())
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "Signed %s: referrer %s\n", printable(s.String()), manifest)
	return nil
}

// signOptions reads what the flags name.
func (a *app) signOptions(f *signFlags) (sign.Options, error) {
	o := sign.Options{Fulcio: f.fulcio, Rekor: f.rekor, RekorVersion: f.rekorVersion, Timestamp: f.timestamp, Now: a.now()}
	if f.key != "" {
		data, err := readBounded(f.key, signingFileLimit)
		if err != nil {
			return o, fmt.Errorf("--key: %w", err)
		}
		if o.Key, err = sign.ParseKey(data, a.passphrase); err != nil {
			return o, fmt.Errorf("--key %s: %w", f.key, err)
		}
	}
	if f.certificate != "" {
		data, err := readBounded(f.certificate, signingFileLimit)
		if err != nil {
			return o, fmt.Errorf("--certificate: %w", err)
		}
		if o.Certificates, err = trust.ParseCertificates(data); err != nil {
			return o, usageError("--certificate %s: %w", f.certificate, err)
		}
	}
	if f.fulcio != "" {
		var err error
		if o.IdentityToken, err = identityToken(f.token); err != nil {
			return o, err
		}
	}
	if err := o.Check(); err != nil {
		return o, &exitError{exitUsage, err}
	}
	return o, nil
}

// identityToken reads the token; no error shows what was given, which may be one.
func identityToken(given string) (string, error) {
	if given == "" {
		return strings.TrimSpace(os.Getenv(tokenVariable)), nil
	}
	data, err := readBounded(given, 64<<10)
	switch {
	case err == nil:
		return strings.TrimSpace(string(data)), nil
	case strings.Count(given, ".") == 2 && !strings.ContainsAny(given, "/ "):
		return given, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", usageError("--identity-token is neither a file nor a token")
	}
	return "", errors.New("the file that --identity-token names could not be read")
}

// passphrase is that of a key: from the environment, or asked for on the terminal.
func (a *app) passphrase() ([]byte, error) {
	if phrase, set := os.LookupEnv(passphraseVariable); set {
		return []byte(phrase), nil
	}
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, fmt.Errorf("the key has a passphrase, and nobody can be asked for it\nhint: put it into %s", passphraseVariable)
	}
	fmt.Fprint(a.stderr, "Passphrase of the key: ")
	phrase, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.stderr)
	return phrase, err
}

// generateKey makes a key pair in two new files.
func (a *app) generateKey(prefix string) error {
	phrase, err := a.passphrase()
	if err != nil {
		return fmt.Errorf("%w; empty for a key without one", err)
	}
	key, err := sign.GenerateKey()
	if err != nil {
		return err
	}
	private, err := key.PrivatePEM(phrase)
	if err != nil {
		return err
	}
	public, err := key.PublicPEM()
	if err != nil {
		return err
	}
	for _, path := range []string{prefix + ".key", prefix + ".pub"} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already\nhint: choose another prefix; a key that is lost cannot be made again", path)
		}
	}
	if err := writeFile(prefix+".key", 0o600, func(w io.Writer) error { _, err := w.Write(private); return err }); err != nil {
		return err
	}
	if err := writeFile(prefix+".pub", 0o644, func(w io.Writer) error { _, err := w.Write(public); return err }); err != nil {
		return err
	}
	how := "encrypted with the passphrase"
	if len(phrase) == 0 {
		how = "not encrypted: whoever reads it can sign"
	}
	fmt.Fprintf(a.stderr, "Made %s.key (%s) and %s.pub.\n", printable(prefix), how, printable(prefix))
	return nil
}
