package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/baileyhq/bailey/ledger"
)

// load reads a folder into memory, without what a copy would not have.
func load(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if name == "private" || name == "index" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && !strings.Contains(name, "lock") {
			data, err := os.ReadFile(path)
			files[filepath.ToSlash(name)] = &fstest.MapFile{Data: data, Mode: 0o600}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func verify(t testing.TB, fsys fs.FS, o ledger.VerifyOptions) ledger.Report {
	t.Helper()
	r, err := ledger.Verify(t.Context(), fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// history is one ledger at three moments, with rotation, large records and a shredded period.
type history struct {
	key                   string
	early, late           fstest.MapFS
	fork                  fstest.MapFS // as early, then another future under the same key
	earlyPoint, latePoint []byte       // their checkpoints
	forkPoint             []byte
	needed                []string // files of late without which it is damaged
	replaced              []string // partial files of late that larger ones replaced
}

func newHistory(t testing.TB) *history {
	t.Helper()
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	large := func(i int) ledger.Record {
		return ledger.Record{ID: fmt.Sprint("large", i), Data: json.RawMessage(`"` + strings.Repeat("x", 70_000+i) + `"`)}
	}
	shredded, err := l.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, large(1))
	if _, err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, append(numbered(0, 270), large(2))...)
	if _, err := l.Shred(t.Context(), shredded); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	h := &history{key: l.Config().Key, early: load(t, dir)}
	copied := filepath.Join(t.TempDir(), "fork")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(1000, 300)...)
	closeLog(t, l)
	h.late = load(t, dir)
	l = open(t, copied, ledger.Options{})
	appendTo(t, l, numbered(2000, 300)...)
	closeLog(t, l)
	h.fork = load(t, copied)
	h.earlyPoint, h.latePoint, h.forkPoint = h.early["log/checkpoint"].Data, h.late["log/checkpoint"].Data, h.fork["log/checkpoint"].Data
	for name := range h.late {
		if name == "log/.state/gcState" { // says only what need not be collected again
			continue
		}
		without := maps.Clone(h.late)
		delete(without, name)
		switch {
		case !verify(t, without, ledger.VerifyOptions{Key: h.key}).Intact():
			h.needed = append(h.needed, name)
		case strings.Contains(name, ".p/"):
			h.replaced = append(h.replaced, name)
		}
	}
	slices.Sort(h.needed)
	slices.Sort(h.replaced)
	return h
}

// TestIntact is what makes the damage tests mean something.
func TestIntact(t *testing.T) {
	h := newHistory(t)
	for name, files := range map[string]fstest.MapFS{"early": h.early, "late": h.late, "fork": h.fork} {
		r := verify(t, files, ledger.VerifyOptions{Key: h.key})
		if !r.Intact() || len(r.Notes) > 0 {
			t.Errorf("%s: %v %v", name, r.Problems, r.Notes)
		}
	}
	if r := verify(t, h.late, ledger.VerifyOptions{Key: h.key, Since: h.earlyPoint}); !r.Intact() || r.Periods != 3 || r.Shredded != 1 || r.Records != 572 || r.Bodies != 2 {
		t.Errorf("%+v", r)
	}
	small, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, small, ledger.Options{})
	for i := range 3 {
		appendTo(t, l, numbered(i, 1)...)
		if _, err := l.Checkpoint(t.Context(), l.Size()); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, load(t, small), ledger.VerifyOptions{}); !r.Intact() || r.Records != uint64(i+1) {
			t.Errorf("%+v", r)
		}
	}
	want := []string{"ledger.json", "log/checkpoint", "log/tile/0/000", "log/tile/0/001", "log/tile/entries/000", "log/tile/entries/001"}
	for _, name := range want {
		if !slices.Contains(h.needed, name) {
			t.Errorf("%s can be taken away unseen", name)
		}
	}
	if len(h.needed) != 12 {
		t.Errorf("needed are %d files: %v", len(h.needed), h.needed)
	}
}

// damage changes a ledger in one way and says what it did. It returns nil
// where the dice changed nothing.
type damage struct {
	name string
	make func(h *history, r *rand.Rand, files fstest.MapFS) (what string)
}

