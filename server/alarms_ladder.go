package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

const (
	rungKey = "rung/"
	// proofsKey is the one alert about proofs that ran out.
	proofsKey = "staleness/proofs"
)

// ladder makes alerts of controls that fell, and of experiments that were broken.
func (t *taking) ladder() {
	broke := t.fallen()
	due := map[string][]verdictOf{}
	var stale []verdictOf
	for _, k := range slices.SortedFunc(maps.Keys(t.falls), compareVerdicts) {
		v, f := t.now.verdicts[k], t.falls[k]
		lasted := t.at.Sub(f.since)
		switch {
		case v == nil, v.Rung >= f.from && !broke[k]:
			delete(t.falls, k)
		case v.Rung == bailey.RungGap, lasted >= fallHold && !lostProof(f.from, v):
			due[k.control] = append(due[k.control], k)
		case lasted >= proofHold:
			stale = append(stale, k)
			delete(t.falls, k)
		}
	}
	for _, control := range slices.Sorted(maps.Keys(due)) {
		t.fell(due[control])
	}
	for _, l := range t.lasts(store.AlertRung) {
		t.climbed(l)
	}
	t.proofs(stale)
}

func compareVerdicts(a, b verdictOf) int {
	return cmp.Or(strings.Compare(a.control, b.control), strings.Compare(string(a.scope.Kind), string(b.scope.Kind)), a.scope.Object.Compare(b.scope.Object))
}

// lostProof tells a control that is as sound as it was, and no longer proven.
func lostProof(from bailey.Rung, v *bailey.Verdict) bool {
	return from == bailey.RungProven && v.Rung >= bailey.RungSound
}

// fallen notes what stands lower than in the last report, and gives what was broken since.
func (t *taking) fallen() (broke map[verdictOf]bool) {
	broke = map[verdictOf]bool{}
	for k, v := range t.now.verdicts {
		is := stoodOf(v)
		was, known := t.rungs[k]
		if is.broken && !was.broken {
			broke[k] = true
		}
		down := known && is.rung < was.rung && !is.waived
		if !down && !broke[k] {
			continue
		}
		f, falling := t.falls[k]
		if !falling {
			f = fall{from: is.rung, since: t.at}
		}
		if known {
			f.from = max(f.from, was.rung)
		}
		t.falls[k] = f
	}
	return broke
}

// fell raises what is due of one control: for each namespace, or, where it fell in many of them
// or in none, for the cluster. What an alert about findings tells is not told again.
func (t *taking) fell(keys []verdictOf) {
	var cluster *verdictOf
	var places []verdictOf
	for _, k := range keys {
		if k.scope.Kind == bailey.ScopeCluster {
			cluster = &k
		} else {
			places = append(places, k)
		}
	}
	told := places
	if cluster != nil && (len(places) == 0 || len(places) > severalNamespaces) {
		told = []verdictOf{*cluster}
	}
	for _, k := range told {
		v := t.now.verdicts[k]
		if v.Rung != bailey.RungGap || stoodOf(v).broken || !t.found(k) {
			t.rungAlert(k, t.falls[k].from, len(places), true)
		}
	}
	for _, k := range keys {
		delete(t.falls, k)
	}
}

// found reports whether an alert about findings lasts that tells why a control stands on a gap.
func (t *taking) found(k verdictOf) bool {
	for _, l := range t.open {
		if l.alert.Kind == store.AlertFinding && l.doc.Control == k.control && l.clear.IsZero() &&
			(k.scope.Kind == bailey.ScopeCluster || homeOf(l.alert.Object) == k.scope.Object.Name) {
			return true
		}
	}
	return false
}

