package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// told writes changes down: raise, revise or end, key, severity.
func toldOf(changes []alertChange) string {
	var all []string
	for _, c := range changes {
		all = append(all, []string{"raise", "revise", "end"}[c.do]+" "+c.alert.Key+" "+c.alert.Severity.String())
	}
	return strings.Join(all, "; ")
}

var alarmControls = []*bailey.Control{{ID: "a/b", Rules: []*bailey.Rule{{Name: "c", Title: "Something is wrong", On: []bailey.Kind{bailey.KindPod}}}}}

func podFinding(name string, severity bailey.Severity) bailey.Finding {
	o := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: name}
	return bailey.Finding{ID: bailey.FindingID("a/b/c", o, ""), Control: "a/b", Rule: "a/b/c", Severity: severity, Object: o, Message: "m"}
}

func inCluster(control string, rung bailey.Rung) bailey.Verdict {
	return bailey.Verdict{Control: control, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: rung}
}

func inSpace(control, namespace string, rung bailey.Rung) bailey.Verdict {
	return bailey.Verdict{Control: control, Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: namespace}}, Rung: rung}
}

func broken(v bailey.Verdict) bailey.Verdict {
	v.Rung, v.Proof = bailey.RungGap, &bailey.Proof{Broken: []string{"exec: pod elsewhere/secret: it was let in"}}
	return v
}

func waived(v bailey.Verdict, until time.Time) bailey.Verdict {
	v.WaivedUntil = until
	return v
}

func newAlarms() *alarms {
	return &alarms{first: true, worth: bailey.SeverityHigh, worthy: map[string]ruleIn{}, rungs: map[verdictOf]stood{}, falls: map[verdictOf]fall{}, open: map[string]*lasting{}}
}

// TestAlarmsWorth: what somebody is told of is as bad as they want to hear of.
func TestAlarmsWorth(t *testing.T) {
	for worth, want := range map[bailey.Severity]int{bailey.SeverityLow: 3, bailey.SeverityHigh: 2, bailey.SeverityCritical: 1} {
		a := &alarms{first: true, worth: worth, worthy: map[string]ruleIn{}, rungs: map[verdictOf]stood{}, falls: map[verdictOf]fall{}, open: map[string]*lasting{}}
		a.take(&bailey.Report{}, time.Unix(0, 0))
		changes := a.take(&bailey.Report{Findings: []bailey.Finding{podFinding("a", bailey.SeverityLow), podFinding("b", bailey.SeverityHigh), podFinding("c", bailey.SeverityCritical)}}, time.Unix(60, 0))
		if len(changes) != 1 || len(a.open[changes[0].alert.Key].doc.Members) != want {
			t.Errorf("from %s on, %+v is told, want one alert of %d findings", worth, changes, want)
		}
	}
}

// TestAlarmsWorthRaised: who wants to hear of worse only is not told that what was found is over, and of no
// more of it; and is told once it is.
func TestAlarmsWorthRaised(t *testing.T) {
	a := newAlarms()
	at := func(minute int, list ...bailey.Finding) string {
		return toldOf(a.take(&bailey.Report{Findings: list}, time.Unix(int64(60*minute), 0)))
	}
	one, two := podFinding("a", bailey.SeverityHigh), podFinding("b", bailey.SeverityHigh)
	at(0)
	const key = "finding/a/b/c/shop high"
	if got := at(1, one); got != "raise "+key {
		t.Fatalf("it tells %q", got)
	}
	a.worth, a.worthy = bailey.SeverityCritical, map[string]ruleIn{} // the next process
	for minute, list := range [][]bailey.Finding{{one}, {one, two}, {one, two}} {
		if got := at(10*(1+minute), list...); got != "" {
			t.Errorf("while all of it is there it tells %q", got)
		}
	}
	at(40, two)
	if got := at(46, two); got != "end "+key {
		t.Errorf("once it is over it tells %q", got)
	}
}

