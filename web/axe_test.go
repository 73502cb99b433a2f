package web_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/baileyhq/bailey/internal/browsertest"
)

// axe-core, by Deque (MPL-2.0), is fetched for the tests and is no part of the program. npm
// keeps it, so that it is fetched once.
const (
	axePackage   = "axe-core@4.14.1"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==" // SHA-512
	axeMost      = 16 << 20
)

// readAxe gives axe's script.
func readAxe(t testing.TB) string {
	t.Helper()
	npm := browsertest.Need(t, "npm") // of Node.js
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, npm, "pack", axePackage, "--prefer-offline", "--silent", "--pack-destination", dir)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		if os.Getenv(browsertest.CIVariable) != "" {
			t.Fatalf("npm pack %s: %v\n%s", axePackage, err, out)
		}
		t.Skipf("npm pack %s: %v\n%s", axePackage, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("npm pack left %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(data)
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != axeIntegrity {
		t.Fatalf("%s has the digest %s, not %s", axePackage, got, axeIntegrity)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zipped)
	for {
		head, err := archive.Next()
		if err != nil {
			t.Fatalf("%s has no axe.min.js: %v", axePackage, err)
		}
		if head.Name == "package/axe.min.js" {
			script, err := io.ReadAll(io.LimitReader(archive, axeMost))
			if err != nil {
				t.Fatal(err)
			}
			return string(script)
		}
	}
}
