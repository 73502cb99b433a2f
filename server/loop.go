// Package server is Bailey running: it watches a cluster, judges what changes, tries
// experiments on a schedule, remembers, and answers over HTTP.
package server

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/collect/share"
)

// Source tells a follower of a world until ctx ends: kube.Follow of a cluster, or files.
type Source func(ctx context.Context, f kube.Follower) error

// LoopOptions are what a Loop is made of.
type LoopOptions struct {
	Source   Source
	Controls []*bailey.Control
	Weigher  *bailey.Weigher
	// Identity stands for the cluster's UID where the source is none: files have none.
	Identity string
	// Accepted gives waivers, baseline and trusted evidence of the cluster at a moment; nil: none.
	// While it fails, what it gave before counts on, and before it gave any there is no report:
	// one without waivers would tell of what was accepted.
	Accepted func(ctx context.Context, clusterUID string, at time.Time) (Accepted, error)
	Log      *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Took is told how long it took from a change that was told to its being judged.
	Took func(time.Duration)
}

const (
	// restShare is how many times its own cost the loop waits between two whole reports: joining
	// what was judged into verdicts reads all of it, while judging reads what a change touches.
	restShare = 9
	// reportSoon is the least time between two whole reports.
	reportSoon = 50 * time.Millisecond
	// advanceEvery is how often time itself changes verdicts, and advanceRarely how rarely at most: proofs go stale, waivers
	// end. Between the two an idle loop, and who keeps its reports, spend one part in idleShare of the time on it.
	advanceEvery  = time.Minute
	advanceRarely = 10 * time.Minute
	idleShare     = 200
)

// Loop keeps the verdicts of one world as the world changes.
type Loop struct {
	o    LoopOptions
	news *News

	mu      sync.RWMutex
	report  *bailey.Report // the newest; nil before the first, and once it is released
	version uint64         // of the newest report, from 1
	summary Summary        // of it
	keepers int            // who keep each report
	kept    bool           // one of them has kept one
	waiting int            // those who have not kept this one
	holding int            // those who have no other made meanwhile
	contact kube.Contact
	changed time.Time        // when the newest change was judged
	snap    *bailey.Snapshot // the newest; nil before the first

	joining sync.Mutex
	tasks   chan func()
	free    chan time.Duration // how long reports were held back, once nobody does any more
	// What follows belongs to the goroutine that runs the tasks.
	session  *check.Session
	wanted   bool          // a report
	looked   time.Time     // when it was last judged what time changes
	accepted *acceptedFor  // what was taken in last; nil before the first
	owed     string        // why what was to be taken in could not be read; empty: it was
	back     wait.Backoff  // until it is asked for again
	slow     time.Duration // how long it is waited for, where it was not there in time
}

// NewLoop makes a loop that tells its news to subscribers.
func NewLoop(o LoopOptions, news *News) *Loop {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Took == nil {
		o.Took = func(time.Duration) {}
	}
	return &Loop{o: o, news: news, tasks: make(chan func()), free: make(chan time.Duration, 1), back: acceptBack()}
}

// Summary is what the newest report comes to.
type Summary struct {
	At       time.Time
	Total    int                    // findings
	Findings Counts                 // those neither waived nor in the baseline
	Rungs    map[string]bailey.Rung // of each control, for the cluster
	Coverage bailey.Coverage
}

// Summary gives what the newest report comes to; the zero one before the first.
func (l *Loop) Summary() Summary {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.summary
}

func summarize(r *bailey.Report) Summary {
	s := Summary{At: r.Meta.At, Total: len(r.Findings), Rungs: r.Rungs(), Coverage: r.Coverage}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Waiver == nil && !f.Baseline {
			s.Findings.Add(f.Severity, 1)
		}
	}
	return s
}

// Sight says how current the report is.
type Sight struct {
	// Ready tells that there is a report.
	Ready bool `json:"ready"`
	// Lost is since when the cluster is out of sight, and Why what the newest try said.
	Lost *time.Time `json:"lost,omitempty"`
	Why  string     `json:"why,omitempty"`
	// Kept is since when nothing is kept of what is seen: what is shown is as old as that. Nil while it is kept.
	Kept *time.Time `json:"kept,omitempty"`
	// Changed is when something changed last that was judged.
	Changed time.Time `json:"changed,omitzero"`
	// Objects counts those of the cluster, for who sees all of it.
	Objects int `json:"objects,omitempty"`
	// Ledger says how the ledger is; nil where none is kept.
	Ledger *LedgerState `json:"ledger,omitempty"`
	// Detections says how the audit log is followed; nil where none is.
	Detections *DetectionState `json:"detections,omitempty"`
	// Gate says what the admission gate does that runs beside the server; nil where none does.
	Gate *GateState `json:"gate,omitempty"`
}

// within is what of it is theirs to know who see some namespaces only. Counts are of the whole cluster, as the audit log is, and errors
// may name what is not theirs.
func (s Sight) within(sees Namespaces) Sight {
	if sees.All {
		return s
	}
	return Sight{Ready: s.Ready, Lost: s.Lost, Kept: s.Kept, Changed: s.Changed, Gate: s.Gate.Uncounted()}
}

