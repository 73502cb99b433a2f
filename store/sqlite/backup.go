package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

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
	tell := store.Progress(ctx)
	defer repeating(func() { tell(sizeOf(temporary), sizeOf(f.path)) })()
	// The file is there, with its mode, and empty: so SQLite wants it.
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", temporary); err != nil {
		return err
	}
	if err := onDisk(temporary); err != nil {
		return err
	}
	return store.Install(temporary, path)
}

// repeating calls do again and again, until what it gives back is called.
func repeating(do func()) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-ending:
				return
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

// sizeOf is how large a file is; 0 where that cannot be told.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// temporaryFile makes an empty file beside a path, mode 0600.
func temporaryFile(path string) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("store: backup: %w", err)
	}
	return t.Name(), t.Close()
}

// onDisk has a file on the disk, with its mode: where there is no room, or the disk fails, that shows here.
func onDisk(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return nil
}

// Restore makes a backup the store of a folder. The backup is checked first. Where there is a store
// it fails with fs.ErrExist, unless replace is set: then that is kept beside, under the name that
// is given back. It fails with ErrInUse while a process has that store open.
func Restore(ctx context.Context, backup, dir string, replace bool) (aside string, err error) {
	path := filepath.Join(dir, File)
	there := slices.ContainsFunc([]string{path, path + walSuffix}, isThere)
	if there && !replace {
		return "", fmt.Errorf("store: there is a database at %s: %w", path, fs.ErrExist)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	if same(backup, path) {
		return "", fmt.Errorf("store: %s is the database itself", backup)
	}
	release, err := alone(path)
	if err != nil {
		return "", err
	}
	defer release()
	temporary, err := temporaryFile(path)
	if err != nil {
		return "", err
	}
	defer func() {
		for _, suffix := range []string{"", walSuffix, shmSuffix} {
			os.Remove(temporary + suffix)
		}
	}()
	// A copy of a database that was not closed has what was written last beside it.
	for _, suffix := range []string{"", walSuffix} {
		if suffix != "" && !isThere(backup+suffix) {
			continue
		}
		if err := copyFile(ctx, backup+suffix, temporary+suffix); err != nil {
			return "", err
		}
	}
	tell, size := store.Progress(ctx), sizeOf(temporary)
	stop := repeating(func() { tell(size, size) })
	err = check(ctx, temporary)
	if stop(); err != nil {
		return "", fmt.Errorf("store: %s cannot be restored: %w", backup, err)
	}
	if err := ownedAs(dir, temporary); err != nil {
		return "", err
	}
	if err := onDisk(temporary); err != nil {
		return "", err
	}
	if !there {
		return "", store.Install(temporary, path)
	}
	return replaced(temporary, path)
}

func same(one, other string) bool {
	a, err1 := os.Stat(one)
	b, err2 := os.Stat(other)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// What SQLite keeps beside a database: what was written last, and an index of it in memory.
const (
	walSuffix = "-wal"
	shmSuffix = "-shm"
)

// replaced puts a file in the place of a database that nobody uses, and gives the name under which that is
// kept. Where this fails, the database is where it was, or the error tells where it is.
func replaced(temporary, path string) (aside string, err error) {
	aside = path + ".until-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err = setAside(path, aside); err == nil {
		err = store.Install(temporary, path)
	}
	switch {
	case err == nil:
		return aside, nil
	case same(path, aside): // two names of one file
		return "", errors.Join(err, os.Remove(aside))
	case isThere(aside) || isThere(aside+walSuffix):
		return "", fmt.Errorf("%w; what was there is kept as %s", err, aside)
	}
	return "", err
}

// setAside gives a database another name, and what was written last with it: that would be read into the
// database that takes its place. Where nothing lies beside, it has both names until then, so
// that there is a database at every moment.
func setAside(path, aside string) error {
	if isThere(path+walSuffix) || os.Link(path, aside) != nil {
		for _, suffix := range []string{"", walSuffix} {
			if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("store: %w", err)
			}
		}
	}
	if err := os.Remove(path + shmSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	defer in.Close()
	if err := usedBy(in); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	info, err := in.Stat()
	if err == nil {
		_, err = io.Copy(&store.Told{Writer: out, Total: info.Size(), Tell: store.Progress(ctx)}, &upTo{ctx, in})
	}
	return errors.Join(err, out.Close())
}

// upTo reads until ctx ends.
type upTo struct {
	ctx context.Context
	io.Reader
}

func (u *upTo) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

// check reads a whole database and its indexes, and whether it is Bailey's. What lies beside it is then
// in it, and no session: some may have been ended since.
func check(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURL(path)+"?mode=rw&_defensive=1")
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
	var version, reader int
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0), coalesce(max(reader), 0) FROM schema_versions").Scan(&version, &reader); err != nil {
		return err
	}
	if err := store.Readable(version, reader); err != nil {
		return err
	}
	if err := forget(ctx, db); err != nil {
		return err
	}
	var busy, written, moved int // -1, -1 where nothing lies beside
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &written, &moved); err != nil {
		return err
	}
	if busy != 0 || written != moved {
		return fmt.Errorf("of %d pages that lie beside it %d could be taken in", written, moved)
	}
	return nil
}

// forget removes the sessions.
func forget(ctx context.Context, db *sql.DB) error {
	var tables int // none in a database of an older Bailey
	err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sessions'").Scan(&tables)
	if err == nil && tables > 0 {
		_, err = db.ExecContext(ctx, "DELETE FROM sessions")
	}
	return err
}
