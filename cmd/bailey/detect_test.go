package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer is output that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestDetectFollow wants alerts as they come, across a rotation, and the usual
// exit code when it is interrupted.
func TestDetectFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	add := func(n int) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintf(f, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"audit-%d","stage":"ResponseComplete","requestURI":"/api/v1/secrets","verb":"list","user":{"username":"jane"},"objectRef":{"resource":"secrets"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-03-01T12:00:00Z"}`+"\n", n)
	}
	add(0)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"detect", "--follow", "-o", "json", path}, strings.NewReader(""), &stdout, &stderr)
	}()
	wants := func(n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(stdout.String(), fmt.Sprintf("audit-%d", n)); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no alert for audit-%d in\n%s%s", n, stdout.String(), stderr.String())
			}
		}
	}
	wants(0)
	if err := os.Rename(path, strings.TrimSuffix(path, ".log")+"-2026-03-01T12-00-00.000.log"); err != nil {
		t.Fatal(err)
	}
	add(1)
	wants(1)
	interrupt()
	if code := <-done; code != exitFindings {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	if !strings.Contains(stderr.String(), "2 alerts in 2 events.") {
		t.Errorf("standard error\n%s", stderr.String())
	}
}
