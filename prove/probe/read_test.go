package probe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestReadCounts: a pod leaves a report for each of its tasks.
func TestReadCounts(t *testing.T) {
	const one = `{"accepted":true}`
	for message, want := range map[string]bool{one: false, "[]": false, "[" + one + "]": false, "[" + one + "," + one + "]": true} {
		if _, err := Read(message, 2); (err == nil) != want {
			t.Errorf("%s of two tasks: %v", message, err)
		}
	}
}

// TestReadRefuses: what says nothing, or two things at once, is no report.
func TestReadRefuses(t *testing.T) {
	for _, message := range []string{"", "null", "{}", "killed", `{"accepted":true,"refuser":"kernel"}`, `{"accepted":true,"failed":true}`, `{"refuser":"kernel","failed":true}`} {
		if r, err := Read(message, 1); err == nil {
			t.Errorf("%s is read as %+v", message, r)
		}
		if r, err := Read("["+message+"]", 1); err == nil {
			t.Errorf("%s is read as %+v", message, r)
		}
	}
}

// FuzzRead: what a pod left is no report, or says one thing, which is read again as it was
// written.
func FuzzRead(f *testing.F) {
	for _, r := range []Report{accepted("done"), refused(bailey.RefuserKernel, "no"), failed("nothing came")} {
		data, err := json.Marshal([]Report{r})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("null")
	f.Fuzz(func(t *testing.T, message string) {
		all, err := Read(message, 1)
		if err != nil {
			return
		}
		r := all[0]
		path := filepath.Join(t.TempDir(), "termination")
		if err := Write(path, []Report{r}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Read(string(data), 1)
		if err != nil {
			t.Fatal(err)
		}
		if again := read[0]; again.Accepted != r.Accepted || again.Refuser != r.Refuser || again.Failed != r.Failed || !strings.HasPrefix(r.Message, strings.TrimRight(again.Message, "\ufffd")) {
			t.Errorf("%q is read as %+v, and then as %+v", message, r, again)
		}
	})
}
