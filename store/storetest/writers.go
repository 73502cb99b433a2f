package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// testConcurrency has writers of two clusters and readers at work at once, through two
// stores that are open on one database.
func testConcurrency(t *testing.T, p Place) {
	b := open(t, p)
	second, err := p.Open(t.Context())
	b.ok(err)
	t.Cleanup(func() { second.Close() })
	const rounds = 15
	var wait sync.WaitGroup
	errs := make(chan error, 100)
	done := make(chan struct{})
	models := map[string]*model{}
	for i, cluster := range []string{uid, other} {
		m := &model{entries: map[string]*entry{}}
		models[cluster] = m
		s := []*store.Store{b.s, second}[i]
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for step := range rounds {
				d := randomDelta(r)
				m.apply(at(step), d)
				if err := s.Apply(b.ctx, cluster, at(step), d); err != nil {
					errs <- err
				}
			}
		})
	}
	// Two who write to one cluster at once, as a leader that lost its lease may for a moment.
	for i, s := range []*store.Store{b.s, second} {
		wait.Go(func() {
			for n := range rounds {
				if err := s.Audit(b.ctx, uid, at(n), store.Action{Who: fmt.Sprint("writer ", i), Action: "write"}); err != nil {
					errs <- err
				}
			}
		})
	}
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for {
				select {
				case <-done:
					return
				default:
				}
				q, _ := randomQuery(r)
				_, err1 := second.Findings(b.ctx, q)
				all, err2 := b.s.Findings(b.ctx, store.FindingQuery{Cluster: uid, Access: store.Everything(), Limit: 1000})
				if all.Next == "" && len(all.Items) != all.Total {
					err2 = fmt.Errorf("a page of two states: %d findings, counted %d", len(all.Items), all.Total)
				}
				if err := errors.Join(err1, err2, b.s.Check(b.ctx, uid)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(done)
	readers.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	for cluster, m := range models {
		q := store.FindingQuery{Cluster: cluster, Access: store.Everything(), State: store.All, Sort: store.ByObject, Limit: 100}
		b.compare(cluster, m, q, nil)
	}
	actions, err := b.s.Actions(b.ctx, store.AuditQuery{Cluster: uid, Access: store.Everything(), Limit: 1000})
	b.ok(err)
	if len(actions.Items) != 2*rounds {
		t.Errorf("%d actions, want %d", len(actions.Items), 2*rounds)
	}
	b.check()
}

// testFixes gives findings whose fixes are computed as they are written.
func testFixes(t *testing.T, p Place) {
	b := open(t, p)
	for minute, keep := range []func(context.Context, string, time.Time, store.Delta) error{b.s.Replace, b.s.Apply} {
		d := store.Delta{FixOf: func(f *bailey.Finding) []bailey.Change {
			return []bailey.Change{{Object: f.Object, APIVersion: f.APIVersion, Note: f.Object.Name}}
		}}
		for n := range 3 {
			d.Findings = append(d.Findings, finding(rules[0], bailey.SeverityMedium, workload("shop", fmt.Sprint("w", minute, n)), "m"))
		}
		b.ok(keep(b.ctx, uid, at(minute), d))
		for _, f := range b.findings(store.FindingQuery{Access: store.Everything(), Limit: 10}).Items {
			if len(f.Fix) != 1 || f.Fix[0].Note != f.Object.Name {
				t.Errorf("%s is kept with %+v", f.Object, f.Fix)
			}
		}
		if d.Findings[0].Fix != nil {
			t.Error("what was given was changed")
		}
	}
}

// largeState is of some workloads, with three findings each: more than one transaction takes.
func largeState(from, to int) store.Delta {
	var d store.Delta
	for i := from; i < to; i++ {
		o := workload(fmt.Sprint("ns", i%7), fmt.Sprint("w", i))
		for _, rule := range rules[:3] {
			d.Findings = append(d.Findings, finding(rule, bailey.SeverityMedium, o, "m"))
		}
		d.Verdicts = append(d.Verdicts, bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}, Rung: bailey.RungGap})
	}
	d.Guards = []store.Guard{{Control: "a/b", Name: fmt.Sprint("g", from), Scope: bailey.Scope{Kind: bailey.ScopeCluster}}}
	return d
}

