//go:build linux

package devcluster

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPKI(t *testing.T) {
	dir := t.TempDir()
	if err := makePKI(dir, "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	ca, err := readPair(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	sa, err := os.ReadFile(filepath.Join(dir, "sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); !d.IsDir() && info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := func(name string) *x509.CertPool {
		p, err := (&Cluster{PKI: dir}).pool(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, test := range []struct {
		file, ca, host string
		use            x509.ExtKeyUsage
	}{
		{"apiserver", "ca", "127.0.0.1", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "192.0.2.7", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "kubernetes.default.svc", x509.ExtKeyUsageServerAuth},
		{"controller-manager", "ca", "127.0.0.1", x509.ExtKeyUsageServerAuth},
		{"admin", "ca", "", x509.ExtKeyUsageClientAuth},
		{"front-proxy", "front-proxy-ca", "", x509.ExtKeyUsageClientAuth},
		{"etcd", "etcd-ca", "localhost", x509.ExtKeyUsageServerAuth},
		{"etcd-client", "etcd-ca", "", x509.ExtKeyUsageClientAuth},
	} {
		pair, err := readPair(dir, test.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ca", "etcd-ca", "front-proxy-ca"} {
			_, err := pair.cert.Verify(x509.VerifyOptions{Roots: pool(name), DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.use}})
			if (err == nil) != (name == test.ca) {
				t.Errorf("%+v by %s: %v", test, name, err)
			}
		}
	}

	// What lasts is kept, the rest is new.
	before, err := readPair(dir, "admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := makePKI(dir, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	after, err := readPair(dir, "admin")
	if err != nil || after.cert.Equal(before.cert) {
		t.Errorf("the same certificate again, %v", err)
	}
	if again, err := readPair(dir, "ca"); err != nil || !again.cert.Equal(ca.cert) {
		t.Errorf("another CA, %v", err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "sa.key")); string(again) != string(sa) {
		t.Error("another service account key")
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	o := Options{AuditPolicy: "mine", PodSecurity: PodSecurity{Enforce: "restricted", ExemptUsers: []string{"u"}}}
	if err := writeConfig(dir, o); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "encryption.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeConfig(dir, o); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "encryption.yaml")); string(again) != string(key) {
		t.Error("another encryption key")
	}
	admission, err := os.ReadFile(filepath.Join(dir, "admission.yaml"))
	if err != nil || !json.Valid(admission) {
		t.Fatalf("%s, %v", admission, err)
	}
	for _, want := range []string{`"enforce": "restricted"`, `"warn": "privileged"`, `"namespaces": []`} {
		if !strings.Contains(string(admission), want) {
			t.Errorf("no %s in %s", want, admission)
		}
	}
	if audit, _ := os.ReadFile(filepath.Join(dir, "audit-policy.yaml")); string(audit) != "mine" {
		t.Errorf("audit policy %q", audit)
	}
}

// A recycled process id has another start time: its process is not ours.
func TestRecycledPID(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	p, err := startProcess("sleep", cmd, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.signal(os.Kill); <-p.done }()
	found := &process{identity: p.identity}
	if !found.alive() {
		t.Fatal("not found alive")
	}
	recycled := &process{identity: p.identity}
	recycled.Start += "1"
	if recycled.alive() {
		t.Error("taken for a process that started at another time")
	}
	if err := recycled.signal(os.Kill); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	if err := end(t.Context(), []*process{recycled}); err != nil || !p.alive() {
		t.Errorf("end: %v", err)
	}
	// A journal from before the last boot names nobody.
	j := journal{ID: "x", Machine: "another boot/pid:[1]", Processes: []identity{p.identity}}
	if len(j.live()) != 0 || j.judgeable() != nil {
		t.Error("a process of another boot")
	}
	// One from another PID namespace cannot be judged.
	j.Machine, _, _ = strings.Cut(machine(), "/")
	j.Machine += "/pid:[1]"
	if j.judgeable() == nil {
		t.Error("a process of another namespace")
	}
}

// A component that bears the ID is found without a journal entry, and one that ignores
// SIGTERM ends when the context does.
func TestLeftover(t *testing.T) {
	j := journal{ID: "leftover-" + t.Name(), Machine: machine()}
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	cmd.Env = append(os.Environ(), idVariable+"="+j.ID)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	p, err := startProcess("stubborn", cmd, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.signal(os.Kill); <-p.done }()
	within(t, 5*time.Second, "trap", func() bool { b, _ := os.ReadFile(out.Name()); return len(b) > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := end(ctx, j.live()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %s", took)
	}
	// end has seen it go; our own handle learns of it when it is reaped.
	within(t, 5*time.Second, "end", func() bool { return !p.alive() })
}

func TestFind(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv(BinaryVariable, "")
	source := filepath.Join(root, "devcluster", "controlplane")
	deep := filepath.Join(root, "a", "b")
	for _, dir := range []string{source, deep, filepath.Join(cache, "bailey")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put := func(path, content string, mode os.FileMode) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, _, err := find(BinaryOptions{Dir: deep}); err == nil || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("nothing there: %v", err)
	}
	mod := "module " + sourceModule + "\n\nrequire (\n\tk8s.io/kubernetes v1.99.3\n)\n"
	put(filepath.Join(source, "go.mod"), mod, 0o600)
	put(filepath.Join(source, "go.sum"), "", 0o600)
	put(filepath.Join(source, "main.go"), "package main", 0o600)
	path, args, err := target(source)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(args, " "); !strings.Contains(all, "version.gitVersion=v1.99.3 ") || !strings.Contains(all, "gitMinor=99") {
		t.Errorf("arguments %q", args)
	}
	if !builtName.MatchString(filepath.Base(path)) {
		t.Errorf("path %s", path)
	}
	_, from, err := find(BinaryOptions{Dir: deep})
	if err == nil || from != source {
		t.Errorf("not built yet: %q, %v", from, err)
	}
	put(path, "", 0o700)
	if got, _, err := find(BinaryOptions{Dir: deep}); got != path {
		t.Errorf("built: %q, %v", got, err)
	}
	if got, _, err := find(BinaryOptions{Dir: t.TempDir()}); got != path {
		t.Errorf("outside of a checkout: %q, %v", got, err)
	}
	put(filepath.Join(source, "main.go"), "package main // changed", 0o600)
	if other, _, _ := target(source); other == path {
		t.Error("the same name for other sources")
	}
	if got, _, err := find(BinaryOptions{Dir: deep}); err == nil {
		t.Errorf("built from other sources: %q", got)
	}
	named := put(filepath.Join(root, "named"), "", 0o700)
	t.Setenv(BinaryVariable, named)
	if got, _, err := find(BinaryOptions{Dir: deep}); got != named {
		t.Errorf("by variable: %q, %v", got, err)
	}
	if got, _, err := find(BinaryOptions{Dir: deep, Path: path}); got != path {
		t.Errorf("by path: %q, %v", got, err)
	}
	t.Setenv(BinaryVariable, filepath.Join(root, "none"))
	if _, from, err := find(BinaryOptions{Dir: deep}); err == nil || from != "" || !strings.Contains(err.Error(), BinaryVariable) {
		t.Errorf("by a wrong variable: %q, %v", from, err)
	}
}

// TestBuild builds something small in the place of the control plane.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	source, cache := t.TempDir(), t.TempDir()
	modCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(modCache)))
	t.Setenv("XDG_CACHE_HOME", cache)
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(source, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("go.mod", "module "+sourceModule+"\n\ngo 1.26.0\n\n//\n// k8s.io/kubernetes v1.99.3\n")
	put("go.sum", "")
	put("main.go", "package main\n\nfunc main() { undefined() }\n")
	// The version is only read where it stands in a require block.
	if _, err := Build(t.Context(), source, nil); err == nil || !strings.Contains(err.Error(), "requires no k8s.io/kubernetes") {
		t.Errorf("without a version: %v", err)
	}
	put("go.mod", "module "+sourceModule+"\n\ngo 1.26.0\n\nreplace (\n\tk8s.io/kubernetes v1.99.3 => ./none\n)\n")
	if _, err := Build(t.Context(), source, nil); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("a program with an error: %v", err)
	}
	put("main.go", "package main\n\nfunc main() {}\n")
	var first, second strings.Builder
	results := make(chan error, 2)
	paths := make(chan string, 2)
	for _, log := range []*strings.Builder{&first, &second} {
		go func() {
			path, err := Build(t.Context(), source, log)
			paths <- path
			results <- err
		}()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	a, b := <-paths, <-paths
	if a != b || executable(a) != nil {
		t.Errorf("%s, %s", a, b)
	}
	if n := strings.Count(first.String()+second.String(), "built "); n != 1 {
		t.Errorf("built %d times:\n%s%s", n, &first, &second)
	}
	left, err := os.ReadDir(filepath.Dir(a))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put("main.go", "package main\n\nfunc main() { println() }\n")
	if _, err := Build(ctx, source, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
