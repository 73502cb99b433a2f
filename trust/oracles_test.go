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
			optional := func(file, otherwise string) string {
				data, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					return otherwise
				}
				return string(data)
			}
			artifact := []byte(optional("artifact", string(mustRead(t, filepath.Join(oracles, "a.txt")))))
			s := trust.Signer{
				TrustedRoot: optional("trusted_root.json", string(mustRead(t, "testdata/public-good.json"))),
				Subject:     strings.TrimSpace(optional("identity", "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main")),
				Issuer:      strings.TrimSpace(optional("issuer", "https://token.actions.githubusercontent.com")),
			}
			if key := optional("key.pub", ""); key != "" {
				s.Key, s.Subject, s.Issuer = key, "", ""
			}
			for how, a := range map[string]trust.Artifact{"content": file(artifact), "digest": {Digest: digest(artifact)}} {
				var d trust.Decision
				p, err := trust.Single(s, "")
				if err == nil {
					d = p.For("", "").Verify(a, []*trust.Bundle{trust.ParseBundle("bundle", mustRead(t, path))}, time.Now())
				}
				if want := !strings.HasSuffix(name, "_fail"); d.Verified != want {
					t.Errorf("by %s: verified %v, want %v: %s", how, d.Verified, want, d.Reason())
				}
				t.Logf("by %s: %v %s", how, err, d.Reason())
				for _, r := range d.Refusals {
					t.Log(r.Reason)
				}
			}
		})
	}
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
