package probe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestReadRefuses: what says nothing, or two things at once, is no report.
func TestReadRefuses(t *testing.T) {
	for _, message := range []string{"", "null", "{}", "killed", `{"accepted":true,"refuser":"kernel"}`, `{"accepted":true,"failed":true}`, `{"refuser":"kernel","failed":true}`} {
		if r, err := Read(message); err == nil {
			t.Errorf("%s is read as %+v", message, r)
		}
	}
}

// FuzzRead: what a pod left is no report, or says one thing, which is read again as it was
// written.
func FuzzRead(f *testing.F) {
	for _, r := range []Report{accepted("done"), refused(bailey.RefuserKernel, "no"), failed("nothing came")} {
		data, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("null")
	f.Fuzz(func(t *testing.T, message string) {
		r, err := Read(message)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "termination")
		if err := Write(path, r); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(string(data))
		if err != nil || again.Accepted != r.Accepted || again.Refuser != r.Refuser || again.Failed != r.Failed || !strings.HasPrefix(r.Message, strings.TrimRight(again.Message, "\ufffd")) {
			t.Errorf("%q is read as %+v, and then as %+v: %v", message, r, again, err)
		}
	})
}
