package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/baileyhq/bailey/store"
)

const (
	// alertsPushed is how many alerts that changed go in one push, and how many that are over go with all that
	// last. It is more than change while anybody looks at them.
	alertsPushed = 10_000
	// refusedRest is how long a hub that refuses alerts, as one of an older Bailey does, is not asked again.
	refusedRest = 10 * time.Minute
)

// pushedAlerts is what a hub knows of alerts.
type pushedAlerts struct {
	session string    // in which it was told
	seq     int64     // the last change that it was told of
	refused time.Time // when it refused them last
}

// PushAlerts has the hub know the alerts of a cluster as they stand in a store: those that changed since the
// push before, and all at first in each session. It goes on in the session that Replace began.
func (p *Pusher) PushAlerts(ctx context.Context, from *store.Store, cluster string, now time.Time) error {
	known := &p.alerts
	if known.session != p.session {
		*known = pushedAlerts{session: p.session, seq: -1}
	}
	if !known.refused.IsZero() && !late(known.refused, now, refusedRest) {
		return nil
	}
	states, err := from.AlertStates(ctx, cluster, known.seq, alertsPushed)
	if err != nil {
		return fmt.Errorf("%w: alerts cannot be read: %w", errNotTaken, err)
	}
	if states.All || len(states.Alerts) > 0 {
		err = p.next(ctx, pushHeader{Kind: pushAlerts, Cluster: cluster, All: states.All}, func(w io.Writer, h pushHeader) error {
			return writeAlerts(w, h, states.Alerts)
		})
	}
	switch {
	case errors.Is(err, errRefused):
		known.refused = now
		if strings.Contains(err.Error(), noKind) {
			err = fmt.Errorf("%w\nhint: a hub of an older Bailey shows none: bring it to the version of this one", err)
		}
		return fmt.Errorf("alerts: %w", err)
	case err != nil:
		return fmt.Errorf("alerts: %w", err)
	}
	known.refused, known.seq = time.Time{}, states.Seq
	return nil
}
