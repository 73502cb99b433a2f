package ledger_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/baileyhq/bailey/ledger"
)

// TestPeriods: a UTC day ends a period, and a restart within the day does not.
func TestPeriods(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	day := time.Now().UTC().AddDate(0, 0, 2)
	clock := func() time.Time { return day }
	l := open(t, dir, ledger.Options{Now: clock})
	appendTo(t, l, numbered(0, 2)...)
	day = day.AddDate(0, 0, 1)
	appendTo(t, l, numbered(10, 2)...)
	closeLog(t, l)
	l = open(t, dir, ledger.Options{Now: clock})
	appendTo(t, l, numbered(20, 2)...)
	day = day.Add(-20 * time.Hour) // a clock that is set back a little begins nothing
	appendTo(t, l, numbered(30, 2)...)
	periods, err := l.Periods(t.Context())
	if err != nil || len(periods) != 3 || !periods[2].Current {
		t.Errorf("%+v %v", periods, err)
	}
	names := map[string]int{}
	for _, e := range readAll(t, dir, id) {
		names[e.Period]++
	}
	if len(names) != 2 || names[periods[1].Name] != 2 || names[periods[2].Name] != 6 {
		t.Errorf("%v", names)
	}
	done, err := l.ShredBefore(t.Context(), day.AddDate(0, 0, 12))
	if err != nil || len(done.Periods) != 2 {
		t.Errorf("%+v %v", done, err)
	}
}

// TestRecipients: new recipients read what comes, and the old ones what was.
func TestRecipients(t *testing.T) {
	old, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	dir, id := newLedger(t, ledger.InitOptions{Recipients: []string{old.Recipient().String()}})
	next := id.(*age.X25519Identity)
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 1)...)
	mixed := []string{old.Recipient().String(), next.Recipient().String()}
	if err := l.Reconfigure(t.Context(), mixed, nil, 0); err == nil || !strings.Contains(err.Error(), "cannot be mixed") {
		t.Errorf("a mixture of recipients: %v", err)
	}
	if err := l.Reconfigure(t.Context(), mixed[1:], nil, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, numbered(1, 1)...)
	closeLog(t, l)
	if n := len(readAll(t, dir, old, next)); n != 2 {
		t.Errorf("both read %d", n)
	}
	for _, r := range ledgerErrors(t, dir, next) {
		if !strings.Contains(r.Error(), "none of the identities is a recipient") {
			t.Error(r)
		}
	}
	if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{}); !r.Intact() || len(r.Notes) > 0 {
		t.Errorf("%v %v", r.Problems, r.Notes)
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger.json.next")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func ledgerErrors(t *testing.T, dir string, ids ...age.Identity) (list []error) {
	for _, err := range ledger.Read(t.Context(), os.DirFS(dir), ledger.ReadOptions{Identities: ids}) {
		if err != nil {
			list = append(list, err)
		}
	}
	if len(list) == 0 {
		t.Error("it reads without an error")
	}
	return list
}

// TestExportRange: a range verifies alone, reads alone, and damage in it is found.
func TestExportRange(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	for i := range 5 {
		appendTo(t, l, numbered(i*1000, 300)...)
		if _, err := l.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	out := filepath.Join(t.TempDir(), "part")
	if err := ledger.Export(t.Context(), os.DirFS(dir), out, ledger.ExportOptions{From: 800, To: 900}); err != nil {
		t.Fatal(err)
	}
	r := verify(t, os.DirFS(out), ledger.VerifyOptions{Key: l.Config().Key, Partial: true})
	if !r.Intact() || len(r.Notes) > 0 || r.From != 800 || r.To != 900 {
		t.Fatalf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(out, "log/tile/entries/001")); err == nil {
		t.Error("a bundle was exported that the range does not need")
	}
	n := 0
	for e, err := range ledger.Read(t.Context(), os.DirFS(out), ledger.ReadOptions{From: 800, To: 900, Identities: []age.Identity{id}}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Data) > 0 {
			n++
		}
	}
	if n < 99 {
		t.Errorf("%d records are read", n)
	}
	files := load(t, out)
	for name, file := range files {
		if name == "export.json" || len(file.Data) == 0 {
			continue
		}
		good := file.Data
		bad := append([]byte(nil), good...)
		bad[len(bad)/2] ^= 4
		file.Data = bad
		if name != "ledger.json" && verify(t, files, ledger.VerifyOptions{Key: l.Config().Key, Partial: true}).Intact() {
			t.Errorf("a changed byte of %s is not found", name)
		}
		file.Data = good
	}
}

