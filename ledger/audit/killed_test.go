//go:build linux

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/ledger"
)

// asSink makes the test binary a sink over the ledger that it names, which takes events
// until it ends as sinkEnds says: by itself, or by whoever started it.
const (
	asSink   = "AUDIT_TEST_SINK"
	sinkEnds = "AUDIT_TEST_ENDS"
	sinkFrom = "AUDIT_TEST_FROM" // the number of its first event
)

// How a sink ends.
const (
	beforeStored = "before the ledger has a batch"
	onceStored   = "once the ledger has a batch"
	stateFull    = "once the ledger has a batch and the disk of the account is full"
	underLoad    = "by its starter"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asSink); dir != "" {
		fmt.Println("error:", runSink(dir, os.Getenv(sinkEnds)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// stateFolder is where the account is of the ledger in this folder: on a small disk if
// there is one.
func stateFolder(dir string) string { return filepath.Join(dir, "disk", "state") }

const batchOf = 3

// batchSize is how many events the only batch of a sink has: so many, where the disk is
// full, that what became of them does not fit into the journal's last page.
func batchSize(ends string) int {
	if ends == stateFull {
		return 2_000
	}
	return batchOf
}

func runSink(dir, ends string) error {
	book, err := ledger.Open(context.Background(), filepath.Join(dir, "ledger"), ledger.Options{})
	if err != nil {
		return err
	}
	end := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	add := func(ctx context.Context, records ...ledger.Record) ([]uint64, error) {
		if ends == beforeStored {
			end()
		}
		indexes, err := book.Append(ctx, records...)
		if ends == onceStored {
			end()
		}
		if ends == stateFull {
			err = errors.Join(err, fillDisk(filepath.Join(dir, "disk", "filler")))
		}
		return indexes, err
	}
	s, err := NewSink(Options{Append: add, Find: book.Find, State: stateFolder(dir)})
	if err != nil {
		return err
	}
	s.Probe([]Prober{{APIServer: "one"}})
	var from int
	if _, err := fmt.Sscan(os.Getenv(sinkFrom), &from); err != nil {
		return err
	}
	if ends != underLoad {
		err := s.Take(context.Background(), Source{APIServer: "one"}, numbered(from, batchSize(ends)))
		end()
		return err
	}
	const writers = 4
	var group sync.WaitGroup
	var first sync.Once
	for w := range writers {
		group.Go(func() {
			for n := from + w*batchOf; ; n += writers * batchOf {
				if err := s.Take(context.Background(), Source{APIServer: "one"}, numbered(n, batchOf)); err != nil {
					fmt.Println("error:", err)
				} else {
					first.Do(func() { fmt.Println("taken") })
				}
			}
		})
	}
	group.Wait()
	return nil
}

// numbered gives so many events, from this number on.
func numbered(first, count int) []json.RawMessage {
	events := make([]json.RawMessage, count)
	for i := range events {
		at := time.Unix(1_790_000_000, 0).Add(time.Duration(first+i) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000000Z")
		events[i] = json.RawMessage(fmt.Sprintf(`{"auditID":"e%d","stage":"ResponseComplete","requestReceivedTimestamp":%q,"stageTimestamp":%q}`, first+i, at, at))
	}
	return events
}

// fillDisk writes until the disk is full.
func fillDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

func sinkCommand(t *testing.T, dir, ends string, from int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asSink+"="+dir, sinkEnds+"="+ends, fmt.Sprint(sinkFrom, "=", from))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// counted opens what a sink left, and gives how many events its account has and how
// many of those with numbers below limit the ledger has.
func counted(t *testing.T, dir string, limit int) (account, stored uint64) {
	t.Helper()
	book, err := ledger.Open(t.Context(), filepath.Join(dir, "ledger"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := book.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	s, err := NewSink(Options{Append: book.Append, Find: book.Find, State: stateFolder(dir)})
	if err != nil {
		t.Fatal(err)
	}
	s.Probe([]Prober{{APIServer: "one"}})
	for i, raw := range numbered(0, limit) {
		e, err := ParseEvent(raw)
		if err != nil {
			t.Fatal(err)
		}
		found, err := book.Find(e.RecordID())
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		stored += uint64(len(found))
	}
	a := s.accounts[0]
	if a.Received != a.Base+uint64(len(a.Recent)) {
		t.Errorf("%d events came, and %d are in the account", a.Received, a.Base+uint64(len(a.Recent)))
	}
	s.state.close() // and no orderly end: what is on the disk stays as it is
	return a.Received, stored
}

func initLedger(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Init(t.Context(), filepath.Join(dir, "ledger"), ledger.InitOptions{}); err != nil {
		t.Fatal(err)
	}
}

// What the ledger has of a sink that was killed is in its account, although nobody sends
// it again: or a gap would be named that is none.
func TestWhatIsStoredIsCounted(t *testing.T) {
	for _, c := range []struct {
		ends string
		want uint64
	}{{beforeStored, 0}, {onceStored, batchOf}, {stateFull, 2_000}} {
		t.Run(c.ends, func(t *testing.T) {
			dir := t.TempDir()
			initLedger(t, dir)
			if c.ends == stateFull {
				if err := syscall.Mount("tmpfs", filepath.Join(dir, "disk"), "tmpfs", 0, "size=1m,mode=0700"); err != nil {
					t.Skipf("no small disk can be mounted: %v", err)
				}
				t.Cleanup(func() { _ = syscall.Unmount(filepath.Join(dir, "disk"), syscall.MNT_DETACH) })
			}
			out, err := sinkCommand(t, dir, c.ends, 0).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != -1 {
				t.Fatalf("the sink was to be killed: %v\n%s", err, out)
			}
			if c.ends == stateFull {
				if err := os.Remove(filepath.Join(dir, "disk", "filler")); err != nil {
					t.Fatal(err)
				}
			}
			if account, stored := counted(t, dir, 2*batchSize(c.ends)); stored != c.want || account != stored {
				t.Errorf("%d events are counted and %d stored, want %d", account, stored, c.want)
			}
		})
	}
}

// A sink is killed at any moment, again and again.
func TestKilledUnderLoad(t *testing.T) {
	rounds := 5
	if os.Getenv("BAILEY_SOAK") != "" {
		rounds = 100
	}
	dir := t.TempDir()
	initLedger(t, dir)
	const most = 1_000 // events a round, by far
	var before uint64
	for round := range rounds {
		cmd := sinkCommand(t, dir, underLoad, round*most)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 5)
		if _, err := out.Read(said); err != nil || string(said) != "taken" {
			_ = cmd.Process.Kill()
			t.Fatalf("the sink said %q, %v", said, err)
		}
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // this is the moment
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		account, stored := counted(t, dir, (round+1)*most)
		if account != stored {
			t.Fatalf("round %d: %d events are counted and %d stored", round, account, stored)
		}
		if stored == before {
			t.Errorf("round %d: nothing was stored", round)
		}
		before = stored
	}
	t.Logf("%d events over %d kills", before, rounds)
}
