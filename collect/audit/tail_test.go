package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/collect/audit"
)

// line is as long as the beginning of a real event, so that the first one
// identifies its file.
func line(n int) string {
	return fmt.Sprintf(`{"kind":"Event","auditID":"%08d","pad":%q}`, n, strings.Repeat("x", 200))
}

func number(t *testing.T, text []byte) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(string(text), `{"kind":"Event","auditID":"%08d"`, &n); err != nil {
		t.Errorf("line %.60q: %v", text, err)
	}
	return n
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// follower is a Tail that runs.
type follower struct {
	mu   sync.Mutex
	got  []int
	pos  audit.Position
	end  context.CancelFunc
	done chan error
}

func follow(t *testing.T, path string, from audit.Position) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{end: cancel, done: make(chan error, 1)}
	go func() {
		f.done <- audit.Tail(ctx, path, from, func(text []byte, pos audit.Position) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got, f.pos = append(f.got, number(t, text)), pos
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

// wants waits until exactly these lines were seen.
func (f *follower) wants(t *testing.T, from, to int) {
	t.Helper()
	var want []int
	for n := from; n < to; n++ {
		want = append(want, n)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		got := slices.Clone(f.got)
		f.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) || len(got) > len(want) {
			t.Fatalf("saw %v, want %d to %d", got, from, to-1)
		}
	}
}

func (f *follower) stop(t *testing.T) audit.Position {
	t.Helper()
	f.end()
	if err := <-f.done; !errors.Is(err, context.Canceled) {
		t.Errorf("Tail ended with %v", err)
	}
	return f.pos
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	n := 0
	write := func(count int) {
		for range count {
			appendTo(t, path, line(n)+"\n")
			n++
		}
	}
	rotations := 0
	rotate := func() {
		rotations++
		if err := os.Rename(path, filepath.Join(filepath.Dir(path), fmt.Sprintf("audit-2026-03-01T12-00-%02d.000.log", rotations))); err != nil {
			t.Fatal(err)
		}
	}
	write(3)
	f := follow(t, path, audit.Position{})
	f.wants(t, 0, 3)
	appendTo(t, path, line(n)[:40]) // the API server is in the middle of a line
	time.Sleep(150 * time.Millisecond)
	f.wants(t, 0, 3)
	appendTo(t, path, line(n)[40:]+"\n\n")
	n++
	f.wants(t, 0, 4)

	write(2)
	rotate()
	write(2)
	f.wants(t, 0, 8)
	rotate()
	write(1)
	rotate()
	write(1)
	f.wants(t, 0, 10)

	pos := f.stop(t)
	write(2)
	f = follow(t, path, pos)
	f.wants(t, 10, 12)
	pos = f.stop(t)
	write(1)
	rotate()
	write(1)
	rotate()
	write(1)
	f = follow(t, path, pos)
	f.wants(t, 12, 15)
	f.stop(t)

	end, err := audit.End(path)
	if err != nil {
		t.Fatal(err)
	}
	f = follow(t, path, end)
	write(1)
	f.wants(t, 15, 16)
	f.stop(t)
}

// TestTailTruncated rotates by copying, as logrotate does with copytruncate.
func TestTailTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for n := range 5 {
		appendTo(t, path, line(n)+"\n")
	}
	f := follow(t, path, audit.Position{})
	f.wants(t, 0, 5)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, path+".1", string(data))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for n := 5; n < 8; n++ {
		appendTo(t, path, line(n)+"\n")
	}
	f.wants(t, 0, 8)
	f.stop(t)
}

func TestTailLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, line(0)+"\n")
	f := follow(t, path, audit.Position{})
	f.wants(t, 0, 1)
	pos := f.stop(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, line(1)+"\n"+line(2)+"\n")
	var lost *audit.LostError
	if err := audit.Tail(t.Context(), path, pos, nil); !errors.As(err, &lost) || lost.From != pos {
		t.Errorf("%v, want a LostError", err)
	}
	if err := audit.Tail(t.Context(), path+"x", audit.Position{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v for a file that is not there", err)
	}
	if _, err := audit.End(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v for the end of a file that is not there", err)
	}
}

// After a place is lost, reading goes on with the oldest line that is left.
func TestOldest(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	appendTo(t, path, line(0)+"\n")
	f := follow(t, path, audit.Position{})
	f.wants(t, 0, 1)
	pos := f.stop(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(dir, "audit.log.3.gz"), "compressed")
	appendTo(t, filepath.Join(dir, "audit-2026-03-01T12-00-01.000.log"), line(1)+"\n"+line(2)+"\n")
	appendTo(t, filepath.Join(dir, "audit-2026-03-01T12-00-02.000.log"), line(3)+"\n")
	appendTo(t, path, line(4)+"\n")
	var lost *audit.LostError
	if err := audit.Tail(t.Context(), path, pos, nil); !errors.As(err, &lost) {
		t.Fatalf("%v, want a LostError", err)
	}
	oldest, err := audit.Oldest(path)
	if err != nil {
		t.Fatal(err)
	}
	f = follow(t, path, oldest)
	f.wants(t, 1, 5)
	f.stop(t)
	if oldest, err := audit.Oldest(filepath.Join(dir, "other.log")); err != nil || oldest != (audit.Position{}) {
		t.Errorf("of no file: %+v, %v", oldest, err)
	}
}

