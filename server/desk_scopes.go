package server

import (
	"cmp"
	"context"
	"errors"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// ScopeFilter narrows and sorts the scopes that a control stands for. The zero filter takes all, the lowest first.
type ScopeFilter struct {
	Rung      string // gap, unknown, sound, guarded or proven; low for gap or unknown
	Namespace string
	Text      string // words in what it is, and in what would change its rung
	Order     string // lowest (of one rung by what they are) or name (by what they are); lowest if empty
	Cursor    string
	Limit     int // the store's if zero
}

// The rungs and orders of scopes.
var (
	ScopeRungs  = []string{"low", "gap", "unknown", "sound", "guarded", "proven"}
	ScopeOrders = []string{"lowest", "name"}
)

// Scopes gives a page of the scopes that a control stands for. With a text it may be short, and go on.
func (d *Desk) Scopes(ctx context.Context, a Ask, control string, f ScopeFilter) ([]ScopeStanding, string, error) {
	if d.controls[control] == nil {
		return nil, "", ErrNotFound
	}
	if err := cmp.Or(known("rung", f.Rung, ScopeRungs), known("order", f.Order, ScopeOrders)); err != nil {
		return nil, "", err
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	q := store.VerdictQuery{Cluster: uid, Access: access(a), Namespaces: onlyIn(f.Namespace), Control: control, Text: f.Text, Lowest: f.Order != "name", Limit: f.Limit, After: f.Cursor}
	switch f.Rung {
	case "":
	case "low":
		q.Rungs = []bailey.Rung{bailey.RungGap, bailey.RungUnknown}
	default:
		q.Rungs = make([]bailey.Rung, 1)
		if err := q.Rungs[0].UnmarshalText([]byte(f.Rung)); err != nil {
			return nil, "", errors.Join(ErrBadInput, err)
		}
	}
	page, err := d.o.Store.Verdicts(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var scopes []ScopeStanding
	for i := range page.Items {
		scopes = append(scopes, scopeStanding(&page.Items[i]))
	}
	return scopes, page.Next, nil
}

func scopeStanding(v *store.Verdict) ScopeStanding {
	s := ScopeStanding{Control: v.Control, Scope: v.Scope, Rung: v.Rung, Since: v.Since, Findings: v.Findings, Proof: proofOf(v.Proof), Next: v.Next}
	if !v.WaivedUntil.IsZero() {
		s.WaivedUntil = &v.WaivedUntil
	}
	return s
}
