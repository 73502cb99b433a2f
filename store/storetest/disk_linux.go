package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"golang.org/x/sys/unix"
)

const diskVariable = "BAILEY_TEST_DISK"

// SmallDisk runs the test again in a process of its own that sees a file system of this
// size, and gives its folder there; in the first process it gives "" once that has passed.
func SmallDisk(t *testing.T, size string) string {
	t.Helper()
	if dir := os.Getenv(diskVariable); dir != "" {
		if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("bailey", dir, "tmpfs", 0, "mode=0755,size="+size)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	// Not in the test's own folder, which a server under another user could not enter.
	dir, err := os.MkdirTemp("", "bailey-disk-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), diskVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Start()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("no mount namespace can be made here: ", err)
	}
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(strings.TrimSpace(out.String()))
	return ""
}

// IsSmallDisk reports whether this process is one that SmallDisk started.
func IsSmallDisk() bool { return os.Getenv(diskVariable) != "" }

// DiskFull writes until the disk that holds the store is full, makes room, and goes on:
// what was acknowledged is there, and the rest can be written again.
func DiskFull(t *testing.T, dir string, s *store.Store, room func() error) {
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{t, s, t.Context()}
	b.ok(s.PutCluster(b.ctx, uid, "production", at(0)))
	n := 0
	var full error
	for ; full == nil; n++ {
		if n == 10_000 {
			t.Fatal("the disk does not become full")
		}
		full = s.Apply(b.ctx, uid, at(n), killedDelta(n))
	}
	failed := n - 1
	if !errors.Is(full, store.ErrUnavailable) {
		t.Fatalf("delta %d: %v", failed, full)
	}
	t.Logf("delta %d: %v", failed, full)
	b.ok(os.Remove(filler))
	b.ok(room())
	deadline := time.Now().Add(time.Minute)
	for {
		err := s.Apply(b.ctx, uid, at(failed), killedDelta(failed))
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("with room again: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i := range failed + 1 {
		page := b.findings(store.FindingQuery{Access: store.Everything(), State: store.All, Namespaces: []string{fmt.Sprint("n", i)}, Limit: 1})
		if page.Total != killedFindings {
			t.Errorf("of delta %d of %d there are %d findings", i, failed, page.Total)
		}
	}
	b.ok(s.Check(b.ctx, uid))
}
