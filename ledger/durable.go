package ledger

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	folderMode = 0o700
	fileMode   = 0o600
)

// writeDurable puts data at path so that after a crash the file is there whole
// or as it was before: a temporary file, fsync, rename, fsync of the folder.
func writeDurable(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes names that were created, renamed or removed in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync %s: %w", dir, err)
	}
	return nil
}

// makeFolder creates one folder durably. One that is there already is fine.
func makeFolder(dir string) error {
	if err := os.Mkdir(dir, folderMode); err != nil {
		if os.IsExist(err) {
			return nil
		}
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// remove takes a file away durably. One that is gone already is fine.
func remove(path string) error {
	if err := os.Remove(path); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	return syncFolder(filepath.Dir(path))
}
