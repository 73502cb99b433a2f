package bailey_test

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/baileyhq/bailey"

// mayImport is the import table of ARCHITECTURE.md: which of our top folders
// the packages under a top folder may import directly, beside their own.
// A path with a slash is that package alone; "*" means all of them. Tests may import more.
var mayImport = map[string][]string{
	"":           {},
	"ledger":     {"internal/keypair"},
	"devcluster": {},
	"derive":     {""},
	"collect":    {"", "internal/yamlstream"},
	"report":     {""},
	"store":      {""},
	"fix":        {"", "internal/yamlstream"},
	"controls":   {"", "derive"},
	"check":      {""},
	"enforce":    {"", "check", "derive", "internal/keypair"},
	"prove":      {"", "ledger"},
	"trust":      {"", "derive"},
	"server":     {"", "check", "collect", "derive", "devcluster", "enforce", "internal/keypair", "ledger", "prove", "report", "store"},
	"web":        {"", "server"},
	"deploy":     {},
	"cmd":        {"*"},
	"bench":      {"*"},
	"internal":   {"*"},
}

// pure lists the top folders whose packages reach nothing outside: no files,
// no network, no clock, no client.
var pure = []string{"", "derive", "controls", "check", "fix"}

// impure are the imports that a pure package must not have. ("time" is
// allowed for its types; a use of time.Now is caught below.)
var impure = []string{"os", "net", "net/http", "os/exec", "log", "log/slog", "io/ioutil", "k8s.io/client-go"}

func TestImportTable(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || path == filepath.Join("devcluster", "controlplane")) {
			return filepath.SkipDir
		}
		pkg, err := build.Default.ImportDir(path, 0)
		if err != nil {
			return nil // no Go files here
		}
		top, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		if top == "." {
			top = ""
		}
		allowed, known := mayImport[top]
		if !known {
			t.Errorf("%s is in no row of the import table", path)
		}
		for _, imported := range pkg.Imports {
			rest, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			target, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
			if target != top && !slices.Contains(allowed, target) && !slices.Contains(allowed, strings.TrimPrefix(rest, "/")) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s, which the import table does not allow", path, imported)
			}
		}
		if top == "" {
			for _, imported := range pkg.Imports {
				if strings.Contains(imported, ".") {
					t.Errorf("the root package imports %s; it uses the standard library only", imported)
				}
			}
		}
		if slices.Contains(pure, top) {
			for _, imported := range pkg.Imports {
				for _, bad := range impure {
					if imported == bad || strings.HasPrefix(imported, bad+"/") && strings.Contains(bad, ".") {
						t.Errorf("%s imports %s; %q is pure", path, imported, top)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSourceRules holds rules and engines to the snapshot's moment, and
// the whole program to explicit lists in the place of init functions.
func TestSourceRules(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source := readFile(t, path)
		top, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		if strings.HasSuffix(top, ".go") {
			top = ""
		}
		if slices.Contains(pure, top) {
			for _, word := range []string{"time.Now(", "time.Since(", "rand."} {
				if strings.Contains(source, word) {
					t.Errorf("%s uses %s; pure packages read the clock of the view", path, word)
				}
			}
		}
		if strings.Contains(source, "\nfunc init()") {
			t.Errorf("%s has an init function; write an explicit list", path)
		}
		if lines := strings.Count(source, "\n"); lines > 500 {
			t.Errorf("%s has %d lines; a file over 500 needs a reason, and none is accepted here", path, lines)
		}
		switch base := filepath.Base(filepath.Dir(path)); base {
		case "util", "utils", "common", "helpers", "misc":
			t.Errorf("%s: name the package %q after what it holds", path, base)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
