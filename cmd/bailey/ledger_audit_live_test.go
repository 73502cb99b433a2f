//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
	worker := work(t, cluster.Do)

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
	worker.stop()
	rest(12) // until what was under way has come or counts as missing
	webhook.stop(t)
	byLog.stop(t)

	if rotated, _ := filepath.Glob(filepath.Join(filepath.Dir(cluster.AuditLog), "audit-*.log")); len(rotated) == 0 {
		t.Error("the API server's log was never rotated")
	}
	truth := readTruth(t, cluster.AuditLog)
	for _, s := range []*sink{webhook, byLog} {
		compare(t, s, "one", truth)
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

// compare holds every proof about an API server to the truth.
func compare(t *testing.T, s *sink, apiServer string, truth map[string]time.Time) {
	t.Helper()
	s.read(t)
	proofs := s.of(apiServer)
	if len(proofs) < 3 {
		t.Fatalf("%s: only %d proofs about %s: %+v", s.name, len(proofs), apiServer, proofs)
	}
	missing := s.missing(truth)
	t.Logf("%s: %d events in the log of %s, %d in the ledger, %d missing, %d proofs", s.name, len(truth), apiServer, len(s.events), len(missing), len(proofs))
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
	for _, p := range proofs {
		late += p.Late
	}
	for _, p := range proofs {
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
	last := proofs[len(proofs)-1].To
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
