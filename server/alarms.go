package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// alarms knows which alerts last, and what the last report said; from a report it says which
// alerts come and go. It is pure: no store, no clock.
//
// A cluster's first report raises nothing: what it says is what there was before anybody
// watched, it is on the first page, and hundreds of alerts at once are read by nobody.
type alarms struct {
	first bool // no report was seen yet
	// worth is the least severity of findings that somebody is told of.
	worth bailey.Severity
	// worthy are the findings that somebody should know of, by ID, with where they are: those of
	// the last report, and those whose objects could not be seen since.
	worthy map[string]ruleIn
	rungs  map[verdictOf]stood
	// falls are those that are to last a while before they are told.
	falls map[verdictOf]fall
	open  map[string]*lasting
}

// verdictOf names a verdict.
type verdictOf struct {
	control string
	scope   bailey.Scope
}

// stood is where a control stood for a scope.
type stood struct {
	rung   bailey.Rung
	broken bool // an experiment was
	waived bool // every finding is
}

// fall is a control's way down.
type fall struct {
	from  bailey.Rung
	since time.Time
}

// lasting is an alert that lasts.
type lasting struct {
	alert store.Alert
	doc   alertDoc
	// clear is since when its cause is gone; zero while it is there.
	clear time.Time
	// told is when it was last raised so that it is delivered.
	told time.Time
}

// alertDoc is what is kept of an alert for those who raise, show and deliver it.
type alertDoc struct {
	Control string `json:"control,omitempty"`
	Rule    string `json:"rule,omitempty"`
	// Since is when it came, or came back.
	Since time.Time `json:"since,omitzero"`
	// From is the rung that the control has to come back to, and To the one that it is on.
	From *bailey.Rung `json:"from,omitempty"`
	To   *bailey.Rung `json:"to,omitempty"`
	// Members are what it tells of: IDs of findings, or verdicts. More tells that there were
	// more than are listed.
	Members []string `json:"members,omitempty"`
	More    bool     `json:"more,omitempty"`
	// Unseen are the kinds that the rule needs and that were not seen when it came.
	Unseen []bailey.Kind `json:"unseen,omitempty"`
	// Seen is what was seen in the audit log, where it is of a detection; Members are then objects.
	Seen *seenOf `json:"seen,omitempty"`
}

func (d *alertDoc) text() json.RawMessage {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // it holds texts and times
	}
	return data
}

// docOf reads what is kept of an alert; of one that others raised it is empty.
func docOf(a *store.Alert) alertDoc {
	var d alertDoc
	if len(a.Doc) == 0 || json.Unmarshal(a.Doc, &d) != nil {
		return alertDoc{}
	}
	return d
}

const (
	// calm is how long the cause of an alert must be gone before the alert is: what comes and
	// goes within it is one alert.
	calm = 5 * time.Minute
	// tellAgain is how long an alert that grows is not told again.
	tellAgain = time.Hour
	// fallHold is how long a control must stand lower, but not on a gap, before that is told:
	// an API that hiccups is seen again in a moment.
	fallHold = 10 * time.Minute
	// proofHold is the same where only the proof is missing: the schedule of experiments may
	// bring it.
	proofHold = 2 * time.Hour
	// severalNamespaces is in how many namespaces a control falls, at most, for each to get an
	// alert; in more the whole cluster gets one.
	severalNamespaces = 3
	// membersMost bounds what one alert keeps of what it tells of; membersNamed what it names.
	membersMost  = 500
	membersNamed = 5
	// alertTextMost bounds the text of an alert, in bytes.
	alertTextMost = 1000
)

// change is what is to be done with an alert.
type alertChange struct {
	do    alertAct
	alert store.Alert
}

type alertAct int

const (
	alertRaise  alertAct = iota // it is told
	alertRevise                 // it says something else, and nobody is told
	alertEnd
)

// take says what changes with a report.
func (s *alarms) take(r *bailey.Report, at time.Time) []alertChange {
	now := readReport(r, s.worth, s.raised())
	if s.first {
		s.first = false
		s.worthy, s.rungs = now.worthy(s.worth), now.rungs()
		return nil
	}
	t := &taking{alarms: s, now: now, at: at}
	t.findings()
	t.ladder()
	s.worthy, s.rungs = s.known(now), s.lastSeen(now)
	slices.SortStableFunc(t.changes, func(a, b alertChange) int {
		return cmp.Or(cmp.Compare(b.alert.Severity, a.alert.Severity), cmp.Compare(a.alert.Key, b.alert.Key))
	})
	return t.changes
}

// seen is what of a report alerts are made of.
type seen struct {
	report   *bailey.Report
	findings map[string]*bailey.Finding
	groups   map[ruleIn][]*bailey.Finding
	verdicts map[verdictOf]*bailey.Verdict // of the cluster and its namespaces
}

