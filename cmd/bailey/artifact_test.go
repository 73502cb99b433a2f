package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/internal/registrytest"
)

// inProcess runs a command line and gives its exit code and what it printed.
func inProcess(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// wantExit runs a command line and wants an exit code, and texts in what it printed.
func wantExit(t *testing.T, code int, texts []string, args ...string) string {
	t.Helper()
	got, stdout, stderr := inProcess(args...)
	if got != code {
		t.Errorf("bailey %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			t.Errorf("bailey %s: no %q in:\n%s%s", strings.Join(args, " "), text, stdout, stderr)
		}
	}
	return stdout + stderr
}

// TestVerifyOracles holds the command to sigstore-conformance's cases, by content and by
// digest.
func TestVerifyOracles(t *testing.T) {
	const oracles = "../../../shared/oracles/signatures"
	if _, err := os.Stat(oracles); err != nil {
		t.Skip("no ../shared/oracles/signatures: the comparison with sigstore-conformance is skipped")
	}
	bundles, _ := filepath.Glob(filepath.Join(oracles, "*", "bundle.sigstore.json"))
	if len(bundles) < 34 {
		t.Fatalf("%d cases, want 34 or more", len(bundles))
	}
	for _, bundle := range bundles {
		dir := filepath.Dir(bundle)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			in := func(file, otherwise string) string {
				path := filepath.Join(dir, file)
				if _, err := os.Stat(path); err != nil {
					return otherwise
				}
				return path
			}
			text := func(file, otherwise string) string {
				data, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					return otherwise
				}
				return strings.TrimSpace(string(data))
			}
			artifact := in("artifact", filepath.Join(oracles, "a.txt"))
			args := []string{"verify", "--offline", "--bundle", bundle, "--trusted-root", in("trusted_root.json", "../../trust/testdata/public-good.json")}
			if key := in("key.pub", ""); key != "" {
				args = append(args, "--key", key)
			} else {
				args = append(args,
					"--certificate-identity", text("identity", "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"),
					"--certificate-oidc-issuer", text("issuer", "https://token.actions.githubusercontent.com"))
			}
			digest, err := fileDigest(artifact)
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range []string{artifact, digest} {
				code, stdout, stderr := inProcess(append(args, what)...)
				if fail := strings.HasSuffix(name, "_fail"); fail && code != exitFindings && code != exitUsage || !fail && code != exitOK {
					t.Errorf("%s: exit code %d\n%s%s", what, code, stdout, stderr)
				} else if fail && !strings.Contains(stdout+stderr, "reason: ") && code == exitFindings {
					t.Errorf("%s: no reason:\n%s%s", what, stdout, stderr)
				}
			}
		})
	}
}

// TestSignImages signs and attests images in a real registry with TLS and a password, and
// verifies them by flags and by a policy.
func TestSignImages(t *testing.T) {
	r := registrytest.Start(t)
	t.Setenv("DOCKER_CONFIG", r.Config)
	t.Setenv(passphraseVariable, "")
	dir := t.TempDir()
	t.Chdir(dir)
	ca := "--registry-ca=" + r.CAFile
	for _, prefix := range []string{"release", "stranger"} {
		wantExit(t, exitOK, []string{"not encrypted"}, "sign", "--generate-key", prefix)
	}
	r.Push(t, "shop/web", "1.0")
	image := r.Host + "/shop/web:1.0"
	wantExit(t, exitFindings, []string{"NOT VERIFIED", "bears nothing", "hint: "}, "verify", image, "--key", "release.pub", ca)
	wantExit(t, exitOK, []string{"referrer sha256:"}, "sign", image, "--key", "release.key", ca)
	wantExit(t, exitOK, []string{"verified: " + r.Host + "/shop/web@sha256:", "signature: by key sha256:"}, "verify", image, "--key", "release.pub", ca)
	wantExit(t, exitFindings, []string{"it is not signed by key"}, "verify", image, "--key", "stranger.pub", ca)

	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("provenance.json", `{"buildDefinition":{"buildType":"https://example.com/build/v1","externalParameters":{"workflow":{"repository":"https://git.example.com/shop/web","ref":"refs/heads/main"}}},"runDetails":{"builder":{"id":"https://ci.example.com/runner"}}}`)
	write("sbom.json", `{"bomFormat":"CycloneDX","specVersion":"1.6"}`)
	policy := func(source string) {
		write("trust.yaml", `version: 1
authorities: [{name: release, keys: [release.pub]}]
rules:
- name: shop
  images: ["`+r.Host+`/shop/**"]
  namespaces: [shop]
  signature: {by: [release]}
  sbom: {by: [release]}
  provenance: {by: [release], builders: ["https://ci.example.com/*"], sources: ["`+source+`"]}
`)
	}
	policy("https://git.example.com/shop/web")
	byPolicy := []string{"verify", image, "--policy", "trust.yaml", "--namespace", "shop", ca}
	wantExit(t, exitFindings, []string{"rule shop: an SBOM by release is wanted", "rule shop: provenance by release is wanted"}, byPolicy...)
	wantExit(t, exitOK, nil, "attest", image, "--key", "release.key", "--predicate", "sbom.json", "--type", "cyclonedx", ca)
	wantExit(t, exitOK, nil, "attest", image, "--key", "stranger.key", "--predicate", "provenance.json", "--type", "slsaprovenance1", ca)
	wantExit(t, exitFindings, []string{"rule shop: provenance", "it is not signed by key"}, byPolicy...)
	wantExit(t, exitOK, nil, "attest", image, "--key", "release.key", "--predicate", "provenance.json", "--type", "slsaprovenance1", ca)
	wantExit(t, exitOK, []string{"sbom https://cyclonedx.org/bom: by release, key", "provenance https://slsa.dev/provenance/v1: by release"}, byPolicy...)
	policy("https://git.example.com/shop/web@refs/heads/release")
	wantExit(t, exitFindings, []string{`its source is "https://git.example.com/shop/web@refs/heads/main", and the policy wants https://git.example.com/shop/web@refs/heads/release`}, byPolicy...)
	wantExit(t, exitFindings, []string{"no rule of the trust policy names"}, "verify", image, "--policy", "trust.yaml", "--namespace", "other", ca)

	// A moved tag is another image.
	signed := wantExit(t, exitOK, nil, "verify", image, "--key", "release.pub", ca, "-o", "json")
	var report struct{ Digest string }
	if err := json.Unmarshal([]byte(signed), &report); err != nil {
		t.Fatal(err)
	}
	r.Push(t, "shop/web", "1.0")
	wantExit(t, exitFindings, []string{"bears nothing"}, "verify", image, "--key", "release.pub", ca)
	wantExit(t, exitOK, nil, "verify", r.Host+"/shop/web@"+report.Digest, "--key", "release.pub", ca)

	// A registry that is broken or cut off leaves it open, and says so.
	r.Break(503)
	wantExit(t, exitFailed, []string{"the registry could not be asked", "hint: "}, byPolicy...)
	r.Break(0)
	r.Close()
	wantExit(t, exitFailed, []string{"the registry could not be asked", "hint: "}, byPolicy...)
	wantExit(t, exitFailed, []string{"the registry could not be asked"}, "sign", image, "--key", "release.key", "--bundle", "none.json", ca)
	if _, err := os.Stat("none.json"); err == nil {
		t.Error("a bundle was written for an image that was not there to be signed")
	}
}

