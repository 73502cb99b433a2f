package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

func renderReview(t *testing.T, format string, r *bailey.ChangeReview, o Options) string {
	t.Helper()
	f, err := LookupReview(format)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := f.Render(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// stateOf is a report of these findings, which saw everything.
func stateOf(findings ...bailey.Finding) *bailey.Report {
	r := &bailey.Report{Meta: bailey.Meta{At: at, Medium: "files"}, Controls: catalogue(), Facts: 3, Findings: findings, Coverage: bailey.Coverage{Seen: 4, Needed: 4}}
	for _, c := range r.Controls {
		v := bailey.Verdict{Control: c.ID, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.RungSound}
		for i := range findings {
			if findings[i].Control == c.ID {
				v.Rung = bailey.RungGap
			}
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}

const privileged, mounted = "compute/pod-security/privileged", "access/service-accounts/token-mounted"

// TestReview: what is new, worse, moved, fixed and unseen is told apart by the identity
// of findings, and only what is new or worse and not accepted counts.
func TestReview(t *testing.T) {
	of := func(rule string, s bailey.Severity, name string) bailey.Finding {
		return found(rule, s, deployment("shop", name), "spec.x", "wrong")
	}
	waived := of(privileged, bailey.SeverityCritical, "waived")
	waived.Waiver = &bailey.Waiver{Rule: privileged, Owner: "o", Reason: "r", Expires: at.Add(time.Hour)}
	lost := waived
	lost.Waiver = nil
	milder, graver := of(mounted, bailey.SeverityLow, "graver"), of(mounted, bailey.SeverityHigh, "graver")
	old := stateOf(of(privileged, bailey.SeverityCritical, "stays"), of(privileged, bailey.SeverityCritical, "fixed"), of(privileged, bailey.SeverityCritical, "from"), waived, milder)
	acceptedNew := of(mounted, bailey.SeverityHigh, "accepted")
	acceptedNew.Baseline = true
	new := stateOf(of(privileged, bailey.SeverityCritical, "stays"), of(privileged, bailey.SeverityCritical, "to"), lost, graver, of(mounted, bailey.SeverityHigh, "added"), acceptedNew)
	r := Review(old, new, map[bailey.Ref]bailey.Ref{deployment("shop", "from"): deployment("shop", "to")})
	names := func(findings []bailey.Finding) (all []string) {
		for _, f := range findings {
			all = append(all, f.Object.Name)
		}
		return all
	}
	if got := strings.Join(names(r.Added), " "); got != "added accepted" {
		t.Errorf("new: %s", got)
	}
	if got := strings.Join(names(r.Fixed), " "); got != "fixed" {
		t.Errorf("fixed: %s", got)
	}
	if len(r.Moved) != 1 || r.Moved[0].From.Name != "from" || r.Moved[0].Finding.Object.Name != "to" {
		t.Errorf("moved: %+v", r.Moved)
	}
	why := map[string]string{}
	for _, w := range r.Worse {
		why[w.Finding.Object.Name] = w.Why
	}
	if len(why) != 2 || why["graver"] != "it was low" || !strings.Contains(why["waived"], "no longer") {
		t.Errorf("worse: %v", why)
	}
	if r.Unchanged != 1 {
		t.Errorf("%d are unchanged", r.Unchanged)
	}
	for severity, want := range map[bailey.Severity]int{bailey.SeverityHigh: 3, bailey.SeverityCritical: 1, bailey.SeverityNone: 0} {
		if got := ReviewFailing(r, severity); got != want {
			t.Errorf("at %s %d count, want %d", severity, got, want)
		}
	}
	// Without the move they are two.
	if apart := Review(old, new, nil); len(apart.Moved) != 0 || len(apart.Added) != 3 || len(apart.Fixed) != 2 {
		t.Errorf("%+v", apart)
	}
	// A waiver that the new name is not under: it counts.
	old.Findings[2].Waiver = waived.Waiver
	if moved := Review(old, new, map[bailey.Ref]bailey.Ref{deployment("shop", "from"): deployment("shop", "to")}); len(moved.Moved) != 0 || len(moved.Worse) != 3 {
		t.Errorf("moved out of its waiver: %+v", moved.Worse)
	}
	if same := Review(new, new, nil); !changesNothing(same) || strings.Count(renderReview(t, "text", same, Options{}), "\n") != 1 || strings.Count(renderReview(t, "markdown", same, Options{}), "\n") != 1 {
		t.Error("nothing has changed, and more than a line is said")
	}
}

// TestReviewRungs: of a control the smallest scopes are told, the farthest down first.
func TestReviewRungs(t *testing.T) {
	scope := func(name string) bailey.Scope {
		return bailey.Scope{Kind: bailey.ScopeWorkload, Object: deployment("shop", name)}
	}
	verdicts := func(cluster, a, b bailey.Rung) *bailey.Report {
		return &bailey.Report{Verdicts: []bailey.Verdict{{Control: "c/x", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: cluster},
			{Control: "c/x", Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: namespace("shop")}, Rung: cluster}, {Control: "c/x", Scope: scope("a"), Rung: a}, {Control: "c/x", Scope: scope("b"), Rung: b}}}
	}
	got := Review(verdicts(bailey.RungSound, bailey.RungUnknown, bailey.RungGuarded), verdicts(bailey.RungGap, bailey.RungSound, bailey.RungGap), nil).Rungs
	if len(got) != 2 || got[0].Scope != scope("b") || got[0].To != bailey.RungGap || got[1].Scope != scope("a") {
		t.Errorf("%+v", got)
	}
	got = Review(verdicts(bailey.RungSound, bailey.RungSound, bailey.RungSound), verdicts(bailey.RungUnknown, bailey.RungSound, bailey.RungSound), nil).Rungs
	if len(got) != 1 || got[0].Scope.Kind != bailey.ScopeNamespace {
		t.Errorf("%+v", got)
	}
}

// changed is a review with something of everything, with texts of strangers.
func changed() *bailey.ChangeReview {
	bad := found(privileged, bailey.SeverityCritical, deployment("shop", "web|@team"), "spec.x", "wrong `code` <b>|\x1b[31m")
	bad.Source = bailey.Source{File: "deploy/a b.yaml", Line: 3, Column: 5}
	graver := found(mounted, bailey.SeverityHigh, deployment("shop", "graver"), "spec.x", "wrong")
	milder := graver
	milder.Severity = bailey.SeverityLow
	r := Review(stateOf(milder, found(mounted, bailey.SeverityHigh, deployment("shop", "fixed"), "spec.x", "wrong")), stateOf(bad, graver), nil)
	r.Base, r.Head = "main (0123456789)", "the working tree"
	r.Effects = []bailey.Effect{
		{Class: bailey.EffectGrant, Gain: bailey.SeverityCritical, Added: true, Object: bailey.Ref{Kind: "Group", Name: "system:masters|\x07"}, Text: "may * *.* everywhere", Source: bailey.Source{File: "deploy/rbac.yaml", Line: 1}},
		{Class: bailey.EffectPrivilege, Gain: bailey.SeverityCritical, Added: true, Object: deployment("shop", "web"), Text: "container web: privileged"},
		{Class: bailey.EffectProtection, Gain: bailey.SeverityHigh, Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Namespace: "shop", Name: "deny"}, Text: "no longer isolates the ingress of all pods"},
		{Class: bailey.EffectExposure, Gain: bailey.SeverityHigh, Object: bailey.Ref{Kind: bailey.KindService, Namespace: "shop", Name: "web"}, Text: "port 80/TCP is reached"},
		{Class: bailey.EffectImage, Gain: bailey.SeverityInfo, Added: true, Object: deployment("shop", "web"), Text: "container web: runs b, and ran a"},
	}
	r.Waivers = []bailey.WaiverChange{{What: "adds", Waiver: bailey.Waiver{Rule: privileged, Namespace: "shop", Owner: "dev @all", Reason: "because", Expires: at}}}
	r.Notes = []string{"deploy/x.yaml: a symbolic link that leads out of the repository"}
	return r
}

// TestReviewFormats: each format shows all that matters, and a stranger's text as text.
func TestReviewFormats(t *testing.T) {
	r := changed()
	o := Options{FailOn: bailey.SeverityHigh}
	for _, format := range []string{"text", "markdown"} {
		got := renderReview(t, format, r, o)
		for _, want := range []string{"deploy/a b.yaml:3:5", "Container is privileged", "it was low", "no longer isolates the ingress", "container web: privileged", "may ", "does not count here", "leads out", "runs b", "4 changes at or over the threshold"} {
			if !strings.Contains(strings.ReplaceAll(strings.Join(strings.Fields(got), " "), `\`, ""), want) {
				t.Errorf("%s does not say %q:\n%s", format, want, got)
			}
		}
		if strings.ContainsAny(got, "\x1b\x07") {
			t.Errorf("%s lets a stranger steer the terminal", format)
		}
	}
	md := renderReview(t, "markdown", r, o)
	for _, wrong := range []string{"<b>|", " @all", "| @team"} {
		if strings.Contains(md, wrong) {
			t.Errorf("the comment holds %q", wrong)
		}
	}
	for _, line := range strings.Split(md, "\n") {
		if strings.HasPrefix(line, "| critical") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 4 {
			t.Errorf("a cell breaks its row: %s", line)
		}
	}
	validate(t, compileSchema(t, oasisSchema(t)), "review", renderReview(t, "sarif", r, Options{Version: "v1.2.3"}))
	log := readSARIF(t, renderReview(t, "sarif", r, o))
	rules := map[string]int{}
	for _, result := range log.Runs[0].Results {
		rules[result.RuleID]++
	}
	if len(log.Runs[0].Results) != 5 || rules["review/grant"] != 1 || rules["review/protection"] != 1 || rules["review/privilege"] != 1 || rules[privileged] != 1 || rules[mounted] != 1 {
		t.Errorf("results: %v", rules)
	}
	var doc struct {
		SchemaVersion string
		Failing       int
		Findings      []struct{ Change, ID string }
		Effects       []struct{ Weakens bool }
	}
	if err := json.Unmarshal([]byte(renderReview(t, "json", r, o)), &doc); err != nil || doc.SchemaVersion != "1" || doc.Failing != 4 || len(doc.Findings) != 3 || len(doc.Effects) != 5 {
		t.Errorf("%+v %v", doc, err)
	}
}
