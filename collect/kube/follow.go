package kube

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
)

// Follower is told what Follow sees. Its functions are called one after the other.
type Follower struct {
	// Whole is given the cluster as it is: at the start, and whenever what changed
	// could not be told any more.
	Whole func(*bailey.Snapshot)
	// Changed is given the objects that were made or changed, and those that are gone.
	// Of objects that changed several times it is given the last.
	Changed func(facts []*bailey.Fact, gone []bailey.Ref)
	// Contact is told when the cluster was lost and when it is back.
	Contact func(Contact)
}

// Contact says how well the cluster is seen.
type Contact struct {
	// Lost is when the first of the watches was lost that is not back yet; zero while
	// all is seen as it happens.
	Lost time.Time
	// Why is the error of the newest try to come back.
	Why error
}

// FollowOptions bound what Follow asks of the cluster.
type FollowOptions struct {
	Options
	// Gather is how long changes are gathered after the first; 10 ms if zero.
	Gather time.Duration
	// Again is how often everything is read anew, for what no watch tells: what is served,
	// what is permitted, the settings of kubelets, the time. One hour if zero.
	Again time.Duration
	// Refused is how soon it is asked whether lists that were forbidden, or failed, can be read by now; after
	// that twice as long, and so on up to thirty times. One minute if zero.
	Refused time.Duration
}

const (
	// readAgain is the least time between two whole readings.
	readAgain = 10 * time.Second
	// backoffMost is the longest wait between two tries to reach the cluster.
	backoffMost = 30 * time.Second
	// nodesSettle is how soon a change of nodes makes everything be read again: their
	// kubelets must be asked for their settings.
	nodesSettle = 30 * time.Second
	// refusedMost is how many times Refused passes at most between two questions.
	refusedMost = 30
)

// Follow reads the cluster as Collect does, then follows what changes in it, until ctx ends.
// An API server that is slow, away or back makes it wait, say so, and catch up. It returns
// the error of a first reading that failed in a way that no waiting mends, and otherwise
// that of ctx.
func Follow(ctx context.Context, o FollowOptions, f Follower) error {
	o.Options = o.Options.orDefault()
	o.Gather, o.Again, o.Refused = cmp.Or(o.Gather, 10*time.Millisecond), cmp.Or(o.Again, time.Hour), cmp.Or(o.Refused, time.Minute)
	var lost time.Time
	failed := 0 // readings in a row of which lists failed
	for try, first := 0, true; ; {
		s, snapshot, err := readWhole(ctx, o.Options)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if first && !passes(err) {
				return err
			}
			if lost.IsZero() {
				lost = time.Now()
			}
			f.Contact(Contact{Lost: lost, Why: err})
			if !sleep(ctx, backoff(try)) {
				return ctx.Err()
			}
			try++
			continue
		}
		f.Whole(snapshot)
		try, first = 0, false
		f.Contact(Contact{})
		begun := time.Now()
		wait := min(o.Refused<<min(failed, 5), refusedMost*o.Refused)
		lost = s.follow(ctx, o, f, wait)
		if failed++; !s.failed {
			failed = 0
		}
		s.client.http.CloseIdleConnections()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !sleep(ctx, readAgain-time.Since(begun)) {
			return ctx.Err()
		}
	}
}

// backoff is how long to wait before a try, from 0.2 s on.
func backoff(try int) time.Duration {
	wait := min(200*time.Millisecond<<min(try, 10), backoffMost)
	return wait/2 + rand.N(wait/2)
}

