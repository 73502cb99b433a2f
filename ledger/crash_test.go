package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/baileyhq/bailey/ledger"
)

// asWriter makes the test binary append to the ledger that it names until it is killed.
const asWriter = "LEDGER_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asWriter); dir != "" {
		write(dir)
		return
	}
	os.Exit(m.Run())
}

const crashWriters = 8

// write appends from several goroutines, begins a new period now and then, and prints the number
// and index of each record that was acknowledged. Writer w has the numbers w, w+8, w+16, ...; it begins with the number it is told.
func write(dir string) {
	l, err := ledger.Open(context.Background(), dir, ledger.Options{})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	var starts [crashWriters]int
	if err := json.Unmarshal([]byte(os.Getenv("LEDGER_TEST_STARTS")), &starts); err != nil {
		panic(err)
	}
	var out sync.Mutex
	var wait sync.WaitGroup
	for w := range crashWriters {
		wait.Go(func() {
			for n := starts[w]; ; n += crashWriters {
				indexes, err := l.Append(context.Background(), crashRecord(n))
				if err != nil {
					n -= crashWriters // it is sent again, until it is acknowledged
					continue
				}
				out.Lock()
				_, _ = os.Stdout.WriteString(fmt.Sprintf("%d %d\n", n, indexes[0])) // one write: whole or not at all
				out.Unlock()
				if w == 0 && n/crashWriters%10 == 9 {
					_, _ = l.Rotate(context.Background()) // where it fails the old period goes on, or the next record begins another
				}
			}
		})
	}
	wait.Wait()
}

