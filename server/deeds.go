package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/baileyhq/bailey/store"
)

// The things that somebody does, as they are kept.
const (
	ActAddWaiver    = "add waiver"
	ActExtendWaiver = "extend waiver"
	ActEndWaiver    = "end waiver"
	ActOrderRun     = "order run"
	ActStopRun      = "stop run"
)

// Acts are all of them.
var Acts = []string{ActAddWaiver, ActExtendWaiver, ActEndWaiver, ActOrderRun, ActStopRun}

// Deeds keeps who did what, and who was refused what. It is kept for ever.
type Deeds struct {
	Store *store.Store
	Log   *slog.Logger
	Now   func() time.Time

	mu      sync.Mutex
	refused map[string]*rate.Limiter // by who
}

const (
	// refusalsAtOnce and refusalEvery bound the refusals of one person that are kept: whoever may do
	// nothing else must not fill the history either.
	refusalsAtOnce = 20
	refusalEvery   = time.Minute
	// refusedMost bounds the people whose refusals are counted.
	refusedMost = 10_000
	// deedTargetMost and deedOutcomeMost bound what is kept of one, in bytes.
	deedTargetMost  = 300
	deedOutcomeMost = 500
)

// Did keeps that somebody did something to a cluster, or was refused it, if err says so; what failed
// for another reason was not done, and is not kept. That it cannot be kept undoes nothing, and is in
// the log.
func (d *Deeds) Did(ctx context.Context, cluster, by, action, target string, err error) {
	outcome := "done"
	switch {
	case err == nil:
	case errors.Is(err, ErrForbidden):
		outcome = "refused: no right to it"
	case errors.Is(err, ErrNotFound):
		outcome = "refused: there is none"
	case errors.Is(err, ErrBadInput):
		outcome = "refused: " + strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", ": "), ErrBadInput.Error()+": ")
	default:
		return
	}
	if by == "" || cluster == "" || err != nil && !d.counts(by) {
		return
	}
	at := d.Now()
	kept := d.Store.Audit(context.WithoutCancel(ctx), cluster, at, store.Action{At: at, Who: by, Action: action,
		Target: clip(target, deedTargetMost), Outcome: clip(outcome, deedOutcomeMost)})
	if kept != nil && !errors.Is(kept, ErrNotFound) {
		d.Log.Error("what somebody did could not be kept", "who", by, "action", action, "target", target, "outcome", outcome, "error", kept)
	}
}

// counts reports whether one more refusal of somebody is kept.
func (d *Deeds) counts(by string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused == nil || len(d.refused) >= refusedMost {
		d.refused = map[string]*rate.Limiter{}
	}
	if d.refused[by] == nil {
		d.refused[by] = rate.NewLimiter(rate.Every(refusalEvery), refusalsAtOnce)
	}
	return d.refused[by].AllowN(d.Now(), 1)
}

// Action is what somebody did here, or was refused.
type Action struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Action string    `json:"action"`
	// Target is what it was done to: the ID of a run or waiver with what it is of.
	Target string `json:"target,omitempty"`
	// Outcome is done or refused, and Why says why it was refused.
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// ActionFilter narrows what was done. The zero filter takes all, the newest first.
type ActionFilter struct {
	Who     string
	Action  string
	Outcome string // done or refused
	// Since and Until take what was done from one moment up to, not with, another.
	Since, Until time.Time
	Text         string // words in who, target and outcome
	Order        string // newest or oldest; newest if empty
	Cursor       string
	// Limit is the size of a page: the store's if zero.
	Limit int
}

// actionOutcomes are the outcomes that actions are narrowed to.
var actionOutcomes = []string{"done", "refused"}

// Actions gives a page of who did what to who sees everything. With a text a page may be short, and go on.
func (d *Desk) Actions(ctx context.Context, a Ask, f ActionFilter) ([]Action, string, error) {
	if !a.Sees.All {
		return nil, "", ErrForbidden
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	for _, err := range []error{known("outcome", f.Outcome, actionOutcomes), known("order", f.Order, TimeOrders)} {
		if err != nil {
			return nil, "", err
		}
	}
	page, err := d.o.Store.Actions(ctx, store.AuditQuery{Cluster: uid, Access: access(a), Who: f.Who, Action: f.Action, Outcome: f.Outcome, Since: f.Since, Until: f.Until,
		Text: f.Text, Oldest: f.Order == "oldest", Limit: f.Limit, After: f.Cursor})
	if err != nil {
		return nil, "", err
	}
	var all []Action
	for _, k := range page.Items {
		shown := Action{At: k.At, Who: k.Who, Action: k.Action, Target: k.Target, Outcome: k.Outcome}
		if why, refused := strings.CutPrefix(k.Outcome, "refused: "); refused {
			shown.Outcome, shown.Why = "refused", why
		}
		all = append(all, shown)
	}
	return all, page.Next, nil
}

// Refused keeps that somebody may not do what they tried.
func (d *Desk) Refused(ctx context.Context, a Ask, by, action, target string) {
	d.Deeds.Did(ctx, d.clusterOf(a), by, action, target, ErrForbidden)
}

// clusterOf is the UID of the cluster that is asked about, or the own one's.
func (d *Desk) clusterOf(a Ask) string {
	if a.Cluster != "" {
		return a.Cluster
	}
	return d.o.Own()
}
