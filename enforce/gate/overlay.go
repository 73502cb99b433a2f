package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	kruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// Rules are what objects are judged by beside what the cluster holds, and where that is read.
type Rules struct {
	Controls []*bailey.Control // with the chosen rules alone
	// Collect reads the cluster.
	Collect func(context.Context) (*bailey.Snapshot, error)
	// Lay stands in the place of Controls and Collect where somebody else follows the cluster:
	// it says what an object adds to what is there now, as check.Session.Lay does.
	Lay func(ctx context.Context, before, after *bailey.Fact) (check.Laid, error)
	// Fact makes a fact of an object, which belongs to it from then on.
	Fact func(object kruntime.Object, apiVersion, kind string) *bailey.Fact
	// Describe says in a line what a fix changes; the object itself needs no name in it.
	Describe func(fix []bailey.Change, object bailey.Ref) string
	// Every is how often the cluster is read; 5 minutes if zero. What was read longer ago
	// than three times that is not judged by any more.
	Every time.Duration
	// RefuseStale refuses what a rule cannot judge: for want of a reading of the cluster, of
	// something in it, or of time.
	RefuseStale bool
	// Waivers gives those that hold a finding back from refusing, as long as they are not
	// expired; nil: there are none.
	Waivers func() []bailey.Waiver
}

const (
	staleAfter = 3 // times Rules.Every
	// readAgain is the least time between two readings, which are at most a fifth of the time.
	readAgain = 2 * time.Second
	readShare = 5
	// readRetry is how soon a reading that failed is tried again, at the latest; one that lacks
	// a kind, at the earliest, and twice as late each time.
	readRetry = 15 * time.Second
	// readLimit bounds a reading.
	readLimit = 5 * time.Minute
	// refusalsWaiting bounds the requests that wait for a reading: the first, or a newer one
	// before they are refused.
	refusalsWaiting = 64
)

// reading is the cluster at one moment, judged.
type reading struct {
	session *check.Session
	begun   time.Time
	partial bool // it lacks a kind that a rule needs, which could not be read
}

// overlay keeps a reading of the cluster, and lays objects over it.
type overlay struct {
	o       Rules
	log     *slog.Logger
	metrics *metrics
	blind   *check.Session // over nothing: rules that need no more than the object still judge
	working *semaphore.Weighted
	waiting *semaphore.Weighted
	wanted  chan struct{} // a newer reading is

	mu      sync.Mutex
	current *reading // nil before the first
	err     error    // of the last try
	begun   time.Time
	took    time.Duration // of the last try
	pause   time.Duration // after the last try, if it lacked a kind; else zero
	ended   chan struct{} // closed, and made anew, when a try ends
	first   bool          // a try has ended
}

func newOverlay(o Rules, log *slog.Logger, m *metrics) (*overlay, error) {
	setDefault(&o.Every, 5*time.Minute)
	blind, err := check.NewSession(context.Background(), bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion, AssumedVersion: true}).Snapshot(), o.Controls, check.Options{})
	if err != nil {
		return nil, err
	}
	return &overlay{o: o, log: log, metrics: m, blind: blind, wanted: make(chan struct{}, 1), ended: make(chan struct{}), first: o.Lay != nil,
		working: semaphore.NewWeighted(int64(2 * runtime.GOMAXPROCS(0))), waiting: semaphore.NewWeighted(refusalsWaiting)}, nil
}

// run reads the cluster until ctx ends: every so often, and when a refusal wants it newer.
func (v *overlay) run(ctx context.Context) {
	for ctx.Err() == nil {
		v.read(ctx)
		wait := v.o.Every
		if v.failure() != nil {
			wait = min(wait, max(readRetry, v.held()))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-v.wanted:
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(v.soonest())):
			}
		}
	}
}