// ruleIn is a rule in a namespace, or in none.
type ruleIn struct{ rule, namespace string }

// raised are the rules and namespaces of which an alert about findings lasts.
func (s *alarms) raised() map[ruleIn]bool {
	all := map[ruleIn]bool{}
	for _, l := range s.open {
		if l.alert.Kind == store.AlertFinding {
			all[l.in()] = true
		}
	}
	return all
}

// in is what an alert about findings is of.
func (l *lasting) in() ruleIn {
	return ruleIn{l.doc.Rule, strings.TrimPrefix(l.alert.Key, findingKey+l.doc.Rule+"/")}
}

// readReport reads the findings that are worth an alert, and all of where one lasts: it is not over before
// they are, whatever is worth one by now.
func readReport(r *bailey.Report, worth bailey.Severity, raised map[ruleIn]bool) *seen {
	n := &seen{report: r, findings: map[string]*bailey.Finding{}, groups: map[ruleIn][]*bailey.Finding{}, verdicts: map[verdictOf]*bailey.Verdict{}}
	for i := range r.Findings {
		f := &r.Findings[i]
		in := ruleIn{f.Rule, homeOf(f.Object)}
		if f.Severity < worth && !raised[in] || f.Waiver != nil || f.Baseline {
			continue
		}
		n.findings[f.ID] = f
		n.groups[in] = append(n.groups[in], f)
	}
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; v.Scope.Kind == bailey.ScopeCluster || v.Scope.Kind == bailey.ScopeNamespace {
			n.verdicts[verdictOf{v.Control, v.Scope}] = v
		}
	}
	return n
}

// homeOf is the namespace whose tenants see an object.
func homeOf(o bailey.Ref) string {
	if o.Kind == bailey.KindNamespace {
		return o.Name
	}
	return o.Namespace
}

func (n *seen) worthy(worth bailey.Severity) map[string]ruleIn {
	all := make(map[string]ruleIn, len(n.findings))
	for id, f := range n.findings {
		if f.Severity >= worth {
			all[id] = ruleIn{f.Rule, homeOf(f.Object)}
		}
	}
	return all
}

// known adds to what a report says what was known before and cannot be seen now: it is not new when
// it is seen again.
func (s *alarms) known(now *seen) map[string]ruleIn {
	all := now.worthy(s.worth)
	blind := map[ruleIn]bool{}
	for id, in := range s.worthy {
		if _, there := all[id]; there {
			continue
		}
		is, asked := blind[in]
		if !asked {
			is = len(now.unseen(in)) > 0
			blind[in] = is
		}
		if is {
			all[id] = in
		}
	}
	return all
}

func (n *seen) rungs() map[verdictOf]stood {
	all := make(map[verdictOf]stood, len(n.verdicts))
	for k, v := range n.verdicts {
		all[k] = stoodOf(v)
	}
	return all
}

// lastSeen gives where controls stand, and of those that cannot be seen and were gaps, that they
// were: what is seen to be as it was has not fallen.
func (s *alarms) lastSeen(now *seen) map[verdictOf]stood {
	all := now.rungs()
	for k, stands := range all {
		if was, known := s.rungs[k]; known && was.rung == bailey.RungGap && stands.rung == bailey.RungUnknown {
			all[k] = was
		}
	}
	return all
}

func stoodOf(v *bailey.Verdict) stood {
	return stood{v.Rung, v.Proof != nil && len(v.Proof.Broken) > 0, !v.WaivedUntil.IsZero()}
}

