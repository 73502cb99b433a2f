package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestProveOnASchedule: what acts is done within the window, and outside of it is left out
// with the reason.
func TestProveOnASchedule(t *testing.T) {
	cluster := devclustertest.Own(t)
	run := func(window string) (outcomes, notRun map[string]string) {
		t.Helper()
		out, errs, _ := programIn(t, t.TempDir(), "prove", "access/authorization", "--isolated", "--kubeconfig", cluster.Kubeconfig, "--quick",
			"--every", "1h", "--times", "1", "--window", window, "-o", "json")
		var report struct {
			Results []struct{ Experiment, Outcome, Danger string }
			NotRun  []struct{ Experiment, Why string }
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil && out != "" {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
		outcomes, notRun = map[string]string{}, map[string]string{}
		for _, r := range report.Results {
			if r.Danger == "isolated" {
				outcomes[r.Experiment] = r.Outcome
			}
		}
		for _, n := range report.NotRun {
			notRun[n.Experiment] = n.Why
		}
		if out == "" { // nothing was left to try
			notRun[""] = errs
		}
		return outcomes, notRun
	}
	now := time.Now().UTC()
	later := now.Add(6*time.Hour).Format("15:04") + "-" + now.Add(8*time.Hour).Format("15:04")
	outcomes, notRun := run(later)
	said := false
	for _, why := range notRun {
		said = said || strings.Contains(why, "the window ("+later+" UTC) is closed")
	}
	if len(outcomes) > 0 || !said {
		t.Errorf("with a closed window: %v, not run %v", outcomes, notRun)
	}
	if outcomes, notRun = run("00:00-24:00"); len(outcomes) == 0 {
		t.Errorf("with an open window nothing isolated was done, and not run %v", notRun)
	}
	for name, outcome := range outcomes {
		if outcome != "held" {
			t.Errorf("%s: %s", name, outcome)
		}
	}
	if left := leftOf(t, cluster); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
