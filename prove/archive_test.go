package prove

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchive: what is archived is read by no scan, is as it was, and is found and
// verified.
func TestArchive(t *testing.T) {
	s := newShelf(t)
	old, id := s.keep(0)
	bare, _ := s.keep(1) // of a version without summaries
	if err := os.Remove(summaryOf(bare)); err != nil {
		t.Fatal(err)
	}
	stays, _ := s.keep(24 * 40)
	whole := s.read(old)
	before := s.load(Reading{})
	copied := filepath.Join(s.dir, "19700101T000000Z-000000000000"+wholeSuffix)
	s.write(copied, whole)

	kept := s.load(Reading{})
	moved, err := Archive(t.Context(), s.dir, [][]Kept{kept[:2]}, s.trusted)
	if err != nil || moved != 2 {
		t.Fatalf("%d %v", moved, err)
	}
	if left := s.load(Reading{}); len(left) != 1 || left[0].Path != stays {
		t.Errorf("a scan reads %+v", left)
	}
	all := s.load(Reading{Archived: true})
	if len(all) != len(before) {
		t.Fatalf("%d pieces, and there were %d", len(all), len(before))
	}
	for i, k := range all {
		if k.Err != nil || k.Doubt != nil || k.Summary.Evidence.ID != before[i].Summary.Evidence.ID {
			t.Errorf("%+v", k)
		}
		if _, err := Verify(t.Context(), k.Path, s.trusted); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "archive", "1970-01", filepath.Base(old)+".gz")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if name, data := Find(s.dir, id); name != filepath.Base(old) || string(data) != string(whole) {
		t.Errorf("%s: %d bytes", name, len(data))
	}
	if _, data := Find(s.dir, all[2].Summary.Evidence.ID); string(data) != string(s.read(stays)) {
		t.Error("what stays is not found")
	}

	// What comes back, from a copy or an interrupted run, is not doubled, and goes again.
	s.write(old, whole)
	if all := s.load(Reading{Archived: true}); len(all) != 3 {
		t.Errorf("%d pieces", len(all))
	}
	if moved, err := Archive(t.Context(), s.dir, [][]Kept{s.load(Reading{})[:1]}, s.trusted); err != nil || moved != 1 {
		t.Errorf("%d %v", moved, err)
	}
}

// TestArchiveStops: what does not verify is left where it is, and all that came
// after it too; nothing that is in the archive is replaced.
func TestArchiveStops(t *testing.T) {
	s := newShelf(t)
	first, _ := s.keep(0)
	second, _ := s.keep(1)
	third, _ := s.keep(2)
	kept := s.load(Reading{})
	good := s.read(second)
	s.write(second, []byte(strings.Repeat("x", len(good))))
	moved, err := Archive(t.Context(), s.dir, [][]Kept{kept}, s.trusted)
	if moved != 1 || err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("%d %v", moved, err)
	}
	s.read(third)
	s.write(second, good)
	archive := filepath.Join(s.dir, "archive", "1970-01")
	s.write(filepath.Join(archive, filepath.Base(second)+".gz"), s.read(filepath.Join(archive, filepath.Base(first)+".gz")))
	if moved, err := Archive(t.Context(), s.dir, [][]Kept{kept[1:]}, s.trusted); moved != 0 || err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("%d %v", moved, err)
	}
	s.read(second)
}

const (
	archiverDir = "BAILEY_TEST_ARCHIVE"
	archiverKey = "BAILEY_TEST_ARCHIVE_KEY"
)

