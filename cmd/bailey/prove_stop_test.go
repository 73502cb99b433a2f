package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStopSwitch: the switch is thrown for every cluster on which anything was tried from
// the state folder, whoever's key signs, and taken back.
func TestStopSwitch(t *testing.T) {
	state := t.TempDir()
	if out, _, code := programIn(t, state, "prove", "--stop"); code != exitOK || out == "" {
		t.Errorf("nothing to stop: %d, %q", code, out)
	}
	cluster := filepath.Join(state, "bailey", "some-uid")
	if err := os.MkdirAll(filepath.Join(cluster, runsFolder), 0o700); err != nil { // and no key: --key has another
		t.Fatal(err)
	}
	for _, c := range []struct {
		flag   string
		thrown bool
	}{{"--stop", true}, {"--resume", false}} {
		if _, errs, code := programIn(t, state, "prove", c.flag); code != exitOK {
			t.Fatalf("%s: %d: %s", c.flag, code, errs)
		}
		if _, err := os.Stat(stopFile(cluster)); (err == nil) != c.thrown {
			t.Errorf("after %s: %v", c.flag, err)
		}
	}
}