// testLarge applies changes that are larger than one transaction.
func testLarge(t *testing.T, p Place) {
	b := open(t, p)
	m := &model{entries: map[string]*entry{}}
	for minute, d := range []store.Delta{largeState(0, 1200), largeState(100, 1300), largeState(100, 1300)} {
		for i := range 100 { // judged, and nothing is found: one of them has gone
			if ref := workload(fmt.Sprint("ns", i%7), fmt.Sprint("w", i)); minute > 0 && i > 0 {
				d.Judged = append(d.Judged, ref)
			} else if minute > 0 {
				d.Gone = append(d.Gone, ref)
			}
		}
		before := b.seq()
		b.apply(minute, d)
		m.apply(at(minute), d)
		if minute == 2 && b.seq() != before {
			t.Error("the same changes made changes")
		}
		b.compare(uid, m, store.FindingQuery{Cluster: uid, Access: store.Everything(), State: store.All, Sort: store.ByObject, Limit: 1000}, nil)
		verdicts, err := b.s.Matrix(b.ctx, store.Everything(), uid)
		b.ok(err)
		if want := []int{1200, 1299, 1299}[minute]; len(verdicts) != 1 || verdicts[0].Verdicts != want {
			t.Errorf("%d: %+v, want %d", minute, verdicts, want)
		}
		b.check()
	}
	// Whatever a change is large in, others get their turn: who looks meanwhile sees a part of it.
	total := func() int {
		page, err := b.s.Findings(b.ctx, store.FindingQuery{Cluster: uid, Access: store.Everything(), Limit: 1})
		b.ok(err)
		return page.Total
	}
	var sound, gone store.Delta
	for i := 100; i < 1300; i++ {
		ref := workload(fmt.Sprint("ns", i%7), fmt.Sprint("w", i))
		gone.Gone = append(gone.Gone, ref)
		if sound.Judged = append(sound.Judged, ref); i%100 == 0 { // it is found still
			sound.Findings = append(sound.Findings, largeState(i, i+1).Findings...)
		}
	}
	back := largeState(100, 1300)
	for minute, d := range []store.Delta{sound, back, gone} {
		minute += 3
		before, seen := total(), map[int]bool{}
		written, looked := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(looked)
			for {
				select {
				case <-written:
					return
				default:
					seen[total()] = true
				}
			}
		}()
		b.apply(minute, d)
		close(written)
		<-looked
		delete(seen, before)
		if delete(seen, total()); len(seen) == 0 {
			t.Errorf("minute %d: nobody saw a part of what was written", minute)
		}
		m.apply(at(minute), d)
		b.compare(uid, m, store.FindingQuery{Cluster: uid, Access: store.Everything(), State: store.All, Sort: store.ByObject, Limit: 1000}, nil)
		b.check()
	}
}

// testReplace gives whole states, larger than one transaction.
func testReplace(t *testing.T, p Place) {
	b := open(t, p)
	m := &model{entries: map[string]*entry{}}
	whole := func(minute int, d store.Delta) {
		t.Helper()
		b.ok(b.s.Replace(b.ctx, uid, at(minute), d))
		for _, e := range m.entries {
			d.Judged = append(d.Judged, e.Object)
		}
		m.apply(at(minute), d)
		got := b.findings(store.FindingQuery{Access: store.Everything(), State: store.All, Limit: 1})
		open, gone := 0, 0
		for _, e := range m.entries {
			if e.open {
				open++
			} else {
				gone++
			}
		}
		if got.Total != open+gone {
			t.Errorf("minute %d: %d findings, want %d", minute, got.Total, open+gone)
		}
		if got := b.findings(store.FindingQuery{Access: store.Everything(), Limit: 1}); got.Total != open {
			t.Errorf("minute %d: %d findings are open, want %d", minute, got.Total, open)
		}
		b.check()
	}
	whole(1, largeState(0, 1200))
	before := b.seq()
	whole(2, largeState(0, 1200))
	if b.seq() != before {
		t.Error("the same state made changes")
	}
	c, err := b.s.Cluster(b.ctx, uid)
	b.ok(err)
	if !c.Judged.Equal(at(2)) || !c.Heard.Equal(at(2)) {
		t.Errorf("%+v", c)
	}
	whole(3, largeState(100, 1300))
	verdicts, err := b.s.Matrix(b.ctx, store.Everything(), uid)
	b.ok(err)
	if len(verdicts) != 1 || verdicts[0].Verdicts != 1200 {
		t.Errorf("%+v", verdicts)
	}
	guards, err := b.s.Guards(b.ctx, store.GuardQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(guards) != 1 || guards[0].Name != "g100" {
		t.Errorf("%+v", guards)
	}
	whole(4, store.Delta{})
	whole(5, largeState(0, 10))
}

const writerVariable = "BAILEY_TEST_STORE"

// Writer is the process that testKilled kills; each package has a test of this name that
// calls it. It writes deltas, and says which were acknowledged.
func Writer(t *testing.T, open func(argument string) (*store.Store, error)) {
	argument := os.Getenv(writerVariable)
	if argument == "" {
		t.Skip("for the suite's test of killed writers only")
	}
	argument, first, _ := strings.Cut(argument, "|")
	n, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(argument)
	if err != nil {
		t.Fatal(err)
	}
	for ; ; n++ {
		if err := s.Apply(context.Background(), uid, at(n), killedDelta(n)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("kept", n)
	}
}

// killedFindings is how many findings each delta of a killed writer brings.
const killedFindings = 150

func killedDelta(n int) store.Delta {
	var d store.Delta
	for i := range killedFindings {
		d.Findings = append(d.Findings, finding("a/b/c", bailey.Severity(1+i%5), workload(fmt.Sprint("n", n), fmt.Sprint("w", i)), "m"))
	}
	if n > 0 { // half of what came before goes
		for i := 0; i < killedFindings; i += 2 {
			d.Gone = append(d.Gone, workload(fmt.Sprint("n", n-1), fmt.Sprint("w", i)))
		}
	}
	d.Verdicts = []bailey.Verdict{{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.Rung(n % 5), Findings: n}}
	return d
}

// testKilled kills a writing process again and again. What it was told to be kept is
// kept, and of what it was writing all or nothing.
func testKilled(t *testing.T, p Place) {
	b := open(t, p)
	next := 0
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for range 6 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWriter$", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", writerVariable, p.Argument, next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		b.ok(err)
		b.ok(cmd.Start())
		acknowledged := next - 1
		lines := bufio.NewScanner(out)
		var failure []string
		kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		for lines.Scan() {
			number, found := strings.CutPrefix(lines.Text(), "kept ")
			if !found {
				failure = append(failure, lines.Text())
				continue
			}
			n, err := strconv.Atoi(number)
			b.ok(err)
			acknowledged = n
			if n == next+1 {
				// At any moment of the next ones.
				kill.Reset(time.Duration(r.IntN(30_000)) * time.Microsecond)
			}
		}
		kill.Stop()
		cmd.Wait()
		if acknowledged < next {
			t.Fatalf("the writer kept nothing: %s", strings.Join(failure, "\n"))
		}
		// One more may have been kept, unacknowledged.
		last := acknowledged
		for _, n := range []int{acknowledged, acknowledged + 1} {
			page := b.findings(store.FindingQuery{Access: store.Everything(), State: store.All, Namespaces: []string{fmt.Sprint("n", n)}, Limit: 1})
			gone := b.findings(store.FindingQuery{Access: store.Everything(), State: store.Gone, Namespaces: []string{fmt.Sprint("n", n-1)}, Limit: 1})
			whole := page.Total == killedFindings && (n == 0 || gone.Total == killedFindings/2)
			if none := page.Total == 0 && gone.Total == 0; !whole && (n == acknowledged || !none) {
				t.Fatalf("delta %d of %d acknowledged is half written: %d findings, %d gone", n, acknowledged, page.Total, gone.Total)
			}
			if whole {
				last = n
			}
		}
		verdicts, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: store.Everything()})
		b.ok(err)
		if len(verdicts.Items) != 1 || verdicts.Items[0].Findings != last {
			t.Fatalf("after delta %d the verdict is %+v", last, verdicts.Items)
		}
		b.check()
		next = last + 1
	}
	t.Logf("killed 6 times in %d deltas", next)
}

