package release

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The files that Write writes.
const (
	LayoutDir      = "image"           // an OCI image layout
	TarFile        = "image.tar"       // what docker load and ctr images import read
	DigestFile     = "image.digest"    // NAME@sha256:...
	SBOMFile       = "sbom.cdx.json"   // CycloneDX
	ProvenanceFile = "provenance.json" // a SLSA v1 predicate
)

// Write writes the image, its bill of materials and its provenance into a folder.
func Write(dir, repository, builder string, p *Program, image v1.Image) (digest string, err error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return "", fmt.Errorf("the image's name: %w\nhint: a name like registry.example.com/bailey", err)
	}
	hash, err := image.Digest()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	place := filepath.Join(dir, LayoutDir)
	if _, err := os.Stat(filepath.Join(place, "oci-layout")); err == nil {
		err = os.RemoveAll(place) // an earlier one of ours
		if err != nil {
			return "", err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	l, err := layout.Write(place, empty.Index)
	if err != nil {
		return "", err
	}
	if err := l.AppendImage(image, layout.WithPlatform(v1.Platform{OS: p.OS, Architecture: p.Architecture}),
		layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": p.Version})); err != nil {
		return "", err
	}
	tag := repo.Tag(tagOf(p.Version))
	if err := tarball.WriteToFile(filepath.Join(dir, TarFile), tag, image); err != nil {
		return "", err
	}
	var sbom bytes.Buffer
	if err := SBOM(&sbom, p); err != nil {
		return "", err
	}
	provenance, err := Provenance(p, builder)
	if err != nil {
		return "", err
	}
	for file, content := range map[string][]byte{
		SBOMFile: sbom.Bytes(), ProvenanceFile: append(provenance, '\n'), DigestFile: []byte(repo.Digest(hash.String()).String() + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
			return "", err
		}
	}
	return hash.String(), nil
}

// tagOf makes a tag of a version: a tag has no plus sign.
func tagOf(version string) string {
	tag := []byte(version)
	for i, c := range tag {
		if c == '+' {
			tag[i] = '-'
		}
	}
	return string(tag)
}