// TestAlarms tells stories: what each report changes, minutes after the first.
func TestAlarms(t *testing.T) {
	type report struct {
		minute   int
		findings []bailey.Finding
		verdicts []bailey.Verdict
		want     string
	}
	high, critical, low := bailey.SeverityHigh, bailey.SeverityCritical, bailey.SeverityLow
	findings := func(list ...bailey.Finding) []bailey.Finding { return list }
	verdicts := func(list ...bailey.Verdict) []bailey.Verdict { return list }
	accepted := podFinding("x", critical)
	accepted.Waiver = &bailey.Waiver{Reason: "r"}
	based := podFinding("y", critical)
	based.Baseline = true
	const key = "finding/a/b/c/shop"
	unseenPods := inCluster("a/b", bailey.RungUnknown)
	unseenPods.Coverage = bailey.Coverage{Needed: 1, Missing: []bailey.Missing{{Kind: bailey.KindPod, Reason: bailey.ReasonForbidden}}}
	for name, story := range map[string][]report{
		"the first report raises nothing, and what it says raises nothing later": {
			{0, findings(podFinding("a", critical)), verdicts(broken(inCluster("a/b", bailey.RungGap))), ""},
			{1, findings(podFinding("a", critical)), verdicts(broken(inCluster("a/b", bailey.RungGap))), ""},
			{2, findings(podFinding("a", critical), podFinding("b", high)), verdicts(broken(inCluster("a/b", bailey.RungGap))), "raise " + key + " high"},
		},
		"low, waived and accepted findings raise nothing; a waiver that ends does": {
			{},
			{1, findings(accepted, based, podFinding("z", low)), nil, ""},
			{2, findings(podFinding("x", critical), based), nil, "raise " + key + " critical"},
			{3, findings(accepted), nil, ""},
			{8, findings(accepted), nil, "end " + key + " critical"},
		},
		"findings of a rule in a namespace are one alert, which ends with the last": {
			{},
			{1, findings(podFinding("a", high), podFinding("b", high)), nil, "raise " + key + " high"},
			{2, findings(podFinding("a", high), podFinding("b", high)), nil, ""},
			{3, findings(podFinding("b", high)), nil, "revise " + key + " high"},
			{4, findings(podFinding("b", high), podFinding("c", high)), nil, "revise " + key + " high"},
			{5, findings(podFinding("b", high), podFinding("c", high), podFinding("d", critical)), nil, "raise " + key + " critical"},
			{6, nil, nil, ""},
			{10, nil, nil, ""},
			{11, nil, nil, "end " + key + " critical"},
			{12, nil, nil, ""},
		},
		"what grows is told again after an hour": {
			{},
			{1, findings(podFinding("a", high)), nil, "raise " + key + " high"},
			{60, findings(podFinding("a", high), podFinding("b", high)), nil, "revise " + key + " high"},
			{61, findings(podFinding("a", high), podFinding("b", high), podFinding("c", high)), nil, "raise " + key + " high"},
		},
		"what comes and goes within minutes is one alert": {
			{},
			{1, findings(podFinding("a", high)), nil, "raise " + key + " high"},
			{2, nil, nil, ""},
			{4, findings(podFinding("a", high)), nil, "revise " + key + " high"},
			{5, nil, nil, ""},
			{9, findings(podFinding("a", high)), nil, "revise " + key + " high"},
			{10, nil, nil, ""},
			{15, nil, nil, "end " + key + " high"},
		},
		"what cannot be seen any more is not over": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungSound)), ""},
			{1, findings(podFinding("a", high)), verdicts(inCluster("a/b", bailey.RungGap)), "raise " + key + " high"},
			{2, nil, verdicts(unseenPods), ""},
			{30, nil, verdicts(unseenPods), ""},
			{31, nil, verdicts(inCluster("a/b", bailey.RungSound)), ""},
			{36, nil, verdicts(inCluster("a/b", bailey.RungSound)), "end " + key + " high"},
		},
		"what is seen again is not new": {
			{0, findings(podFinding("a", high)), verdicts(inCluster("a/b", bailey.RungGap)), ""},
			{1, nil, verdicts(unseenPods), ""},
			{2, nil, verdicts(unseenPods), ""},
			{3, findings(podFinding("a", high)), verdicts(inCluster("a/b", bailey.RungGap)), ""},
			{4, findings(podFinding("a", high), podFinding("b", high)), verdicts(inCluster("a/b", bailey.RungGap)), "raise " + key + " high"},
		},
		"a fall to a gap is told at once, and one that findings tell is not told twice": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungSound)), ""},
			{1, findings(podFinding("a", high), podFinding("l", low)), verdicts(inCluster("a/b", bailey.RungGap), inCluster("d/e", bailey.RungGap)), "raise " + key + " high; raise rung/d/e/ medium"},
			{2, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungSound)), ""},
			{7, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungSound)), "end " + key + " high; end rung/d/e/ medium"},
		},
		"a fall to unknown must last, and the way back up has steps": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungGuarded)), ""},
			{1, nil, verdicts(inCluster("a/b", bailey.RungUnknown)), ""},
			{9, nil, verdicts(inCluster("a/b", bailey.RungGuarded)), ""},
			{20, nil, verdicts(inCluster("a/b", bailey.RungUnknown)), ""},
			{30, nil, verdicts(inCluster("a/b", bailey.RungUnknown)), "raise rung/a/b/ medium"},
			{31, nil, verdicts(inCluster("a/b", bailey.RungSound)), "revise rung/a/b/ medium"},
			{60, nil, verdicts(inCluster("a/b", bailey.RungSound)), ""},
			{61, nil, verdicts(inCluster("a/b", bailey.RungGuarded)), ""},
			{66, nil, verdicts(inCluster("a/b", bailey.RungGuarded)), "end rung/a/b/ medium"},
		},
		"a broken experiment is one alert, also where the control stood on a gap": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungGap)), ""},
			{1, nil, verdicts(broken(inCluster("a/b", bailey.RungGap)), broken(inCluster("d/e", bailey.RungGap))), "raise rung/a/b/ high; raise rung/d/e/ high"},
			{2, nil, verdicts(broken(inCluster("a/b", bailey.RungGap)), broken(inCluster("d/e", bailey.RungGap))), ""},
			{3, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungGap)), ""},
			{8, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungGap)), "end rung/a/b/ high; end rung/d/e/ high"},
		},
		"a gap that is waived is no alert, and ends one": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungSound), inCluster("d/e", bailey.RungSound)), ""},
			{1, nil, verdicts(waived(inCluster("a/b", bailey.RungGap), time.Unix(9, 0)), inCluster("d/e", bailey.RungGap)), "raise rung/d/e/ medium"},
			{2, nil, verdicts(inCluster("a/b", bailey.RungSound), waived(inCluster("d/e", bailey.RungGap), time.Unix(9, 0))), ""},
			{7, nil, verdicts(inCluster("a/b", bailey.RungSound), waived(inCluster("d/e", bailey.RungGap), time.Unix(9, 0))), "end rung/d/e/ medium"},
		},
		"a namespace is told, and not the cluster that fell with it": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungSound), inSpace("a/b", "shop", bailey.RungSound)), ""},
			{1, nil, verdicts(inCluster("a/b", bailey.RungGap), inSpace("a/b", "shop", bailey.RungGap)), "raise rung/a/b/shop medium"},
			{2, nil, verdicts(inCluster("a/b", bailey.RungSound)), ""}, // it was deleted
			{7, nil, verdicts(inCluster("a/b", bailey.RungSound)), "end rung/a/b/shop medium"},
		},
		"many namespaces are one alert": {
			{0, nil, spaces(bailey.RungSound, 5), ""},
			{1, nil, spaces(bailey.RungGap, 5), "raise rung/a/b/ medium"},
			{2, nil, spaces(bailey.RungSound, 5), ""},
			{7, nil, spaces(bailey.RungSound, 5), "end rung/a/b/ medium"},
		},
		"proofs that ran out are one alert, after two hours": {
			{0, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungProven)), ""},
			{1, nil, verdicts(inCluster("a/b", bailey.RungGuarded), inCluster("d/e", bailey.RungSound)), ""},
			{60, nil, verdicts(inCluster("a/b", bailey.RungGuarded), inCluster("d/e", bailey.RungSound)), ""},
			{121, nil, verdicts(inCluster("a/b", bailey.RungGuarded), inCluster("d/e", bailey.RungSound)), "raise staleness/proofs low"},
			{122, nil, verdicts(inCluster("a/b", bailey.RungGuarded), inCluster("d/e", bailey.RungSound)), ""},
			{123, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungSound)), "revise staleness/proofs low"},
			{124, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungProven)), ""},
			{129, nil, verdicts(inCluster("a/b", bailey.RungProven), inCluster("d/e", bailey.RungProven)), "end staleness/proofs low"},
		},
		"a control that is new did not fall": {
			{},
			{1, nil, verdicts(inCluster("a/b", bailey.RungGap)), ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAlarms()
			begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for _, r := range story {
				changes := a.take(&bailey.Report{Findings: r.findings, Verdicts: r.verdicts, Controls: alarmControls}, begin.Add(time.Duration(r.minute)*time.Minute))
				if got := toldOf(changes); got != r.want {
					t.Errorf("minute %d: %q, want %q", r.minute, got, r.want)
				}
				for _, c := range changes {
					if home := homeOf(c.alert.Object); home != "" && strings.Contains(c.alert.Text+c.alert.Title, "elsewhere") {
						t.Errorf("minute %d: what belongs to %s names another: %s", r.minute, home, c.alert.Text)
					}
				}
			}
		})
	}
}

