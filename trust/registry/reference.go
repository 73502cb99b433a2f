// Package registry finds an image's signatures and attestations in its registry, and
// puts new ones beside it: as referrers (OCI 1.1, by the API or the fallback tag) and,
// for reading, in cosign's older layout. What a registry answers is bounded in number
// and size.
package registry

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/trust"
)

// Reference is an image's reference, taken apart.
type Reference struct {
	// Repository is in the form that trust policies use, with the registry's host:
	// docker.io/library/nginx, registry.example.com:5000/shop/web.
	Repository string
	// Tag is "latest" where the reference has neither tag nor digest.
	Tag string
	// Digest is empty where the reference has none.
	Digest string
}

func (r Reference) String() string {
	switch {
	case r.Digest == "":
		return r.Repository + ":" + r.Tag
	case r.Tag == "":
		return r.Repository + "@" + r.Digest
	}
	return r.Repository + ":" + r.Tag + "@" + r.Digest
}

// Parse reads an image's reference as a container runtime does.
func Parse(image string) (Reference, error) {
	rest, digest, pinned := strings.Cut(image, "@")
	if pinned {
		if err := trust.CheckDigest(digest); err != nil {
			return Reference{}, fmt.Errorf("%q is no image: %w", image, err)
		}
	}
	tag, err := name.NewTag(rest)
	if err != nil {
		return Reference{}, fmt.Errorf("%q is no image: %w", image, err)
	}
	r := Reference{Repository: normal(tag.Repository), Tag: tag.TagStr(), Digest: digest}
	if pinned && !strings.HasSuffix(rest, ":"+r.Tag) {
		r.Tag = ""
	}
	return r, nil
}

// normal spells a repository as trust policies name it.
func normal(r name.Repository) string {
	return imageref.Ref{Registry: r.RegistryStr(), Repository: r.RepositoryStr()}.Canonical().Name()
}
