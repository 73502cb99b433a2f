package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
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
			Open:    func(ctx context.Context) (*store.Store, error) { return Open(ctx, dir) },
			DB:      db,
			Explain: "EXPLAIN QUERY PLAN ",
			Scans: func(line, table string) bool {
				alias := map[string]string{"findings": "f", "verdicts": "v", "changes": "c", "rung_changes": "c", "evidence": "e", "runs": "r", "alerts": "a"}[table]
				name := strings.TrimPrefix(line, "SCAN ")
				name, _, _ = strings.Cut(name, " ")
				return strings.HasPrefix(line, "SCAN ") && (name == table || name == alias)
			},
			Restore: func(backup string) (*store.Store, error) {
				dir := filepath.Join(t.TempDir(), "restored")
				if _, err := Restore(t.Context(), backup, dir, false); err != nil {
					return nil, err
				}
				return Open(t.Context(), dir)
			},
			Argument: dir,
		}
	})
}

func TestWriter(t *testing.T) {
	storetest.Writer(t, func(dir string) (*store.Store, error) { return Open(t.Context(), dir) })
}

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestImport carries a store over by the portable format, and refuses what is not whole.
func TestImport(t *testing.T) {
	from := open(t, t.TempDir())
	storetest.Fill(t, from)
	var out bytes.Buffer
	if err := from.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	to := open(t, t.TempDir())
	export := out.String()
	lines := strings.SplitAfter(export, "\n")
	for what, broken := range map[string]string{
		"cut off":       strings.Join(lines[:len(lines)/2], ""),
		"without end":   strings.Join(lines[:len(lines)-2], ""),
		"a line less":   strings.Join(append(slices.Clone(lines[:20]), lines[21:]...), ""),
		"changed":       strings.Replace(export, "production", "production2", 1),
		"another table": strings.Replace(export, `["findings",`, `["sqlite_master",`, 1),
		"more columns":  strings.Replace(export, `["findings",`, `["findings",1,`, 1),
		"a list":        strings.Replace(export, `["findings",`, `["findings",[],`, 1),
		"no number":     strings.Replace(export, `["findings",`, `["findings",1.5e400,`, 1),
		"newer":         strings.Replace(export, `"reader":1`, `"reader":9`, 1),
		"another":       "{}\n",
		"empty":         "",
	} {
		if err := to.Import(t.Context(), strings.NewReader(broken)); err == nil {
			t.Errorf("%s: imported", what)
		}
	}
	if list, err := to.Clusters(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("of a refused import there is %v, %v", list, err)
	}
	if err := to.Import(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	storetest.Same(t, from, to)
}

// FuzzImport reads exports that somebody changed.
func FuzzImport(f *testing.F) {
	f.Add("{}\n")
	f.Add(`{"format":"bailey-history","version":1,"schema":1,"reader":1,"columns":{"clusters":["n","uid"]}}` + "\n" + `["clusters",1,"x"]` + "\n{}\n")
	s, err := Open(context.Background(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		if err := s.Import(t.Context(), strings.NewReader(text)); err == nil {
			t.Skip("a whole export")
		}
		if list, err := s.Clusters(t.Context()); err != nil || len(list) > 0 {
			t.Fatal(list, err)
		}
	})
}

// FuzzCursor reads cursors that somebody changed.
func FuzzCursor(f *testing.F) {
	s, err := Open(context.Background(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.PutCluster(context.Background(), "uid", "name", time.Unix(1, 0)); err != nil {
		f.Fatal(err)
	}
	f.Add("e30")
	f.Add("eyJxIjoxfQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		if _, err := s.Findings(t.Context(), store.FindingQuery{Cluster: "uid", Access: store.Everything(), After: cursor}); err != nil && !errors.Is(err, store.ErrCursor) {
			t.Fatal(err)
		}
	})
}

// FuzzText keeps a finding that says something and searches for it.
func FuzzText(f *testing.F) {
	s, err := Open(context.Background(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.PutCluster(context.Background(), "uid", "name", time.Unix(1, 0)); err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"web is privileged", `"a" AND b* NEAR(c d)`, "100% _x_", "\u00fcbergro\u00df \u65e5\u672c", "\xff\x00'", "\u0130stanbul", "\u00a71s4o"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = text[:min(len(text), 200)] // the words of more are not all kept
		object := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"}
		found := bailey.Finding{ID: "id", Control: "a/b", Rule: "a/b/c", Severity: bailey.SeverityHigh, Object: object, Message: text}
		if err := s.Apply(t.Context(), "uid", time.Unix(2, 0), store.Delta{Findings: []bailey.Finding{found}}); err != nil {
			t.Fatal(err)
		}
		page, err := s.Findings(t.Context(), store.FindingQuery{Cluster: "uid", Access: store.Everything(), Text: text})
		if err != nil || len(page.Items) != 1 || page.Total != 1 {
			t.Fatalf("%q is not found: %+v, %v", text, page, err)
		}
	})
}

// TestFiles looks at who may read the files.
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	storetest.Fill(t, s)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %s", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("the mode of %s is %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

// TestFolderKeepsMode: a folder that was there is as it was, also where something is put into it.
func TestFolderKeepsMode(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(broken, []byte("not a backup"), 0o600)); err != nil {
		t.Fatal(err)
	}
	keeps := func(after string) {
		t.Helper()
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("after %s: %v, %v", after, info.Mode(), err)
		}
	}
	if _, err := Restore(t.Context(), broken, dir, false); err == nil {
		t.Error("what is no backup was restored")
	}
	keeps("a restore that is refused")
	from := open(t, t.TempDir())
	backup := filepath.Join(t.TempDir(), "backup")
	if err := from.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, dir, false); err != nil {
		t.Fatal(err)
	}
	keeps("a restore")
	open(t, dir)
	keeps("it was opened")
}

