package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/sqlite"
	"github.com/baileyhq/bailey/store/storetest"
)

// server is the tests' own; nil where PostgreSQL is not installed, or in the child process.
var server *postgrestest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if storetest.IsWriter() || storetest.IsSmallDisk() {
		return m.Run()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	server, err = postgrestest.Start(ctx, "fsync=off")
	switch {
	case errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "":
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		defer server.Stop()
	}
	return m.Run()
}

func database(t *testing.T) string {
	t.Helper()
	if server == nil {
		t.Skip(postgrestest.ErrMissing)
	}
	url, err := server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		url := database(t)
		// Small tables are read whole wherever that is cheaper; what has no index even so shows.
		db, err := sql.Open("pgx", url+"&options=-c%20enable_seqscan%3Doff")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return storetest.Place{
			Open:    func(ctx context.Context) (*store.Store, error) { return Open(ctx, url) },
			DB:      db,
			Explain: "EXPLAIN ",
			Scans: func(line, table string) bool {
				_, rest, found := strings.Cut(line, "Seq Scan on ")
				return found && strings.HasPrefix(rest+" ", table+" ")
			},
			Restore: func(backup string) (*store.Store, error) {
				f, err := os.Open(backup)
				if err != nil {
					return nil, err
				}
				defer f.Close()
				s, err := Open(t.Context(), database(t))
				if err != nil {
					return nil, err
				}
				if err := s.Import(t.Context(), f); err != nil {
					return nil, errors.Join(err, s.Close())
				}
				return s, nil
			},
			Argument: url,
		}
	})
}

func TestWriter(t *testing.T) {
	storetest.Writer(t, func(url string) (*store.Store, error) { return Open(t.Context(), url) })
}

// TestFromSQLite carries a store over from SQLite, and back.
func TestFromSQLite(t *testing.T) {
	file, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	storetest.Fill(t, file)
	s, err := Open(t.Context(), database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	back, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	for _, carry := range []struct{ from, to *store.Store }{{file, s}, {s, back}} {
		var out bytes.Buffer
		if err := carry.from.Export(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if err := carry.to.Import(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		storetest.Same(t, file, carry.to)
	}
}

// TestPassword looks for the password in errors.
func TestPassword(t *testing.T) {
	for _, conn := range []string{
		"postgres://bailey:hunter2%21x@127.0.0.1:1/bailey?sslmode=disable&connect_timeout=1",
		"postgres://bailey:hunter2%zz@127.0.0.1:1/bailey",
		"postgres://bailey:hunter2@127.0.0.1:port/bailey",
		"postgres://127.0.0.1:1/bailey?user=bailey&password=hunter2",
		"host=127.0.0.1 port=1 user=bailey password=hunter2 connect_timeout=1",
		`host=127.0.0.1 port=x user=bailey password='hunter2 \' more'`,
	} {
		s, err := Open(t.Context(), conn)
		if err == nil {
			s.Close()
			t.Fatalf("%s: opened", conn)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "more'") {
			t.Errorf("the error shows the password: %v", err)
		}
		if !strings.Contains(err.Error(), "store:") {
			t.Errorf("%v", err)
		}
	}
	if _, err := Open(t.Context(), "host=127.0.0.1 port=1 connect_timeout=1"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestServerGone stops the server while stores are open, and starts it again.
func TestServerGone(t *testing.T) {
	if server == nil {
		t.Skip(postgrestest.ErrMissing)
	}
	own, err := postgrestest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	s, err := Open(t.Context(), own.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Fill(t, s)
	if err := own.End(); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCluster(t.Context(), "written", "w", time.Unix(1, 0)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write without a server: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read without a server: %v", err)
	}
	if err := own.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCluster(t.Context(), "written", "w", time.Unix(1, 0)); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	list, err := s.Clusters(t.Context())
	if err != nil || len(list) != 3 {
		t.Errorf("%v %v", list, err)
	}
}
