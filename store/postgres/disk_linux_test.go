package postgres

import (
	"os"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/storetest"
)

// TestDiskFull fills the server's disk. It may end over that, and is started again.
func TestDiskFull(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes more than a minute: BAILEY_SOAK=1 runs it")
	}
	if server == nil && !storetest.IsSmallDisk() {
		t.Skip(postgrestest.ErrMissing)
	}
	dir := storetest.SmallDisk(t, "140m")
	if dir == "" {
		return
	}
	t.Setenv("TMPDIR", dir)
	own, err := postgrestest.Start(t.Context(), "max_wal_size=32MB", "min_wal_size=32MB")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	s, err := Open(t.Context(), own.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.DiskFull(t, dir, s, func() error {
		select {
		case <-own.Ended():
			return own.Begin(t.Context())
		case <-time.After(2 * time.Second):
			return nil
		}
	})
}
