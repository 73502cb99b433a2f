package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
)

var update = flag.Bool("update", false, "write the golden files anew")

func render(t testing.TB, format string, r *bailey.Report, o Options) string {
	t.Helper()
	f, err := Lookup(format)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Render(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGolden holds every format, on every kind of report, against a file that
// a person has looked at.
func TestGolden(t *testing.T) {
	base := Options{Command: "bailey scan", Version: "0.1.0", Dir: "/src/repo", FailOn: bailey.SeverityHigh}
	wide, color, verbose := base, base, base
	wide.Width, color.Color, verbose.Verbose = 200, true, true
	wanted := map[string]bool{}
	for name, r := range fixtures() {
		cases := map[string]string{}
		for _, f := range Formats() {
			if f.Name == "text" || f.Name == "oscal" { // oscal_test.go holds OSCAL: nobody reads documents inside of documents
				continue
			}
			cases[name+"."+f.Name] = render(t, f.Name, r, base)
		}
		cases[name+".80.text"] = render(t, "text", r, base)
		cases[name+".200.text"] = render(t, "text", r, wide)
		if name == "cluster" || name == "files" {
			cases[name+".color.text"] = render(t, "text", r, color)
			cases[name+".verbose.text"] = render(t, "text", r, verbose)
		}
		for file, got := range cases {
			path := filepath.Join("testdata", "golden", file)
			wanted[file] = true
			got = strings.Replace(got, pageCSS, "", 1) // a change of looks changes no golden file
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !wanted[f.Name()] {
			t.Errorf("testdata/golden/%s is not used: delete it", f.Name())
		}
	}
}
