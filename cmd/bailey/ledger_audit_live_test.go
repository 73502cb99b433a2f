//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/ledger/audit"
)

// TestAuditSinkNamesWhatIsMissing does to two sinks of a real API server what can
// happen to them, one fed by its webhook and one by its log file, and compares what their
// ledgers hold with that log file: an event is there once, or a proof says that it is
// missing.
func TestAuditSinkNamesWhatIsMissing(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes two minutes: make soak, or BAILEY_SOAK=1")
	}
	dir := t.TempDir()
	keys := makeSinkKeys(t, dir)
	way := newWay(t)
	cluster := startAudited(t, dir, keys, way)
	disk := smallDisk(t, dir)
	webhook := webhookSink(filepath.Join(disk, "webhook"), keys, way, cluster, 8*time.Second)
	byLog := &sink{name: "log", ledger: filepath.Join(dir, "log"), args: []string{"--log", "one=" + cluster.AuditLog, "--metrics-from", "one=" + cluster.Kubeconfig, "--every", "500ms", "--settle", "8s"}}
	for _, s := range []*sink{webhook, byLog} {
		runBailey(t, "ledger", "init", s.ledger)
		s.start(t)
	}
	stop := work(t, cluster)

	rest := func(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }
	t.Log("nothing happens")
	rest(3)
	t.Log("the way to the sink is cut for a moment")
	way.cut.Store(true)
	rest(0.7)
	way.cut.Store(false)
	rest(3)
	t.Log("the way to the sink is cut for longer than the API server tries")
	way.cut.Store(true)
	rest(5)
	way.cut.Store(false)
	rest(3)
	t.Log("the way is slow")
	way.delay.Store(int64(700 * time.Millisecond))
	rest(3)
	way.delay.Store(0)
	if disk != dir {
		t.Log("the disk is full")
		release := fill(t, disk)
		rest(3)
		release()
		rest(7)
	}
	t.Log("both sinks are killed")
	webhook.kill(t)
	byLog.kill(t)
	rest(0.3)
	webhook.start(t)
	byLog.start(t)
	rest(3)
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Log("the API server is restarted by", signal)
		if err := cluster.RestartAPIServer(t.Context(), signal); err != nil {
			t.Fatal(err)
		}
		rest(3)
	}
	stop()
	rest(12) // until what was under way has come or counts as missing
	webhook.stop(t)
	byLog.stop(t)

	if rotated, _ := filepath.Glob(filepath.Join(filepath.Dir(cluster.AuditLog), "audit-*.log")); len(rotated) == 0 {
		t.Error("the API server's log was never rotated")
	}
	truth := readTruth(t, cluster)
	for _, s := range []*sink{webhook, byLog} {
		compare(t, s, truth)
	}
	var gaps uint64
	for _, p := range webhook.proofs {
		if p.Verdict == audit.Gap {
			gaps += p.Missing.Least
		}
	}
	if gaps == 0 {
		t.Error("the webhook's sink was out of reach for 5 s, and no gap is named")
	}
	for i, p := range byLog.proofs {
		if i > 0 && p.Verdict != audit.None && !p.ToSince.IsZero() {
			t.Errorf("the log was read whole, but a proof says %s from %s to %s: %s", p.Verdict, p.From, p.To, p.Why)
		}
	}
	// The API server goes on after the sink has ended.
	first, last := byLog.proofs[0].To, byLog.proofs[len(byLog.proofs)-1].To
	for id, at := range byLog.missing(truth) {
		if at.After(first) && at.Before(last) {
			t.Errorf("the event %s of %s is in the log and not in its sink's ledger", id, at)
		}
	}
}

