package prove

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// undoing is an isolated probe that changes something of its own, and how to put it back.
func undoing() bailey.Probe {
	own := bailey.ProbePrefix + "run1"
	undo := podStep("undo")
	undo.Request.Verb, undo.Request.Name, undo.Request.Namespace, undo.Request.Real = "patch", "p", own, true
	return bailey.Probe{Name: "n", Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin"), Undo: []bailey.Step{undo}}
}

// runIsolated runs one isolated probe as run1, with its journal in the folder.
func runIsolated(t *testing.T, config *rest.Config, folder string, danger bailey.Danger, probe bailey.Probe) (*Record, error) {
	t.Helper()
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: danger, Scope: bailey.ScopeCluster,
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return []bailey.Probe{probe} }}}}
	s := bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot()
	ran, err := Run(t.Context(), "run1", Plan(s, []*bailey.Control{control}, Choice{Worst: danger}),
		Options{Config: config, Folder: folder, Cluster: "uid", Repeat: 1, Rate: 10000})
	if len(ran.Records) != 1 {
		t.Fatalf("%d records: %v", len(ran.Records), err)
	}
	return ran.Records[0], err
}

func refusing(undo *atomic.Int64) func(string, int) reply {
	return func(name string, _ int) reply {
		switch name {
		case "undo":
			return reply{int(undo.Load()), "not now"}
		case "try":
			return reply{403, podSecurityRefusal}
		}
		return reply{201, "{}"}
	}
}

func undone(asked []string) (n int) {
	for _, request := range asked {
		if strings.HasPrefix(request, "PATCH ") {
			n++
		}
	}
	return n
}

// TestUndoThatFails: what could not be put back stays in the journal, and the reaper
// puts it back.
func TestUndoThatFails(t *testing.T) {
	var code atomic.Int64
	code.Store(500)
	config, asked := standIn(t, refusing(&code))
	folder := t.TempDir()
	record, err := runIsolated(t, config, folder, bailey.DangerIsolated, undoing())
	if err == nil || !strings.Contains(err.Error(), "--reap") || len(record.LeftBehind) != 1 {
		t.Errorf("%v, left behind %v", err, record.LeftBehind)
	}
	if _, err := Reap(t.Context(), config, folder, "uid", DefaultRate, time.Now, nil); err == nil {
		t.Error("the reaper says that all is well, and it could not put back what was changed")
	}
	code.Store(200)
	before := undone(*asked)
	reaped, err := Reap(t.Context(), config, folder, "uid", DefaultRate, time.Now, nil)
	if err != nil || len(reaped) != 1 || undone(*asked) != before+1 {
		t.Errorf("%+v, %d requests, %v", reaped, undone(*asked)-before, err)
	}
	if left, _ := journals(folder); len(left) > 0 {
		t.Errorf("the journal stays: %v", left)
	}
}

// TestUndoOnlyWhatIsOwed: a probe that was left out changed nothing, and what is put back
// is not put back again.
func TestUndoOnlyWhatIsOwed(t *testing.T) {
	for given, want := range map[int]int{201: 0, 403: 1} {
		var code atomic.Int64
		code.Store(200)
		config, asked := standIn(t, func(name string, n int) reply {
			if name == "given" {
				return reply{given, podSecurityRefusal}
			}
			return refusing(&code)(name, n)
		})
		probe := undoing()
		step := podStep("given", bailey.RefuserPodSecurity)
		probe.Given = &step
		folder := t.TempDir()
		if _, err := runIsolated(t, config, folder, bailey.DangerIsolated, probe); err != nil || undone(*asked) != want {
			t.Errorf("given %d: %d requests put back what was changed, want %d: %v", given, undone(*asked), want, err)
		}
		if left, _ := journals(folder); len(left) > 0 {
			t.Errorf("given %d: the journal stays", given)
		}
	}
}

// TestUndoIsHarmless: what is not the run's own is put back by nobody, neither by the run,
// which does not begin then, nor by the reaper, whatever a journal says.
func TestUndoIsHarmless(t *testing.T) {
	var code atomic.Int64
	code.Store(200)
	for name, change := range map[string]func(*bailey.Step){
		"another namespace": func(s *bailey.Step) { s.Request.Namespace = "kube-system" },
		"no request":        func(s *bailey.Step) { *s = bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: "127.0.0.1:1"}}} },
	} {
		config, asked := standIn(t, refusing(&code))
		probe := undoing()
		change(&probe.Undo[0])
		record, err := runIsolated(t, config, t.TempDir(), bailey.DangerIsolated, probe)
		if err != nil || record.Results[0].Outcome() != Inconclusive || len(*asked) > 0 {
			t.Errorf("%s: %s after %q, %v", name, record.Results[0].Outcome(), *asked, err)
		}
	}
	config, asked := standIn(t, refusing(&code))
	if record, err := runIsolated(t, config, t.TempDir(), bailey.DangerDryRun, undoing()); err != nil || record.Results[0].Outcome() != Inconclusive || len(*asked) > 0 {
		t.Errorf("a dry-run that leaves something to undo: %s after %q, %v", record.Results[0].Outcome(), *asked, err)
	}

	folder := t.TempDir()
	const journal = `{"begin":{"run":"run1","cluster":"uid","version":"v"}}
{"unit":{"control":"test/a","experiment":"try","danger":"isolated","scope":{"kind":"cluster"}}}
{"owe":{"number":1,"danger":"isolated","steps":[{"request":{"verb":"delete","apiVersion":"v1","resource":"pods","namespace":"kube-system","name":"p","real":true}}]}}
`
	if err := os.WriteFile(filepath.Join(folder, "run1.jsonl"), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Reap(t.Context(), config, folder, "uid", DefaultRate, time.Now, nil); err == nil || !strings.Contains(err.Error(), "kube-system") {
		t.Errorf("%v", err)
	}
	if len(*asked) > 0 {
		t.Errorf("the reaper asked %q", *asked)
	}
	if left, _ := journals(folder); len(left) != 1 {
		t.Errorf("the journal is gone, and it says what was not put back: %v", left)
	}
}

// TestRateBoundsPolling: what is waited for is asked no more often than the rate allows.
func TestRateBoundsPolling(t *testing.T) {
	config, asked := standIn(t, func(name string, _ int) reply {
		if name == "twin" {
			return reply{201, "{}"}
		}
		return reply{200, `{"status":{"phase":"Pending"}}`}
	})
	wait := bailey.Step{Await: &bailey.Await{APIVersion: "v1", Resource: "pods", Namespace: "shop", Name: "p", Field: "status.phase", Values: []string{"Running"}, Timeout: 3 * time.Second}}
	runProbes(t, config, func(o *Options) { o.Rate, o.Repeat = 2, 1 },
		bailey.Probe{Name: "n", Setup: []bailey.Step{wait}, Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")})
	if n := len(*asked); n < 2 || n > 8 {
		t.Errorf("%d requests in 3 s at 2 a second", n)
	}
}