// rungAlert says that a control stands lower than it did.
func (t *taking) rungAlert(k verdictOf, from bailey.Rung, namespaces int, loud bool) {
	v := t.now.verdicts[k]
	a := store.Alert{Key: rungKey + k.control + "/" + k.scope.Object.Name, Kind: store.AlertRung, Severity: bailey.SeverityMedium, Object: k.scope.Object}
	where := "in the cluster"
	if k.scope.Kind == bailey.ScopeNamespace {
		where = "in " + k.scope.Object.Name
	}
	if l := t.open[a.Key]; l != nil {
		if l.doc.From != nil {
			from = max(from, *l.doc.From)
		}
		if loud && l.doc.To != nil && *l.doc.To == v.Rung && !stoodOf(v).broken {
			return // it is told
		}
	}
	a.Title = fmt.Sprintf("%s fell to %s %s", k.control, v.Rung, where)
	a.Text = fmt.Sprintf("It stood on %s.", from)
	if from == v.Rung {
		a.Title, a.Text = fmt.Sprintf("An experiment of %s was broken %s", k.control, where), ""
	}
	switch {
	case stoodOf(v).broken:
		a.Severity = bailey.SeverityHigh
		a.Text = strings.TrimSpace(a.Text + " Broken: " + brokenBy(v, k.scope.Kind) + ".")
	case v.Rung == bailey.RungGap:
		a.Text += fmt.Sprintf(" %d %s.", v.Findings, pluralOf(v.Findings, "finding"))
	case v.Rung == bailey.RungUnknown && len(v.Coverage.Missing) > 0:
		a.Text += fmt.Sprintf(" Not seen: %s (%s).", v.Coverage.Missing[0].Kind.Short(), v.Coverage.Missing[0].Reason)
	}
	if k.scope.Kind == bailey.ScopeCluster && namespaces > 0 {
		a.Text += fmt.Sprintf(" So it did in %d %s.", namespaces, pluralOf(namespaces, "namespace"))
	}
	rung := v.Rung
	t.put(a, alertDoc{Control: k.control, From: &from, To: &rung}, loud)
}

// brokenBy says what was broken. What a try met may be somebody else's, so a namespace's alert
// names the experiments alone.
func brokenBy(v *bailey.Verdict, scope bailey.ScopeKind) string {
	var names []string
	for _, b := range v.Proof.Broken {
		if scope != bailey.ScopeCluster {
			b, _, _ = strings.Cut(b, ":")
		}
		if !slices.Contains(names, b) {
			names = append(names, b)
		}
	}
	return someOf(names)
}

// climbed ends the alert of a control that stands where it stood again, and has it say where it
// stands otherwise.
func (t *taking) climbed(l *lasting) {
	if l.doc.From == nil || l.doc.To == nil {
		return // not of this kind of alarm
	}
	k := verdictOf{l.doc.Control, bailey.Scope{Kind: bailey.ScopeCluster}}
	if l.alert.Object != (bailey.Ref{}) {
		k.scope = bailey.Scope{Kind: bailey.ScopeNamespace, Object: l.alert.Object}
	}
	v := t.now.verdicts[k]
	switch {
	case v == nil, v.Rung >= *l.doc.From && !stoodOf(v).broken, v.Rung == bailey.RungGap && stoodOf(v).waived:
		t.cleared(l)
	case v.Rung > *l.doc.To:
		t.rungAlert(k, *l.doc.From, 0, false)
	default:
		l.clear = time.Time{}
	}
}

// proofs makes one alert of all controls whose proof ran out.
func (t *taking) proofs(stale []verdictOf) {
	l := t.open[proofsKey]
	var doc alertDoc
	was := 0
	if l != nil {
		was = len(l.doc.Members)
		for _, m := range l.doc.Members {
			control, place, _ := strings.Cut(m, " ")
			scope := bailey.Scope{Kind: bailey.ScopeCluster}
			if place != "" {
				scope = bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: place}}
			}
			if v := t.now.verdicts[verdictOf{control, scope}]; v != nil && v.Rung >= bailey.RungSound && v.Rung < bailey.RungProven {
				doc.Members = append(doc.Members, m)
			}
		}
	}
	left := len(doc.Members)
	for _, k := range stale {
		doc.join([]string{strings.TrimSpace(k.control + " " + k.scope.Object.Name)})
	}
	switch n := len(doc.Members); {
	case n == 0 && l == nil, n == was && left == was:
		if l != nil {
			l.clear = time.Time{}
		}
		return
	case n == 0:
		t.cleared(l)
		return
	}
	var controls []string
	for _, m := range doc.Members {
		control, _, _ := strings.Cut(m, " ")
		if !slices.Contains(controls, control) {
			controls = append(controls, control)
		}
	}
	slices.Sort(controls)
	a := store.Alert{Key: proofsKey, Kind: store.AlertStaleness, Severity: bailey.SeverityLow, Title: "What was proven has not been shown for too long",
		Text: fmt.Sprintf("%d %s, for the cluster or a namespace: %s. See whether experiments still run.", len(controls), pluralOf(len(controls), "control"), someOf(controls))}
	t.put(a, doc, l != nil && len(doc.Members) > left && t.at.Sub(l.told) >= tellAgain)
}
