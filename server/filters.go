package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// AlertFilter narrows and sorts alerts. The zero filter takes all, the newest first.
type AlertFilter struct {
	State     string // open, over or all; all if empty
	Kind      string // detection, finding, ledger, rung or staleness
	Least     bailey.Severity
	Control   string
	Namespace string
	Text      string // words in title, text and key
	Order     string // newest, oldest or severity; newest if empty
	Cursor    string
	Limit     int // the store's if zero
}

// RunFilter narrows and sorts runs. The zero filter takes all, the newest first.
type RunFilter struct {
	// State is planned, running, done, stopped or failed, or broken: one in which something broke.
	State   string
	Trigger string // schedule, person or api
	Control string // whose experiments were among those run
	Text    string // words in ID, controls, error and who asked
	Order   string // newest or oldest; newest if empty
	Cursor  string
	Limit   int // the store's if zero
}

// The values that filters and orders may have.
var (
	AlertStates      = []string{"open", "over", "all"}
	AlertKinds       = []string{"detection", "finding", "ledger", "rung", "staleness"}
	AlertOrders      = []string{"newest", "oldest", "severity"}
	RunStates        = []string{"planned", "running", "done", "broken", "stopped", "failed"}
	RunTriggers      = []string{"schedule", "person", "api"}
	TimeOrders       = []string{"newest", "oldest"}
	WaiverStates     = []string{"current", "active", "expiring", "expired", "ended", "all"}
	WaiverOrders     = []string{"expiry", "newest", "accepts", "rule", "owner"}
	ExperimentStates = []string{"held", "broken", "inconclusive", "stale", "never"}
	ExperimentOrders = []string{"control", "state", "newest"}
	NamespaceOrders  = []string{"name", "worst", "findings"}
)

// known fails unless a value is empty or one of those that there are.
func known(what, value string, values []string) error {
	if value != "" && !slices.Contains(values, value) {
		return badInput(fmt.Errorf("there is no %s %q: use one of %s", what, value, strings.Join(values, ", ")))
	}
	return nil
}

// WaiverFilter narrows and sorts waivers. The zero filter takes all.
type WaiverFilter struct {
	// State is active, expiring (active, and ends within two weeks), expired, ended, current (not ended) or
	// all; all if empty.
	State   string
	Control string
	Owner   string // a part of it
	Text    string // words in all that it says
	// Order is expiry (those that count, the next to end first; then the others, the last to end first), newest,
	// accepts, rule or owner; expiry if empty. All that count are sorted so, and of the others the thousand that
	// ended last; behind these come those that ended before, in any order the last to end first.
	Order  string
	Cursor string
	Limit  int // 50 if zero, at most 1000
}

// waiverSoon is how long before its end a waiver is expiring.
const waiverSoon = 14 * 24 * time.Hour

// StateAt says how a waiver stands at a moment: active, expiring, expired or ended.
func (w *WaiverEntry) StateAt(now time.Time) string {
	switch left := w.Expires.Sub(now); {
	case w.RemovedAt != nil:
		return "ended"
	case left <= 0:
		return "expired"
	case left < waiverSoon:
		return "expiring"
	}
	return "active"
}

// Of gives what the filter takes of waivers, in its order, with the state of each.
func (f WaiverFilter) Of(all []WaiverEntry, now time.Time) ([]WaiverEntry, error) {
	if err := f.valid(); err != nil {
		return nil, err
	}
	some := []WaiverEntry{}
	for _, w := range all {
		if w.State = w.StateAt(now); f.takes(&w) {
			some = append(some, w)
		}
	}
	slices.SortStableFunc(some, func(a, b WaiverEntry) int {
		first := 0
		switch f.Order {
		case "newest":
			return b.AddedAt.Compare(a.AddedAt)
		case "accepts":
			first = cmp.Compare(b.Accepts, a.Accepts)
		case "rule":
			first = strings.Compare(a.Rule, b.Rule)
		case "owner":
			first = strings.Compare(strings.ToLower(a.Owner), strings.ToLower(b.Owner))
		}
		return cmp.Or(first, byEnd(&a, &b))
	})
	return some, nil
}

// valid fails for a state or an order that there is not.
func (f *WaiverFilter) valid() error {
	return cmp.Or(known("state", f.State, WaiverStates), known("order", f.Order, WaiverOrders))
}

// takes reports whether the filter takes a waiver of which the state is known.
func (f *WaiverFilter) takes(w *WaiverEntry) bool {
	rule := strings.TrimSuffix(w.Rule, "/*")
	return f.takesState(w.State) && (f.Control == "" || rule == f.Control || strings.HasPrefix(rule, f.Control+"/")) && strings.Contains(strings.ToLower(w.Owner), strings.ToLower(f.Owner)) &&
		store.Bears(f.Text, w.ID, w.Rule, w.Kind, w.Namespace, w.Name, w.Reason, w.Owner, w.AddedBy)
}

// byEnd puts waivers that count first, the next to end first, and then the others, the last to end first.
func byEnd(a, b *WaiverEntry) int {
	counts := func(w *WaiverEntry) bool { return w.State == "active" || w.State == "expiring" }
	switch {
	case counts(a) && counts(b):
		return a.Expires.Compare(b.Expires)
	case counts(a):
		return -1
	case counts(b):
		return 1
	}
	end := func(w *WaiverEntry) time.Time {
		if w.RemovedAt != nil {
			return *w.RemovedAt
		}
		return w.Expires
	}
	return end(b).Compare(end(a))
}

