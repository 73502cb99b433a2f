package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

// TestList: everything that is signed is listed, the newest or the oldest first, from any place on; what
// cannot be opened is sealed, what was shredded says so, and a changed entry ends the list.
func TestList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Init(t.Context(), dir, InitOptions{Recipients: []string{id.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	write := func(from, n int) {
		t.Helper()
		var records []Record
		for i := from; i < from+n; i++ {
			records = append(records, Record{ID: fmt.Sprint("r", i), Data: json.RawMessage(fmt.Sprint(i))})
		}
		if _, err := l.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 300)
	old := l.period.Load().Name
	if _, err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), Record{ID: "large", Data: json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Shred(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(t.Context(), l.Size()); err != nil {
		t.Fatal(err)
	}
	list := func(o ListOptions) []Listed {
		t.Helper()
		got, err := List(t.Context(), os.DirFS(dir), o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Size != l.Size() || got.Config.Key != l.Config().Key {
			t.Errorf("size %d, key %s", got.Size, got.Config.Key)
		}
		var all []Listed
		for e, err := range got.Entries {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	all := list(ListOptions{Identities: []age.Identity{id}})
	if len(all) != 304 { // two keys, 301 records, one shred
		t.Fatalf("%d entries", len(all))
	}
	for i, e := range all {
		if e.Index != uint64(303-i) {
			t.Fatalf("entry %d is listed as number %d", e.Index, i)
		}
	}
	if e := all[0]; e.Kind != ListedShred || e.Period != old || time.Since(e.Time) > time.Hour {
		t.Errorf("the newest is %+v", e)
	}
	if e := all[1]; e.Kind != ListedRecord || e.ID != "large" || e.Bytes < 100_000 || len(e.Data) < 100_000 || e.Sealed || time.Since(e.Time) > time.Hour {
		t.Errorf("the large one is %.300v", e)
	}
	if e := all[2]; e.Kind != ListedKey || e.Period == old {
		t.Errorf("the key is %+v", e)
	}
	if e := all[10]; e.Kind != ListedRecord || !e.Shredded || !e.Sealed || e.Period != old || e.ID != "" || e.Data != nil {
		t.Errorf("a shredded record is %+v", e)
	}
	for _, o := range []ListOptions{{}, {Identities: []age.Identity{stranger(t)}}, {Identities: []age.Identity{id}, Open: func(uint64, int) bool { return false }}} {
		if e := list(o)[1]; !e.Sealed || e.Shredded || e.ID != "" || e.Data != nil || e.Period == "" || e.Bytes < 100_000 {
			t.Errorf("a sealed record is %.300v", e)
		}
	}
	for _, before := range []uint64{1, 255, 256, 257, 300} {
		some := list(ListOptions{Before: before})
		if len(some) != int(before) || some[0].Index != before-1 {
			t.Errorf("before %d: %d entries from %d", before, len(some), some[0].Index)
		}
	}
	for _, o := range []ListOptions{{}, {From: 1}, {From: 255}, {From: 256, Before: 257}, {From: 2, Before: 258}, {From: 303}, {From: 304}, {From: 400}, {Before: 255}} {
		o.Identities = []age.Identity{id}
		last := uint64(304)
		if o.Before != 0 {
			last = o.Before
		}
		want := []Listed{} // of all, which is the newest first
		for i := o.From; i < last; i++ {
			want = append(want, all[303-i])
		}
		for _, o.Oldest = range []bool{true, false} {
			if got := list(o); !slices.EqualFunc(got, want, func(a, b Listed) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("from %d, before %d, oldest first %t: %d entries and not %d, or others", o.From, o.Before, o.Oldest, len(got), len(want))
			}
			slices.Reverse(want)
		}
	}
	if at, err := Begun(os.DirFS(dir)); err != nil || time.Since(at) > time.Hour || time.Since(at) < 0 {
		t.Errorf("begun %s, %v", at, err)
	}

	path := filepath.Join(dir, "log", "tile", "entries", "000")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(data)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := List(t.Context(), os.DirFS(dir), ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen, failed := 0, error(nil)
	for _, err := range got.Entries {
		if err != nil {
			failed = err
		} else {
			seen++
		}
	}
	// What is older names a key that is in the changed bundle.
	if seen != 3 || failed == nil || !strings.Contains(failed.Error(), "entry 255 was changed") {
		t.Errorf("%d entries, then %v", seen, failed)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func stranger(t *testing.T) age.Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
