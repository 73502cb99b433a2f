package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		dir := filepath.Join(t.TempDir(), "state")
		db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), ""))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return storetest.Place{
			Open:    func() (*store.Store, error) { return Open(t.Context(), dir) },
			DB:      db,
			Explain: "EXPLAIN QUERY PLAN ",
			Scans: func(line, table string) bool {
				alias := map[string]string{"findings": "f", "verdicts": "v"}[table]
				name := strings.TrimPrefix(line, "SCAN ")
				name, _, _ = strings.Cut(name, " ")
				return strings.HasPrefix(line, "SCAN ") && (name == table || name == alias)
			},
			Argument: dir,
		}
	})
}

func TestWriter(t *testing.T) {
	storetest.Writer(t, func(dir string) (*store.Store, error) { return Open(t.Context(), dir) })
}
