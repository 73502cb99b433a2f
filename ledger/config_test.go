package ledger_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/baileyhq/bailey/ledger"
)

// exchangeRecipient writes a copy of ledger.json with another recipient.
func exchangeRecipient(t *testing.T, dir, name, old, next string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "ledger.json"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), old, next, 1)
	if changed == string(data) {
		t.Fatalf("%s is no recipient", old)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRecipientBehindTheWriter: who can write the folder cannot make himself a reader of
// what comes, neither in the configuration nor in a change that looks interrupted.
func TestRecipientBehindTheWriter(t *testing.T) {
	for name, reason := range map[string]string{
		"ledger.json":      "is not the configuration that this ledger runs with",
		"ledger.json.next": "is no change that this ledger began",
	} {
		t.Run(name, func(t *testing.T) {
			dir, id := newLedger(t, ledger.InitOptions{})
			old := id.(*age.X25519Identity).Recipient().String()
			l := open(t, dir, ledger.Options{})
			appendTo(t, l, numbered(0, 300)...)
			if _, err := l.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			closeLog(t, l)
			exchangeRecipient(t, dir, name, old, newIdentity(t).Recipient().String())
			refuses(t, dir, reason)
		})
	}
}

// TestInterruptedReconfigure: a change that was cut off after any step is finished by the next
// open.
func TestInterruptedReconfigure(t *testing.T) {
	dir, id := newLedger(t, ledger.InitOptions{})
	old, next := id.(*age.X25519Identity).Recipient().String(), newIdentity(t)
	l := open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 3)...)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Reconfigure(gone, []string{next.Recipient().String()}, nil, 0); err == nil {
		t.Fatal("the change was not interrupted")
	}
	closeLog(t, l)
	between := filepath.Join(t.TempDir(), "between")
	if err := os.CopyFS(between, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	renamed := filepath.Join(t.TempDir(), "renamed")
	if err := os.CopyFS(renamed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(renamed, "ledger.json.next"), filepath.Join(renamed, "ledger.json")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{between, renamed} {
		for range 2 {
			l := open(t, dir, ledger.Options{})
			if r := l.Config().Recipients; len(r) != 1 || r[0] != next.Recipient().String() || r[0] == old {
				t.Errorf("the interrupted change was forgotten: %v", r)
			}
			closeLog(t, l)
		}
		if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{}); !r.Intact() || len(r.Notes) > 0 {
			t.Errorf("%v %v", r.Problems, r.Notes)
		}
	}
}
