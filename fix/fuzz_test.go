package fix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/fix"
)

// FuzzEdit edits what may be any file: it never panics, and what it gives parses
// into as many documents, of which one at most differs.
func FuzzEdit(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	seeds := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(archive.Files)%3 != 0 {
			f.Fatalf("%s has %d files, which are not cases of three", file, len(archive.Files))
		}
		for i := 0; i < len(archive.Files); i += 3 {
			var kind, name string
			var line, column int
			if _, err := fmt.Sscan(archive.Files[i+1].Name, &kind, &name, &line, &column); err != nil {
				f.Fatal(err)
			}
			for op := range bytes.Lines(archive.Files[i+1].Data) {
				parts := bytes.SplitN(bytes.TrimSpace(op), []byte(" "), 3)
				value := "null"
				if len(parts) == 3 {
					value = string(parts[2])
				}
				seeds++
				f.Add([]byte(unescape(archive.Files[i].Data)), kind, name, line, column, string(parts[0]), string(parts[1]), value)
			}
		}
	}
	if seeds == 0 {
		f.Fatal("no case to begin with")
	}
	f.Fuzz(func(t *testing.T, file []byte, kind, name string, line, column int, op, pointer, value string) {
		if len(file) > 1<<16 {
			return
		}
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			return
		}
		before, err := parsed(file)
		got, editErr := fix.Edit(file, fix.Place{Line: line, Column: column, Kind: kind, Name: name}, []bailey.PatchOp{{Op: op, Path: pointer, Value: v}})
		if editErr != nil || err != nil {
			return // a document behind the one that is edited may be broken
		}
		after, err := parsed(got)
		if err != nil {
			t.Fatalf("it does not parse any more: %v\n%s", err, got)
		}
		differ := 0
		for i := range before {
			if i >= len(after) || !reflect.DeepEqual(before[i], after[i]) {
				differ++
			}
		}
		if len(before) != len(after) || differ > 1 {
			t.Fatalf("%d documents, then %d; %d differ\n%s", len(before), len(after), differ, got)
		}
	})
}

// parsed gives the documents of a stream.
func parsed(file []byte) (all []any, err error) {
	d := yaml.NewDecoder(bytes.NewReader(file))
	for {
		var v any
		if err := d.Decode(&v); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
}
