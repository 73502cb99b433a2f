package ledger_test

import (
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
