package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// ids lists the rules' names in order.
func ids(groups []*group) string {
	var names []string
	for _, g := range groups {
		names = append(names, g.id[strings.LastIndexByte(g.id, '/')+1:])
	}
	return strings.Join(names, " ")
}

func TestFixFirst(t *testing.T) {
	rule := func(name string, fix bool) *bailey.Rule {
		r := &bailey.Rule{Name: name, Title: name}
		if fix {
			r.Fix = func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change { return nil }
		}
		return r
	}
	c := &bailey.Control{ID: "a/b", Rules: []*bailey.Rule{
		rule("low-many", true), rule("high-hand", false), rule("high-fix", true), rule("high-wide", false), rule("high-spread", true), rule("waived", true), rule("critical", false),
	}}
	r := &bailey.Report{Controls: []*bailey.Control{c}}
	add := func(name string, s bailey.Severity, n int, edit func(i int, f *bailey.Finding)) {
		for i := range n {
			f := found("a/b/"+name, s, deployment("x", fmt.Sprintf("%s-%d", name, i)), "", "m")
			if edit != nil {
				edit(i, &f)
			}
			r.Findings = append(r.Findings, f)
		}
	}
	add("low-many", bailey.SeverityLow, 50, func(_ int, f *bailey.Finding) { f.Cause = deployment("x", "one") })
	add("high-hand", bailey.SeverityHigh, 2, nil)
	add("high-fix", bailey.SeverityHigh, 2, nil)
	add("high-spread", bailey.SeverityHigh, 9, nil) // nine changes for nine objects
	add("high-wide", bailey.SeverityHigh, 3, func(_ int, f *bailey.Finding) { f.Cause = deployment("x", "one") })
	add("waived", bailey.SeverityCritical, 9, func(_ int, f *bailey.Finding) { f.Waiver = &bailey.Waiver{} })
	add("critical", bailey.SeverityCritical, 1, nil)
	groups := groupFindings(r)
	// By severity; then the three objects of one change; then the mechanical
	// ones, more objects first; accepted ones never.
	if got, want := ids(fixFirst(groups, 10)), "critical high-wide high-spread high-fix high-hand low-many"; got != want {
		t.Errorf("fix first: %s, want %s", got, want)
	}
	if got := ids(fixFirst(groups, 2)); got != "critical high-wide" {
		t.Errorf("the first two: %s", got)
	}
	// The findings are ordered by severity and number; accepted ones last.
	if got, want := ids(groups), "critical high-spread high-wide high-fix high-hand low-many waived"; got != want {
		t.Errorf("groups: %s, want %s", got, want)
	}
}

func TestGroupCounts(t *testing.T) {
	r := clusterReport()
	groups := groupFindings(r)
	g := groups[0]
	if g.open != 1 || g.waived != 1 || g.objects != 41 || len(g.causes) != 2 || len(g.openCauses()) != 1 {
		t.Errorf("privileged: %+v", g)
	}
	if c := g.causes[0]; c.pods != 40 || c.label() != "Deployment ci/runner (40 pods)" {
		t.Errorf("its first cause: %+v", c)
	}
	total := 0
	for _, g := range groups {
		n := 0
		for _, c := range g.causes {
			n += len(c.findings)
		}
		if n != g.open+g.waived+g.baseline {
			t.Errorf("%s: %d findings, counted %d+%d+%d", g.id, n, g.open, g.waived, g.baseline)
		}
		total += n
	}
	if total != len(r.Findings) {
		t.Errorf("%d findings in groups, %d in the report", total, len(r.Findings))
	}
	// Pods that have no finding of their own but an owner are one place.
	pods := &bailey.Report{}
	for i := range 40 {
		f := found("a/b/c", bailey.SeverityHigh, bailey.Ref{Kind: bailey.KindPod, Namespace: "x", Name: fmt.Sprint(i)}, "", "m")
		f.Cause = deployment("x", "web")
		pods.Findings = append(pods.Findings, f)
	}
	if g := groupFindings(pods)[0]; len(g.causes) != 1 || g.causes[0].label() != "Deployment x/web (40 pods)" || g.title != "C" {
		t.Errorf("40 pods of one Deployment: %+v", g)
	}
}

