// Package providertest starts a real OpenID Provider on loopback for tests. It is a program of
// its own, in a module of its own, so that what it is made of stays out of ours.
package providertest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Its only client, and one of its people: whose subject is Subject.
const (
	Client, Secret   = "bailey", "secret"
	Person, Password = "test-user2", "verysecure"
	Subject          = "id2"
)

// Provider is a provider that runs until the test ends.
type Provider struct {
	Issuer string
	// SecretFile holds the client's secret.
	SecretFile string
}

// Start builds and starts a provider that sends people back to one of the URIs.
func Start(t testing.TB, redirects ...string) *Provider {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(t.TempDir(), "provider")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	build.Dir = filepath.Join(filepath.Dir(file), "testdata", "provider")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the provider could not be built: %v\n%s", err, out)
	}
	cmd := exec.Command(program, redirects...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	issuer, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Issuer: strings.TrimSpace(issuer), SecretFile: filepath.Join(t.TempDir(), "client-secret")}
	if err := os.WriteFile(p.SecretFile, []byte(Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