// TestExportWithoutBundle: a range from which a bundle was taken, in its list too, is damaged.
func TestExportWithoutBundle(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	if _, err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, numbered(0, 1500)...)
	closeLog(t, l)
	out := filepath.Join(t.TempDir(), "part")
	if err := ledger.Export(t.Context(), os.DirFS(dir), out, ledger.ExportOptions{From: 300, To: 1024}); err != nil {
		t.Fatal(err)
	}
	whole := load(t, out)
	o := ledger.VerifyOptions{Key: l.Config().Key, Partial: true}
	if r := verify(t, whole, o); !r.Intact() || len(r.Notes) > 0 {
		t.Fatalf("%v %v", r.Problems, r.Notes)
	}
	for bundle, want := range map[string]string{
		"0": "it names entry 1 as its key, which is not here", // of the key entry
		"1": "bundle 1 is of the range and is not listed",
		"2": "bundle 2 is of the range and is not listed",
		"3": "bundle 3 is of the range and is not listed",
	} {
		files := maps.Clone(whole)
		list := string(files["export.json"].Data)
		without := regexp.MustCompile(`(,\s*)?\b`+bundle+`\b(,\s*)?`).ReplaceAllStringFunc(list[strings.Index(list, "["):], func(s string) string {
			if strings.HasPrefix(s, ",") && strings.HasSuffix(strings.TrimSpace(s), ",") {
				return ","
			}
			return ""
		})
		replace(files, "export.json", []byte(list[:strings.Index(list, "[")]+without))
		delete(files, "log/tile/entries/00"+bundle)
		delete(files, "log/tile/0/00"+bundle)
		r := verify(t, files, o)
		if r.Intact() || !strings.Contains(r.Problems[0].Text, want) {
			t.Errorf("without bundle %s: %v, export.json %s", bundle, r.Problems, files["export.json"].Data)
		}
	}
}

// TestStolenKeyIsNotShredded: a key file that is gone makes its records shredded only if the log says so.
func TestStolenKeyIsNotShredded(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 300)...)
	if _, err := l.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, numbered(300, 300)...)
	periods, err := l.Periods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Shred(t.Context(), periods[0].Name); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	part := filepath.Join(t.TempDir(), "part")
	if err := ledger.Export(t.Context(), os.DirFS(dir), part, ledger.ExportOptions{From: 10, To: 200}); err != nil {
		t.Fatal(err)
	}
	for folder, to := range map[string]uint64{dir: 0, part: 200} {
		shredded := 0
		for e, err := range ledger.Read(t.Context(), os.DirFS(folder), ledger.ReadOptions{From: 10, To: to, Identities: []age.Identity{id}}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Shredded {
				shredded++
			}
		}
		if shredded < 190 || shredded > 300 {
			t.Errorf("%d records are shredded", shredded)
		}
	}
	if err := os.Remove(filepath.Join(dir, "keys", periods[1].Name+".age")); err != nil {
		t.Fatal(err)
	}
	for _, err := range ledgerErrors(t, dir, id) {
		if !strings.Contains(err.Error(), "no signed entry of the log says that it was destroyed") {
			t.Error(err)
		}
	}
}

// TestClockAhead: a clock that was a year ahead for one record ends no rotation.
func TestClockAhead(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	day := time.Now().UTC().AddDate(0, 0, 2)
	l := open(t, dir, ledger.Options{Now: func() time.Time { return day }})
	appendTo(t, l, numbered(0, 1)...)
	right := day
	day = day.AddDate(1, 0, 0)
	appendTo(t, l, numbered(1, 1)...)
	for n := range 5 {
		day = right.AddDate(0, 0, n)
		appendTo(t, l, numbered(10+n, 1)...)
	}
	if periods := namesOf(readAll(t, dir, id)); len(periods) != 7 {
		t.Errorf("seven days share %d periods: %v", len(periods), periods)
	}
	// Days are UTC days: at 00:00 of the third all before it have ended but the one of the day before.
	done, err := l.ShredBefore(t.Context(), right.AddDate(0, 0, 4).Truncate(24*time.Hour))
	if err != nil || len(done.Periods) != 6 { // the first, which init made, and that of the year ahead too
		t.Errorf("%v %v", done, err)
	}
	closeLog(t, l)
	if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{}); !r.Intact() || r.Shredded != 6 {
		t.Errorf("%+v", r)
	}
}

func namesOf(all map[uint64]ledger.Entry) map[string]int {
	names := map[string]int{}
	for _, e := range all {
		names[e.Period]++
	}
	return names
}

// TestNothingDue: a retention that finds nothing to do is no failure, so that a daily job can run it.
func TestNothingDue(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 1)...)
	if done, err := l.ShredBefore(t.Context(), time.Now().AddDate(-1, 0, 0)); err != nil || len(done.Periods) != 0 {
		t.Errorf("%v %v", done, err)
	}
	if _, err := l.Shred(t.Context(), "2001"); err == nil {
		t.Error("a period that is not there was shredded")
	}
}

// TestPeriodEndsWhole: no record lands after the key entry of the next period, by which time its
// key may be destroyed.
func TestPeriodEndsWhole(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	done := make(chan struct{})
	var wait sync.WaitGroup
	for w := range 16 {
		wait.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := l.Append(t.Context(), numbered(w*100_000+n, 1)...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		if _, err := l.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wait.Wait()
	periods, err := l.Periods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end := map[string]uint64{}
	for i := range len(periods) - 1 {
		end[periods[i].Name] = periods[i+1].Index
	}
	late := 0
	for index, e := range readAll(t, dir, id) {
		if next, ok := end[e.Period]; ok && index > next {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d records are behind the key entry that ends their period", late)
	}
}
