package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/baileyhq/bailey/prove"
)

// FuzzConfig: whatever stands in bailey.yaml, it is refused, or all of it can be asked for.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("failOn: high\ncomplete: [Namespace]\nwaivers: [{rule: compute/pod-security, reason: r, owner: o, expires: 2027-03-31}]\nschedule: {window: 22:00-06:00, days: [mon]}\n"))
	f.Add([]byte("trust: [a.pub]\nledger: ledger\ndetection: {auditLog: audit.log}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	path := filepath.Join(f.TempDir(), configName)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(path)
		if err != nil {
			return
		}
		_, _ = c.waivers()
		_, _ = c.complete()
		_ = c.relative(c.Ledger)
		if w, err := prove.ParseWindow(c.Schedule.Window, c.Schedule.Days, c.Schedule.TimeZone); err == nil {
			w.Open(time.Unix(1_790_000_000, 0))
		}
	})
}
