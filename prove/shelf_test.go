package prove

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// shelf is a folder of evidence with the key that signs it.
type shelf struct {
	*testing.T
	dir     string
	key     *Key
	trusted []ed25519.PublicKey
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	key, err := StateKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{T: t, dir: filepath.Join(t.TempDir(), "evidence"), key: key, trusted: []ed25519.PublicKey{key.PublicKey()}}
}

// keep keeps the sample record as of that many hours after its own moment, and gives
// its path and ID.
func (s *shelf) keep(hours int, change ...func(*Record)) (path, id string) {
	s.Helper()
	r := sampleRecord()
	r.End = r.End.Add(time.Duration(hours) * time.Hour)
	for _, c := range change {
		c(r)
	}
	path, id, _, err := Keep(s.Context(), s.dir, r.Statement(Cluster{UID: "u"}, ProberID{}, Clock{}, s.key.Custody), s.key)
	if err != nil {
		s.Fatal(err)
	}
	return path, id
}

func (s *shelf) load(r Reading) []Kept {
	s.Helper()
	kept, err := Load(s.Context(), s.dir, s.trusted, r)
	if err != nil {
		s.Fatal(err)
	}
	return kept
}

// one wants a single piece.
func (s *shelf) one() Kept {
	s.Helper()
	kept := s.load(Reading{})
	if len(kept) != 1 {
		s.Fatalf("%d pieces: %+v", len(kept), kept)
	}
	return kept[0]
}

func (s *shelf) write(path string, data []byte) {
	s.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) read(path string) []byte {
	s.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return data
}

func summaryOf(path string) string { return strings.TrimSuffix(path, wholeSuffix) + summarySuffix }

// TestShelf: evidence is loaded in order, once however many copies there are; what
// does not verify is given with its error and counts for nothing.
func TestShelf(t *testing.T) {
	s := newShelf(t)
	if kept := s.load(Reading{}); len(kept) != 0 {
		t.Errorf("a folder that is not there holds %+v", kept)
	}
	second, _ := s.keep(2)
	first, id := s.keep(1)
	forged := filepath.Join(s.dir, "19700101T100000Z-000000000000"+wholeSuffix)
	s.write(forged, []byte(strings.Replace(string(s.read(first)), "a", "b", 3)))
	copied := filepath.Join(s.dir, "19700101T110000Z-000000000000"+wholeSuffix)
	s.write(copied, s.read(first))
	s.write(summaryOf(copied), s.read(summaryOf(first)))
	kept := s.load(Reading{})
	if len(kept) != 3 || kept[0].Path != first || kept[1].Path != second || kept[2].Path != forged || kept[2].Err == nil {
		t.Fatalf("%+v", kept)
	}
	if e := kept[0].Summary.Evidence; e.ID != id || e.Signer != KeyID(s.key.PublicKey()) || e.Total().Held != 16 || kept[0].Summary.Cluster.UID != "u" || kept[0].Summary.Verdict != Held {
		t.Errorf("%+v", kept[0].Summary)
	}
	if len(kept[0].Copies) != 1 || kept[0].Copies[0] != copied {
		t.Errorf("copies: %v", kept[0].Copies)
	}
	if since := s.load(Reading{Since: time.Unix(1010+5400, 0)}); len(since) != 3 || since[0].Path != second {
		t.Errorf("%+v", since)
	}
}

// TestSummarySuffices: a scan reads the summary alone, and the whole where there is
// no summary that it can trust. Both say the same.
func TestSummarySuffices(t *testing.T) {
	s := newShelf(t)
	path, id := s.keep(0)
	whole, brief := s.read(path), s.read(summaryOf(path))
	if len(brief) > 2500 {
		t.Errorf("the summary has %d bytes", len(brief))
	}
	want := fmt.Sprintf("%+v", *s.one().Summary)
	s.write(path, bytes.Repeat([]byte("x"), len(whole)))
	if got := fmt.Sprintf("%+v", *s.one().Summary); got != want {
		t.Errorf("the whole was read: %s", got)
	}
	if _, err := Verify(t.Context(), path, s.trusted); err == nil {
		t.Error("a damaged whole verifies")
	}
	if _, err := Verify(t.Context(), summaryOf(path), s.trusted); err == nil || !strings.Contains(err.Error(), "its whole does not verify") {
		t.Errorf("the summary of a damaged whole verifies: %v", err)
	}
	s.write(path, whole)

	stranger := newShelf(t)
	strange, _ := stranger.keep(0)
	other, _ := s.keep(1, func(r *Record) { r.Results[0].Held, r.Results[0].Broken = 0, 16 })
	of := s.read(summaryOf(other))
	for _, p := range []string{other, summaryOf(other)} {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	for name, summary := range map[string][]byte{"none": nil, "cut short": brief[:len(brief)/2], "a stranger's": stranger.read(summaryOf(strange)), "of other evidence": of, "a whole": whole} {
		if err := os.Remove(summaryOf(path)); err != nil {
			t.Fatal(err)
		}
		if summary != nil {
			s.write(summaryOf(path), summary)
		}
		if k := s.one(); k.Err != nil || k.Doubt != nil || k.Summary.Evidence.ID != id || fmt.Sprintf("%+v", *k.Summary) != want {
			t.Errorf("with the summary %s: %+v", name, k)
		}
		if _, err := Verify(t.Context(), path, s.trusted); (err == nil) != (summary == nil) {
			t.Errorf("with the summary %s the whole's verification says %v", name, err)
		}
		s.write(summaryOf(path), brief)
	}
	if _, err := Verify(t.Context(), path, s.trusted); err != nil {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), summaryOf(path), s.trusted); err != nil {
		t.Error(err)
	}

	// Signed by the right key, and untrue.
	lie := *s.one().Summary
	lie.Evidence.Paths = []bailey.Tally{{Path: lie.Evidence.Paths[0].Path, Tried: 99, Held: 99}}
	signed, err := SignSummary(t.Context(), &lie, s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(summaryOf(path), signed)
	for _, p := range []string{path, summaryOf(path)} {
		if _, err := Verify(t.Context(), p, s.trusted); !errors.Is(err, errDisagree) {
			t.Errorf("a summary that lies, seen from %s: %v", filepath.Base(p), err)
		}
	}
}

// TestWholeIsGone: what can no longer be verified raises nothing, is named, and still
// says what was broken.
func TestWholeIsGone(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing":   os.Remove,
		"cut short": func(path string) error { return os.Truncate(path, 100) },
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		s := newShelf(t)
		path, id := s.keep(0, func(r *Record) {
			r.Results = append(r.Results, Result{Name: "other", Path: "create pods", Tried: 2, Held: 1, Broken: 1, Why: []string{"let through"}})
		})
		if err := harm(path); err != nil {
			t.Fatal(err)
		}
		k := s.one()
		if k.Err != nil || k.Doubt == nil || !strings.Contains(k.Doubt.Error(), filepath.Base(s.dir)) || k.Summary.Evidence.ID != id {
			t.Fatalf("%s: %+v", name, k)
		}
		if total := k.Summary.Evidence.Total(); total.Held != 0 || total.Broken != 1 || total.Inconclusive != 17 || total.Tried != 18 {
			t.Errorf("%s: it counts as %+v", name, total)
		}
		if _, err := Verify(t.Context(), summaryOf(path), s.trusted); err == nil {
			t.Errorf("%s: the summary verifies", name)
		}
		if moved, err := Archive(t.Context(), s.dir, [][]Kept{{k}}, s.trusted); moved != 0 || err == nil {
			t.Errorf("%s: it was archived: %v", name, err)
		}
	}
}
