package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestServeRefusesNewer: a history whose tables are of a version that this one cannot read is served by nobody, and
// nothing of it changes.
func TestServeRefusesNewer(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		data := t.TempDir()
		s, err := sqlite.Open(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(data, sqlite.File)
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		makeNewer(t, s, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		refusesNewer(t, func() string {
			whole, err := os.ReadFile(file)
			beside, _ := os.ReadFile(file + "-wal")
			if err != nil || len(beside) > 0 {
				t.Errorf("%v; %d bytes were written beside it", err, len(beside))
			}
			return string(whole)
		}, "--data", data)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a database, which -short leaves out")
		}
		server, err := postgrestest.Start(t.Context(), "fsync=off")
		if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Stop() })
		url, err := server.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		makeNewer(t, s, db)
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refusesNewer(t, func() string { return postgresText(t, db) }, "--data", t.TempDir(), "--database", file)
	})
}

// makeNewer has a history look as a later version would leave it, with a table less and another more.
func makeNewer(t *testing.T, s *store.Store, db *sql.DB) {
	t.Helper()
	if err := s.PutCluster(t.Context(), "u", "staging", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, program, err := s.Version(t.Context())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"ALTER TABLE runs RENAME TO runs_of_a_later_version",
		fmt.Sprintf("INSERT INTO schema_versions (version, reader, applied_at) VALUES (%d, %d, 1)", program+1, program+1),
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func refusesNewer(t *testing.T, held func() string, args ...string) {
	t.Helper()
	before := held()
	_, said, code := program(t, append([]string{"serve", "--target", t.TempDir(), "--listen", "127.0.0.1:0"}, args...)...)
	if code == exitOK || !strings.Contains(said, "a newer version of Bailey wrote the database") || !strings.Contains(said, "start a newer Bailey") || strings.Contains(said, "answers at") {
		t.Errorf("exit %d: %s", code, said)
	}
	if after := held(); after != before {
		t.Errorf("the history changed (%d bytes, before %d)", len(after), len(before))
	}
}

// postgresText gives all columns, indexes and rows of a database.
func postgresText(t *testing.T, db *sql.DB) string {
	t.Helper()
	var b bytes.Buffer
	add := func(query string) (all []string) {
		rows, err := db.QueryContext(context.WithoutCancel(t.Context()), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, line)
			all = append(all, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	add("SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1")
	add("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
	tables := add("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
	if len(tables) < 5 {
		t.Fatalf("the tables are %v", tables)
	}
	for _, table := range tables {
		add("SELECT t::text || ' ' || t.ctid::text || ' ' || t.xmin::text FROM " + table + " AS t ORDER BY 1")
	}
	return b.String()
}
