package audit

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// compressed are what names of files end in that are not read.
var compressed = []string{".gz", ".bz2", ".xz", ".zst"}

// Position is a place in an audit log. It can be kept as JSON, and found again
// after a restart, also when the file was rotated in the meantime. The zero
// Position is the beginning of the file that is written now.
type Position struct {
	// Inode is the file's number, 0 where there are none.
	Inode uint64 `json:"inode,omitempty"`
	// Offset is in bytes from the file's beginning.
	Offset int64 `json:"offset"`
	// Print identifies the file by its first bytes: their hash, and how many
	// they are in Printed.
	Print   string `json:"print,omitempty"`
	Printed int    `json:"printed,omitempty"`
}

// printed is how many bytes of a file identify it: they hold the audit ID of
// its first event.
const printed = 256

// pollEvery is how soon a new line is seen.
const pollEvery = 50 * time.Millisecond

// LostError tells that the file of a position is no longer there: what was
// written between it and the oldest file that is left was not read.
type LostError struct {
	Path string
	From Position
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the place up to which %s was read (byte %d of an earlier file) is no longer there: events may be missing\nhint: keep more rotated files (--audit-log-maxbackup), uncompressed, or read from the beginning of what is left",
		e.Path, e.From.Offset)
}

// Tail calls fn for each whole line that holds something, from a position on,
// with the position after it, and waits for more until the context ends, whose
// error it then returns. It follows the file when it is rotated, by renaming
// as the API server does, or by copying and truncating. A last line without a
// line break is waited for. The line is valid during the call. An error of fn
// ends it.
//
// It returns a *LostError when the position cannot be found, and a
// *LongLineError for a line that is longer than MaxLine.
func Tail(ctx context.Context, path string, from Position, fn func(line []byte, pos Position) error) error {
	t := &tail{path: path, fn: fn}
	defer t.close()
	if err := t.find(from); err != nil {
		return err
	}
	for {
		if err := t.drain(ctx, false); err != nil {
			return err
		}
		moved, err := t.advance(ctx)
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// Before calls fn for the whole lines within the last most bytes that a file holds before a
// position, as Lines does. The error is a *LostError where the position cannot be found.
func Before(ctx context.Context, path string, upto Position, most int64, fn func(line []byte, long *LongLineError) error) error {
	t := &tail{path: path}
	defer t.close()
	if err := t.find(upto); err != nil {
		return err
	}
	// With the byte before, a line that begins just there is whole.
	start := max(0, upto.Offset-most-1)
	lines := bufio.NewReader(io.NewSectionReader(t.f, start, upto.Offset-start))
	if start > 0 {
		for cut := true; cut; {
			_, err := lines.ReadSlice('\n')
			if cut = errors.Is(err, bufio.ErrBufferFull); !cut && err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("the audit log: %w", err)
			}
		}
	}
	return Lines(ctx, lines, fn)
}

// Oldest is the beginning of the oldest file that is left of an audit log, from where
// to go on after a *LostError: of what comes once more there are whole lines.
func Oldest(path string) (Position, error) {
	t := &tail{path: path}
	rotated, err := t.rotated()
	if err != nil {
		return Position{}, err
	}
	for _, name := range append(rotated, path) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by now
		}
		if err != nil {
			return Position{}, fmt.Errorf("the audit log: %w", err)
		}
		defer f.Close()
		// By its first bytes too: the number of a file that is removed is given to another.
		info, err := f.Stat()
		if err != nil {
			return Position{}, fmt.Errorf("the audit log: %w", err)
		}
		p, err := positionIn(f, min(printed, info.Size()))
		p.Offset = 0
		return p, err
	}
	return Position{}, nil
}

// End is the position after the last whole line that is in the file now.
func End(path string) (Position, error) {
	f, err := os.Open(path)
	if err != nil {
		return Position{}, fmt.Errorf("the audit log: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return Position{}, fmt.Errorf("the audit log: %w", err)
	}
	// Back to the last line break.
	buffer := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(buffer)))
		part := buffer[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return Position{}, fmt.Errorf("the audit log: %w", err)
		}
		if i := strings.LastIndexByte(string(part), '\n'); i >= 0 {
			return positionIn(f, start+int64(i)+1)
		}
		end = start
	}
	return positionIn(f, 0)
}

// positionIn gives the position of an offset in an open file.
func positionIn(f *os.File, offset int64) (Position, error) {
	info, err := f.Stat()
	if err != nil {
		return Position{}, fmt.Errorf("the audit log: %w", err)
	}
	p := Position{Inode: inode(info), Offset: offset}
	p.Printed = int(min(printed, offset))
	p.Print, err = fingerprint(f, p.Printed)
	return p, err
}

// fingerprint hashes the first n bytes of a file; "" if it has fewer.
func fingerprint(f *os.File, n int) (string, error) {
	if n == 0 {
		return "", nil
	}
	head := make([]byte, n)
	if _, err := f.ReadAt(head, 0); errors.Is(err, io.EOF) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("the audit log: %w", err)
	}
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:16]), nil
}