// TestReplaceFails: where a database cannot be put in the place of another, that is there still, or the
// error tells where.
func TestReplaceFails(t *testing.T) {
	for _, beside := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), File)
		err := os.WriteFile(path, []byte("what was there"), 0o600)
		if beside {
			err = errors.Join(err, os.WriteFile(path+walSuffix, []byte("and last"), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = replaced(filepath.Join(filepath.Dir(path), "absent"), path)
		if err == nil {
			t.Fatal("nothing was put in its place")
		}
		if !beside {
			if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 || entries[0].Name() != File {
				t.Errorf("there is %v, %v", entries, err)
			}
			continue
		}
		names, globbed := filepath.Glob(path + ".until-*")
		if globbed != nil || len(names) != 2 || !strings.Contains(err.Error(), "kept as "+names[0]) {
			t.Errorf("there is %q: %v", names, err)
		}
	}
}

// TestForeign opens files that are no store's.
func TestForeign(t *testing.T) {
	for what, content := range map[string][]byte{"text": bytes.Repeat([]byte("this is no database\n"), 1000)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "PRAGMA application_id = 7; CREATE TABLE precious (n)"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another program's database: %v", err)
	}
}

// TestGone takes the database away and brings it back, and another in its place.
func TestGone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	storetest.Fill(t, s)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	write := func() error {
		return s.PutCluster(t.Context(), "written", "later", time.Unix(1, 0))
	}
	for _, name := range []string{File, File + "-wal", File + "-shm"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "away-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write into a file that is gone: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read of a file that is gone: %v", err)
	}
	for _, name := range []string{File, File + "-wal", File + "-shm"} {
		if err := os.Rename(filepath.Join(dir, "away-"+name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	// Another file is put there: what is written then is written into that one.
	for _, name := range []string{File, File + "-wal", File + "-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(t.Context(), backup, dir, false); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("after a restore: %v", err)
	}
	if _, err := open(t, dir).Cluster(t.Context(), "written"); err != nil {
		t.Errorf("what was written after a restore: %v", err)
	}
	if _, err := s.Cluster(t.Context(), "written"); err != nil {
		t.Errorf("what was written after a restore is not read: %v", err)
	}
}

// TestRestoreReplace puts backups in the place of databases that are there, whole or not.
func TestRestoreReplace(t *testing.T) {
	used := t.TempDir()
	from := open(t, used)
	storetest.Fill(t, from)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := from.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	take := func(dir, suffix string) { // a file of the store that is open, as one that was killed leaves it
		data, err := os.ReadFile(filepath.Join(used, File+suffix))
		if err != nil || len(data) == 0 {
			t.Fatal(len(data), err)
		}
		write(filepath.Join(dir, File+suffix), string(data))
	}
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	for what, prepare := range map[string]func(dir string){
		"whole": func(dir string) {
			s := open(t, dir)
			if err := errors.Join(s.PutCluster(t.Context(), "before", "b", time.Unix(1, 0)), s.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"damaged":          func(dir string) { write(filepath.Join(dir, File), "this is no database") },
		"of a killed one":  func(dir string) { take(dir, ""); take(dir, walSuffix); take(dir, shmSuffix) },
		"only what is new": func(dir string) { take(dir, walSuffix) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			prepare(dir)
			before := list(dir)
			if _, err := Restore(t.Context(), backup, dir, false); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("without being asked: %v", err)
			}
			if after := list(dir); !slices.Equal(before, after) {
				t.Errorf("what was refused made %q of %q", after, before)
			}
			broken := filepath.Join(t.TempDir(), "broken")
			write(broken, "not a backup")
			if _, err := Restore(t.Context(), broken, dir, true); err == nil || !slices.Equal(before, list(dir)) {
				t.Errorf("what is no backup: %v, and there is %q", err, list(dir))
			}
			aside, err := Restore(t.Context(), backup, dir, true)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{File}
			for _, name := range before {
				if suffix := strings.TrimPrefix(name, File); suffix != shmSuffix {
					want = append(want, filepath.Base(aside)+suffix)
				}
			}
			if after := list(dir); !slices.Equal(after, want) {
				t.Errorf("there is %q, want %q", after, want)
			}
			s := open(t, dir)
			storetest.Same(t, from, s)
			if what == "of a killed one" { // what is kept beside is a backup too
				back := t.TempDir()
				if _, err := Restore(t.Context(), aside, back, false); err != nil {
					t.Fatal(err)
				}
				if all := list(back); !slices.Equal(all, []string{File}) {
					t.Errorf("there is %q", all)
				}
				storetest.Same(t, from, open(t, back))
			}
			if what == "whole" {
				if err := errors.Join(s.Close(), os.Rename(aside, filepath.Join(dir, File))); err != nil {
					t.Fatal(err)
				}
				if _, err := open(t, dir).Cluster(t.Context(), "before"); err != nil {
					t.Errorf("what is kept beside: %v", err)
				}
			}
		})
	}
}
