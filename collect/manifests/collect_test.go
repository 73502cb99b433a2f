package manifests

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata want")

// A case in testdata is a folder of files and, as "want", what collecting it
// gives. Its comment may hold, a line each: "targets: A B" (default "."),
// "stdin: FILE", "values: FILE", "set: A=B", "namespace: N", "complete: KIND",
// and "at: KIND NAMESPACE/NAME FIELD" for the position of a field.
func TestCollect(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file) // a case changes the working directory
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runCase(t, archive)
			for i := range archive.Files {
				if f := &archive.Files[i]; f.Name == "want" {
					if *update {
						f.Data = []byte(got)
						if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
							t.Fatal(err)
						}
					} else if want := string(f.Data); got != want {
						t.Errorf("got:\n%s\nwant:\n%s", got, want)
					}
					return
				}
			}
			t.Error("the case has no file called want")
		})
	}
}

func runCase(t *testing.T, archive *txtar.Archive) string {
	folder := t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			continue
		}
		path := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	var opts Options
	targets := []string{"."}
	var positions []string
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "targets":
			targets = strings.Fields(value)
		case "stdin":
			data, err := os.Open(value)
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			opts.Stdin = data
		case "values":
			opts.Values = append(opts.Values, value)
		case "set":
			opts.Set = append(opts.Set, value)
		case "namespace":
			opts.Namespace = value
		case "complete":
			opts.Complete = append(opts.Complete, bailey.Kind(value))
		case "at":
			positions = append(positions, value)
		}
	}
	s, err := Collect(context.Background(), targets, opts)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return show(s, positions)
}

func show(s *bailey.Snapshot, positions []string) string {
	var b strings.Builder
	for _, k := range s.Kinds() {
		for _, f := range s.List(k, "") {
			fmt.Fprintf(&b, "%s %s/%s %s", k, f.Namespace, f.Name, place(f.Source))
			if f.Builds != nil {
				fmt.Fprintf(&b, " by %q", f.Builds)
			}
			for _, v := range f.Variants {
				fmt.Fprintf(&b, ", also %s", place(v.Source))
			}
			b.WriteByte('\n')
		}
	}
	for _, p := range positions {
		fields := strings.SplitN(p+" ", " ", 3)
		fields[2] = strings.TrimSpace(fields[2])
		namespace, name, _ := strings.Cut(fields[1], "/")
		f := s.Get(bailey.Ref{Kind: bailey.Kind(fields[0]), Namespace: namespace, Name: name})
		if f == nil {
			fmt.Fprintf(&b, "at %s: no such object\n", p)
			continue
		}
		fmt.Fprintf(&b, "at %s = %s\n", strings.TrimSpace(name+" "+fields[2]), place(f.Source.At(fields[2])))
	}
	for _, t := range s.Meta.Targets {
		fmt.Fprintf(&b, "target %s: %s, %d objects\n", t.Name, t.Medium, t.Objects)
		for _, skip := range t.Skipped {
			fmt.Fprintf(&b, "skipped %s: %s", skip.What, skip.Why)
			if skip.Hint != "" {
				fmt.Fprintf(&b, " (%s)", skip.Hint)
			}
			b.WriteByte('\n')
		}
		for _, skip := range t.Ignored {
			fmt.Fprintf(&b, "ignored %s: %s\n", skip.What, skip.Why)
		}
	}
	_, missing := s.Coverage()
	unreadable := map[string]int{}
	var order []string
	for _, m := range missing {
		if m.Reason != bailey.ReasonUnreadable && m.Reason != bailey.ReasonAmbiguous && m.Namespace == "" {
			continue
		}
		what := fmt.Sprintf("%s %s/%s", m.Kind, m.Namespace, m.Name)
		if m.Name == "" && m.Kind != bailey.KindPod {
			what = "other kinds as a whole"
		}
		if unreadable[what]++; unreadable[what] == 1 {
			order = append(order, what)
		}
	}
	for _, what := range order {
		fmt.Fprintf(&b, "not seen: %s\n", what)
	}
	return b.String()
}

func place(s bailey.Source) string {
	return fmt.Sprintf("%s:%d:%d", s.File, s.Line, s.Column)
}
