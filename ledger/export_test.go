package ledger_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/ledger"
)

// failing is a ledger whose entries cannot be read.
type failing struct{ fs.FS }

func (f failing) Open(name string) (fs.File, error) {
	if strings.Contains(name, "entries") {
		return nil, fs.ErrPermission
	}
	return f.FS.Open(name)
}

// TestExportThatFails: an export that could not be written whole is an error, and
// nothing of it stays.
func TestExportThatFails(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 10)...)
	closeLog(t, l)
	parent := t.TempDir()
	if err := ledger.Export(t.Context(), failing{os.DirFS(dir)}, filepath.Join(parent, "copy"), ledger.ExportOptions{}); err == nil {
		t.Error("an export without its entries is no error")
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}

// TestExportFollowsNoLink: what an export reads goes to somebody else, so a link in the
// ledger's folder must not take the writer's keys or a file of the machine along.
func TestExportFollowsNoLink(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, append(numbered(0, 300), ledger.Record{ID: "large", Data: []byte(`"` + strings.Repeat("x", 70_000) + `"`)})...)
	closeLog(t, l)
	for name := range load(t, dir) {
		if name == "signed-checkpoint" || strings.HasPrefix(name, "log/.state") && !strings.HasSuffix(name, "treeState") || name == "log/tile/entries/000.p/1" {
			continue
		}
		for _, target := range []string{filepath.Join(dir, "private/log.key"), "/dev/zero"} {
			linked := filepath.Join(t.TempDir(), "linked")
			if err := os.CopyFS(linked, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(linked, name)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "copy")
			soon(t, "export with a link at "+name, func(ctx context.Context) {
				err := ledger.Export(ctx, os.DirFS(linked), out, ledger.ExportOptions{})
				if err == nil && verify(t, os.DirFS(out), ledger.VerifyOptions{}).Intact() {
					return // the file was not needed
				}
				if err == nil || !strings.Contains(err.Error(), "symbolic link") {
					t.Errorf("a link at %s to %s: %v", name, target, err)
				}
			})
		}
	}
	// A link to a folder is one too.
	if err := os.Rename(filepath.Join(dir, "keys"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Export(t.Context(), os.DirFS(dir), filepath.Join(t.TempDir(), "copy"), ledger.ExportOptions{}); err == nil || !strings.Contains(err.Error(), "keys is a symbolic link") {
		t.Error(err)
	}
}

// TestExportBounded: a file that is longer than what may be there is not read whole.
func TestExportBounded(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	keys, err := filepath.Glob(filepath.Join(dir, "keys/*.age"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := os.Truncate(keys[0], 1<<40); err != nil { // a hole
		t.Skip(err)
	}
	soon(t, "export", func(ctx context.Context) {
		if err := ledger.Export(ctx, os.DirFS(dir), filepath.Join(t.TempDir(), "copy"), ledger.ExportOptions{}); err == nil || !strings.Contains(err.Error(), "has more than") {
			t.Error(err)
		}
	})
}

// TestExportWhileWritten: an export is a backup of a ledger that is being written, with new periods and
// large records, and a copy of the closed folder is one that can be written again.
func TestExportWhileWritten(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 300)...)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		large := []byte(`"` + strings.Repeat("x", 70_000) + `"`)
		for n := 300; ; n += 20 {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			_, err := l.Append(t.Context(), append(numbered(n, 20), ledger.Record{ID: fmt.Sprintf("large-%d", n), Data: large})...)
			if err == nil && n%100 == 0 {
				_, err = l.Rotate(t.Context())
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	last := uint64(0)
	for i := 0; i < 5 || last < 500; i++ { // what is signed grows a little later than what is written
		to := filepath.Join(t.TempDir(), "copy")
		if err := ledger.Export(t.Context(), os.DirFS(dir), to, ledger.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		r := verify(t, os.DirFS(to), ledger.VerifyOptions{Key: l.Config().Key})
		if !r.Intact() || r.Size < last {
			t.Errorf("export %d of %d entries after %d: %v", i, r.Size, last, r.Problems)
		}
		last = r.Size
		if all := readAll(t, to, id); r.Size >= 300 && len(all) < 300 {
			t.Errorf("export %d of %d entries: %d records", i, r.Size, len(all))
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	again := filepath.Join(t.TempDir(), "again")
	if err := os.CopyFS(again, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index", "lock"} {
		if err := os.RemoveAll(filepath.Join(again, name)); err != nil {
			t.Fatal(err)
		}
	}
	restored := open(t, again, ledger.Options{})
	appendTo(t, restored, ledger.Record{ID: "after", Data: []byte(`{}`)})
	closeLog(t, restored)
	if r := verify(t, os.DirFS(again), ledger.VerifyOptions{Key: l.Config().Key}); !r.Intact() || r.Size <= last {
		t.Errorf("%d entries: %v", r.Size, r.Problems)
	}
}
