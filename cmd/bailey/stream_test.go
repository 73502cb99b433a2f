package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
)

// command is bailey, ready to run as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asBailey+"=1")
	cmd.Dir = t.TempDir()
	return cmd
}

// TestPipeAsTarget: a pipe given by path, as shells do for <(command), is read
// from its first byte.
func TestPipeAsTarget(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: a, image: b}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	cmd := command(t, "scan", "/dev/fd/3", "-c", "compute/pod-security")
	cmd.ExtraFiles = []*os.File{r}
	out, err := cmd.CombinedOutput()
	r.Close()
	if cmd.ProcessState.ExitCode() != exitFindings || !strings.Contains(string(out), "2 objects") {
		t.Errorf("exit %v, want %d and 2 objects:\n%s", err, exitFindings, out)
	}
}

// TestEndedWhileReading: a signal ends a scan that waits for standard input.
func TestEndedWhileReading(t *testing.T) {
	cmd := command(t, "scan", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// More than a pipe holds: when it is written, the program is reading.
	if _, err := in.Write(bytes.Repeat([]byte("#\n"), 128<<10)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("%v, want exit %d and what happened: %s", err, exitFailed, stderr.String())
		}
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("the program still waits for standard input")
	}
}

// TestUpInterrupted: a signal that is delivered several times, as timeout(1) does, stops
// what up had started before the program ends.
func TestUpInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	binary, err := devcluster.Find("")
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	dir := filepath.Join(state, "bailey", "devcluster")
	t.Cleanup(func() {
		if err := devcluster.Stop(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	cmd := command(t, "up", "--controlplane", binary)
	cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "etcd is healthy") {
			time.Sleep(time.Second) // so that the API server is there to be stopped
			for range 10 {
				_ = cmd.Process.Signal(os.Interrupt)
				time.Sleep(time.Millisecond)
			}
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(said, "interrupted") {
		t.Errorf("exit %d, want %d:\n%s", code, exitFailed, said)
	}
}