// crashRecord is the record of a number; a few go beside the log.
func crashRecord(n int) ledger.Record {
	size := 10 + n%700
	if n%97 == 0 {
		size = 66_000
	}
	return ledger.Record{ID: fmt.Sprint("record-", n), Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"x":"%s"}`, n, strings.Repeat("x", size)))}
}

// crash is a ledger whose writers are killed again and again.
type crash struct {
	t      *testing.T
	dir    string
	id     age.Identity
	starts [crashWriters]int
	acked  map[int]uint64
}

func newCrash(t *testing.T, dir string) *crash {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Init(t.Context(), dir, ledger.InitOptions{Recipients: []string{id.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	c := &crash{t: t, dir: dir, id: id, acked: map[int]uint64{}}
	for w := range c.starts {
		c.starts[w] = w
	}
	return c
}

// round lets writers work, kills them after a while, and takes down what they acknowledged.
func (c *crash) round(life time.Duration, wrap ...string) {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	args := append(wrap, self)
	starts, err := json.Marshal(c.starts)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), asWriter+"="+c.dir, "LEDGER_TEST_STARTS="+string(starts))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(life)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	lines := bufio.NewScanner(&out)
	for lines.Scan() {
		var n int
		var index uint64
		if _, err := fmt.Sscan(lines.Text(), &n, &index); err != nil {
			c.t.Fatalf("the writer said %q; %s", lines.Text(), errors.String())
		}
		if had, ok := c.acked[n]; ok && had != index {
			c.t.Fatalf("record %d was acknowledged at %d and at %d", n, had, index)
		}
		c.acked[n] = index
		c.starts[n%crashWriters] = n // it is sent again: its index must be the same
	}
}

// check verifies the ledger as it lies there, and that no acknowledged record is lost and none is twice.
func (c *crash) check() {
	c.t.Helper()
	if r := verify(c.t, os.DirFS(c.dir), ledger.VerifyOptions{}); !r.Intact() {
		c.t.Fatalf("the ledger is damaged: %v", r.Problems)
	}
	seen := map[string]uint64{}
	for index, e := range readAll(c.t, c.dir, c.id) {
		if other, twice := seen[e.ID]; twice {
			c.t.Fatalf("%s is at %d and at %d", e.ID, other, index)
		}
		seen[e.ID] = index
	}
	for n, index := range c.acked {
		if at, ok := seen[crashRecord(n).ID]; !ok || at != index {
			c.t.Fatalf("record %d was acknowledged at %d and is at %d (%v)", n, index, at, ok)
		}
	}
}

// TestKill kills writers under load: 10 times, or 100 with BAILEY_SOAK set.
func TestKill(t *testing.T) {
	rounds := 10
	if os.Getenv("BAILEY_SOAK") != "" {
		rounds = 100
	}
	c := newCrash(t, filepath.Join(t.TempDir(), "ledger"))
	for range rounds {
		before := len(c.acked)
		for life := 150 * time.Millisecond; len(c.acked) == before; life *= 2 { // a busy machine starts slowly
			if life > time.Minute {
				t.Fatal("the writers acknowledge nothing")
			}
			c.round(life + time.Duration(rand.Int64N(int64(200*time.Millisecond))))
		}
		c.check()
	}
	t.Logf("%d kills, %d records acknowledged", rounds, len(c.acked))
}

// TestFailedFsync makes fsync fail now and then under a writer that goes on:
// what it acknowledges must be there all the same, once.
func TestFailedFsync(t *testing.T) {
	strace := failingStrace(t)
	c := newCrash(t, filepath.Join(t.TempDir(), "ledger"))
	for _, when := range []string{"20+7", "31+3"} {
		c.rounds(strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when="+when)
		c.check()
	}
	c.rounds()
	c.check()
	t.Logf("%d records acknowledged", len(c.acked))
}

// failingStrace is the path of strace, which makes system calls fail.
func failingStrace(t *testing.T) string {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace, which makes fsync fail, is not installed")
	}
	if err := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=1", "true").Run(); err != nil {
		t.Skipf("strace may not trace here: %v", err)
	}
	return strace
}

// rounds lets writers work, ever longer, until they acknowledge something new.
func (c *crash) rounds(wrap ...string) {
	c.t.Helper()
	before := len(c.acked)
	for life := 2 * time.Second; len(c.acked) == before; life *= 2 {
		if life > time.Minute {
			c.t.Fatal("the writers acknowledge nothing")
		}
		c.round(life, wrap...)
	}
}

// TestFailedPrivate makes the fsync of the writer's own folder fail, after what it wrote there took its
// name: a period that began on the disk and not in memory must not leave records that no open takes.
func TestFailedPrivate(t *testing.T) {
	strace := failingStrace(t)
	c := newCrash(t, filepath.Join(t.TempDir(), "ledger"))
	for _, when := range []string{"3+2", "4+3", "5+4", "3+5"} {
		c.rounds(strace, "-f", "-qq", "-o", "/dev/null", "-P", filepath.Join(c.dir, "private"), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when="+when)
		c.check()
	}
	c.rounds()
	c.check()
}

// TestFullDisk fills the disk under a log. Nothing is acknowledged that is not
// there, and once there is space the same log goes on.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCrash(t, filepath.Join(disk, "ledger"))
	l := open(t, c.dir, ledger.Options{})
	failed := 0
	for n := 0; failed < 20; n++ {
		if n > 100_000 {
			t.Fatal("the disk does not fill")
		}
		indexes, err := l.Append(t.Context(), crashRecord(n))
		if err != nil {
			failed++
			continue
		}
		c.acked[n] = indexes[0]
	}
	c.check()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for n := range 50 { // those that failed, and those that did not
		indexes, err := l.Append(t.Context(), crashRecord(n))
		if err != nil {
			t.Fatalf("there is space again, and record %d: %v", n, err)
		}
		if had, ok := c.acked[n]; ok && had != indexes[0] {
			t.Fatalf("record %d moved from %d to %d", n, had, indexes[0])
		}
		c.acked[n] = indexes[0]
	}
	closeLog(t, l)
	c.check()
	closeLog(t, open(t, c.dir, ledger.Options{}))
	if strays, err := filepath.Glob(filepath.Join(c.dir, "log", "checkpoint?*")); err != nil || len(strays) > 0 {
		t.Errorf("temporary files stay: %v %v", strays, err)
	}
}
