package trust_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/trust"
)

// oracles are sigstore-conformance's cases for bundles.
const oracles = "../../shared/oracles/signatures"

func TestOracles(t *testing.T) {
	if _, err := os.Stat(oracles); err != nil {
		t.Skip("no ../shared/oracles/signatures: the comparison with sigstore-conformance is skipped")
	}
	folders, _ := filepath.Glob(filepath.Join(oracles, "*", "bundle.sigstore.json"))
	if len(folders) < 34 {
		t.Fatalf("%d cases, want 34 or more", len(folders))
	}
	for _, path := range folders {
		dir := filepath.Dir(path)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			c := oracle(t, dir)
			for how, a := range map[string]trust.Artifact{"content": file(c.artifact), "digest": {Digest: digest(c.artifact)}} {
				var d trust.Decision
				p, err := trust.Single(c.signer, "")
				if err == nil {
					d = p.For("", "").Verify(a, []*trust.Bundle{trust.ParseBundle("bundle", c.bundle)}, time.Now())
				}
				if want := !strings.HasSuffix(name, "_fail"); d.Verified != want {
					t.Errorf("by %s: verified %v, want %v: %v%s", how, d.Verified, want, err, d.Reason())
				}
			}
		})
	}
}

// oracleCase is one of sigstore-conformance's cases.
type oracleCase struct {
	bundle, artifact []byte
	signer           trust.Signer
}

// oracle reads a case: what its folder does not hold is the same for all (README.md there).
func oracle(t testing.TB, dir string) oracleCase {
	t.Helper()
	optional := func(file, otherwise string) string {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return otherwise
		}
		return string(data)
	}
	c := oracleCase{
		bundle:   mustRead(t, filepath.Join(dir, "bundle.sigstore.json")),
		artifact: []byte(optional("artifact", string(mustRead(t, filepath.Join(oracles, "a.txt"))))),
		signer: trust.Signer{
			TrustedRoot: optional("trusted_root.json", string(mustRead(t, "testdata/public-good.json"))),
			Subject:     strings.TrimSpace(optional("identity", "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main")),
			Issuer:      strings.TrimSpace(optional("issuer", "https://token.actions.githubusercontent.com")),
		},
	}
	if key := optional("key.pub", ""); key != "" {
		c.signer.Key, c.signer.Subject, c.signer.Issuer = key, "", ""
	}
	return c
}

func file(content []byte) trust.Artifact {
	return trust.Artifact{Digest: digest(content), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
