//go:build unix

package manifests

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipeInFolder: a pipe that nobody writes to must not hold up the folder
// that it lies in.
func TestPipeInFolder(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		objects, skipped int
		err              error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := Collect(context.Background(), []string{dir}, Options{})
		if err != nil {
			done <- outcome{err: err}
			return
		}
		done <- outcome{s.Len(), len(s.Meta.Targets[0].Skipped), nil}
	}()
	select {
	case got := <-done:
		if got != (outcome{1, 1, nil}) {
			t.Errorf("%+v", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the scan waits for the pipe")
	}
}
