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

	"github.com/baileyhq/bailey/collect/audit"
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

// TestDetectHidden wants requests told of that are too large or too deep to be read, as far as that can be
// told without what was sent, and named of which detections that is not.
func TestDetectHidden(t *testing.T) {
	var log strings.Builder
	event := func(id, resource, rest string) {
		fmt.Fprintf(&log, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":%q,"stage":"ResponseComplete","requestURI":"/api/v1/x","verb":"create","user":{"username":"jane"},`+
			`"objectRef":{"resource":%s,"namespace":"shop","name":"web"},"responseStatus":{"code":201},%s"requestReceivedTimestamp":"2026-03-01T12:00:00Z"}`+"\n", id, resource, rest)
	}
	const exec, pods, privileged = `"pods","subresource":"exec"`, `"pods"`, `"requestObject":{"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"name":"c","securityContext":{"privileged":true}}]}},`
	long, deep := strings.Repeat("x", audit.MaxLine), strings.Repeat("[", 200)+strings.Repeat("]", 200)
	event("long-exec", exec, `"requestObject":{"x":"`+long+`"},`)
	event("deep-exec", exec, `"requestObject":`+deep+`,`)
	event("long-answer", pods, privileged+`"responseObject":{"x":"`+long+`"},`)
	event("deep-answer", pods, privileged+`"responseObject":`+deep+`,`)
	event("long-pod", pods, `"requestObject":{"x":"`+long+`"},`)
	event("deep-pod", pods, `"requestObject":`+deep+`,`)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"detect", "-"}, strings.NewReader(log.String()), &stdout, &stderr); code != exitFindings {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	for _, want := range []string{"exec (T1609)", "audit ID long-exec", "audit ID deep-exec", "audit ID long-answer", "audit ID deep-answer", " in 6 events.",
		"what was sent is larger or deeper than is read, which is a way to hide:", "privileged-container (2 events)"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, stdout.String())
		}
	}
	if said := stdout.String(); strings.Contains(said, "audit ID deep-pod") || strings.Contains(said, "could not be read") || strings.Contains(said, "records too little") {
		t.Errorf("standard output\n%s", said)
	}
}
