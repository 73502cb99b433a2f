//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestUsage(t *testing.T) {
	var stderr bytes.Buffer
	if code := run([]string{"--"}, nil, &stderr, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "usage: ") {
		t.Errorf("code %d, %q", code, &stderr)
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("BAILEY_CONTROLPLANE", filepath.Join(t.TempDir(), "none"))
	var stderr bytes.Buffer
	if code := run([]string{"true"}, nil, &stderr, &stderr); code != exitFailure || !strings.Contains(stderr.String(), "hint: ") {
		t.Errorf("code %d, %q", code, &stderr)
	}
}

// TestRun sends the command a signal while it runs; the command sees it, chooses its
// exit code, and leaves no cluster.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	signals := make(chan os.Signal, 1)
	stdout := &onFirstWrite{do: func() { signals <- syscall.SIGTERM }}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr")) // the command writes to it, too
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	code := run([]string{"--", "sh", "-c", `
		trap 'exit 7' TERM
		"$BAILEY_CONTROLPLANE" kubectl --kubeconfig "$BAILEY_TEST_KUBECONFIG" get namespace default -o name
		test -d "$BAILEY_TEST_STATE" || exit 1
		for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; done`}, signals, stdout, stderr)
	if code != 7 || stdout.all.String() != "namespace/default\n" {
		log, _ := os.ReadFile(stderr.Name())
		t.Errorf("code %d, output %q\n%s", code, stdout.all.String(), log)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// onFirstWrite is no bytes.Buffer itself: that has ReadFrom, which passes Write by.
type onFirstWrite struct {
	all bytes.Buffer
	do  func()
}

func (w *onFirstWrite) Write(b []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	return w.all.Write(b)
}