// holds tells whether an open file is the one of the position.
func (p Position) holds(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() < p.Offset {
		return false, err
	}
	if p.Printed == 0 { // at its beginning: only the number identifies it
		return p.Inode == 0 || p.Inode == inode(info), nil
	}
	print, err := fingerprint(f, p.Printed)
	return print == p.Print, err
}

type tail struct {
	path string
	fn   func(line []byte, pos Position) error

	f     *os.File
	lines *lineReader
	at    Position
}

func (t *tail) close() {
	if t.f != nil {
		t.f.Close()
	}
}

// open goes to an offset of a file.
func (t *tail) open(f *os.File, offset int64) error {
	t.close()
	t.f = f
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("the audit log: %w", err)
	}
	t.lines = &lineReader{r: bufio.NewReaderSize(f, 256<<10), offset: offset}
	p, err := positionIn(f, offset)
	t.at = p
	return err
}

// find opens the file of a position.
func (t *tail) find(from Position) error {
	current, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("the audit log: %w\nhint: is that the file of --audit-log-path, and may you read it?", err)
	}
	if from == (Position{}) {
		return t.open(current, 0)
	}
	if found, err := from.holds(current); err != nil || found {
		if err != nil {
			current.Close()
			return fmt.Errorf("the audit log: %w", err)
		}
		return t.open(current, from.Offset)
	}
	current.Close()
	rotated, err := t.rotated()
	if err != nil {
		return err
	}
	for _, name := range rotated {
		f, err := os.Open(name)
		if err != nil {
			continue // it may have been removed by now
		}
		if found, err := from.holds(f); err == nil && found {
			return t.open(f, from.Offset)
		}
		f.Close()
	}
	return &LostError{Path: t.path, From: from}
}

// rotated lists the earlier files, oldest first: audit-<time>.log beside
// audit.log, as the API server names them, or audit.log.<anything>.
func (t *tail) rotated() ([]string, error) {
	dir, base := filepath.Split(t.path)
	if dir == "" {
		dir = "."
	}
	extension := filepath.Ext(base)
	stem := strings.TrimSuffix(base, extension) + "-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the audit log's folder: %w", err)
	}
	type file struct {
		name string
		at   time.Time
	}
	var files []file
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || name == base || slices.Contains(compressed, filepath.Ext(name)) || !(strings.HasPrefix(name, stem) && strings.HasSuffix(name, extension) || strings.HasPrefix(name, base+".")) {
			continue
		}
		if info, err := e.Info(); err == nil {
			files = append(files, file{filepath.Join(dir, name), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.name
	}
	return names, nil
}

// drain hands over what the open file holds. With last, nothing more comes
// into it, and the beginning of a line is all there is of it.
func (t *tail) drain(ctx context.Context, last bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := t.lines.next(last)
		var long *LongLineError
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil && !errors.As(err, &long) {
			return fmt.Errorf("the audit log: %w", err)
		}
		t.at.Offset = t.lines.offset
		if t.at.Printed < printed {
			if t.at, err = positionIn(t.f, t.at.Offset); err != nil {
				return err
			}
		}
		if long != nil {
			long.Next = t.at
			return long
		}
		if len(line) == 0 {
			continue
		}
		if err := t.fn(line, t.at); err != nil {
			return err
		}
	}
}

// advance goes on to the next file if the open one was rotated away.
func (t *tail) advance(ctx context.Context) (bool, error) {
	mine, err := t.f.Stat()
	if err != nil {
		return false, fmt.Errorf("the audit log: %w", err)
	}
	current, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // renamed, and not made anew yet
	}
	if err != nil {
		return false, fmt.Errorf("the audit log: %w", err)
	}
	if os.SameFile(mine, current) {
		same, err := t.at.holds(t.f)
		if err != nil || same {
			return false, err
		}
		// Copied and truncated: the rest of what was there is in the copy.
		return true, t.find(t.at)
	}
	// What was written before the file was renamed.
	if err := t.drain(ctx, true); err != nil {
		return false, err
	}
	next, err := t.after(mine)
	if err != nil {
		return false, err
	}
	f, err := os.Open(next)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // rotated again this very moment
	}
	if err != nil {
		return false, fmt.Errorf("the audit log: %w", err)
	}
	return true, t.open(f, 0)
}

// after gives the file that was begun after this rotated one.
func (t *tail) after(mine os.FileInfo) (string, error) {
	rotated, err := t.rotated()
	if err != nil {
		return "", err
	}
	for i, name := range rotated {
		info, err := os.Stat(name)
		if err == nil && os.SameFile(info, mine) {
			if i+1 < len(rotated) {
				return rotated[i+1], nil
			}
			return t.path, nil
		}
	}
	// It was removed already, and so may be others that came after it.
	return "", &LostError{Path: t.path, From: t.at}
}