// TestArchiver is the process that TestArchiveKilled kills: it archives the folder,
// and says what it has done.
func TestArchiver(t *testing.T) {
	dir := os.Getenv(archiverDir)
	if dir == "" {
		t.Skip("for TestArchiveKilled only")
	}
	data, err := os.ReadFile(os.Getenv(archiverKey))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublic(data)
	if err != nil {
		t.Fatal(err)
	}
	trusted := []ed25519.PublicKey{public}
	kept, err := Load(t.Context(), dir, trusted, Reading{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		if _, err := Archive(context.Background(), dir, [][]Kept{{k}}, trusted); err != nil {
			t.Fatal(err)
		}
		fmt.Println("moved", k.Summary.Evidence.ID)
	}
}

// TestArchiveKilled kills an archiving process again and again: every piece is there
// once, verifies, and the next process goes on.
func TestArchiveKilled(t *testing.T) {
	s := newShelf(t)
	const count = 40
	for i := range count {
		s.keep(i)
	}
	public := filepath.Join(t.TempDir(), "evidence.pub")
	if err := s.key.publish(public); err != nil {
		t.Fatal(err)
	}
	for killed := 0; ; killed++ {
		c := exec.Command(os.Args[0], "-test.run", "^TestArchiver$", "-test.v")
		c.Env = append(os.Environ(), archiverDir+"="+s.dir, archiverKey+"="+public)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines, moved := bufio.NewScanner(out), 0
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "moved ") {
				if moved++; moved == 3+killed%4 {
					_ = c.Process.Kill() // in the midst of the next one
				}
			}
		}
		err = c.Wait()
		all := s.load(Reading{Archived: true})
		if len(all) != count {
			t.Fatalf("killed %d times, there are %d pieces of %d", killed, len(all), count)
		}
		for _, k := range all {
			if k.Err != nil || k.Doubt != nil {
				t.Fatalf("killed %d times: %+v", killed, k)
			}
			if _, err := Verify(t.Context(), k.Path, s.trusted); err != nil {
				t.Fatalf("killed %d times: %v", killed, err)
			}
		}
		if err == nil {
			if left := s.load(Reading{}); len(left) != 0 || killed < 3 {
				t.Errorf("killed %d times, and in the end %d are left", killed, len(left))
			}
			return
		}
		if moved == 0 {
			t.Fatalf("nothing was moved: %v", err)
		}
	}
}

// TestArchiveCutOff goes through every state that a kill between two steps leaves.
func TestArchiveCutOff(t *testing.T) {
	for step := range 5 {
		s := newShelf(t)
		path, id := s.keep(0)
		kept := s.load(Reading{})
		whole, brief := s.read(path), s.read(summaryOf(path))
		if _, err := Archive(t.Context(), s.dir, [][]Kept{kept}, s.trusted); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(s.dir, "archive", "1970-01")
		archived := filepath.Join(archive, filepath.Base(path)+".gz")
		if step < 1 {
			if err := os.Remove(archived); err != nil {
				t.Fatal(err)
			}
			s.write(filepath.Join(archive, ".new-123"), whole[:10])
		}
		if step < 2 {
			if err := os.Remove(summaryOf(strings.TrimSuffix(archived, ".gz")) + ".gz"); err != nil {
				t.Fatal(err)
			}
		}
		if step < 3 || step == 4 { // 4: the disk kept the removals in the other order
			s.write(summaryOf(path), brief)
		}
		if step < 4 {
			s.write(path, whole)
		}
		for _, r := range []Reading{{}, {Archived: true}} {
			if k := s.load(r); len(k) != 1 || k[0].Err != nil || k[0].Doubt != nil || k[0].Summary.Evidence.ID != id || k[0].Summary.Evidence.Total().Held != 16 {
				t.Fatalf("cut off at step %d: %+v", step, k)
			}
		}
		if moved, err := Archive(t.Context(), s.dir, [][]Kept{s.load(Reading{})}, s.trusted); err != nil || moved != 1 {
			t.Fatalf("cut off at step %d: %d %v", step, moved, err)
		}
		if live, all := s.load(Reading{}), s.load(Reading{Archived: true}); len(live) != 0 || len(all) != 1 || all[0].Doubt != nil {
			t.Errorf("cut off at step %d, in the end: %+v %+v", step, live, all)
		}
	}
}
