package web_test

import (
	"encoding/csv"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestExports reads every list as CSV: whole, and with nothing that a spreadsheet computes.
func TestExports(t *testing.T) {
	f := newFixture()
	f.found[9].Message = "=HYPERLINK(\"https://evil.example\")"
	d := start(t, f, "admin", newBook(t, 60))
	for path, least := range map[string]int{"/findings?": 2000, "/findings?severity=critical&": 10, "/workloads?": 400, "/namespaces?": 120, "/experiments?": 20, "/runs?": 91, "/alerts?state=all&": 70, "/waivers?": 3, "/enforce?": 30, "/changes?": 140, "/ledger?": 61, "/activity?": 130, "/?": 46, "/controls/compute/pod-security?": 12, "/runs/" + f.run.ID + "?": 2, "/search?q=web&": 60, "/activity?action=order+run&": 40} {
		status, text := d.get(t, path+"format=csv")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if status != http.StatusOK || err != nil || len(rows)-1 < least {
			t.Errorf("%s: %d, %d rows, %v", path, status, len(rows), err)
		}
		for _, row := range rows {
			for _, c := range row {
				if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
					t.Errorf("%s: a cell %q", path, c)
				}
			}
		}
	}
}

// TestNoPageAsFile: whoever asks for a view as a file gets one, or one clear line that there is none, and
// never a page.
func TestNoPageAsFile(t *testing.T) {
	f := newFixture()
	tenant, admin := start(t, f, "tenant", nil), start(t, f, "admin", newBook(t, 3))
	files := map[string]bool{}
	for _, p := range places(f) {
		if p.person != "" && p.person != "tenant" || p.world != nil {
			continue
		}
		d := admin
		if p.person == "tenant" {
			d = tenant
		}
		path := p.path + "?format=csv"
		if strings.Contains(p.path, "?") {
			path = p.path + "&format=csv"
		}
		answer, err := d.client().Get(d.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		kind := answer.Header.Get("Content-Type")
		switch {
		case err != nil:
			t.Fatal(err)
		case answer.StatusCode == http.StatusOK && kind == "text/csv; charset=utf-8":
			files[p.name] = true
			if rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll(); err != nil || len(rows) == 0 {
				t.Errorf("%s: %v", path, err)
			}
		case answer.StatusCode < 400 || kind != "text/plain; charset=utf-8" || len(text) > 400 || strings.Contains(string(text), "<!doctype"):
			t.Errorf("%s: %s, %s: %.300s", path, answer.Status, kind, text)
		case answer.StatusCode == http.StatusNotAcceptable && !strings.Contains(string(text), "no table"):
			t.Errorf("%s: %s", path, text)
		}
	}
	for _, name := range []string{"overview", "control-gap", "object", "experiment", "run-live", "search", "activity"} {
		if !files[name] {
			t.Errorf("%s is no file", name)
		}
	}
	for _, name := range []string{"finding", "waiver-new", "not-found", "forbidden-activity"} {
		if files[name] {
			t.Errorf("%s is a file", name)
		}
	}
}

// TestSlowExport: an export that takes longer than any answer may is whole all the same.
func TestSlowExport(t *testing.T) {
	f := newFixture()
	f.patience = 3 * time.Second
	d := start(t, f, "admin", nil)
	f.slow = 200 * time.Millisecond // of 20 pages
	begun := time.Now()
	status, text := d.get(t, "/findings?format=csv")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if status != http.StatusOK || err != nil || len(rows)-1 < 2000 {
		t.Errorf("%d, %d rows, %v", status, len(rows), err)
	}
	if took := time.Since(begun); took < f.patience {
		t.Errorf("it took %s: not long enough to tell", took)
	}
}
