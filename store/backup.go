package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

type progressKey struct{}

// WithProgress has it told, now and then, how many bytes a backup or a restore has written, and
// about how many there will be (0: not known).
func WithProgress(ctx context.Context, tell func(done, total int64)) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// Progress gives what WithProgress was told to call.
func Progress(ctx context.Context) func(done, total int64) {
	if tell, ok := ctx.Value(progressKey{}).(func(done, total int64)); ok {
		return tell
	}
	return func(int64, int64) {}
}

// Told is a writer that tells how much was written of a total.
type Told struct {
	io.Writer
	Total int64
	Tell  func(done, total int64)
	done  int64
}

func (t *Told) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.done += int64(n)
	t.Tell(t.done, t.Total)
	return n, err
}

// Backup writes everything to a file, mode 0600, that is whole or not there: a database
// where the engine is one file, else what Export writes.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.e.Backup != nil {
		return s.fail(s.e.Backup(ctx, path))
	}
	return s.ExportFile(ctx, path)
}

// ExportFile writes what Export does to a file, mode 0600, that is whole or not there.
func (s *Store) ExportFile(ctx context.Context, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer os.Remove(f.Name())
	buffer := bufio.NewWriterSize(&Told{Writer: f, Tell: Progress(ctx)}, 1<<20)
	err = s.Export(ctx, buffer)
	if err = errors.Join(err, buffer.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return Install(f.Name(), path)
}

// Install gives a file that is on the disk its name there.
func Install(temporary, path string) error {
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
