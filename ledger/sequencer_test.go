package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/transparency-dev/tessera"
)

// restful opens a new ledger that rests soon.
func restful(t *testing.T) (*Log, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	if _, err := Init(t.Context(), dir, InitOptions{Recipients: []string{id.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	l.tree.mu.Lock()
	defer l.tree.mu.Unlock()
	l.tree.restAfter = 10 * time.Millisecond
	l.tree.doze()
	return l, dir
}

func (s *sequencer) rests() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at == nil
}

// awaitRest waits until nothing works.
func awaitRest(t *testing.T, s *sequencer) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !s.rests(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not rest")
		}
	}
}

// TestRest: Tessera ends while nothing is added, once all is signed, and what is added after it is in the same log.
func TestRest(t *testing.T) {
	l, dir := restful(t)
	next := uint64(0)
	for round := range 5 {
		for n := range 3 {
			index, err := l.Append(t.Context(), Record{ID: fmt.Sprint(round, "-", n), Data: []byte("1")})
			if err != nil {
				t.Fatal(err)
			}
			if next != 0 && index[0] != next {
				t.Errorf("round %d: entry %d, want %d", round, index[0], next)
			}
			next = index[0] + 1
		}
		awaitRest(t, l.tree)
		data, err := l.Checkpoint(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		if _, size, err := peekCheckpoint(data); err != nil || size != next {
			t.Errorf("round %d: at rest %d of %d entries are signed: %v", round, size, next, err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(t.Context(), os.DirFS(dir), VerifyOptions{Key: l.config.Key})
	if err != nil || !report.Intact() {
		t.Errorf("%v %v", err, report.Problems)
	}
}

// TestNoRestUnsigned: as long as something is not signed it goes on, and signs it once it can.
func TestNoRestUnsigned(t *testing.T) {
	l, dir := restful(t)
	if _, err := l.Append(t.Context(), Record{ID: "a", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	awaitRest(t, l.tree)
	// No checkpoint takes the name of a folder.
	path := checkpointPath(dir)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	index, err := l.Append(t.Context(), Record{ID: "b", Data: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if l.tree.rests() {
		t.Error("it rests, and an entry is not signed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(t.Context(), index[0]+1); err != nil {
		t.Error(err)
	}
}

// TestWokenElsewhere: a log that is not as it was left, or has gone, is not gone on with: a second history would be signed.
func TestWokenElsewhere(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, file string){
		"gone": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"an older one": func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			size := strings.SplitN(string(text), ",", 2)
			if err := os.WriteFile(file, []byte(`{"size":1,`+size[1]), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir := restful(t)
			if _, err := l.Append(t.Context(), Record{ID: "a", Data: []byte("1")}); err != nil {
				t.Fatal(err)
			}
			awaitRest(t, l.tree)
			signed, err := os.ReadFile(checkpointPath(dir))
			if err != nil {
				t.Fatal(err)
			}
			harm(t, filepath.Join(dir, logFolder, treeStateFile))
			if _, err := l.Append(t.Context(), Record{ID: "b", Data: []byte("1")}); err == nil {
				t.Error("it goes on")
			}
			time.Sleep(2 * checkpointEvery)
			if now, err := os.ReadFile(checkpointPath(dir)); err != nil || string(now) != string(signed) {
				t.Errorf("it signed %q, and before %q: %v", now, signed, err)
			}
		})
	}
}

// TestNotWokenClosed: what is closed as it rests adds nothing more: another may write by then.
func TestNotWokenClosed(t *testing.T) {
	l, dir := restful(t)
	awaitRest(t, l.tree)
	before, err := readTreeState(os.DirFS(filepath.Join(dir, logFolder)))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.tree.add(t.Context(), tessera.NewEntry([]byte("x")))(); !errors.Is(err, ErrClosed) {
		t.Errorf("added to what is closed: %v", err)
	}
	if now, err := readTreeState(os.DirFS(filepath.Join(dir, logFolder))); err != nil || now.Size != before.Size {
		t.Errorf("%d entries, and before %d: %v", now.Size, before.Size, err)
	}
}
