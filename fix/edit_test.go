package fix_test

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/fix"
)

// TestEdit holds the editor to its cases: each archive has the file, the place
// and patch, and what comes out, or the reason why it is refused.
func TestEdit(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files)%3 != 0 {
			t.Fatalf("%s has %d files, which are not cases of three", file, len(archive.Files))
		}
		for i := 0; i < len(archive.Files); i += 3 {
			from, patch, want := archive.Files[i], archive.Files[i+1], archive.Files[i+2]
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+from.Name, func(t *testing.T) {
				text := unescape(from.Data)
				place, ops := request(t, patch)
				got, err := fix.Edit([]byte(text), place, ops)
				if want.Name == "refused" {
					if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(string(want.Data))) {
						t.Fatalf("got %v\n%s\nwant a refusal: %s", err, got, want.Data)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != unescape(want.Data) {
					t.Errorf("got\n%q\n%s\nwant\n%s", got, got, want.Data)
				}
			})
		}
	}
}

// unescape makes the characters that an archive cannot show: "^M" at the end of
// a line is a carriage return, and "$EOF" the end of the file without a line break.
func unescape(data []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(data), "^M\n", "\r\n"), "$EOF\n", "")
}

// request reads a place from the name of a file ("Pod web 3 5") and the patch from
// its lines: an operation, a JSON pointer, a value as JSON.
func request(t *testing.T, f txtar.File) (fix.Place, []bailey.PatchOp) {
	t.Helper()
	words := strings.Fields(f.Name)
	if len(words) != 4 {
		t.Fatalf("%q is not KIND NAME LINE COLUMN", f.Name)
	}
	line, err := strconv.Atoi(words[2])
	if err != nil {
		t.Fatal(err)
	}
	column, err := strconv.Atoi(words[3])
	if err != nil {
		t.Fatal(err)
	}
	var ops []bailey.PatchOp
	for text := range strings.Lines(string(f.Data)) {
		parts := strings.SplitN(strings.TrimSpace(text), " ", 3)
		op := bailey.PatchOp{Op: parts[0], Path: parts[1]}
		if len(parts) == 3 {
			if err := json.Unmarshal([]byte(parts[2]), &op.Value); err != nil {
				t.Fatal(err)
			}
		}
		ops = append(ops, op)
	}
	return fix.Place{Kind: words[0], Name: words[1], Line: line, Column: column}, ops
}
