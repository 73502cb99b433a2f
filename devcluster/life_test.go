//go:build linux

package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTestChild starts the test program as a process that starts a cluster, and returns
// it with the cluster's folder.
func startTestChild(t *testing.T, mode string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+mode)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the child did not start a cluster: %v\n%s", err, &stderr)
	}
	return cmd, strings.TrimSpace(string(line[:n]))
}

func TestKilledParent(t *testing.T) {
	needBinary(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cmd, dir := startTestChild(t, "attached")
	j, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(j.live()); n != 4 {
		t.Fatalf("%d components run", n)
	}
	sweep(t.Context(), tmp)
	if n := len(j.live()); n != 4 {
		t.Fatalf("a sweep ended a living cluster: %d components run", n)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	within(t, 5*time.Second, "components die with their parent", func() bool { return len(j.live()) == 0 })
	if _, err := Open(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Open: %v", err)
	}

	// What has no marker, or is kept, is not for a sweep.
	other := filepath.Join(tmp, tempPrefix+"other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	sweep(t.Context(), tmp)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a killed cluster is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// TestDetached starts a cluster that outlives its starter, finds it, ends it, and
// continues it.
func TestDetached(t *testing.T) {
	binary := needBinary(t)
	state := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() {
		if err := Stop(context.Background(), state); err != nil {
			t.Error(err)
		}
	})
	cmd, _ := startTestChild(t, "detached", state)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	first, err := Open(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = first.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/default/secrets", object{
		"metadata": object{"name": "kept"}, "stringData": object{"k": "v"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := first.PIDs()[Scheduler]
	if err := syscall.Kill(ended, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), Scheduler+" ended") {
		t.Errorf("Wait: %v", err)
	}
	if _, err := Open(state); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), Scheduler) {
		t.Errorf("Open without a scheduler: %v", err)
	}
	if err := Stop(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	gone(t, first.journal)

	// Again in the same folder; and another process is quicker to take a port.
	wrapper := filepath.Join(t.TempDir(), "controlplane")
	script := fmt.Sprintf("#!/bin/sh\nif [ $1 = kube-apiserver ] && [ ! -e \"$HOME/lost\" ]; then\n: >\"$HOME/lost\"\necho 'listen tcp 127.0.0.1:1: bind: address already in use' >&2\nexit 1\nfi\nexec '%s' \"$@\"\n", binary)
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	second, err := Start(t.Context(), Options{Binary: wrapper, State: state, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "lost its port") {
		t.Errorf("no second attempt:\n%s", &log)
	}
	var kept struct{ Data map[string][]byte }
	if err := second.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/default/secrets/kept", nil, &kept); err != nil || string(kept.Data["k"]) != "v" {
		t.Errorf("the Secret of the first run: %v, %v", kept, err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	gone(t, second.journal)
	if _, err := os.Stat(filepath.Join(state, journalName)); err != nil {
		t.Errorf("a folder that the user named is not kept: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	binary := needBinary(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	silent, err := exec.LookPath("false")
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	u, err := url.Parse("http://" + taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil {
		t.Fatal(err)
	}
	strange := t.TempDir()
	if err := os.WriteFile(filepath.Join(strange, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		o    Options
		want []string
	}{
		{"no such program", Options{Binary: filepath.Join(tmp, "none")}, []string{"no such file", "hint: "}},
		{"not executable", Options{Binary: tmp}, []string{"not an executable file", "hint: "}},
		{"no program", Options{Binary: text}, []string{"start etcd", "exec format error", "hint: is that the right program"}},
		{"another program", Options{Binary: silent}, []string{"etcd ended", "exit status 1", "hint: it wrote nothing"}},
		{"bad argument", Options{Binary: binary, ExtraAPIServerArgs: []string{"--no-such-flag"}}, []string{"kube-apiserver ended", "unknown flag: --no-such-flag", "hint: the log says why"}},
		{"port taken", Options{Binary: binary, Port: port}, []string{"address already in use", "hint: choose another"}},
		{"somebody's folder", Options{Binary: binary, State: strange}, []string{"holds files that are not", "hint: "}},
		{"too slow", Options{Binary: binary, Timeout: 700 * time.Millisecond}, []string{"waiting until", "not ready after 700ms", "hint: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Start(t.Context(), test.o)
			if err == nil {
				_ = c.Stop(context.Background())
				t.Fatal("it started")
			}
			t.Logf("%v", err)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in the error", want)
				}
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
