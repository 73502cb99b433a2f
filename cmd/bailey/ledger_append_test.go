package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/baileyhq/bailey/ledger"
)

// FuzzAppendInput: every line before the first bad one becomes a record that the ledger takes.
func FuzzAppendInput(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\"}\n\n{\"id\":7}\n"), "id")
	f.Add([]byte("1\n\"x\"\n{"), "")
	f.Fuzz(func(t *testing.T, in []byte, field string) {
		lines := make(chan line)
		stop := make(chan struct{})
		go func() {
			readLines(bytes.NewReader(in), field, func([]byte, int) (string, error) { return "x", nil }, lines, stop)
			close(lines)
		}()
		ended := false
		for l := range lines {
			if ended {
				t.Fatal("lines follow the end")
			}
			if l.err != nil {
				ended = true
				continue
			}
			if l.record.ID == "" || len(l.record.ID) > ledger.MaxID || !json.Valid(l.record.Data) {
				t.Fatalf("line %d became %q", l.number, l.record)
			}
		}
		if !ended {
			t.Fatal("nothing says that the input ended")
		}
	})
}
