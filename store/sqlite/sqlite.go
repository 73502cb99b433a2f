// Package sqlite keeps the store in one file of a folder: for one Bailey that writes, and
// any number that read on the same machine.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/baileyhq/bailey/store"
)

// File is the name of the database in its folder.
const File = "history.db"

// applicationID marks the file as Bailey's, so that another one is not taken for it.
const applicationID = 0x62616c79

// busy is how long a connection waits for a lock, in milliseconds.
const busy = 10_000

// Open opens the store in a folder, and makes both if they are not there. The folder must
// be on a local disk: network file systems do not lock as SQLite needs.
func Open(ctx context.Context, dir string) (*store.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	path, err := filepath.Abs(filepath.Join(dir, File))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := private(dir, path); err != nil {
		return nil, err
	}
	f := &file{path: path}
	if f.info, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if f.write, err = sql.Open("sqlite", dsn(path, "_txlock=immediate&"+cache(16))); err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	f.write.SetMaxOpenConns(1)
	if f.read, err = sql.Open("sqlite", dsn(path, "_query_only=1&"+cache(4))); err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	f.read.SetMaxOpenConns(readers())
	f.read.SetMaxIdleConns(readers())
	s, err := f.open(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), f.read.Close(), f.write.Close())
	}
	return s, nil
}

func (f *file) open(ctx context.Context) (*store.Store, error) {
	if err := f.claim(ctx); err != nil {
		return nil, err
	}
	s, err := store.New(ctx, store.Engine{
		Name: "sqlite", Write: f.write, Read: f.read,
		Int: "INTEGER", Text: "TEXT", RowID: "INTEGER NOT NULL PRIMARY KEY",
		Hits: "(SELECT rowid AS hit FROM finding_words WHERE finding_words MATCH ? LIMIT ?) AS h CROSS JOIN findings f ON f.n = h.hit",
		Term: term, And: " AND ", Or: " OR ", Not: " NOT ", Vocabulary: "SELECT term FROM finding_vocabulary WHERE term >= ? LIMIT 1",
		Ready: f.ready, Unavailable: unavailable, Damaged: damaged, Backup: f.backup, Merge: mergeWords,
	})
	if err != nil || store.IsAsItIs(ctx) {
		return s, err
	}
	return s, ofKind(f.fixStatistics(ctx))
}

// cache is how many MiB of pages a connection keeps. The writer changes the same pages over and over, and
// writes them out early where it may keep few: half as fast with 2. Readers find theirs with the system, which keeps them once for all.
func cache(mib int) string { return fmt.Sprintf("_pragma=cache_size(-%d)", mib<<10) }

// readers is how many connections read at once.
func readers() int { return max(4, 2*runtime.NumCPU()) }

// private makes the file, and lets nobody else read it. A folder that was there keeps its mode: it may
// hold what others are to read.
func private(dir, path string) error {
	made := !isThere(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	// What SQLite puts beside the file gets the file's mode, and its owner.
	err = errors.Join(f.Chmod(0o600), f.Close())
	if err == nil && made {
		err = ownedAs(dir, path)
	}
	return err
}

// dsn names the file to the driver. Every commit is on the disk before it is acknowledged.
func dsn(path, more string) string {
	return fileURL(path) + fmt.Sprintf("?mode=rw&_defensive=1&_dqs=0&_error_rc=1&_busy_timeout=%d&_journal_mode=WAL&_synchronous=FULL&_pragma=temp_store(MEMORY)&%s", busy, more)
}

func fileURL(path string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path}
	return u.String()
}

// file is the database's file.
type file struct {
	path        string
	write, read *sql.DB

	mu   sync.Mutex
	info os.FileInfo
}

// claim marks the file as Bailey's, if it is nobody's.
func (f *file) claim(ctx context.Context) error {
	var id int
	if err := f.write.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return ofKind(err)
	}
	switch id {
	case applicationID:
		return nil
	case 0:
		_, err := f.write.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
		return err
	}
	return errors.New("this is the database of another program")
}

// ofKind gives an error the kind that callers tell apart.
func ofKind(err error) error {
	switch {
	case err == nil:
		return nil
	case damaged(err):
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	case unavailable(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// ready tells whether the file is still the one that is open. What is written into a file
// that was removed is lost, and SQLite does not notice.
func (f *file) ready() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !os.SameFile(info, f.info) {
		// Another file was put there: connections to the old one are closed as they come back.
		for _, db := range []*sql.DB{f.write, f.read} {
			db.SetMaxIdleConns(-1)
		}
		f.write.SetMaxIdleConns(1)
		f.read.SetMaxIdleConns(readers())
		f.info = info
	}
	return nil
}

func code(err error) (int, bool) {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff, true
	}
	return 0, false
}

func unavailable(err error) bool {
	switch c, _ := code(err); c {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM:
		return true
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

func damaged(err error) bool {
	c, _ := code(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// term is a word in what the index of words is asked for.
func term(word string, begins bool) string {
	if begins {
		return `"` + word + `" *`
	}
	return `"` + word + `"`
}