func (f *WaiverFilter) takesState(state string) bool {
	switch f.State {
	case "", "all":
		return true
	case "current":
		return state != "ended"
	case "active":
		return state == "active" || state == "expiring"
	}
	return state == f.State
}

// ExperimentFilter narrows and sorts experiments. The zero filter takes all, in the order of the catalogue.
type ExperimentFilter struct {
	Control string
	Danger  bailey.Danger
	State   string // held, broken, inconclusive, stale or never (tried)
	Text    string // words in control, title, hypothesis and technique
	Order   string // control (the catalogue's), state (what needs a look first) or newest (what was tried last first)
}

// StateAt says where the proof of an experiment stands at a moment, by its newest run, in all scopes that may be seen: broken in any,
// stale, inconclusive where nothing held in one or it was interrupted there, or more was kept than was looked at, held, or never (tried).
func (x *ExperimentInfo) StateAt(now time.Time) string {
	if len(x.Runs) == 0 {
		return "never"
	}
	switch r := x.Runs[0]; {
	case r.Broken > 0:
		return "broken"
	case x.Window > 0 && now.Sub(r.At) > x.Window:
		return "stale"
	case r.Held == 0 || r.Unheld > 0 || r.Cut:
		return "inconclusive"
	}
	return "held"
}

// experimentUrgency sorts states: what needs a look first.
var experimentUrgency = []string{"broken", "inconclusive", "stale", "never", "held"}

// Of gives what the filter takes of experiments, in its order, with the state of each.
func (f ExperimentFilter) Of(all []ExperimentInfo, now time.Time) ([]ExperimentInfo, error) {
	dangers := make([]string, 0, len(bailey.Dangers))
	for _, d := range bailey.Dangers {
		dangers = append(dangers, string(d))
	}
	for _, err := range []error{known("state", f.State, ExperimentStates), known("order", f.Order, ExperimentOrders), known("danger", string(f.Danger), dangers)} {
		if err != nil {
			return nil, err
		}
	}
	some := []ExperimentInfo{}
	for _, x := range all {
		x.State = x.StateAt(now)
		if (f.Control == "" || x.Control == f.Control) && (f.Danger == "" || x.Danger == f.Danger) && (f.State == "" || x.State == f.State) &&
			store.Bears(f.Text, x.Control, x.Name, x.Title, x.Hypothesis, x.Technique) {
			some = append(some, x)
		}
	}
	tried := func(x *ExperimentInfo) time.Time {
		if len(x.Evidence) == 0 {
			return time.Time{}
		}
		return x.Evidence[0].At
	}
	slices.SortStableFunc(some, func(a, b ExperimentInfo) int {
		switch f.Order {
		case "state":
			return cmp.Compare(slices.Index(experimentUrgency, a.State), slices.Index(experimentUrgency, b.State))
		case "newest":
			return tried(&b).Compare(tried(&a))
		}
		return 0
	})
	return some, nil
}

// NamespaceFilter narrows and sorts namespaces. The zero filter takes all, by name.
type NamespaceFilter struct {
	Text string // a part of the name
	// Control and Rung ask for those in which the control stands on the rung; one of both for those in
	// which it stands at all, or in which any control stands so.
	Control string
	Rung    *bailey.Rung
	Order   string // name, worst (most gaps first) or findings (the worst, then the most); name if empty
	// From is how many of them to leave out, and Limit how many to give then; all if zero.
	From, Limit int
}

// Of gives what the filter takes of namespaces, in its order, and how many there are without its limit.
func (f NamespaceFilter) Of(all []NamespaceRow) (rows []NamespaceRow, total int, err error) {
	if err := known("order", f.Order, NamespaceOrders); err != nil {
		return nil, 0, err
	}
	some := []NamespaceRow{}
	for _, n := range all {
		if strings.Contains(n.Name, f.Text) && f.stands(&n) {
			some = append(some, n)
		}
	}
	slices.SortFunc(some, func(a, b NamespaceRow) int {
		worse := worst(&a.Findings, &b.Findings)
		switch f.Order {
		case "worst":
			worse = cmp.Or(cmp.Compare(b.Rungs.Gap, a.Rungs.Gap), worse)
		case "findings":
		default:
			worse = 0
		}
		return cmp.Or(worse, strings.Compare(a.Name, b.Name))
	})
	total = len(some)
	some = some[min(f.From, total):]
	if f.Limit > 0 {
		some = some[:min(f.Limit, len(some))]
	}
	return some, total, nil
}

// sparing reports whether Of needs no more than the gaps of each row, and the control that is asked for.
func (f *NamespaceFilter) sparing() bool {
	return f.Rung == nil || f.Control != "" || *f.Rung == bailey.RungGap
}

func (f *NamespaceFilter) stands(n *NamespaceRow) bool {
	switch rung, here := n.Controls[f.Control]; {
	case f.Control != "" && f.Rung != nil:
		return here && rung == *f.Rung
	case f.Control != "":
		return here
	case f.Rung != nil:
		return n.Rungs.On(*f.Rung) > 0
	}
	return true
}

// onlyIn are the namespaces that a query asks for where a filter names one; nil, which is any, where it names none.
func onlyIn(namespace string) []string {
	if namespace == "" {
		return nil
	}
	return []string{namespace}
}
