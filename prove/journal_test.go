package prove

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestJournalIsLocked: who cleans up cannot take the journal of a run that lives.
func TestJournalIsLocked(t *testing.T) {
	dir := t.TempDir()
	j, err := createJournal(dir, "run1", "uid", "v", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openJournal(j.path, time.Now); !errors.Is(err, errBusy) {
		t.Errorf("a living run's journal was opened: %v", err)
	}
	if err := j.write(entry{Intend: &made{APIVersion: "v1", Resource: "pods", Name: "p"}}); err != nil {
		t.Fatal(err)
	}
	path := j.path
	if err := j.close(); err != nil { // as the kernel does when the process is killed
		t.Fatal(err)
	}
	again, entries, err := openJournal(path, time.Now)
	if err != nil || len(entries) != 2 || entries[1].Intend == nil {
		t.Fatalf("%+v %v", entries, err)
	}
	if err := again.finish(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("a finished journal stays: %v %v", left, err)
	}
}

// TestHalfALine: what was not written whole was not done; what is damaged is an
// error that says where.
func TestHalfALine(t *testing.T) {
	const whole = `{"at":"2026-01-01T00:00:00Z","begin":{"run":"r","cluster":"c","version":"v"}}` + "\n"
	entries, size, err := readJournal(strings.NewReader(whole + `{"at":"2026-01-01T00:00:00Z","intend":{"resou`))
	if err != nil || len(entries) != 1 || size != int64(len(whole)) {
		t.Errorf("%+v %v", entries, err)
	}
	if _, _, err := readJournal(strings.NewReader(whole + "nonsense\n")); err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
}

// TestHalfALineIsCutOff: what the reaper writes after half a line can be read.
func TestHalfALineIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run1.jsonl")
	const torn = `{"at":"2026-01-01T00:00:00Z","begin":{"run":"r","cluster":"c","version":"v"}}` + "\n" + `{"at":"2026-`
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	for want := 1; want < 4; want++ {
		j, entries, err := openJournal(path, time.Now)
		if err != nil || len(entries) != want {
			t.Fatalf("%d entries, want %d: %v", len(entries), want, err)
		}
		if err := errors.Join(j.write(entry{Gone: &made{Name: "p"}}), j.close()); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(`{"at":"2026-01-01T00:00:00Z","intend":{"resource":"pods","name":"p"}}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, _, err := readJournal(strings.NewReader(text))
		if err == nil && len(entries) > strings.Count(text, "\n") {
			t.Errorf("%d entries of %d lines", len(entries), strings.Count(text, "\n"))
		}
	})
}

// TestCutOffAndLive: a run whose journal nobody holds was cut off; one that is held lives.
func TestCutOffAndLive(t *testing.T) {
	dir := t.TempDir()
	if runs, err := CutOff(filepath.Join(dir, "none")); err != nil || len(runs) > 0 {
		t.Errorf("no folder: %v, %v", runs, err)
	}
	for _, run := range []string{"dead", "alive"} {
		j, err := createJournal(dir, run, "uid", "v1", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if run == "dead" {
			err = j.close()
		} else {
			t.Cleanup(func() { _ = j.close() })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cutOff, err := CutOff(dir)
	if err != nil || !slices.Equal(cutOff, []string{"dead"}) {
		t.Errorf("cut off: %q, %v", cutOff, err)
	}
	live, err := Live(dir)
	if err != nil || !slices.Equal(live, []string{"alive"}) {
		t.Errorf("live: %q, %v", live, err)
	}
}
