//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/ledger/audit"
)

// sink is a `bailey ledger audit` in a process of its own, and what its ledger holds.
type sink struct {
	name, ledger string
	args         []string
	cmd          *exec.Cmd
	errors       *os.File

	events map[string]bool
	proofs []audit.Proof
}

func baileyCommand(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asBailey+"=1")
	return cmd
}

func runBailey(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := baileyCommand(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bailey %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

func (s *sink) start(t *testing.T) {
	t.Helper()
	path := filepath.Join(filepath.Dir(s.ledger), s.name+".err")
	if s.name == "webhook" {
		path = filepath.Join(t.TempDir(), "webhook.err") // not on the disk that will be full
	}
	var err error
	if s.errors, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = baileyCommand(context.Background(), append([]string{"ledger", "audit", s.ledger}, s.args...)...)
	s.cmd.Stderr = s.errors
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := s.cmd
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(path)
			t.Logf("%s said:\n%s", s.name, said[max(0, len(said)-6000):])
		}
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
}

func (s *sink) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatalf("%s had ended: %v", s.name, err)
	}
	_ = s.cmd.Wait()
}

func (s *sink) stop(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%s did not end as it should: %v", s.name, err)
	}
}

// read reads the ledger, and wants every event once.
func (s *sink) read(t *testing.T) {
	t.Helper()
	s.events, s.proofs = map[string]bool{}, nil
	for line := range bytes.Lines(runBailey(t, "ledger", "read", s.ledger)) {
		var r readRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(r.ID, "audit-proof/") {
			var p audit.Proof
			if err := json.Unmarshal(r.Data, &p); err != nil {
				t.Fatal(err)
			}
			s.proofs = append(s.proofs, p)
			continue
		}
		e, err := audit.ParseEvent(r.Data)
		if err != nil {
			t.Fatal(err)
		}
		id := e.AuditID + "/" + e.Stage
		if s.events[id] {
			t.Errorf("%s: %s is there twice", s.name, id)
		}
		s.events[id] = true
	}
}

// of gives the proofs about one API server.
func (s *sink) of(apiServer string) (proofs []audit.Proof) {
	for _, p := range s.proofs {
		if p.APIServer == apiServer {
			proofs = append(proofs, p)
		}
	}
	return proofs
}

// await waits until the proofs about an API server are such.
func (s *sink) await(t *testing.T, apiServer, what string, such func([]audit.Proof) bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		s.read(t)
		if such(s.of(apiServer)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: in 90 s no proof about %s says %s: %+v", s.name, apiServer, what, s.of(apiServer))
		}
	}
}

// judged waits until the counters of an API server were compared up to now.
func (s *sink) judged(t *testing.T, apiServer string) {
	t.Helper()
	now := time.Now()
	s.await(t, apiServer, "what is missing up to "+now.String(), func(proofs []audit.Proof) bool {
		return slices.ContainsFunc(proofs, func(p audit.Proof) bool { return p.ToSince.After(now) })
	})
}

// quiet waits until nothing is missing, by the counters.
func (s *sink) quiet(t *testing.T, apiServer string) {
	t.Helper()
	now := time.Now()
	s.await(t, apiServer, "that nothing is missing after "+now.String(), func(proofs []audit.Proof) bool {
		return slices.ContainsFunc(proofs, func(p audit.Proof) bool { return p.Verdict == audit.None && p.ToSince.After(now) })
	})
}

func (s *sink) missing(truth map[string]time.Time) map[string]time.Time {
	missing := map[string]time.Time{}
	for id, at := range truth {
		if !s.events[id] {
			missing[id] = at
		}
	}
	return missing
}

// readTruth gives the events of the API server's log files and their times.
func readTruth(t *testing.T, auditLog string) map[string]time.Time {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(auditLog), "audit*.log"))
	if err != nil {
		t.Fatal(err)
	}
	truth := map[string]time.Time{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			e, err := audit.ParseEvent(line)
			if err != nil {
				continue // cut off when the API server was killed
			}
			truth[e.AuditID+"/"+e.Stage] = time.UnixMicro(e.At)
		}
	}
	return truth
}
