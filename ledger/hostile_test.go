package ledger_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/baileyhq/bailey/ledger"
)

// soon fails the test unless do ends within a minute: it would run for hours or for ever.
func soon(t *testing.T, what string, do func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	select {
	case <-done:
		if ctx.Err() != nil {
			t.Fatalf("%s goes on and on", what)
		}
	case <-time.After(70 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// TestHugeState: a folder that claims 2^40 entries and holds a few is told to be damaged at once.
func TestHugeState(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 300)...)
	closeLog(t, l)
	const huge = 1 << 40
	state, err := json.Marshal(struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}{huge, make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	// The last bundle of a log of 2^40: 2^32-1 in groups of three digits.
	last := filepath.Join(dir, "log/tile/entries/x004/x294/x967/295")
	if err := os.MkdirAll(filepath.Dir(last), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{filepath.Join(dir, "log/.state/treeState"): state, last: []byte("x")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "verify", func(ctx context.Context) {
		r, err := ledger.Verify(ctx, os.DirFS(dir), ledger.VerifyOptions{Key: l.Config().Key})
		if err != nil || r.Intact() {
			t.Errorf("%v, problems %v", err, r.Problems)
		}
		if last := r.Problems[len(r.Problems)-1].Text; r.MoreFaults == 0 && !strings.Contains(last, "bundles are missing") {
			t.Errorf("the last problem is %q", last)
		}
	})
}

// TestPipes: a named pipe in the place of a file is no file, and nobody waits for its writer.
func TestPipes(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, append(numbered(0, 300), ledger.Record{ID: "large", Data: json.RawMessage(`"` + strings.Repeat("x", 70_000) + `"`)})...)
	closeLog(t, l)
	for name := range load(t, dir) {
		if name == "log/.state/gcState" {
			continue
		}
		piped := filepath.Join(t.TempDir(), "piped")
		if err := os.CopyFS(piped, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(piped, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		soon(t, "verify with a pipe at "+name, func(ctx context.Context) {
			r, err := ledger.Verify(ctx, os.DirFS(piped), ledger.VerifyOptions{Key: l.Config().Key})
			if err != nil || r.Intact() && len(r.Notes) == 0 {
				t.Errorf("%s: %v, problems %v", name, err, r.Problems)
			}
		})
		soon(t, "read with a pipe at "+name, func(ctx context.Context) {
			for _, err := range ledger.Read(ctx, os.DirFS(piped), ledger.ReadOptions{Identities: []age.Identity{id}}) {
				if err != nil {
					break
				}
			}
		})
		soon(t, "export with a pipe at "+name, func(ctx context.Context) {
			_ = ledger.Export(ctx, os.DirFS(piped), filepath.Join(t.TempDir(), "copy"), ledger.ExportOptions{})
		})
	}
}
