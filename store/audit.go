package store

import (
	"context"
	"errors"
	"time"
)

// Action is what somebody did in Bailey.
type Action struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Action  string    `json:"action"`
	Target  string    `json:"target,omitempty"`
	Outcome string    `json:"outcome"`
	Seq     int64     `json:"seq,omitempty"`
}

// Audit keeps an action. An empty cluster is for what is of none. Actions are kept for ever.
func (s *Store) Audit(ctx context.Context, cluster string, at time.Time, a Action) error {
	if a.Who == "" || a.Action == "" {
		return errors.New("store: an action has somebody who did it, and a name")
	}
	return s.write(ctx, cluster, at, func(w *writer) error {
		return w.insert("audit", []string{"cluster", "seq", "at", "who", "action", "target", "outcome"},
			[][]any{{w.cluster, w.change("audit", "added", "", 0, clean(a.Action)), w.at, clean(a.Who), clean(a.Action), clean(a.Target), clean(a.Outcome)}}, "")
	})
}

// AuditQuery asks for actions, the newest first. Who does not see everything sees none. What is not
// set does not narrow it.
type AuditQuery struct {
	Cluster     string
	Access      Access
	Who, Action string
	// Outcome asks for those whose outcome begins so.
	Outcome string
	// Since and Until ask for what was done from one moment up to, not with, another.
	Since, Until time.Time
	// Text asks for those that hold each word of it in who did it, the target or the outcome.
	Text   string
	Oldest bool // the oldest first
	Limit  int
	After  string
}

// Actions gives a page of what was done. With a text it may hold less than its limit, and go on.
func (s *Store) Actions(ctx context.Context, q AuditQuery) (Page[Action], error) {
	l := listing{columns: "seq, at, who, action, target, outcome", table: "audit", cluster: q.Cluster, limit: q.Limit, after: q.After, since: q.Since, oldest: q.Oldest, text: q.Text}
	l.whole(q.Access)
	l.equal("who", q.Who)
	l.equal("action", q.Action)
	if q.Outcome != "" {
		l.where.WriteString(" AND outcome >= ? AND outcome < ?")
		l.args = append(l.args, clean(q.Outcome), clean(q.Outcome)+"\U0010FFFF")
	}
	if !q.Until.IsZero() {
		l.where.WriteString(" AND at < ?")
		l.args = append(l.args, nanos(q.Until))
	}
	return sift(ctx, s, l, func(scan func(...any) error) (Action, int64, error) {
		var a Action
		var at int64
		err := scan(&a.Seq, &at, &a.Who, &a.Action, &a.Target, &a.Outcome)
		a.At = moment(at)
		return a, a.Seq, err
	}, sieve[Action]{keep: saying(q.Text, func(a *Action) []string { return []string{a.Who, a.Target, a.Outcome} })})
}
