package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes everything to a file, mode 0600, that is whole or not there: a database
// where the engine is one file, else what Export writes.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.e.Backup != nil {
		return s.fail(s.e.Backup(ctx, path))
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer os.Remove(f.Name())
	buffer := bufio.NewWriterSize(f, 1<<20)
	err = s.Export(ctx, buffer)
	if err = errors.Join(err, buffer.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
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
