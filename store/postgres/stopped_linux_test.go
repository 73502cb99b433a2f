package postgres

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
)

// TestStopped: a server that is stopped, and not ended, leaves no question waiting for ever, however many
// there are; and once it goes on they are answered.
func TestStopped(t *testing.T) {
	if server == nil {
		t.Skip(postgrestest.ErrMissing)
	}
	t.Parallel() // it mostly waits
	own, err := postgrestest.Start(t.Context(), "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	url, err := own.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PutCluster(t.Context(), "c", "c", time.Now()); err != nil {
		t.Fatal(err)
	}
	var text string
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT pg_read_file('postmaster.pid')").Scan(&text); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(text, "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	all := append(childrenOf(t, pid), pid)
	signal := func(sig syscall.Signal) {
		for _, p := range all {
			_ = syscall.Kill(p, sig) // a helper may have ended
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	begun := time.Now()
	var asking sync.WaitGroup
	for range 2 * connections {
		asking.Go(func() {
			if _, err := s.Cluster(t.Context(), "c"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("after %s: %v", time.Since(begun).Round(time.Second), err)
			}
		})
	}
	asking.Wait()
	if took := time.Since(begun); took > 2*answers {
		t.Errorf("it took %s", took)
	}
	signal(syscall.SIGCONT)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := s.Cluster(t.Context(), "c")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it goes on, and is not reached: %v", err)
		}
	}
}

// childrenOf lists the processes that a process started.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
