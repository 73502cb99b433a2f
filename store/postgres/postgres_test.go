package postgres

import (
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
	"github.com/baileyhq/bailey/store/storetest"
)

// server is the tests' own; nil where PostgreSQL is not installed, or in the child process.
var server *postgrestest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if storetest.IsWriter() {
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
			Open:    func() (*store.Store, error) { return Open(t.Context(), url) },
			DB:      db,
			Explain: "EXPLAIN ",
			Scans: func(line, table string) bool {
				_, rest, found := strings.Cut(line, "Seq Scan on ")
				return found && strings.HasPrefix(rest+" ", table+" ")
			},
			Argument: url,
		}
	})
}

func TestWriter(t *testing.T) {
	storetest.Writer(t, func(url string) (*store.Store, error) { return Open(t.Context(), url) })
}
