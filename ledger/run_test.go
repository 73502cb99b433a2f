package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func testID(n uint64) keyedID {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return keyedID(sum[:idSize])
}

// TestRuns: what is in many runs, merged as they come, is found; what is not is not.
func TestRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var runs []*run
	n := uint64(0)
	for range 21 {
		ids := map[keyedID]uint64{}
		for range 3000 {
			ids[testID(n)] = n
			n++
		}
		var err error
		if runs, err = addRun(dir, runs, ids, n); err != nil {
			t.Fatal(err)
		}
	}
	if len(runs) > 8 {
		t.Errorf("21 runs were merged into %d", len(runs))
	}
	runs, saved, err := openRuns(dir)
	if err != nil || saved != n {
		t.Fatal(saved, err)
	}
	find := func(id keyedID) (uint64, bool) {
		for _, r := range runs {
			index, ok, err := r.find(id)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				return index, true
			}
		}
		return 0, false
	}
	for i := range n {
		if index, ok := find(testID(i)); !ok || index != i {
			t.Fatalf("%d is found at %d (%v)", i, index, ok)
		}
		if _, ok := find(testID(i + 1_000_000)); ok {
			t.Fatalf("%d is found and was never put", i+1_000_000)
		}
	}
	for _, id := range []keyedID{{}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if _, ok := find(id); ok {
			t.Errorf("%x is found", id)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(runs)+1 {
		t.Errorf("%d files are left of %d runs", len(files), len(runs))
	}
}

// TestRunsAreNotBelieved: a damaged index of IDs stops an append and loses nothing.
func TestRunsAreNotBelieved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ledger")
	if _, err := Init(t.Context(), folder, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[keyedID]uint64{keyID(l.idKey, "new"): 0} // entry 0 is a key
	if l.known.runs, err = addRun(l.known.dir, nil, wrong, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), Record{ID: "new", Data: []byte("1")}); err == nil {
		t.Error("a record was taken for a retry of something else")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(folder, indexFolder)); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(t.Context(), folder, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), Record{ID: "new", Data: []byte("1")}); err != nil {
		t.Error(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
