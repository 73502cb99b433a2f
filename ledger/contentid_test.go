package ledger_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/baileyhq/bailey/ledger"
)

// TestContentID: the same input sent again is found, also what the version before kept under its
// hash, and the ID says nothing to who guesses the data.
func TestContentID(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	old, data := []byte(`{"pin":1234}`), []byte(`{"pin":4321}`)
	plain := func(data []byte) string { return fmt.Sprintf("%x:1", sha256.Sum256(data)) }
	before := appendTo(t, l, ledger.Record{ID: plain(old), Data: old})
	id := func(l *ledger.Log, data []byte) string {
		id, err := l.ContentID(data, 1)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := id(l, data)
	if first == plain(data) || first == id(l, append(data, ' ')) {
		t.Errorf("the ID of a guess is known: %s", first)
	}
	if index := appendTo(t, l, ledger.Record{ID: id(l, old), Data: old}); index[0] != before[0] {
		t.Error("what the version before kept is kept again")
	}
	closeLog(t, l)
	l = open(t, dir, ledger.Options{})
	if id(l, data) != first {
		t.Error("a restart changed the ID")
	}
	other, _ := newLedger(t, ledger.InitOptions{})
	if id(open(t, other, ledger.Options{}), data) == first {
		t.Error("another ledger gives the same ID")
	}
}
