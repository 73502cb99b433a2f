package server

import (
	"context"
	"time"

	"github.com/baileyhq/bailey/store"
)

// ChangeFilter narrows and sorts what moved on the ladder. The zero filter takes all, the newest first.
type ChangeFilter struct {
	Control   string
	Namespace string
	Since     time.Time
	Text      string // words in control, where it stands so, and why
	Order     string // newest or oldest; newest if empty
	Cursor    string
	Limit     int // the store's if zero
}

// Changes gives a page of controls that moved on the ladder. With a text, or of a control in a namespace, it may be
// short, and go on.
func (d *Desk) Changes(ctx context.Context, a Ask, f ChangeFilter) ([]RungChange, string, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	if err := known("order", f.Order, TimeOrders); err != nil {
		return nil, "", err
	}
	q := store.RungQuery{Cluster: uid, Namespaces: onlyIn(f.Namespace), Control: f.Control, Since: f.Since, Text: f.Text, Oldest: f.Order == "oldest", Limit: f.Limit, After: f.Cursor}
	return d.changes(ctx, a, q)
}

func (d *Desk) changes(ctx context.Context, a Ask, q store.RungQuery) ([]RungChange, string, error) {
	q.Access = access(a)
	page, err := d.o.Store.RungChanges(ctx, q)
	if err != nil {
		return nil, "", err
	}
	return rungChanges(page.Items), page.Next, nil
}

func rungChanges(kept []store.RungChange) []RungChange {
	all := make([]RungChange, 0, len(kept))
	for _, c := range kept {
		all = append(all, RungChange{At: c.At, Control: c.Control, Scope: c.Scope, From: c.From, To: c.To, Why: c.Why})
	}
	return all
}
