package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/baileyhq/bailey/ledger"
)

// newLedger makes a ledger and gives its folder and the identity that reads it.
func newLedger(t testing.TB, o ledger.InitOptions) (string, age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	if o.Recipients == nil {
		o.Recipients = []string{id.Recipient().String()}
	}
	if _, err := ledger.Init(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	return dir, id
}

func open(t testing.TB, dir string, o ledger.Options) *ledger.Log {
	t.Helper()
	l, err := ledger.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *ledger.Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func appendTo(t testing.TB, l *ledger.Log, records ...ledger.Record) []uint64 {
	t.Helper()
	indexes, err := l.Append(t.Context(), records...)
	if err != nil {
		t.Fatal(err)
	}
	return indexes
}

func numbered(from, n int) []ledger.Record {
	var list []ledger.Record
	for i := from; i < from+n; i++ {
		list = append(list, ledger.Record{ID: fmt.Sprintf("id-%d", i), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))})
	}
	return list
}

// readAll gives what the ledger holds, by index.
func readAll(t testing.TB, dir string, ids ...age.Identity) map[uint64]ledger.Entry {
	t.Helper()
	all := map[uint64]ledger.Entry{}
	for e, err := range ledger.Read(t.Context(), os.DirFS(dir), ledger.ReadOptions{Identities: ids}) {
		if err != nil {
			t.Fatal(err)
		}
		all[e.Index] = e
	}
	return all
}

func TestAppendAndRead(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	big := json.RawMessage(`"` + strings.Repeat("x", 300_000) + `"`)
	records := append(numbered(0, 600), ledger.Record{ID: "big", Data: big})
	indexes := appendTo(t, l, records...)
	all := readAll(t, dir, id)
	if len(all) != len(records) {
		t.Fatalf("%d records are read of %d", len(all), len(records))
	}
	for i, r := range records {
		if e := all[indexes[i]]; e.ID != r.ID || string(e.Data) != string(r.Data) {
			t.Fatalf("index %d holds %q, not %q", indexes[i], e.ID, r.ID)
		}
	}
	for _, entry := range []string{"xxxxxxxx", "id-599", `{"n":5`} { // too long to be there by chance
		if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				data, _ := os.ReadFile(path)
				if strings.Contains(string(data), entry) {
					t.Errorf("%s shows %q", path, entry)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRetryAppearsOnce(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	first := appendTo(t, l, numbered(0, 300)...)
	again := appendTo(t, l, numbered(0, 300)...)
	if !slices.Equal(first, again) {
		t.Error("a retry got other indexes")
	}
	twice := appendTo(t, l, ledger.Record{ID: "twice", Data: []byte("1")}, ledger.Record{ID: "twice", Data: []byte("1")})
	if twice[0] != twice[1] {
		t.Error("an ID twice in one call got two indexes")
	}
	closeLog(t, l)
	l = open(t, dir, ledger.Options{})
	if restarted := appendTo(t, l, numbered(0, 300)...); !slices.Equal(first, restarted) {
		t.Error("a retry after a restart got other indexes")
	}
	var all sync.Map
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for _, r := range numbered(1000, 50) {
				indexes, err := l.Append(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				if had, loaded := all.LoadOrStore(r.ID, indexes[0]); loaded && had != indexes[0] {
					t.Errorf("%s has indexes %v and %d", r.ID, had, indexes[0])
				}
			}
		})
	}
	wait.Wait()
	if n := len(readAll(t, dir, id)); n != 351 {
		t.Errorf("%d records are there, want 351", n)
	}
}

func TestOneWriter(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	open(t, dir, ledger.Options{})
	if _, err := ledger.Open(t.Context(), dir, ledger.Options{}); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("a second writer got %v", err)
	}
}

func TestBadRecords(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	for name, r := range map[string]ledger.Record{
		"no ID":    {Data: []byte("1")},
		"long ID":  {ID: strings.Repeat("x", ledger.MaxID+1), Data: []byte("1")},
		"no JSON":  {ID: "a", Data: []byte("{")},
		"no value": {ID: "a"},
	} {
		var bad *ledger.RecordError
		if _, err := l.Append(t.Context(), ledger.Record{ID: "good", Data: []byte("1")}, r); !errors.As(err, &bad) || bad.Position != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	closeLog(t, l)
	if _, err := l.Append(t.Context(), ledger.Record{ID: "a", Data: []byte("1")}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("a closed ledger says %v", err)
	}
}