// compare holds every proof to the truth.
func compare(t *testing.T, s *sink, truth map[string]time.Time) {
	t.Helper()
	s.read(t)
	if len(s.proofs) < 3 {
		t.Fatalf("%s: only %d proofs: %+v", s.name, len(s.proofs), s.proofs)
	}
	missing := s.missing(truth)
	t.Logf("%s: %d events in the API server's log, %d in the ledger, %d missing, %d proofs", s.name, len(truth), len(s.events), len(missing), len(s.proofs))
	// An event within the time of a reading may be on either side of it.
	const surely, perhaps = false, true
	const edge = 100 * time.Millisecond
	holds := func(p audit.Proof, at time.Time, perhaps bool) bool {
		if perhaps {
			from := p.From
			if !p.FromSince.IsZero() {
				from = p.FromSince
			}
			return at.After(from.Add(-edge)) && at.Before(p.To.Add(edge))
		}
		return at.After(p.From) && !p.ToSince.IsZero() && at.Before(p.ToSince.Add(-edge))
	}
	within := func(p audit.Proof, perhaps bool) (n uint64) {
		for _, at := range missing {
			if holds(p, at, perhaps) {
				n++
			}
		}
		return n
	}
	named := map[string]bool{}
	var late uint64
	for _, p := range s.proofs {
		late += p.Late
	}
	for _, p := range s.proofs {
		if p.Verdict != audit.None || p.Why != "" {
			t.Logf("%s: %s from %s to %s, %s, received %d, counted %d, dropped %v, late %d %s", s.name, p.Verdict, p.From.Format("05.000"), p.To.Format("05.000"), bounds(p), p.Received, p.Counted, p.Dropped, p.Late, p.Why)
		}
		switch p.Verdict {
		case audit.None:
			if n := within(p, surely); n > 0 {
				t.Errorf("%s: %d events are missing between %s and %s, where a proof says none", s.name, n, p.From, p.To)
			}
			continue
		case audit.Gap:
			if n := within(p, surely); p.Missing.Most != nil && n > *p.Missing.Most {
				t.Errorf("%s: %d events are missing between %s and %s, the proof says at most %d", s.name, n, p.From, p.To, *p.Missing.Most)
			}
			if n := within(p, perhaps); n+late < p.Missing.Least {
				t.Errorf("%s: %d events are missing between %s and %s, and %d came late, the proof says at least %d", s.name, n, p.From, p.To, late, p.Missing.Least)
			}
		}
		for id, at := range missing {
			if holds(p, at, perhaps) {
				named[id] = true
			}
		}
	}
	last := s.proofs[len(s.proofs)-1].To
	for id, at := range missing {
		if !named[id] && at.Before(last) {
			t.Errorf("%s: the event %s of %s is missing, and no proof says so", s.name, id, at)
		}
	}
}

func bounds(p audit.Proof) string {
	b, _ := json.Marshal(p.Missing)
	return string(b)
}

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
	s.events = map[string]bool{}
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
func readTruth(t *testing.T, cluster *devcluster.Cluster) map[string]time.Time {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(cluster.AuditLog), "audit*.log"))
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

// work makes requests until it is stopped, and does not mind when they fail.
func work(t *testing.T, cluster *devcluster.Cluster) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("c%d", n)
			once, cancel := context.WithTimeout(ctx, 2*time.Second)
			_ = cluster.Do(once, http.MethodPost, "/api/v1/namespaces/default/configmaps", map[string]any{
				"metadata": map[string]any{"name": name, "annotations": map[string]any{"n": strings.Repeat("x", n%2000)}}}, nil)
			_ = cluster.Do(once, http.MethodDelete, "/api/v1/namespaces/default/configmaps/"+name, nil, nil)
			cancel()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// way is what lies between the API server and the sink.
type way struct {
	addr, to string
	cut      atomic.Bool
	delay    atomic.Int64
}

func newWay(t *testing.T) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{addr: l.Addr().String(), to: free.Addr().String()}
	_ = free.Close()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return w
}

// carry copies both ways, slowly if so told, until the way is cut.
func (w *way) carry(from net.Conn) {
	defer from.Close()
	if w.cut.Load() {
		return
	}
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	pump := func(dst, src net.Conn) {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 64<<10)
		for {
			_ = src.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := src.Read(buf)
			if w.cut.Load() {
				return
			}
			if n > 0 {
				time.Sleep(time.Duration(w.delay.Load()))
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
	go pump(to, from)
	go pump(from, to)
	<-done
}

// smallDisk mounts a small file system for the ledger; without the right to, it
// gives the folder itself.
func smallDisk(t *testing.T, dir string) string {
	t.Helper()
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m,mode=0700"); err != nil {
		t.Logf("the disk is not filled: no small one can be mounted: %v", err)
		return dir
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	return disk
}

// fill writes until the disk is full.
func fill(t *testing.T, disk string) (release func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk was to be full: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
