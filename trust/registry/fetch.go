package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/semaphore"

	"github.com/baileyhq/bailey/trust"
)

// bundlePrefix begins the media types of sigstore bundles, of every version.
const bundlePrefix = "application/vnd.dev.sigstore.bundle"

// referrersPerSignature bounds how many manifests are read in search of signatures.
const referrersPerSignature = 4

// Whoever judges many images at once holds what each of them bears in memory, read and
// parsed, which is some three times its size. Most images bear a few kilobytes; those of
// which more than smallBytes are read take turns, in the whole process.
const (
	smallBytes  = 1 << 20
	largeAtOnce = 2
)

var largeTurns = semaphore.NewWeighted(largeAtOnce)

// Fetch gives the signatures and attestations of an image: first the bundles among its
// referrers, then what lies under cosign's tags. It fails if the registry could not be
// asked about any of them, or has more than the limits: what is missing could be what
// decides. An image that bears none gives none.
func (c *Client) Fetch(ctx context.Context, repository, digest string) (bundles []*trust.Bundle, err error) {
	err = c.Judge(ctx, repository, digest, func(found []*trust.Bundle) { bundles = found })
	return bundles, err
}

// Judge is Fetch for those who judge many images: judge is handed what was found, and
// keeps none of it, so that what is in memory at once is bounded in the whole process.
// It is not called where Judge fails.
func (c *Client) Judge(ctx context.Context, repository, digest string, judge func([]*trust.Bundle)) error {
	f := &fetch{ctx: ctx, limits: c.Limits.orDefaults()}
	defer f.release()
	bundles, err := c.fetch(f, repository, digest)
	if err == nil {
		judge(bundles)
	}
	return err
}

func (c *Client) fetch(f *fetch, repository, digest string) ([]*trust.Bundle, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return nil, err
	}
	r, err := c.repository(repository)
	if err != nil {
		return nil, err
	}
	options, err := c.options(f.ctx)
	if err != nil {
		return nil, err
	}
	f.options, f.repository = options, r
	for _, step := range []func(string) error{
		f.referrers,
		func(digest string) error { return f.tag(digest, ".sig", trust.CosignSignatureType) },
		func(digest string) error { return f.tag(digest, ".att", trust.CosignAttestationType) },
	} {
		if err := step(digest); err != nil {
			return nil, err
		}
	}
	if len(f.bundles) == 0 {
		// Nothing was found: because nothing was signed, or because there is no such image?
		if _, err := head(r.Digest(digest), options); err != nil {
			return nil, problem(repository+"@"+digest, err)
		}
	}
	return f.bundles, nil
}

// fetch is one image's.
type fetch struct {
	ctx        context.Context
	large      bool // it has one of largeTurns
	options    []remote.Option
	repository name.Repository
	limits     Limits
	bundles    []*trust.Bundle
	bytes      int64
}

// hold waits for a turn before more than a little is read.
func (f *fetch) hold(size int64) error {
	if f.large || f.bytes+size <= smallBytes {
		return nil
	}
	if err := largeTurns.Acquire(f.ctx, 1); err != nil {
		return fmt.Errorf("%s: other images with large attestations are being read: %w", f.repository, err)
	}
	f.large = true
	return nil
}

func (f *fetch) release() {
	if f.large {
		largeTurns.Release(1)
	}
}

func (f *fetch) add(b *trust.Bundle) error {
	if len(f.bundles) == f.limits.Signatures {
		return fmt.Errorf("%s bears more than %d signatures and attestations\nhint: remove those that nobody needs; that many are read", f.repository, f.limits.Signatures)
	}
	f.bundles = append(f.bundles, b)
	return nil
}

func (f *fetch) referrers(digest string) error {
	index, err := remote.Referrers(f.repository.Digest(digest), f.options...)
	if err != nil {
		return problem("the referrers of "+f.repository.Digest(digest).String(), err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return problem("the referrers of "+f.repository.Digest(digest).String(), err)
	}
	read := 0
	for _, desc := range manifest.Manifests {
		// Some registries list the type of the configuration, or none.
		if t := desc.ArtifactType; t != "" && t != emptyType && !strings.HasPrefix(t, bundlePrefix) {
			continue
		}
		if read++; read > referrersPerSignature*f.limits.Signatures {
			return fmt.Errorf("%s has more than %d referrers that could be signatures\nhint: remove those that nobody needs", f.repository, read-1)
		}
		if err := f.referrer(desc); err != nil {
			return err
		}
	}
	return nil
}

// referrer reads the bundle of one referrer's manifest. That its subject is the image
// is not looked at: the bundle says what it is about, signed.
func (f *fetch) referrer(desc v1.Descriptor) error {
	source := "referrer " + desc.Digest.String()
	manifest, err := f.manifest(source, f.repository.Digest(desc.Digest.String()))
	if manifest == nil || err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		if !strings.HasPrefix(string(layer.MediaType), bundlePrefix) {
			continue
		}
		data, err := f.blob(source, layer)
		if err != nil {
			return err
		}
		if err := f.add(trust.ParseBundle(source, data)); err != nil {
			return err
		}
	}
	return nil
}

// manifest reads an image manifest; none if it is not there. One that cannot be read is
// among the signatures, as one that does not count.
func (f *fetch) manifest(source string, ref name.Reference) (*v1.Manifest, error) {
	got, err := remote.Get(ref, f.options...)
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, problem(source, err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
	if err == nil && !got.MediaType.IsImage() {
		err = fmt.Errorf("it is of type %q", got.MediaType)
	}
	if err != nil {
		return nil, f.add(trust.Unreadable(source, fmt.Errorf("its manifest cannot be read: %w", err)))
	}
	return manifest, nil
}

// tag reads what cosign's older layout keeps under sha256-DIGEST.SUFFIX.
func (f *fetch) tag(digest, suffix, mediaType string) error {
	tag := f.repository.Tag(strings.Replace(digest, ":", "-", 1) + suffix)
	source := "tag " + tag.TagStr()
	manifest, err := f.manifest(source, tag)
	if manifest == nil || err != nil {
		return err
	}
	for i, layer := range manifest.Layers {
		if string(layer.MediaType) != mediaType {
			continue
		}
		from := fmt.Sprintf("%s, layer %d", source, i+1)
		data, err := f.blob(from, layer)
		if err != nil {
			return err
		}
		if err := f.add(trust.FromCosign(from, mediaType, data, layer.Annotations)); err != nil {
			return err
		}
	}
	return nil
}

// blob reads a layer within the limits; its digest is verified.
func (f *fetch) blob(source string, desc v1.Descriptor) ([]byte, error) {
	if desc.Size > f.limits.Each || f.bytes+desc.Size > f.limits.Total {
		return nil, fmt.Errorf("%s: it has %d bytes, and at most %d each and %d together are read\nhint: remove attestations that nobody needs", source, desc.Size, f.limits.Each, f.limits.Total)
	}
	if err := f.hold(desc.Size); err != nil {
		return nil, err
	}
	layer, err := remote.Layer(f.repository.Digest(desc.Digest.String()), f.options...)
	if err != nil {
		return nil, problem(source, err)
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, problem(source, err)
	}
	defer content.Close()
	data, err := io.ReadAll(io.LimitReader(content, desc.Size+1))
	if err != nil {
		return nil, problem(source, err)
	}
	if int64(len(data)) != desc.Size {
		return nil, fmt.Errorf("%s: %w: it is longer or shorter than its manifest says", source, ErrUnavailable)
	}
	f.bytes += desc.Size
	return data, nil
}
