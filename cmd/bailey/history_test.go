package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/sqlite"
)

// history runs bailey history, and gives what it prints.
func history(t *testing.T, state string, args ...string) string {
	t.Helper()
	out, errs, code := programIn(t, state, append([]string{"history"}, args...)...)
	if code != exitOK {
		t.Fatalf("bailey history %q: exit %d: %s", args, code, errs)
	}
	return out
}

// namesOf gives the objects that the findings in a history are of.
func namesOf(t *testing.T, s *store.Store, uid string) (names []string) {
	t.Helper()
	if err := s.Check(t.Context(), uid); err != nil {
		t.Fatal(err)
	}
	for after := ""; ; {
		page, err := s.Findings(t.Context(), store.FindingQuery{Cluster: uid, Access: store.Everything(), Limit: 1000, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Items {
			if f.Object.Name != "" && !slices.Contains(names, f.Object.Name) {
				names = append(names, f.Object.Name)
			}
		}
		if after = page.Next; after == "" {
			slices.Sort(names)
			return names
		}
	}
}

// TestHistoryOfRunningServer: backups and exports that are made while a server writes hold its history
// as it was at one moment; none is restored under its hands, and afterwards the server goes on
// from the one that was.
func TestHistoryOfRunningServer(t *testing.T) {
	state, folder, backups := t.TempDir(), t.TempDir(), t.TempDir()
	data := filepath.Join(state, "data")
	uid := fileIdentity(folder)
	writePod(t, folder, "pod-000")
	p := startServed(t, state, "serve", "--data", data, "--target", folder)
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings?name=pod-000", "host-namespaces")

	// Another pod comes all the time, and somebody waives something at every moment.
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int, 1)
	go func() {
		n := 1
		for ; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("pod-%03d", n)
			text := "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop}\nspec: {hostNetwork: true, containers: [{name: c, image: x}]}\n"
			if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		written <- n
	}()
	before := []string{"pod-000"}
	for n := range 6 {
		file := filepath.Join(backups, fmt.Sprint(n))
		restored := filepath.Join(backups, fmt.Sprint("data", n))
		if n%2 == 0 {
			history(t, state, "backup", file, "--data", data)
			history(t, state, "restore", file, "--data", restored)
		} else {
			history(t, state, "export", file, "--data", data)
			history(t, state, "import", file, "--data", restored)
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		s, err := sqlite.Open(t.Context(), restored)
		if err != nil {
			t.Fatal(err)
		}
		names := namesOf(t, s, uid)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(names) < len(before) || !slices.Equal(names[:len(before)], before) {
			t.Errorf("backup %d holds %q, and the one before %q", n, names, before)
		}
		before = names
		time.Sleep(time.Second)
	}
	stop()
	last := fmt.Sprintf("pod-%03d", <-written-1)
	if len(before) < 2 || slices.Contains(before, last) {
		t.Fatalf("the backups were made before or after all that was written: %q, %s", before, last)
	}
	awaitText(t, p, token, "/api/v1/findings?name="+last, "host-namespaces")

	backup := filepath.Join(backups, "0")
	if _, errs, code := programIn(t, state, "history", "restore", backup, "--data", data, "--replace"); code != exitUsage || !strings.Contains(errs, fmt.Sprint("(process ", p.cmd.Process.Pid, ")")) || !strings.Contains(errs, "hint: end that server") {
		t.Errorf("a restore under the hands of a server: exit %d: %s", code, errs)
	}
	if _, errs, code := programIn(t, state, "history", "restore", filepath.Join(data, sqlite.File), "--data", filepath.Join(backups, "copied")); code != exitUsage || !strings.Contains(errs, "a process uses the database") {
		t.Errorf("a restore of what a server has open: exit %d: %s", code, errs)
	}
	awaitText(t, p, token, "/api/v1/findings?name="+last, "host-namespaces")
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}

	// Of what the backup does not know, the server that goes on from it finds what is there still.
	if err := os.Remove(filepath.Join(folder, last+".yaml")); err != nil {
		t.Fatal(err)
	}
	history(t, state, "restore", backup, "--data", data, "--replace")
	p = startServed(t, state, "serve", "--data", data, "--target", folder)
	token = tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings?name=pod-001", "host-namespaces")
	if _, body := p.get(t, "/api/v1/findings?state=all&name="+last, token); strings.Contains(body, "host-namespaces") {
		t.Errorf("what came after the backup is remembered: %.300s", body)
	}
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// TestHistoryImportRefuses leaves the tables of a history that is there at their version: an older program
// may be using it.
func TestHistoryImportRefuses(t *testing.T) {
	state := t.TempDir()
	data, export := filepath.Join(state, "data"), filepath.Join(state, "export")
	if _, errs, code := programIn(t, state, "hub", "token", "uid-1", "--name", "production", "--data", data); code != exitOK {
		t.Fatal(errs)
	}
	history(t, state, "export", export, "--data", data)
	db, err := sql.Open("sqlite", filepath.Join(data, sqlite.File))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var before, after int
	if err := db.QueryRow("DELETE FROM schema_versions WHERE version = (SELECT max(version) FROM schema_versions) RETURNING version - 1").Scan(&before); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := programIn(t, state, "history", "import", export, "--data", data); code != exitUsage || !strings.Contains(errs, "a history of 1 cluster is there") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if err := db.QueryRow("SELECT max(version) FROM schema_versions").Scan(&after); err != nil || after != before {
		t.Errorf("the tables had version %d and have %d, %v", before, after, err)
	}
}

// TestHistoryToPostgres carries a history from SQLite into PostgreSQL, on which the server goes on, makes a
// backup of that while it runs, and restores it in another database and in a folder.
func TestHistoryToPostgres(t *testing.T) {
	db, err := postgrestest.Start(t.Context(), "fsync=off")
	if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Stop() })
	state, folder := t.TempDir(), t.TempDir()
	database := func(name string) string {
		t.Helper()
		url, err := db.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(state, name)
		if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	one, two := database("one"), database("two")
	data, uid := filepath.Join(state, "data"), fileIdentity(folder)
	writePod(t, folder, "red")
	serve := func(args ...string) (*servedProcess, string) {
		t.Helper()
		p := startServed(t, state, append([]string{"serve", "--data", data, "--target", folder}, args...)...)
		return p, tokenIn(t, data)
	}
	p, token := serve()
	awaitText(t, p, token, "/api/v1/findings?name=red", "host-namespaces")
	writePod(t, folder, "blue")
	awaitText(t, p, token, "/api/v1/findings?name=blue", "host-namespaces")
	if err := os.Remove(filepath.Join(folder, "red.yaml")); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, token, "/api/v1/findings?name=red&state=gone", "host-namespaces")
	p.end(t)

	if _, errs, code := programIn(t, state, "history", "backup", filepath.Join(state, "none"), "--database", one); code != exitUsage || !strings.Contains(errs, "there is no history in this database") {
		t.Errorf("a backup of nothing: exit %d: %s", code, errs)
	}
	export, backup := filepath.Join(state, "export"), filepath.Join(state, "backup")
	history(t, state, "export", export, "--data", data)
	history(t, state, "import", export, "--database", one)
	if _, errs, code := programIn(t, state, "history", "import", export, "--database", one); code != exitUsage || !strings.Contains(errs, "hint: name a folder, or a database, that holds no history") {
		t.Errorf("an import into what holds something: exit %d: %s", code, errs)
	}
	p, token = serve("--database", one)
	awaitText(t, p, token, "/api/v1/findings?name=red&state=gone", "host-namespaces")
	writePod(t, folder, "green")
	awaitText(t, p, token, "/api/v1/findings?name=green", "host-namespaces")
	if out := history(t, state, "backup", backup, "--database", one); !strings.Contains(out, "bailey history restore "+backup+" --database "+one) {
		t.Errorf("of the backup is said: %s", out)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup: %v, %v", info.Mode(), err)
	}
	p.end(t)

	history(t, state, "restore", backup, "--database", two)
	again := filepath.Join(state, "again")
	history(t, state, "import", backup, "--data", again)
	exported := func(args ...string) []string {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(history(t, state, append([]string{"export", "-"}, args...)...)), "\n")
		lines = lines[:len(lines)-1] // the checksum depends on the order
		slices.Sort(lines)
		return lines
	}
	file, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if want, have, back := bytes.Count(file, []byte("\n"))-1, exported("--database", two), exported("--data", again); len(have) != want || !slices.Equal(have, back) {
		t.Errorf("the backup holds %d lines, the database that it was restored into %d, and the folder %d", want, len(have), len(back))
	}
	s, err := sqlite.Open(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if names := namesOf(t, s, uid); !slices.Equal(names, []string{"blue", "green"}) {
		t.Errorf("in the folder there is %q", names)
	}
}