func spaces(rung bailey.Rung, n int) []bailey.Verdict {
	all := []bailey.Verdict{inCluster("a/b", rung)}
	for i := range n {
		all = append(all, inSpace("a/b", fmt.Sprint("ns", i), rung))
	}
	return all
}

// TestAlertTexts: an alert names what it is about, the first few of many, and in a namespace
// nothing of another.
func TestAlertTexts(t *testing.T) {
	a := newAlarms()
	at := time.Unix(1e9, 0)
	a.take(&bailey.Report{Controls: alarmControls, Verdicts: []bailey.Verdict{inSpace("a/b", "shop", bailey.RungProven), inCluster("d/e", bailey.RungProven)}}, at)
	r := &bailey.Report{Controls: alarmControls, Verdicts: []bailey.Verdict{broken(inSpace("a/b", "shop", bailey.RungGap)), broken(inCluster("d/e", bailey.RungGap))}}
	for i := range 1000 {
		r.Findings = append(r.Findings, podFinding(fmt.Sprintf("p%03d", i), bailey.SeverityHigh))
	}
	texts := map[string]store.Alert{}
	for _, c := range a.take(r, at) {
		texts[c.alert.Key] = c.alert
	}
	for key, want := range map[string][2]string{
		"finding/a/b/c/shop": {"Something is wrong in shop", "More than 500 new findings of a/b/c: Pod shop/p000, Pod shop/p001, Pod shop/p002, Pod shop/p003, Pod shop/p004 and 495 more."},
		"rung/a/b/shop":      {"a/b fell to gap in shop", "It stood on proven. Broken: exec."},
		"rung/d/e/":          {"d/e fell to gap in the cluster", "It stood on proven. Broken: exec: pod elsewhere/secret: it was let in."},
	} {
		if got := texts[key]; got.Title != want[0] || got.Text != want[1] {
			t.Errorf("%s: %q: %q, want %q: %q", key, got.Title, got.Text, want[0], want[1])
		}
	}
	if o := texts["finding/a/b/c/shop"].Object; o != (bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}) {
		t.Errorf("the alert belongs to %s", o)
	}
}