// unseen lists the kinds that a rule needs and that were not seen for a namespace.
func (n *seen) unseen(in ruleIn) []bailey.Kind {
	control, rule := bailey.FindRule(n.report.Controls, in.rule)
	if rule == nil {
		return nil
	}
	v := n.verdicts[verdictOf{control.ID, bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: in.namespace}}}]
	if v == nil {
		v = n.verdicts[verdictOf{control.ID, bailey.Scope{Kind: bailey.ScopeCluster}}]
	}
	if v == nil {
		return nil
	}
	needs := slices.Concat(rule.On, rule.Needs)
	for _, d := range rule.Derives {
		needs = append(needs, d.Needs...)
	}
	var kinds []bailey.Kind
	for _, m := range v.Coverage.Missing {
		if m.Name == "" && (m.Namespace == "" || m.Namespace == in.namespace) && slices.Contains(needs, m.Kind) && !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// taking is one report on its way into the alarms.
type taking struct {
	*alarms
	now     *seen
	at      time.Time
	changes []alertChange
}

// put raises an alert, or says one that lasts anew; loud tells it again.
func (t *taking) put(a store.Alert, doc alertDoc, loud bool) {
	l := t.open[a.Key]
	if l == nil {
		doc.Since = t.at
		l = &lasting{}
		t.open[a.Key], loud = l, true
	} else {
		doc.Since = l.doc.Since
	}
	a.Text, a.Doc = clip(a.Text, alertTextMost), doc.text()
	l.clear, l.doc = time.Time{}, doc
	act := alertRevise
	if loud {
		act, l.told = alertRaise, t.at
	}
	l.alert = a
	t.changes = append(t.changes, alertChange{act, a})
}

// cleared notes that an alert's cause is gone, and ends the alert once it was gone for long enough.
func (t *taking) cleared(l *lasting) {
	if l.clear.IsZero() {
		l.clear = t.at
	}
	if t.at.Sub(l.clear) < calm {
		return
	}
	delete(t.open, l.alert.Key)
	t.changes = append(t.changes, alertChange{alertEnd, l.alert})
}

// lasts lists the alerts of a kind, in the order of their keys.
func (t *taking) lasts(kind store.AlertKind) []*lasting {
	var all []*lasting
	for _, key := range slices.Sorted(maps.Keys(t.open)) {
		if l := t.open[key]; l.alert.Kind == kind {
			all = append(all, l)
		}
	}
	return all
}

// join adds members to those of an alert.
func (d *alertDoc) join(members []string) {
	for _, m := range members {
		switch {
		case slices.Contains(d.Members, m):
		case len(d.Members) < membersMost:
			d.Members = append(d.Members, m)
		default:
			d.More = true
		}
	}
}

const findingKey = "finding/"

// findings makes an alert of the findings of one rule in one namespace that are new.
func (t *taking) findings() {
	for in, group := range t.now.groups {
		var added []string
		for _, f := range group {
			if _, known := t.worthy[f.ID]; !known && f.Severity >= t.worth {
				added = append(added, f.ID)
			}
		}
		if len(added) == 0 {
			continue
		}
		key := findingKey + in.rule + "/" + in.namespace
		doc := alertDoc{Control: group[0].Control, Rule: in.rule, Unseen: t.now.unseen(in)}
		l := t.open[key]
		if l != nil {
			doc.Members, doc.More = t.still(l), l.doc.More
		}
		doc.join(added)
		a := t.findingAlert(key, in, &doc)
		t.put(a, doc, l != nil && (a.Severity > l.alert.Severity || t.at.Sub(l.told) >= tellAgain))
	}
	for _, l := range t.lasts(store.AlertFinding) {
		in := l.in()
		still := t.still(l)
		switch {
		case len(still) == len(l.doc.Members):
			l.clear = time.Time{}
		case slices.ContainsFunc(t.now.unseen(in), func(k bailey.Kind) bool { return !slices.Contains(l.doc.Unseen, k) }):
			l.clear = time.Time{} // it is not known whether anything is left
		case len(still) == 0 && !(l.doc.More && len(t.now.groups[in]) > 0):
			t.cleared(l)
		case len(still) == 0:
			l.clear = time.Time{} // what is left is of those that are not listed
		default:
			doc := l.doc
			doc.Members = still
			t.put(t.findingAlert(l.alert.Key, in, &doc), doc, false)
		}
	}
}

// still gives the findings of an alert that are there.
func (t *taking) still(l *lasting) []string {
	var still []string
	for _, id := range l.doc.Members {
		if t.now.findings[id] != nil {
			still = append(still, id)
		}
	}
	return still
}

func (t *taking) findingAlert(key string, in ruleIn, doc *alertDoc) store.Alert {
	a := store.Alert{Key: key, Kind: store.AlertFinding, Title: in.rule}
	if _, rule := bailey.FindRule(t.now.report.Controls, in.rule); rule != nil && rule.Title != "" {
		a.Title = rule.Title
	}
	var objects []bailey.Ref
	for _, id := range doc.Members {
		f := t.now.findings[id]
		a.Severity = max(a.Severity, f.Severity)
		if !slices.Contains(objects, f.Object) {
			objects = append(objects, f.Object)
		}
	}
	slices.SortFunc(objects, bailey.Ref.Compare)
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.String()
	}
	if in.namespace != "" {
		a.Title += " in " + in.namespace
		a.Object = bailey.Ref{Kind: bailey.KindNamespace, Name: in.namespace}
	}
	if len(objects) == 1 {
		a.Object = objects[0]
	}
	n := fmt.Sprint(len(doc.Members))
	if doc.More {
		n = "More than " + n
	}
	a.Text = n + " new " + pluralOf(len(doc.Members), "finding") + " of " + in.rule + ": " + someOf(names) + "."
	return a
}

// someOf names the first.
func someOf(names []string) string {
	if len(names) > membersNamed {
		return strings.Join(names[:membersNamed], ", ") + fmt.Sprintf(" and %d more", len(names)-membersNamed)
	}
	return strings.Join(names, ", ")
}

// clip cuts a text that is longer than most bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func pluralOf(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