// Sight says how current the report is.
func (l *Loop) Sight() Sight {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Sight{Ready: l.version > 0, Changed: l.changed}
	if l.snap != nil {
		s.Objects = l.snap.Len()
	}
	if !l.contact.Lost.IsZero() {
		lost := l.contact.Lost
		s.Lost = &lost
	}
	if l.contact.Why != nil {
		s.Why = l.contact.Why.Error()
	}
	if err := l.nameless(); err != nil && s.Lost == nil {
		s.Ready, s.Why = false, err.Error()
	}
	return s
}

// Run follows the source until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	defer keeper.Wait()
	defer cancel()
	keeper.Go(func() { l.keep(ctx) })
	return l.o.Source(ctx, kube.Follower{
		Whole: func(s *bailey.Snapshot) { l.do(ctx, func() { l.whole(ctx, s) }) },
		Changed: func(facts []*bailey.Fact, gone []bailey.Ref) {
			told := time.Now()
			l.do(ctx, func() { l.change(ctx, told, facts, gone) })
		},
		Contact: l.sighted,
	})
}

// Refresh takes waivers and evidence in again: some have changed.
func (l *Loop) Refresh(ctx context.Context) {
	l.do(ctx, func() {
		if l.session != nil {
			l.advance(ctx)
		}
	})
}

// Snapshot gives the newest state of the world; nil before the first. It does not change.
func (l *Loop) Snapshot() *bailey.Snapshot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.snap
}

// advance judges again what time, waivers and evidence change.
func (l *Loop) advance(ctx context.Context) {
	l.pass()
	l.accept(ctx)
}

// pass judges again what time changes.
func (l *Loop) pass() {
	l.looked = time.Now()
	l.session.Advance(l.o.Now().UTC().Truncate(time.Second))
	l.wanted = true
}