func TestLadder(t *testing.T) {
	c := &bailey.Control{ID: "a/b", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{{}}}
	at1, at2 := at, at.AddDate(0, 1, 0)
	workload := func(name string, rung bailey.Rung, waived bool) bailey.Verdict {
		v := bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: deployment("x", name)}, Rung: rung}
		if waived {
			v.WaivedUntil = at2
		}
		return v
	}
	cluster := func(rung bailey.Rung, seen, needed int) bailey.Verdict {
		return bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: rung, Coverage: bailey.Coverage{Seen: seen, Needed: needed}}
	}
	waivedCluster := cluster(bailey.RungGap, 9, 9)
	waivedCluster.WaivedUntil = at1
	for _, tc := range []struct {
		name     string
		verdicts []bailey.Verdict
		want     string
	}{
		{"none", nil, "unknown, not judged"},
		{"sound", []bailey.Verdict{cluster(bailey.RungSound, 9, 9), workload("a", bailey.RungSound, false), workload("b", bailey.RungProven, false)}, "sound, 1 of 2 workloads"},
		{"list not seen", []bailey.Verdict{cluster(bailey.RungUnknown, 8, 9), workload("a", bailey.RungSound, false)}, "unknown, 1 workload seen, not all"},
		{"gap beats unknown", []bailey.Verdict{cluster(bailey.RungGap, 8, 9), workload("a", bailey.RungUnknown, false), workload("b", bailey.RungGap, false)}, "gap, 1 of 2 workloads"},
		{"all waived", []bailey.Verdict{waivedCluster, workload("a", bailey.RungGap, true)}, "gap, waived until 2026-11-23, 1 workload"},
		{"one waived", []bailey.Verdict{cluster(bailey.RungGap, 9, 9), workload("a", bailey.RungGap, true), workload("b", bailey.RungGap, false)}, "gap, 2 workloads"},
		{"empty cluster", []bailey.Verdict{cluster(bailey.RungSound, 9, 9)}, "sound, no workload to judge"},
	} {
		lines, unchecked := ladder(&bailey.Report{Controls: []*bailey.Control{c}, Verdicts: tc.verdicts})
		if len(lines) != 1 || len(unchecked) != 0 {
			t.Fatalf("%s: %d lines, %d unchecked", tc.name, len(lines), len(unchecked))
		}
		if got := lines[0].word() + ", " + lines[0].spread(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestNotSeen(t *testing.T) {
	hint := "grant it"
	var missing []bailey.Missing
	for i := range 9 {
		missing = append(missing, bailey.Missing{Kind: bailey.KindConfigMap, Namespace: fmt.Sprint("ns-", i), Reason: bailey.ReasonForbidden, Hint: hint})
	}
	missing = append(missing, missing[0], // twice, by two controls
		bailey.Missing{Kind: bailey.KindRole, Reason: bailey.ReasonForbidden, Hint: hint},
		bailey.Missing{Kind: bailey.KindRole, Namespace: "x", Reason: bailey.ReasonForbidden, Hint: hint},
		bailey.Missing{Kind: bailey.KindPod, Namespace: "x", Name: "p", Reason: bailey.ReasonUnreadable},
		bailey.Missing{Kind: bailey.KindPod, Reason: bailey.ReasonNoRule})
	got := notSeen(&bailey.Report{Coverage: bailey.Coverage{Missing: missing[:3]}, Verdicts: []bailey.Verdict{{Coverage: bailey.Coverage{Missing: missing}}}})
	var text []string
	for _, u := range got {
		text = append(text, u.label()+": "+strings.Join(u.what, ", ")+"; "+u.hint)
	}
	want := "unreadable: Pod x/p; \nforbidden: ConfigMap in 9 namespaces, Role; grant it"
	if strings.Join(text, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(text, "\n"), want)
	}
}

// TestMixedSeverity: within a rule the worst come first, and what is milder
// than its rule says so.
func TestMixedSeverity(t *testing.T) {
	mild := found("compute/pod-security/privileged", bailey.SeverityMedium, deployment("a", "mild"), "", "only a little")
	bad := found("compute/pod-security/privileged", bailey.SeverityHigh, deployment("b", "bad"), "", "very much")
	r := &bailey.Report{Facts: 2, Controls: catalogue(), Findings: []bailey.Finding{bad, mild}}
	text := render(t, "text", r, Options{})
	if !strings.Contains(text, "    Deployment b/bad   very much\n    Deployment a/mild  only a little (medium)\n") || !strings.Contains(text, "high  Container is privileged · 2 findings") {
		t.Errorf("text:\n%s", text)
	}
	if !strings.Contains(render(t, "html", r, Options{}), `<span class="chip medium">medium</span> only a little`) {
		t.Error("the page does not say that one is milder")
	}
}

// TestRepeats: two controls may want the same field put right; a person is
// told once, and by both names.
func TestRepeats(t *testing.T) {
	web, job := bailey.Ref{Kind: bailey.KindPod, Name: "web"}, bailey.Ref{Kind: bailey.KindPod, Name: "job"}
	finding := func(control, rule string, ref bailey.Ref, field string, s bailey.Severity) bailey.Finding {
		return bailey.Finding{Control: control, Rule: control + "/" + rule, Object: ref, Field: field, Severity: s}
	}
	groups := groupFindings(&bailey.Report{Findings: []bailey.Finding{
		finding("a/one", "privileged", web, "spec.x", bailey.SeverityHigh),
		finding("a/one", "privileged", job, "spec.x", bailey.SeverityHigh),
		finding("b/two", "unconfined", web, "spec.x", bailey.SeverityMedium), // repeats
		finding("a/one", "other", web, "spec.x", bailey.SeverityMedium),      // of the same control: something else
		finding("c/three", "more", web, "spec.x", bailey.SeverityLow),        // repeats in part
		finding("c/three", "more", web, "spec.y", bailey.SeverityLow),        //
		finding("d/four", "whole-object", web, "", bailey.SeverityLow),       // names no field
		finding("e/five", "whole-object-too", web, "", bailey.SeverityLow),   // so this is no repeat of it
	}})
	var shown []string
	for _, g := range distinct(groups) {
		shown = append(shown, g.ids())
	}
	want := "a/one/privileged, b/two/unconfined; a/one/other; c/three/more; d/four/whole-object; e/five/whole-object-too"
	if got := strings.Join(shown, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(fixFirst(groups, 10)) != 5 {
		t.Error("what to fix first repeats itself")
	}
}
