package server

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// Accepted is what a report takes in beside the snapshot.
type Accepted struct {
	Waivers  []bailey.Waiver
	Baseline check.Baseline
	Evidence []bailey.Evidence
}

// acceptedFor is what a report of a cluster takes in.
type acceptedFor struct {
	Accepted
	cluster string
}

const (
	// acceptMost is how long it may take to read waivers and evidence, as nothing is judged meanwhile; of a
	// store that was too slow for that it may take longer the next time, up to acceptLongest.
	acceptMost    = 5 * time.Second
	acceptLongest = 20 * time.Second
	// acceptAgain is how soon they are asked for again where they could not be read, and acceptRarely how
	// late at most.
	acceptAgain  = 5 * time.Second
	acceptRarely = time.Minute
)

// acceptBack is the wait between two tries.
func acceptBack() wait.Backoff {
	return wait.Backoff{Duration: acceptAgain, Factor: 2, Steps: 100, Cap: acceptRarely}
}

// accept takes waivers and evidence in again, and reports whether they could be read.
func (l *Loop) accept(ctx context.Context) bool {
	meta := l.session.Snapshot().Meta
	if l.accepted != nil && l.accepted.cluster != meta.ClusterUID {
		l.accepted = nil
	}
	var a Accepted
	if l.o.Accepted != nil {
		var err error
		limited, cancel := context.WithTimeout(ctx, max(acceptMost, l.slow))
		a, err = l.o.Accepted(limited, meta.ClusterUID, meta.At)
		late := errors.Is(limited.Err(), context.DeadlineExceeded)
		cancel()
		if ctx.Err() != nil {
			return false // the server ends
		}
		if err != nil {
			if late {
				l.slow = min(2*max(acceptMost, l.slow), acceptLongest)
			}
			if l.owed != err.Error() {
				said := "waivers and evidence could not be read; those before count on"
				if l.accepted == nil {
					said = "waivers and evidence could not be read; there is no report until they are"
				}
				l.o.Log.Error(said, "error", err)
			}
			l.owed = err.Error()
			if l.accepted != nil { // of the session before, if this one is new
				l.session.Accept(l.accepted.Waivers, l.accepted.Baseline, l.accepted.Evidence)
			}
			return false
		}
	}
	l.accepted, l.owed, l.back, l.slow = &acceptedFor{a, meta.ClusterUID}, "", acceptBack(), 0
	l.session.Accept(a.Waivers, a.Baseline, a.Evidence)
	return true
}