func (v *overlay) read(ctx context.Context) {
	begun := time.Now()
	v.mu.Lock()
	v.begun = begun
	v.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	s, err := v.o.Collect(limited)
	var session *check.Session
	if err == nil {
		session, err = check.NewSession(limited, s, v.o.Controls, check.Options{Workers: 1})
	}
	if ctx.Err() != nil {
		return
	}
	partial := false
	if err == nil {
		err = unread(s, v.o.Controls)
		partial = err != nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.took, v.err, v.first = time.Since(begun), err, true
	if partial {
		// The kind may be one that can never be read: nobody waits for the next.
		v.pause = min(v.o.Every, max(readRetry, readShare*v.took, 2*v.pause))
	} else {
		v.pause = 0
	}
	// Half a reading takes the place of another half, and of a whole one that is too old.
	if err == nil || partial && (v.current == nil || v.current.partial || v.stale(v.current)) {
		v.current = &reading{session, begun, partial}
	}
	if err == nil {
		v.metrics.snapshot.Set(float64(begun.Unix()))
		v.log.Debug("the cluster was read for the rules", "objects", s.Len(), "took", v.took)
	} else {
		v.metrics.snapshotFails.Inc()
		v.log.Error("the cluster cannot be read for the rules", "error", err)
	}
	close(v.ended)
	v.ended = make(chan struct{})
}

// unread says which kind that the rules read could not be read, though it may be; nil if
// none. An object that cannot be decoded is no such kind, nor is what may not be read: to
// read the cluster again changes neither.
func unread(s *bailey.Snapshot, chosen []*bailey.Control) error {
	needed := map[bailey.Kind]bool{}
	for _, c := range chosen {
		for _, r := range c.Rules {
			for _, k := range slices.Concat(r.On, r.Needs) {
				needed[k] = true
			}
			for _, d := range r.Derives {
				for _, k := range d.Needs {
					needed[k] = true
				}
			}
		}
	}
	_, missing := s.Coverage()
	for _, m := range missing {
		if needed[m.Kind] && m.Name == "" && m.Reason == bailey.ReasonUnreadable {
			return fmt.Errorf("%s could not be read: %s", m.Kind, m.Detail)
		}
	}
	return nil
}

// stale reports whether a reading is too old to judge by.
func (v *overlay) stale(r *reading) bool { return time.Since(r.begun) > staleAfter*v.o.Every }

// tried reports whether the cluster was read, or could not be.
func (v *overlay) tried() bool { v.mu.Lock(); defer v.mu.Unlock(); return v.first }

func (v *overlay) failure() error { v.mu.Lock(); defer v.mu.Unlock(); return v.err }

// held is how long no reading begins after the last.
func (v *overlay) held() time.Duration { v.mu.Lock(); defer v.mu.Unlock(); return v.pause }

// soonest is when the next reading may begin.
func (v *overlay) soonest() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.begun.Add(max(readAgain, readShare*v.took, v.took+v.pause))
}

// latest gives the reading to judge by; nil, and why, if there is none or it is too old.
func (v *overlay) latest() (*reading, error) {
	if v.o.Lay != nil {
		return &reading{begun: time.Now()}, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.current != nil && !v.stale(v.current):
		return v.current, nil
	case v.current == nil && v.err == nil:
		return nil, errors.New("the cluster was not read yet")
	case v.current == nil:
		return nil, fmt.Errorf("the cluster could not be read: %w", v.err)
	case v.err == nil:
		return nil, fmt.Errorf("the cluster was read %s ago", age(v.current.begun))
	}
	return nil, fmt.Errorf("the cluster was read %s ago, and could not be since: %w", age(v.current.begun), v.err)
}

// begin waits for the first try to read the cluster, half as long as ctx lasts at most.
func (v *overlay) begin(ctx context.Context) {
	v.mu.Lock()
	first, ended := v.first, v.ended
	v.mu.Unlock()
	if first || !v.waiting.TryAcquire(1) {
		return
	}
	defer v.waiting.Release(1)
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
}

// newer waits for a reading that began after the moment; nil if none can be had before ctx ends.
func (v *overlay) newer(ctx context.Context, than time.Time) *reading {
	select {
	case v.wanted <- struct{}{}:
	default:
	}
	if end, bounded := ctx.Deadline(); bounded && v.soonest().After(end) || !v.waiting.TryAcquire(1) {
		return nil
	}
	defer v.waiting.Release(1)
	for {
		v.mu.Lock()
		current, ended := v.current, v.ended
		v.mu.Unlock()
		if current != nil && current.begun.After(than) {
			return current
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
		}
		if v.failure() != nil {
			return nil
		}
		select { // the reading that ended may have begun too early
		case v.wanted <- struct{}{}:
		default:
		}
	}
}

// lay gives what an object adds. It answers when ctx ends, whatever a rule still does.
func (v *overlay) lay(ctx context.Context, s *check.Session, before, after *bailey.Fact) (check.Laid, error) {
	judge := v.o.Lay
	if judge == nil {
		judge = s.Lay
	}
	if err := v.working.Acquire(ctx, 1); err != nil {
		return check.Laid{}, err
	}
	type answer struct {
		laid check.Laid
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer v.working.Release(1)
		defer func() {
			if p := recover(); p != nil {
				answers <- answer{err: fmt.Errorf("the gate failed by a defect of Bailey: %v", p)}
			}
		}()
		laid, err := judge(ctx, before, after)
		answers <- answer{laid, err}
	}()
	select {
	case a := <-answers:
		return a.laid, a.err
	case <-ctx.Done():
		return check.Laid{}, ctx.Err()
	}
}

func age(at time.Time) time.Duration { return time.Since(at).Round(time.Second) }
