package release

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// program is a small program of this module, built once as Bailey's is.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-w", "-o", program, "github.com/baileyhq/bailey/internal/release/cmd/release")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func released(t *testing.T, path, out string, o ImageOptions) (*Program, v1.Image, string) {
	t.Helper()
	p, err := Read(path, "v1.2.3+x")
	if err != nil {
		t.Fatal(err)
	}
	image, err := Image(p, o)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := Write(out, "registry.example.com/bailey", Builder, p, image)
	if err != nil {
		t.Fatal(err)
	}
	return p, image, digest
}

// TestReproducible makes a release of two copies of a program, hours apart by their files: all
// that is written is the same, byte for byte.
func TestReproducible(t *testing.T) {
	first := program
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(second, data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(second, time.Now(), time.Now().Add(-5*time.Hour)); err != nil {
		t.Fatal(err)
	}
	a, b := t.TempDir(), t.TempDir()
	p, _, digest := released(t, first, a, ImageOptions{})
	_, _, again := released(t, second, b, ImageOptions{})
	if digest != again {
		t.Errorf("one program gives two images: %s and %s", digest, again)
	}
	_, _, _ = released(t, second, b, ImageOptions{}) // over an earlier one
	for _, file := range []string{LayoutDir + "/index.json", TarFile, DigestFile, SBOMFile, ProvenanceFile} {
		x, err := os.ReadFile(filepath.Join(a, file))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs between two runs", file)
		}
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, []byte("certificates"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, other := released(t, first, t.TempDir(), ImageOptions{CABundle: bundle}); other == digest {
		t.Error("an image with CA certificates has the digest of one without")
	}

	l, err := layout.FromPath(filepath.Join(a, LayoutDir))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	image, err := l.Image(hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.OS != "linux" || config.Architecture != p.Architecture || !slices.Equal(config.Config.Entrypoint, []string{"/bailey"}) {
		t.Errorf("config: %+v", config)
	}
	for label, want := range map[string]string{"org.opencontainers.image.version": "v1.2.3+x", "org.opencontainers.image.revision": p.Revision} {
		if got := config.Config.Labels[label]; got != want {
			t.Errorf("label %s: %q, want %q", label, got, want)
		}
	}
	if got := filesOf(t, image); !slices.Equal(got, []string{"bailey", "tmp/"}) {
		t.Errorf("the image holds %q", got)
	}
}

func filesOf(t *testing.T, image v1.Image) []string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Uid != 0 || h.Mode&0o222 != 0 && h.Name != "tmp/" {
				t.Errorf("%s: owner %d, mode %o: who runs there may not write it", h.Name, h.Uid, h.Mode)
			}
			names = append(names, h.Name)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestSBOM holds the bill of materials to what the toolchain says is in the program.
func TestSBOM(t *testing.T) {
	p, err := Read(program, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := SBOM(&b, p); err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&b, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, c := range *bom.Components {
		have[c.PackageURL] = true
	}
	if len(p.Build.Deps) == 0 {
		t.Fatal("the program has no modules: nothing is compared")
	}
	for _, m := range p.Build.Deps {
		if purl := "pkg:golang/" + m.Path + "@" + m.Version; m.Replace == nil && !have[purl] {
			t.Errorf("%s is linked in and not listed", purl)
		}
	}
	if want := "pkg:golang/std@" + strings.TrimPrefix(p.Build.GoVersion, "go"); !have[want] {
		t.Errorf("%s is not listed", want)
	}
}

func TestProvenance(t *testing.T) {
	p, err := Read(program, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Provenance(p, "https://ci.example.com")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		BuildDefinition struct {
			BuildType            string
			ResolvedDependencies []material
			InternalParameters   struct{ ProgramSHA256 string }
		}
		RunDetails struct{ Builder struct{ ID string } }
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	d := got.BuildDefinition
	if got.RunDetails.Builder.ID != "https://ci.example.com" || d.InternalParameters.ProgramSHA256 != p.Digest || len(d.ResolvedDependencies) != len(p.Build.Deps)+1 {
		t.Errorf("%s", data)
	}
	if p.Revision != "" && d.ResolvedDependencies[0].Digest["gitCommit"] != p.Revision {
		t.Errorf("the source is %+v, not commit %s", d.ResolvedDependencies[0], p.Revision)
	}
}

// TestNotStatic: a program that wants a C library would not start in the image.
func TestNotStatic(t *testing.T) {
	for _, path := range []string{"/bin/sh", "/usr/bin/env"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if err := static(data); err == nil || !strings.Contains(err.Error(), "C library") {
			t.Errorf("%s: %v", path, err)
		}
		return
	}
	t.Skip("there is no program here that is linked to a C library")
}