func sleep(ctx context.Context, wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// position is a list that was read, and how far.
type position struct {
	resource  resource
	namespace string
	version   string
}

// notice is what one watch tells the follower.
type notice struct {
	watch int
	facts []*bailey.Fact
	gone  []bailey.Ref
	// lost and back tell of the connection.
	lost, back bool
	err        error
	// again asks for everything to be read anew, after a while.
	again      bool
	againAfter time.Duration
}

// follow watches what was listed, and tells the follower, until everything must be read
// anew or ctx ends. What was not read is asked for again after the wait. It gives the time since which the
// cluster is out of sight, if it is.
func (s *session) follow(ctx context.Context, o FollowOptions, f Follower, wait time.Duration) (lostSince time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	notices := make(chan notice, 256)
	for i, p := range s.positions {
		if p.version == "" {
			continue // what answers without a version cannot be watched
		}
		group.Go(func() { s.client.follow(ctx, i, p, notices) })
	}
	if len(s.unread) > 0 {
		group.Go(func() { s.client.granted(ctx, s.unread, wait, refusedMost*o.Refused, notices) })
	}
	again := time.NewTimer(o.Again/2 + rand.N(o.Again/2+1))
	defer again.Stop()
	lost := map[int]time.Time{}
	pending := newPending()
	flush := time.NewTimer(time.Hour)
	flush.Stop()
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return first(lost)
		case <-again.C:
			return first(lost)
		case <-flush.C:
			f.Changed(pending.take())
		case n := <-notices:
			switch {
			case n.again:
				if n.againAfter == 0 {
					return first(lost)
				}
				again.Reset(n.againAfter)
			case n.lost:
				if _, known := lost[n.watch]; !known {
					lost[n.watch] = time.Now()
				}
				f.Contact(Contact{Lost: first(lost), Why: n.err})
			case n.back:
				if delete(lost, n.watch); len(lost) == 0 {
					f.Contact(Contact{})
				}
			}
			if len(n.facts)+len(n.gone) > 0 {
				if pending.empty() {
					flush.Reset(o.Gather)
				}
				pending.add(n)
			}
		}
	}
}

func first(lost map[int]time.Time) (at time.Time) {
	for _, t := range lost {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// pending gathers changes: of each object the last.
type pending struct {
	last  map[bailey.Ref]*bailey.Fact // nil: gone
	order []bailey.Ref
}

func newPending() *pending { return &pending{last: map[bailey.Ref]*bailey.Fact{}} }

func (p *pending) empty() bool { return len(p.order) == 0 }

func (p *pending) add(n notice) {
	for _, f := range n.facts {
		p.put(f.Ref, f)
	}
	for _, ref := range n.gone {
		p.put(ref, nil)
	}
}

func (p *pending) put(ref bailey.Ref, f *bailey.Fact) {
	if _, known := p.last[ref]; !known {
		p.order = append(p.order, ref)
	}
	p.last[ref] = f
}

func (p *pending) take() (facts []*bailey.Fact, gone []bailey.Ref) {
	for _, ref := range p.order {
		if f := p.last[ref]; f != nil {
			facts = append(facts, f)
		} else {
			gone = append(gone, ref)
		}
	}
	clear(p.last)
	p.order = p.order[:0]
	return facts, gone
}

// granted asks now and then for one object of each list that was forbidden or failed, and has everything
// read anew once it gets an answer.
func (c *client) granted(ctx context.Context, unread []position, wait, most time.Duration, notices chan<- notice) {
	for ; sleep(ctx, wait); wait = min(2*wait, most) {
		c.silent.Store(0) // it may have gone while all was read, and be back
		for _, p := range unread {
			if _, err := c.get(ctx, p.resource.path(p.namespace)+"?limit=1", acceptProtobuf); err != nil {
				continue
			}
			select {
			case notices <- notice{again: true}:
			case <-ctx.Done():
			}
			return
		}
	}
}

// follow watches one list from where it was read, connecting again as often as needed.
func (c *client) follow(ctx context.Context, watch int, p position, notices chan<- notice) {
	tell := func(n notice) {
		n.watch = watch
		select {
		case notices <- n:
		case <-ctx.Done():
		}
	}
	lost := false
	for try := 0; ctx.Err() == nil; {
		begun := time.Now()
		err := c.watch(ctx, &p, func() {
			if lost {
				lost = false
				tell(notice{back: true})
			}
		}, tell)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && time.Since(begun) > time.Second: // its time was over
			try = 0
			continue
		case hasCode(err, http.StatusGone), hasCode(err, http.StatusForbidden), hasCode(err, http.StatusNotFound):
			// Too old, no longer permitted, no longer served: what is seen is another world.
			tell(notice{again: true})
			<-ctx.Done()
			return
		}
		if time.Since(begun) > backoffMost {
			try = 0
		}
		// One connection that ends is no outage: the next try tells.
		if err != nil && (try > 0 || !errors.Is(err, errStreamEnded)) {
			lost = true
			tell(notice{lost: true, err: err})
		}
		if !sleep(ctx, backoff(try)) {
			return
		}
		try++
	}
}
