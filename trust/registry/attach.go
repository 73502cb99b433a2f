package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/baileyhq/bailey/trust"
)

const (
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	emptyType  = "application/vnd.oci.empty.v1+json"
)

// attachTries is how often the list of referrers is written where the registry has no
// API for it: two who write it at once may lose one another's.
const attachTries = 5

// Attach puts a bundle beside an image, as cosign does: a manifest whose subject is the
// image (cosign's specs/BUNDLE_SPEC.md). It gives the manifest's digest.
func (c *Client) Attach(ctx context.Context, repository, digest string, bundle []byte, predicateType string, at time.Time) (string, error) {
	if err := trust.CheckDigest(digest); err != nil {
		return "", err
	}
	r, err := c.repository(repository)
	if err != nil {
		return "", err
	}
	options, err := c.options(ctx)
	if err != nil {
		return "", err
	}
	what := repository + "@" + digest
	subject, err := head(r.Digest(digest), options)
	if err != nil {
		return "", problem(what, err)
	}
	manifest, err := c.manifest(*subject, bundle, predicateType, at)
	if err != nil {
		return "", err
	}
	for _, layer := range []v1.Layer{static.NewLayer(bundle, bundleType), static.NewLayer([]byte("{}"), emptyType)} {
		if err := remote.WriteLayer(r, layer, options...); err != nil {
			return "", problem("the bundle for "+what, err)
		}
	}
	sum, _, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return "", err
	}
	for range attachTries {
		if err := remote.Put(r.Digest(sum.String()), raw(manifest), options...); err != nil {
			return "", problem("the bundle for "+what, err)
		}
		listed, err := c.listed(ctx, r.Digest(digest), sum)
		if err != nil {
			return "", err
		}
		if listed {
			return sum.String(), nil
		}
	}
	return "", fmt.Errorf("%s: the registry took the bundle and does not list it: %w\nhint: sign again; somebody else may have been signing the same image", what, ErrUnavailable)
}

// listed reports whether a manifest is among the referrers. It asks anew, with nothing
// that an earlier answer left.
func (c *Client) listed(ctx context.Context, image name.Digest, manifest v1.Hash) (bool, error) {
	options, err := c.options(ctx)
	if err != nil {
		return false, err
	}
	index, err := remote.Referrers(image, options...)
	if err != nil {
		return false, problem("the referrers of "+image.String(), err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return false, problem("the referrers of "+image.String(), err)
	}
	return slices.ContainsFunc(list.Manifests, func(d v1.Descriptor) bool { return d.Digest == manifest }), nil
}

// manifest is the referrer's.
func (c *Client) manifest(subject v1.Descriptor, bundle []byte, predicateType string, at time.Time) ([]byte, error) {
	if len(bundle) == 0 || int64(len(bundle)) > c.Limits.orDefaults().Each {
		return nil, errors.New("the bundle is empty or too large to be read again")
	}
	describe := func(mediaType types.MediaType, content []byte) v1.Descriptor {
		sum, size, _ := v1.SHA256(bytes.NewReader(content)) // reading memory does not fail
		return v1.Descriptor{MediaType: mediaType, Digest: sum, Size: size}
	}
	annotations := map[string]string{
		"org.opencontainers.image.created": at.UTC().Format(time.RFC3339),
		"dev.sigstore.bundle.content":      "message-signature",
	}
	if predicateType != "" {
		annotations["dev.sigstore.bundle.content"] = "dsse-envelope"
		annotations["dev.sigstore.bundle.predicateType"] = predicateType
	}
	return json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        v1.Descriptor     `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Subject       v1.Descriptor     `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		2, types.OCIManifestSchema1, bundleType, describe(emptyType, []byte("{}")), []v1.Descriptor{describe(bundleType, bundle)},
		v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}, annotations,
	})
}

// raw is a manifest as it is.
type raw []byte

func (r raw) RawManifest() ([]byte, error)        { return r, nil }
func (r raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
