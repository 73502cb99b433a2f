package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
)

// signingFileLimit bounds keys, certificates, policies and trusted roots, in bytes.
const signingFileLimit = 1 << 20

// registryFlags say how registries are spoken to.
type registryFlags struct {
	plainHTTP []string
	ca        string
}

func (f *registryFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.plainHTTP, "plain-http", nil, "a registry's HOST:PORT that is spoken to without TLS (repeat)")
	c.Flags().StringVar(&f.ca, "registry-ca", "", "PEM file of the CA of the registry's certificate (default: the system's)")
}

// client speaks with the credentials of docker login.
func (f *registryFlags) client() (*registry.Client, error) {
	c := &registry.Client{Keychain: authn.DefaultKeychain, PlainHTTP: f.plainHTTP, UserAgent: "bailey/" + version}
	if f.ca == "" {
		return c, nil
	}
	data, err := readBounded(f.ca, signingFileLimit)
	if err != nil {
		return nil, fmt.Errorf("--registry-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, usageError("--registry-ca: %s holds no PEM certificate", f.ca)
	}
	transport, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the HTTP transport cannot be changed")
	}
	transport = transport.Clone()
	transport.TLSClientConfig.RootCAs = pool
	c.Transport = transport
	return c, nil
}

// subject is what is to be signed or verified: a file, a digest, or an image.
type subject struct {
	name     string // as the user wrote it
	artifact trust.Artifact
	image    *registry.Reference
}

func (s *subject) String() string {
	if s.image != nil && s.artifact.Digest != "" {
		return s.artifact.String()
	}
	return s.name
}

// parseSubject tells what an argument is. A file that is there wins over an image of its name.
func parseSubject(arg string) (*subject, error) {
	s := &subject{name: arg}
	if strings.HasPrefix(arg, "sha256:") {
		if err := trust.CheckDigest(arg); err != nil {
			return nil, &exitError{exitUsage, err}
		}
		s.artifact.Digest = arg
		return s, nil
	}
	if info, err := os.Stat(arg); err == nil {
		if info.IsDir() {
			return nil, usageError("%s is a folder\nhint: name a file, or an image", arg)
		}
		s.artifact.Open = func() (io.ReadCloser, error) { return os.Open(arg) }
		s.artifact.Digest, err = fileDigest(arg)
		return s, err
	}
	ref, err := registry.Parse(arg)
	if err != nil || strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") {
		return nil, fmt.Errorf("there is no file %s, and it is no image's name either", arg)
	}
	s.image = &ref
	s.artifact = trust.Artifact{Repository: ref.Repository, Digest: ref.Digest}
	return s, nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// resolve finds the digest that an image's tag stands for.
func (s *subject) resolve(ctx context.Context, client *registry.Client) error {
	if s.image == nil || s.artifact.Digest != "" {
		return nil
	}
	digest, err := client.Resolve(ctx, *s.image)
	s.artifact.Digest = digest
	return err
}

// oneLine is a text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