func replace(files fstest.MapFS, name string, data []byte) {
	files[name] = &fstest.MapFile{Data: data, Mode: 0o600}
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

var damages = []damage{
	{"flip", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, append(slices.Clone(h.needed), "signed-checkpoint", "log/.state/treeState", "log/.state/version"))
		data := bytes.Clone(files[name].Data)
		at, bit := r.IntN(len(data)), r.IntN(8)
		data[at] ^= 1 << bit
		replace(files, name, data)
		return fmt.Sprintf("bit %d of byte %d of %s", bit, at, name)
	}},
	{"remove", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, h.needed)
		delete(files, name)
		return name
	}},
	{"truncate", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, h.needed)
		n := r.IntN(len(files[name].Data))
		replace(files, name, files[name].Data[:n])
		return fmt.Sprintf("%s to %d bytes", name, n)
	}},
	{"lengthen", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, h.needed)
		more := make([]byte, 1+r.IntN(64))
		for i := range more {
			more[i] = byte(r.Uint32())
		}
		replace(files, name, append(bytes.Clone(files[name].Data), more...))
		return fmt.Sprintf("%s by %d bytes", name, len(more))
	}},
	{"rename", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		from, to := pick(r, h.needed), pick(r, append(slices.Clone(h.needed), "log/tile/0/002", "log/tile/1/000", "keys/other.age"))
		if from == to {
			return ""
		}
		files[to] = files[from]
		delete(files, from)
		return from + " to " + to
	}},
	{"exchange", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		a, b := pick(r, h.needed), pick(r, h.needed)
		if bytes.Equal(files[a].Data, files[b].Data) {
			return ""
		}
		files[a], files[b] = files[b], files[a]
		return a + " with " + b
	}},
	{"reorder", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, []string{"log/tile/entries/000", "log/tile/entries/001"})
		entries := split(files[name].Data)
		i, j := r.IntN(len(entries)), r.IntN(len(entries))
		if i == j {
			return ""
		}
		entries[i], entries[j] = entries[j], entries[i]
		replace(files, name, join(entries))
		return fmt.Sprintf("entries %d and %d of %s", i, j, name)
	}},
	{"drop", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		name := pick(r, []string{"log/tile/entries/000", "log/tile/entries/001"})
		entries := split(files[name].Data)
		i := r.IntN(len(entries))
		replace(files, name, join(slices.Delete(entries, i, i+1)))
		return fmt.Sprintf("entry %d of %s", i, name)
	}},
	{"rewrite", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		// Entry and tile are changed together, as by somebody who knows the format.
		name := pick(r, []string{"log/tile/entries/000", "log/tile/entries/001"})
		entries := split(files[name].Data)
		i := r.IntN(len(entries))
		changed := bytes.Clone(entries[i])
		changed[len(changed)-1] ^= 1
		entries[i] = changed
		replace(files, name, join(entries))
		tile := strings.Replace(name, "entries", "0", 1)
		hashes := bytes.Clone(files[tile].Data)
		copy(hashes[32*i:], leafHash(changed))
		replace(files, tile, hashes)
		return fmt.Sprintf("entry %d of %s and its hash", i, name)
	}},
	{"old checkpoint", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		replace(files, "log/checkpoint", h.earlyPoint)
		return "the early one"
	}},
	{"other checkpoint", func(h *history, r *rand.Rand, files fstest.MapFS) string {
		replace(files, "log/checkpoint", h.forkPoint)
		replace(files, "signed-checkpoint", h.forkPoint)
		return "that of the fork"
	}},
}

func split(bundle []byte) (entries [][]byte) {
	for len(bundle) > 0 {
		n := int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:2+n])
		bundle = bundle[2+n:]
	}
	return entries
}

func join(entries [][]byte) (bundle []byte) {
	for _, e := range entries {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(e)))
		bundle = append(bundle, e...)
	}
	return bundle
}

// TestDamage damages a ledger in 10,000 random ways. Each must be found.
func TestDamage(t *testing.T) {
	h := newHistory(t)
	cases := 10_000
	if testing.Short() {
		cases = 500
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	done := map[string]int{}
	for n := 0; n < cases; {
		d := damages[r.IntN(len(damages))]
		files := maps.Clone(h.late)
		what := d.make(h, r, files)
		if what == "" {
			continue
		}
		n++
		done[d.name]++
		if report := verify(t, files, ledger.VerifyOptions{Key: h.key}); report.Intact() {
			t.Fatalf("seed %d: %s: %s: not found", seed, d.name, what)
		}
	}
	t.Logf("%v", done)
}

// TestRollbackAndFork: what is consistent in itself is found by who remembers.
func TestRollbackAndFork(t *testing.T) {
	h := newHistory(t)
	for name, c := range map[string]struct {
		files fstest.MapFS
		since []byte
		want  string
	}{
		"rolled back": {h.early, h.latePoint, "rolled back"},
		"forked":      {h.fork, h.latePoint, "forked or rewritten"},
	} {
		r := verify(t, c.files, ledger.VerifyOptions{Key: h.key, Since: c.since})
		if r.Intact() || !strings.Contains(r.Problems[0].String(), c.want) {
			t.Errorf("%s: %v", name, r.Problems)
		}
	}
}

// TestProblemsNameThePlace: a report says which file and which entry.
func TestProblemsNameThePlace(t *testing.T) {
	h := newHistory(t)
	change := func(name string, at int) fstest.MapFS {
		files := maps.Clone(h.late)
		data := bytes.Clone(files[name].Data)
		data[at] ^= 0x10
		replace(files, name, data)
		return files
	}
	entry := func(n int) int { // where its last byte is
		at := 0
		for _, e := range split(h.late["log/tile/entries/000"].Data)[:n+1] {
			at += 2 + len(e)
		}
		return at - 1
	}
	for want, files := range map[string]fstest.MapFS{
		"log/tile/entries/000: entry 77: it was changed, replaced or moved": change("log/tile/entries/000", entry(77)),
		"log/tile/0/000: entry 3: its hash in the tile":                     change("log/tile/0/000", 3*32+5),
		"log/tile/1/000.p/2: hash 1 is not that":                            change("log/tile/1/000.p/2", 40),
		"log/checkpoint: the checkpoint":                                    change("log/checkpoint", 0),
	} {
		r := verify(t, files, ledger.VerifyOptions{Key: h.key})
		if len(r.Problems) == 0 || !strings.HasPrefix(r.Problems[0].String(), want) {
			t.Errorf("want %q, got %v", want, r.Problems)
		}
	}
	files := maps.Clone(h.late)
	replace(files, "log/tile/entries/000.p/12345", []byte("x"))
	replace(files, "surprise", []byte("x"))
	r := verify(t, files, ledger.VerifyOptions{Key: h.key})
	if !r.Intact() || len(r.Notes) != 2 {
		t.Errorf("extra files: %v %v", r.Problems, r.Notes)
	}
}

// leafHash is RFC 6962's.
func leafHash(entry []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, entry...))
	return sum[:]
}
