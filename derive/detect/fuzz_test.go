package detect_test

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey/derive/detect"
)

// FuzzDecode wants no event, however strange, to break the decoder, an
// expression or what the set remembers.
func FuzzDecode(f *testing.F) {
	for _, line := range ordinary() {
		f.Add(line)
	}
	for _, d := range detect.All() {
		for _, text := range append(d.Bad, d.Good...) {
			f.Add([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-03-01T12:00:00Z",` + strings.TrimPrefix(text, "{")))
		}
	}
	set, err := detect.Compile()
	if err != nil {
		f.Fatal(err)
	}
	limits := detect.Limits{Bytes: 1 << 16, Depth: 50}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := detect.DecodeWhole(line, limits)
		if err != nil {
			return
		}
		for _, a := range set.Match(e) {
			if a.Detection == "" || len(a.AuditIDs) == 0 {
				t.Errorf("an alert that says nothing: %+v", a)
			}
		}
		set.Blind(e)
	})
}
