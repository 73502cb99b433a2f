package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/baileyhq/bailey/store"
)

// backup writes the database, as it is now, to a file that is whole or not there.
func (f *file) backup(ctx context.Context, path string) error {
	temporary, err := temporaryFile(path)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	// The readers' connections may write to no file. This one blocks no writer.
	db, err := sql.Open("sqlite", dsn(f.path, ""))
	if err != nil {
		return err
	}
	defer db.Close()
	// The file is there, with its mode, and empty: so SQLite wants it.
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", temporary); err != nil {
		return err
	}
	return install(temporary, path)
}

// temporaryFile makes an empty file beside a path, mode 0600.
func temporaryFile(path string) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("store: backup: %w", err)
	}
	return t.Name(), t.Close()
}

// install gives a file its name, once it is on the disk.
func install(temporary, path string) error {
	f, err := os.OpenFile(temporary, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return store.Install(temporary, path)
}

// Restore makes a backup the store of a folder that has none. The backup is checked first.
func Restore(ctx context.Context, backup, dir string) error {
	path := filepath.Join(dir, File)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("store: there is a database at %s: move it away first, with %s-wal", path, File)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	temporary, err := temporaryFile(path)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := copyFile(backup, temporary); err != nil {
		return err
	}
	if err := check(ctx, temporary); err != nil {
		return fmt.Errorf("store: %s is no whole backup: %w", backup, err)
	}
	return install(temporary, path)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// check reads a whole database and its indexes, and whether it is Bailey's.
func check(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURL(path)+"?mode=ro&_defensive=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var id int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != applicationID {
		return errors.New("it is not a database of Bailey")
	}
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return errors.New(result)
	}
	return nil
}
