package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// ControlFilter narrows and sorts controls. The zero filter takes all, in the order of the catalogue.
type ControlFilter struct {
	Area  string // like compute
	Rung  *bailey.Rung
	Stale bool   // only those of which a proof is older than its experiment allows
	Text  string // words in ID and in what it asks
	// Order is control (the catalogue's), rung (the lowest first) or findings (the worst, then the most);
	// control if empty.
	Order  string
	Cursor string
	Limit  int // 50 if zero, at most 1000
}

// RuleFilter narrows and sorts rules. The zero filter takes all, in the order of the catalogue.
type RuleFilter struct {
	Control string
	Least   bailey.Severity // of the rule itself
	Found   bool            // only those by which something is found that nobody accepts
	Text    string          // words in ID and title
	// Order is rule (the catalogue's), severity (the worst first) or findings (the worst, then the most); rule if
	// empty.
	Order  string
	Cursor string
	Limit  int // 50 if zero, at most 1000
}

// EvidenceFilter narrows and sorts evidence. The zero filter takes all, the newest first.
type EvidenceFilter struct {
	Control    string
	Experiment string // of the control
	Namespace  string
	Order      string // newest or oldest; newest if empty
	Cursor     string
	Limit      int // the store's if zero
}

// The orders of controls and rules.
var (
	ControlOrders = []string{"control", "rung", "findings"}
	RuleOrders    = []string{"rule", "severity", "findings"}
)

// Controls gives a page of the controls that a filter takes, as the first page and those of experiments show them.
func (d *Desk) Controls(ctx context.Context, a Ask, f ControlFilter) ([]ControlRow, string, error) {
	if err := known("order", f.Order, ControlOrders); err != nil {
		return nil, "", err
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	standings, _, err := d.standings(ctx, a, uid)
	if err != nil {
		return nil, "", err
	}
	experiments, err := d.experiments(ctx, a, uid)
	if err != nil {
		return nil, "", err
	}
	var rows []ControlRow
	for _, s := range standings {
		c := d.controls[s.Control]
		if (f.Area != "" && c.Area() != f.Area) || (f.Rung != nil && s.Rung != *f.Rung) || !store.Bears(f.Text, c.ID, c.Asks) {
			continue
		}
		row := ControlRow{Standing: s, Area: c.Area(), Phase: phaseOf(c.Area()), ScopeKind: c.Scope, Unprovable: c.Unprovable, Rules: len(c.Rules)}
		for i := range experiments[c.ID] {
			row.take(&experiments[c.ID][i])
		}
		if row.Stale || !f.Stale {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b ControlRow) int {
		switch f.Order {
		case "rung":
			return cmp.Compare(a.Rung, b.Rung)
		case "findings":
			return worst(&a.Findings, &b.Findings)
		}
		return 0
	})
	return pieceOf(rows, f.Cursor, f.Limit)
}

// take counts an experiment of the control.
func (r *ControlRow) take(x *ExperimentInfo) {
	n := map[string]*int{"held": &r.Experiments.Held, "broken": &r.Experiments.Broken, "inconclusive": &r.Experiments.Inconclusive, "stale": &r.Experiments.Stale, "never": &r.Experiments.Never}[x.State]
	*n++
	r.Stale = r.Experiments.Stale > 0
	if len(x.Evidence) > 0 && (r.Tried == nil || x.Evidence[0].At.After(*r.Tried)) {
		r.Tried = &x.Evidence[0].At
	}
}

// Rules gives a page of the rules that a filter takes, as the pages of controls show them.
func (d *Desk) Rules(ctx context.Context, a Ask, f RuleFilter) ([]RuleRow, string, error) {
	if err := known("order", f.Order, RuleOrders); err != nil {
		return nil, "", err
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	counts, err := d.o.Store.Counts(ctx, access(a), uid)
	if err != nil {
		return nil, "", err
	}
	var rows []RuleRow
	for _, c := range d.o.Controls {
		if f.Control != "" && c.ID != f.Control {
			continue
		}
		for _, r := range ruleInfos(c, counts) {
			if r.Severity >= f.Least && (r.Findings.Total() > 0 || !f.Found) && store.Bears(f.Text, r.ID, r.Title) {
				rows = append(rows, RuleRow{RuleInfo: r, Control: c.ID})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b RuleRow) int {
		switch f.Order {
		case "severity":
			return cmp.Compare(b.Severity, a.Severity)
		case "findings":
			return worst(&a.Findings, &b.Findings)
		}
		return 0
	})
	return pieceOf(rows, f.Cursor, f.Limit)
}

// Evidence gives a page of evidence.
func (d *Desk) Evidence(ctx context.Context, a Ask, f EvidenceFilter) ([]Evidence, string, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	if f.Experiment != "" && f.Control == "" {
		return nil, "", badInput(fmt.Errorf("experiment %q is one of a control: name that as well", f.Experiment))
	}
	if err := known("order", f.Order, TimeOrders); err != nil {
		return nil, "", err
	}
	q := store.EvidenceQuery{Cluster: uid, Access: access(a), Namespaces: onlyIn(f.Namespace), Control: f.Control, Experiment: f.Experiment, Oldest: f.Order == "oldest", Limit: f.Limit, After: f.Cursor}
	page, err := d.o.Store.Evidence(ctx, q)
	return evidenceOf(a, page.Items), page.Next, err
}

// The bounds of a page of a list that is held whole.
const (
	pieceRows     = 50
	pieceRowsMost = 1000
)

// pieceOf gives a page of a list that is held whole. Its cursor is how many rows come before it.
func pieceOf[T any](all []T, cursor string, limit int) (some []T, next string, err error) {
	from := 0
	if cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 {
			return nil, "", fmt.Errorf("%w: %q is no place in the list; begin at its first page", ErrCursor, strings.ToValidUTF8(cursor, ""))
		}
	}
	from = min(from, len(all))
	to := min(from+pieceSize(limit), len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

// pieceSize is how many rows such a page holds.
func pieceSize(limit int) int {
	if limit <= 0 {
		return pieceRows
	}
	return min(limit, pieceRowsMost)
}