// TestSecretsAreNotShown: no output holds a passphrase, a key or a token.
func TestSecretsAreNotShown(t *testing.T) {
	t.Chdir(t.TempDir())
	const phrase, token = "hunter2-hunter2", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0aGUtc2VjcmV0LXN1YmplY3QifQ.c2VjcmV0LXNpZ25hdHVyZQ"
	t.Setenv(passphraseVariable, phrase)
	wantExit(t, exitOK, []string{"encrypted with the passphrase"}, "sign", "--generate-key", "k")
	private, err := os.ReadFile("k.key")
	if err != nil || !strings.Contains(string(private), "ENCRYPTED SIGSTORE PRIVATE KEY") {
		t.Fatalf("%v\n%s", err, private)
	}
	if info, err := os.Stat("k.key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile("a.txt", []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	say := func(text string) { all.WriteString(text) }
	say(wantExit(t, exitOK, nil, "sign", "a.txt", "--key", "k.key", "--bundle", "a.json"))
	say(wantExit(t, exitFailed, []string{"is there already"}, "sign", "--generate-key", "k"))
	t.Setenv(passphraseVariable, "wrong-"+phrase)
	say(wantExit(t, exitFailed, []string{"the passphrase is wrong"}, "sign", "a.txt", "--key", "k.key", "--bundle", "b.json"))
	keyless := []string{"sign", "a.txt", "--fulcio-url", "http://127.0.0.1:1", "--rekor-url", "http://127.0.0.1:1", "--bundle", "b.json", "--identity-token"}
	say(wantExit(t, exitFailed, []string{"could not be signed"}, append(keyless, token)...))
	say(wantExit(t, exitUsage, []string{"neither a file nor a token"}, append(keyless, strings.ReplaceAll(token, ".", "-"))...))
	if _, err := os.Stat("b.json"); err == nil {
		t.Error("a bundle was written by a command that failed")
	}
	for _, secret := range append(strings.Split(token, "."), phrase, "the-secret-subject", strings.ReplaceAll(token, ".", "-")) {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q was shown:\n%s", secret, all.String())
		}
	}
}

// TestVerifySaysType: an attestation that verifies where no type was asked for is not told
// as a signature.
func TestVerifySaysType(t *testing.T) {
	t.Setenv(passphraseVariable, "")
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"app": "x", "sbom.json": `{"bomFormat":"CycloneDX","specVersion":"1.6"}`} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantExit(t, exitOK, nil, "sign", "--generate-key", "release")
	wantExit(t, exitOK, nil, "attest", "app", "--key", "release.key", "--predicate", "sbom.json", "--type", "cyclonedx", "--bundle", "app.json")
	const told = "No --type was asked for: what was verified is an attestation of type https://cyclonedx.org/bom"
	wantExit(t, exitOK, []string{told}, "verify", "app", "--key", "release.pub", "--bundle", "app.json")
	_, stdout, _ := inProcess("verify", "app", "--key", "release.pub", "--bundle", "app.json", "--type", "cyclonedx")
	if !strings.Contains(stdout, "verified: app") || strings.Contains(stdout, "No --type") {
		t.Errorf("with --type: %s", stdout)
	}
}