// testVersions opens databases of other versions.
func testVersions(t *testing.T, p Place) {
	b := open(t, p)
	f := finding("a/b/c", bailey.SeverityHigh, workload("shop", "web"), "m")
	b.apply(1, store.Delta{Findings: []bailey.Finding{f}})
	database, program, err := b.s.Version(b.ctx)
	b.ok(err)
	if database != program {
		t.Errorf("version %d, the program's is %d", database, program)
	}
	reopen := func() (*store.Store, error) {
		s, err := p.Open(t.Context())
		if err == nil {
			t.Cleanup(func() { s.Close() })
			_, err = s.Finding(b.ctx, store.Everything(), uid, f.ID)
		}
		return s, err
	}
	// A newer program comes, whose next version only adds: this one can go on with it.
	t.Cleanup(func() { limits.Later = nil })
	limits.Later = []limits.Migration{{SQL: "CREATE TABLE later (n {int} NOT NULL PRIMARY KEY);\nALTER TABLE findings ADD COLUMN later {text};"}}
	if s, err := reopen(); err != nil {
		t.Fatalf("upgrade: %v", err)
	} else if v, _, err := s.Version(b.ctx); err != nil || v != program+1 {
		t.Errorf("after the upgrade: version %d, %v", v, err)
	}
	limits.Later = nil
	s, err := reopen()
	b.ok(err)
	b.ok(s.Apply(b.ctx, uid, at(2), store.Delta{Judged: []bailey.Ref{f.Object}}))
	b.apply(3, store.Delta{Findings: []bailey.Finding{f}})
	// The one after it breaks with what older programs know.
	limits.Later = []limits.Migration{{SQL: "never run again"}, {SQL: "ALTER TABLE later ADD COLUMN more {int};", Reader: program + 2}}
	if _, err := reopen(); err != nil {
		t.Fatalf("second upgrade: %v", err)
	}
	limits.Later = nil
	if _, err := reopen(); !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "start a newer Bailey") {
		t.Errorf("a version that cannot be read: %v", err)
	}
	// A migration that fails leaves the version before it.
	limits.Later = []limits.Migration{{}, {}, {SQL: "CREATE TABLE half (n {int});\nCREATE TABLE later (n {int});"}}
	if _, err := reopen(); err == nil {
		t.Error("a failed migration went unseen")
	}
	limits.Later = []limits.Migration{{}, {}, {SQL: "CREATE TABLE half (n {int});"}}
	if _, err := reopen(); err != nil {
		t.Errorf("after a failed migration: %v", err)
	}
	b.check()
}

// IsWriter reports whether this process is one that testKilled started.
func IsWriter() bool { return os.Getenv(writerVariable) != "" }