// A file that was removed before the reader came to its end may not have been the only one.
func TestTailRemovedAfterRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	appendTo(t, path, line(0)+"\n")
	reached, rotated := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- audit.Tail(t.Context(), path, audit.Position{}, func([]byte, audit.Position) error {
			close(reached)
			<-rotated
			return nil
		})
	}()
	<-reached
	// Two rotations while the reader waits, of which only the newest file is kept.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(dir, "audit-2026-03-01T12-00-02.000.log"), line(2)+"\n")
	appendTo(t, path, line(3)+"\n")
	close(rotated)
	var lost *audit.LostError
	if err := <-done; !errors.As(err, &lost) {
		t.Errorf("%v, want a LostError: line 1 was never there", err)
	}
}

func TestLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, line(0)+"\n"+strings.Repeat("x", audit.MaxLine+10)+"\n"+line(1)+"\n")
	var long *audit.LongLineError
	err := audit.Tail(t.Context(), path, audit.Position{}, func([]byte, audit.Position) error { return nil })
	if !errors.As(err, &long) || long.Offset != int64(len(line(0))+1) || long.Rest != nil {
		t.Fatalf("%v, want a LongLineError", err)
	}
	f := follow(t, path, long.Next)
	f.wants(t, 1, 2)
	f.stop(t)

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	err = audit.Lines(t.Context(), strings.NewReader(strings.TrimSuffix(string(data), "\n")), func(text []byte, long *audit.LongLineError) error {
		if long != nil {
			got = append(got, -1)
		} else {
			got = append(got, number(t, text))
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []int{0, -1, 1}) {
		t.Errorf("lines %v (%v)", got, err)
	}
}

// TestBefore wants the whole lines before a position, as far back as asked, in the file that has it.
func TestBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for n := range 5 {
		appendTo(t, path, line(n)+"\n")
	}
	upto, err := audit.End(path)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, line(5)+"\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, line(6)+"\n")
	one := int64(len(line(4)) + 1)
	for most, from := range map[int64]int{0: 5, one - 1: 5, one: 4, one + 1: 4, 2 * one: 3, 5 * one: 0, 1 << 20: 0} {
		var got []int
		if err := audit.Before(t.Context(), path, upto, most, func(text []byte, _ *audit.LongLineError) error {
			got = append(got, number(t, text))
			return nil
		}); err != nil || !slices.Equal(got, []int{0, 1, 2, 3, 4}[from:]) {
			t.Errorf("%d bytes: lines %v (%v), want from %d on", most, got, err, from)
		}
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	var lost *audit.LostError
	if err := audit.Before(t.Context(), path, upto, 1, nil); !errors.As(err, &lost) {
		t.Errorf("%v, want a LostError", err)
	}
}

// TestTailError wants the error of the callback back, and its line read again.
func TestTailError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, line(0)+"\n"+line(1)+"\n")
	var pos audit.Position
	full := errors.New("full")
	err := audit.Tail(t.Context(), path, audit.Position{}, func(text []byte, at audit.Position) error {
		if number(t, text) == 1 {
			return full
		}
		pos = at
		return nil
	})
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
	f := follow(t, path, pos)
	f.wants(t, 1, 2)
	f.stop(t)
}

// TestTailWhileWritten rotates under a writer that does not wait.
func TestTailWhileWritten(t *testing.T) {
	const lines, each = 3000, 250
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, line(0)+"\n")
	f := follow(t, path, audit.Position{})
	for n := 1; n < lines; n++ {
		if n%each == 0 {
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), fmt.Sprintf("audit-2026-03-01T12-%02d-00.000.log", n/each))); err != nil {
				t.Fatal(err)
			}
		}
		appendTo(t, path, line(n)+"\n")
	}
	f.wants(t, 0, lines)
	f.stop(t)
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\n\nb"))
	f.Add([]byte("\r\n\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []string
		for part := range strings.SplitSeq(string(data), "\n") {
			if trimmed := strings.TrimSpace(part); trimmed != "" {
				want = append(want, trimmed)
			}
		}
		var got []string
		if err := audit.Lines(t.Context(), strings.NewReader(string(data)), func(text []byte, _ *audit.LongLineError) error {
			got = append(got, string(text))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}
