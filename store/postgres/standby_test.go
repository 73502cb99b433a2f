package postgres

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
)

// TestReadOnly: a database that answers and takes nothing is none to lead by, until it takes what is written.
func TestReadOnly(t *testing.T) {
	address := database(t)
	s, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	term, err := s.TakeOver(t.Context(), "c", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // it began before anything could only be read
	for _, step := range []struct {
		set  string
		want error
	}{{"off", nil}, {"on", store.ErrUnavailable}, {"off", nil}} {
		for _, query := range []string{
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = " + step.set + "', current_database()); END $$",
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		} {
			if _, err := db.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
		// Connections that were ended are met first.
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			err := s.Writable(t.Context())
			if err == nil && step.want == nil || err != nil && step.want != nil && strings.Contains(err.Error(), "read only") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("read only %s: %v", step.set, err)
			}
		}
		if err := term.InTerm(t.Context()); !errors.Is(err, step.want) {
			t.Errorf("read only %s, in its term: %v", step.set, err)
		}
	}
}
