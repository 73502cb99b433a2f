package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey/store/internal/limits"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// A migration brings the tables one version forward.
type migration struct {
	version int
	// reader is the oldest version that can still read and write the tables then. A
	// migration that only adds leaves it as it was.
	reader int
	sql    func(engine string) (string, error)
}

// readers gives the oldest version that reads the tables of a version, where it is
// not the first one.
var readers = map[int]int{}

// migrations lists what is embedded, by version from 1 on.
func migrations() []migration {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // a wrong pattern
	}
	var list []migration
	for _, name := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(name, "migrations/"), ".sql")
		if strings.Contains(base, ".") {
			continue // one engine's part
		}
		number, _, _ := strings.Cut(base, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(list)+1 {
			panic("store: migrations are not numbered from 0001 on: " + name)
		}
		list = append(list, migration{version, max(1, readers[version]), func(engine string) (string, error) {
			text, err := migrationFiles.ReadFile(name)
			if err != nil {
				return "", err
			}
			own, err := migrationFiles.ReadFile(strings.TrimSuffix(name, ".sql") + "." + engine + ".sql")
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return string(text) + "\n" + string(own), err
		}})
	}
	if limits.Newest > 0 {
		list = list[:limits.Newest]
	}
	for _, later := range limits.Later {
		list = append(list, migration{len(list) + 1, max(1, later.Reader), func(string) (string, error) { return later.SQL, nil }})
	}
	return list
}

type upgradeKey struct{}

// WithUpgrade has it told before the tables of a database that holds something are brought from
// one version to the next: of a million findings that may take minutes.
func WithUpgrade(ctx context.Context, tell func(from, to int)) context.Context {
	return context.WithValue(ctx, upgradeKey{}, tell)
}

type asItIsKey struct{}

// AsItIs has a database opened whose tables are there and keep the version that they have, which an
// older Bailey may be using: to back it up or to export it, and nothing else.
func AsItIs(ctx context.Context) context.Context { return context.WithValue(ctx, asItIsKey{}, true) }

// IsAsItIs tells whether a database is opened so: nothing is to be written.
func IsAsItIs(ctx context.Context) bool { return ctx.Value(asItIsKey{}) != nil }

// asItIs tells whether the tables can be read.
func (s *Store) asItIs(ctx context.Context) error {
	var version, oldest int
	err := s.read(ctx, func(r *reader) error { return r.tables().Scan(&version, &oldest) })
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrDamaged), ctx.Err() != nil:
		return err
	case err != nil || version == 0:
		return fmt.Errorf("store: there is no history in this database: %w", ErrNotFound)
	}
	return Readable(version, oldest)
}

// tables is the version of the tables, and the oldest program that can read them; 0 for none.
func (r *reader) tables() *sql.Row {
	return r.row("SELECT coalesce(max(version), 0), coalesce(max(reader), 0) FROM schema_versions")
}

// Readable fails with ErrNewer where tables of a version can be read by programs only that know
// a later one than this.
func Readable(version, reader int) error {
	if newest := len(migrations()); reader > newest {
		return fmt.Errorf("store: %w: its tables have version %d, which only versions from %d on can read, and this program knows %d; start a newer Bailey, or restore a backup of the older one (bailey history restore)",
			ErrNewer, version, reader, newest)
	}
	return nil
}

// migrate applies what the database lacks, each version in a transaction.
func (s *Store) migrate(ctx context.Context) error {
	list := migrations()
	if err := s.change(ctx, func(r *reader) error {
		_, err := r.exec(s.e.ddl("CREATE TABLE IF NOT EXISTS schema_versions (version {int} NOT NULL PRIMARY KEY, reader {int} NOT NULL, applied_at {int} NOT NULL)"))
		return err
	}); err != nil {
		return err
	}
	began := -1 // the version that was there
	for {
		done := false
		err := s.change(ctx, func(r *reader) error {
			if s.e.Lock != "" { // two programs may start at once
				if _, err := r.exec("LOCK TABLE schema_versions IN EXCLUSIVE MODE"); err != nil {
					return err
				}
			}
			var version, reader int
			if err := r.tables().Scan(&version, &reader); err != nil {
				return err
			}
			if err := Readable(version, reader); err != nil {
				return err
			}
			if done = version >= len(list); done {
				return nil
			}
			m := list[version]
			if began < 0 {
				began = version
			}
			if tell, ok := ctx.Value(upgradeKey{}).(func(from, to int)); ok && began > 0 {
				var clusters int
				if err := r.row("SELECT count(*) FROM clusters WHERE n > 0").Scan(&clusters); err != nil {
					return err
				}
				if clusters > 0 {
					tell(version, m.version)
				}
			}
			text, err := m.sql(s.e.Name)
			if err != nil {
				return err
			}
			for _, statement := range statements(s.e.ddl(text)) {
				if _, err := r.tx.ExecContext(ctx, statement); err != nil {
					return fmt.Errorf("store: migration to version %d: %w", m.version, err)
				}
			}
			_, err = r.exec("INSERT INTO schema_versions (version, reader, applied_at) VALUES (?, ?, ?)", m.version, m.reader, nanos(time.Now()))
			return err
		})
		if err != nil || done {
			return err
		}
	}
}

// statements splits SQL at the semicolons that end a line; what is indented belongs to
// the statement before.
func statements(text string) []string {
	var list []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimRight(line, "\n"), ";") && !strings.HasPrefix(line, " ") {
			list = append(list, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		list = append(list, rest)
	}
	return list
}

// Version gives the version of the database's tables, and that of the program's.
func (s *Store) Version(ctx context.Context) (database, program int, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.row("SELECT coalesce(max(version), 0) FROM schema_versions").Scan(&database)
	})
	return database, len(migrations()), err
}
