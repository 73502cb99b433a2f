// Package release makes what a release consists of from Bailey's program: an image, a bill of
// materials and its provenance. The same program always gives the same bytes.
package release

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is who the image's processes are: not root, by number, so that Kubernetes can tell.
const User = "65532:65532"

// caBundle is where Go's programs look for the CAs that they trust.
const caBundle = "etc/ssl/certs/ca-certificates.crt"

// ImageOptions say what goes into an image beside the program.
type ImageOptions struct {
	// CABundle is a file of CA certificates in PEM. Empty leaves it out, as is usual: the
	// API server's CA comes with the pod's token, and those of registries and databases are given by flags.
	CABundle string
}

// Image makes an image of the program and nothing else: no shell, no libc, no package manager.
func Image(p *Program, o ImageOptions) (v1.Image, error) {
	layer, err := layerOf(p, o)
	if err != nil {
		return nil, err
	}
	// What does not change without a new version of the CAs or the program is one layer: there
	// is nothing to share with other images.
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: l, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: p.Time}, CreatedBy: "bailey internal/release"}})
	if err != nil {
		return nil, err
	}
	labels := map[string]string{
		"org.opencontainers.image.title":       "bailey",
		"org.opencontainers.image.description": "Checks, enforces and proves cloud native security on Kubernetes",
		"org.opencontainers.image.source":      "https://" + modulePath,
		"org.opencontainers.image.version":     p.Version,
		"org.opencontainers.image.created":     p.Time.Format(time.RFC3339),
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
	if p.Revision != "" {
		labels["org.opencontainers.image.revision"] = p.Revision
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.OS, p.Architecture, v1.Time{Time: p.Time}
	config.Config = v1.Config{User: User, Entrypoint: []string{"/bailey"}, WorkingDir: "/", Env: []string{"PATH=/"}, Labels: labels}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(image, labels).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("the image cannot be annotated")
	}
	return annotated, nil
}

// layerOf writes the files as a tar.
func layerOf(p *Program, o ImageOptions) ([]byte, error) {
	program, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, err
	}
	if err := static(program); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content []byte) {
		h.Size, h.ModTime, h.Format = int64(len(content)), p.Time, tar.FormatPAX
		if err == nil {
			err = w.WriteHeader(&h)
		}
		if err == nil {
			_, err = w.Write(content)
		}
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bailey", Mode: 0o555}, program)
	if o.CABundle != "" {
		bundle, err := os.ReadFile(o.CABundle)
		if err != nil {
			return nil, err
		}
		for _, dir := range []string{"etc/", "etc/ssl/", path.Dir(caBundle) + "/"} {
			add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
		}
		add(tar.Header{Typeflag: tar.TypeReg, Name: caBundle, Mode: 0o444}, bundle)
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	if err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// static wants a program that needs no other file: there is none in the image.
func static(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("is no Linux program: %w\nhint: GOOS=linux CGO_ENABLED=0 go build", err)
	}
	for _, s := range f.Progs {
		if s.Type == elf.PT_INTERP {
			return fmt.Errorf("is linked to a C library, and the image has none\nhint: CGO_ENABLED=0 go build")
		}
	}
	return nil
}