// do has the keeper run a task, and waits for its end.
func (l *Loop) do(ctx context.Context, task func()) {
	done := make(chan struct{})
	select {
	case l.tasks <- func() { task(); close(done) }:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// keep runs what touches the session, and has reports made of it while it goes on.
func (l *Loop) keep(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	made := make(chan time.Duration, 1)
	busy := false // until a report is made, and has been rested from
	rest := time.NewTimer(time.Hour)
	rest.Stop()
	defer rest.Stop()
	clock := time.NewTimer(advanceEvery)
	defer clock.Stop()
	var again <-chan time.Time
	var cost, held time.Duration // of the newest report, and of keeping one
	for {
		if l.owed != "" && again == nil {
			again = time.After(l.back.Step())
		}
		if l.wanted && !busy && !l.held() && l.session != nil && l.accepted != nil {
			l.wanted, busy = false, true
			join := l.session.Freeze()
			working.Go(func() {
				begun := time.Now()
				_, span := spanOf(ctx, "join a report")
				report := join()
				span.SetAttributes(count("findings", len(report.Findings)), count("verdicts", len(report.Verdicts)))
				span.End()
				l.publish(report)
				made <- time.Since(begun)
			})
		}
		select {
		case <-ctx.Done():
			return
		case task := <-l.tasks:
			task()
		case cost = <-made:
			rest.Reset(max(reportSoon, restShare*cost))
			clock.Reset(l.untilAdvance(cost + held))
		case <-rest.C:
			busy = false
		case held = <-l.free:
			clock.Reset(l.untilAdvance(cost + held))
		case <-clock.C:
			if l.session == nil || l.held() { // who lets go sets it
				clock.Reset(advanceEvery)
				continue
			}
			if l.owed == "" {
				l.advance(ctx)
			} else { // what is owed is asked for again by itself
				l.pass()
			}
			clock.Reset(l.untilAdvance(cost + held))
		case <-again:
			again = nil
			if l.owed != "" && l.session != nil && l.accept(ctx) {
				l.wanted = true
			}
		}
	}
}

// untilAdvance is how long to wait for time to change verdicts where a report, and keeping it, take so long: from when
// that was last looked at, whatever was made, or could not be kept, since.
func (l *Loop) untilAdvance(cost time.Duration) time.Duration {
	return max(0, min(max(advanceEvery, idleShare*cost), advanceRarely)-time.Since(l.looked))
}

// whole judges a cluster that was read anew.
func (l *Loop) whole(ctx context.Context, s *bailey.Snapshot) {
	begun := time.Now()
	ctx, span := spanOf(ctx, "judge the cluster")
	defer span.End()
	span.SetAttributes(count("objects", s.Len()))
	l.tellSkipped(s)
	shareWithOwners(s, l.Held)
	l.session = nil // two would be twice the memory
	session, err := check.NewSession(ctx, s, l.o.Controls, check.Options{Weigher: l.o.Weigher})
	if err != nil {
		return // ctx has ended
	}
	l.session, l.looked = session, time.Now()
	l.note()
	l.accept(ctx)
	l.o.Log.Info("judged the cluster", "objects", s.Len(), "took", time.Since(begun).Round(time.Millisecond))
	l.wanted = true
}

// change judges what a change touches. What only looks changed, such as the status of an
// object of which no rule reads the status, costs a comparison.
func (l *Loop) change(ctx context.Context, told time.Time, facts []*bailey.Fact, gone []bailey.Ref) {
	if l.session == nil {
		return
	}
	snap := l.session.Snapshot()
	changed := facts[:0:0]
	for _, f := range facts {
		if old := snap.Get(f.Ref); old != nil && share.Same(old, f) {
			continue
		}
		if other := beside(snap, f.Ref); other != nil {
			share.With(f, other)
		}
		changed = append(changed, f)
	}
	left := gone[:0:0]
	for _, ref := range gone {
		if snap.Get(ref) != nil {
			left = append(left, ref)
		}
	}
	if len(changed)+len(left) == 0 {
		return
	}
	_, span := spanOf(ctx, "judge a change")
	defer span.End()
	again := l.session.Update(changed, left)
	span.SetAttributes(count("changed", len(changed)+len(left)), count("judged", len(again)))
	l.note()
	l.news.Tell(l.judgement(again, left)...)
	l.o.Took(time.Since(told)) // with the wait for what else was being judged
	l.wanted = true
}

// shareWithOwners lets what is made from a template share with it, but for facts that are held,
// which somebody may be reading.
func shareWithOwners(s *bailey.Snapshot, held func(bailey.Ref) *bailey.Fact) {
	for _, kind := range []bailey.Kind{bailey.KindReplicaSet, bailey.KindJob, bailey.KindPod} { // owners first
		for _, f := range s.List(kind, "") {
			if owner := s.Get(f.Owner); owner != nil && held(f.Ref) != f {
				share.With(f, owner)
			}
		}
	}
}

// beside gives a fact that is likely to be much like it: the object before, or its neighbour by
// name, such as another pod of the Deployment. Nil if there is none.
func beside(s *bailey.Snapshot, ref bailey.Ref) *bailey.Fact {
	if old := s.Get(ref); old != nil {
		return old
	}
	list := s.List(ref.Kind, ref.Namespace)
	at, _ := slices.BinarySearchFunc(list, ref.Name, func(f *bailey.Fact, name string) int { return cmp.Compare(f.Name, name) })
	if len(list) == 0 {
		return nil
	}
	return list[max(at-1, 0)]
}

// judgement is the news of what was judged again.
func (l *Loop) judgement(again, gone []bailey.Ref) []Item {
	items := make([]Item, 0, len(again)+len(gone))
	for _, ref := range again {
		j := Judged{Object: ref}
		for _, f := range l.session.Findings(ref) {
			if f.Waiver == nil && !f.Baseline {
				j.Findings++
				j.Worst = max(j.Worst, f.Severity)
			}
		}
		items = append(items, Item{Kind: NewsObject, Namespace: ref.Namespace, Data: j})
	}
	for _, ref := range gone {
		items = append(items, Item{Kind: NewsObject, Namespace: ref.Namespace, Data: Judged{Object: ref, Gone: true}})
	}
	return items
}

// note makes the session's state the newest, in which something changed.
func (l *Loop) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snap, l.changed = l.session.Snapshot(), l.o.Now()
}

// Cluster is the UID of the cluster, or the identity in its place; empty while it is not known.
func (l *Loop) Cluster() string {
	s := l.Snapshot()
	if s == nil {
		return ""
	}
	return cmp.Or(s.Meta.ClusterUID, l.o.Identity)
}

// Held gives the newest fact of an object, or nil. Sources take from it what did not change.
func (l *Loop) Held(ref bailey.Ref) *bailey.Fact {
	s := l.Snapshot()
	if s == nil {
		return nil
	}
	return s.Get(ref)
}

// Namespaces lists the namespaces there are, sorted.
func (l *Loop) Namespaces() []string {
	s := l.Snapshot()
	if s == nil {
		return nil
	}
	facts := s.List(bailey.KindNamespace, "")
	names := make([]string, len(facts))
	for i, f := range facts {
		names[i] = f.Name
	}
	return names
}

// publish makes a report the newest.
func (l *Loop) publish(r *bailey.Report) {
	summary := summarize(r)
	l.mu.Lock()
	l.report, l.summary, l.waiting = r, summary, l.keepers
	l.version++
	version := l.version
	l.mu.Unlock()
	l.news.Tell(Item{Kind: NewsReport, Data: Published{Version: version, Findings: len(r.Findings)}})
}

func (l *Loop) sighted(c kube.Contact) {
	l.mu.Lock()
	was := l.contact
	l.contact = c
	l.mu.Unlock()
	switch {
	case was.Lost.IsZero() && !c.Lost.IsZero():
		l.o.Log.Warn("the cluster is out of sight", "error", c.Why)
	case !was.Lost.IsZero() && c.Lost.IsZero():
		l.o.Log.Info("the cluster is back in sight", "lost", l.o.Now().Sub(was.Lost).Round(time.Second))
	default:
		return
	}
	l.news.Tell(Item{Kind: NewsSight, Data: l.Sight()})
}
