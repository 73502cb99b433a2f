package server

import (
	"context"
	"time"

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

// acceptAgain is how soon waivers and evidence that could not be read are asked for again.
const acceptAgain = 5 * time.Second

// accept takes waivers and evidence in again, and reports whether they could be read.
func (l *Loop) accept(ctx context.Context) bool {
	meta := l.session.Snapshot().Meta
	if l.accepted != nil && l.accepted.cluster != meta.ClusterUID {
		l.accepted = nil
	}
	var a Accepted
	if l.o.Accepted != nil {
		var err error
		a, err = l.o.Accepted(ctx, meta.ClusterUID, meta.At)
		if ctx.Err() != nil {
			return false // the server ends
		}
		if err != nil {
			if !l.owed {
				said := "waivers and evidence could not be read; those before count on"
				if l.accepted == nil {
					said = "waivers and evidence could not be read; there is no report until they are"
				}
				l.o.Log.Error(said, "error", err)
			}
			l.owed = true
			if l.accepted != nil { // of the session before, if this one is new
				l.session.Accept(l.accepted.Waivers, l.accepted.Baseline, l.accepted.Evidence)
			}
			return false
		}
	}
	l.accepted, l.owed = &acceptedFor{a, meta.ClusterUID}, false
	l.session.Accept(a.Waivers, a.Baseline, a.Evidence)
	return true
}
