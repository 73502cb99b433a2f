package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/baileyhq/bailey/ledger"
)

// forge adds entries to a log of fewer than 256 as somebody does who can write its folder
// and has none of its keys: bundle, tile and the tree's state agree, and nothing is signed.
func forge(t *testing.T, dir string, entries ...string) {
	t.Helper()
	log := filepath.Join(dir, "log")
	size, bundle := readLog(t, dir)
	for _, e := range entries {
		bundle = append(bundle, []byte(e))
	}
	var leaves []byte
	var h hashes
	for i, e := range bundle {
		leaves = append(leaves, leafHash(e)...)
		more, err := tlog.StoredHashes(int64(i), e, h)
		if err != nil {
			t.Fatal(err)
		}
		h = append(h, more...)
	}
	root, err := tlog.TreeHash(int64(len(bundle)), h)
	if err != nil {
		t.Fatal(err)
	}
	state := fmt.Appendf(nil, `{"size":%d,"root":%q}`, size+len(entries), root)
	for name, data := range map[string][]byte{
		fmt.Sprintf("tile/entries/000.p/%d", len(bundle)): join(bundle),
		fmt.Sprintf("tile/0/000.p/%d", len(bundle)):       leaves,
		".state/treeState": state,
	} {
		if err := os.WriteFile(filepath.Join(log, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readLog gives the entries of a log of fewer than 256.
func readLog(t *testing.T, dir string) (int, [][]byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "log/.state/treeState"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ Size int }
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, fmt.Sprintf("log/tile/entries/000.p/%d", state.Size))); err != nil {
		t.Fatal(err)
	}
	return state.Size, split(data)
}

// refuses wants a ledger that does not open, for this reason.
func refuses(t *testing.T, dir, reason string) {
	t.Helper()
	l, err := ledger.Open(t.Context(), dir, ledger.Options{})
	if err == nil {
		closeLog(t, l)
		t.Errorf("it opens; want %q", reason)
	} else if !strings.Contains(err.Error(), reason) {
		t.Errorf("it says %q; want %q", err, reason)
	}
}

// TestForgedTail: who can write the folder, and has no key, cannot have the next open
// sign what he put after the checkpoint.
func TestForgedTail(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 5)...)
	periods, err := l.Periods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, numbered(5, 5)...)
	closeLog(t, l)
	_, entries := readLog(t, dir)
	shred := fmt.Sprintf(`S{"period":%q,"key":0,"time":"2026-11-25T00:00:00Z"}`, periods[0].Name)
	record := func(from int) string { return string(entries[from]) }
	changed := record(9)[:len(record(9))-1] + "\x00"
	for name, c := range map[string]struct {
		entry  string
		remove string
		verify string // what verify says, where it can tell
	}{
		"shredding":                    {shred, "keys/" + periods[0].Name + ".age", "no signed entry of the log says that it was destroyed"},
		"key entry":                    {record(0), "", ""},
		"record of an earlier period":  {record(1), "", ""},
		"record that does not open":    {changed, "", ""},
		"what is no entry of a ledger": {"X", "", "it is no entry"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "forged")
			if err := os.CopyFS(forged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			forge(t, forged, c.entry)
			if c.remove != "" {
				if err := os.Remove(filepath.Join(forged, c.remove)); err != nil {
					t.Fatal(err)
				}
			}
			r := verify(t, os.DirFS(forged), ledger.VerifyOptions{Key: l.Config().Key})
			if c.verify != "" && (r.Intact() || !strings.Contains(r.Problems[0].Text, c.verify)) || r.Shredded > 0 {
				t.Errorf("verify says %v, %d shredded", r.Problems, r.Shredded)
			}
			refuses(t, forged, "this writer did not make it")
		})
	}
}

// TestWriterWithoutState: who takes away what the writer knows of its own doings does not
// get it to sign what he put after the checkpoint.
func TestWriterWithoutState(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 5)...)
	closeLog(t, l)
	if err := os.Remove(filepath.Join(dir, "private/state")); err != nil {
		t.Fatal(err)
	}
	_, entries := readLog(t, dir)
	period := strings.Split(string(entries[0]), `"`)[3]
	if err := os.Remove(filepath.Join(dir, "keys", period+".age")); err != nil {
		t.Fatal(err)
	}
	forge(t, dir, fmt.Sprintf(`S{"period":%q,"key":0,"time":"2026-11-25T00:00:00Z"}`, period))
	refuses(t, dir, "private/state is missing")
	if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{}); r.Intact() || r.Shredded > 0 {
		t.Errorf("verify says %v, %d shredded", r.Problems, r.Shredded)
	}
}

// TestKeyOutlivesItsAnnouncement: a key is destroyed only once the entry that says so
// is signed, so that no crash leaves what looks like theft.
func TestKeyOutlivesItsAnnouncement(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 5)...)
	periods, err := l.Periods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Shred(t.Context(), periods[0].Name); err != nil {
		t.Fatal(err)
	}
	// The folder as a crash right now leaves it.
	if _, err := os.Stat(filepath.Join(dir, "keys", periods[0].Name+".age")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if r := verify(t, load(t, dir), ledger.VerifyOptions{}); !r.Intact() || r.Shredded != 1 {
		t.Errorf("%v, %d shredded", r.Problems, r.Shredded)
	}
}
