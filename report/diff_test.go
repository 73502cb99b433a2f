package report

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

func TestCompare(t *testing.T) {
	gap := func(name string) bailey.Finding {
		return found("a/b/r", bailey.SeverityHigh, deployment("x", name), "", "m")
	}
	c := []*bailey.Control{{ID: "a/b", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{{Name: "r"}}}}
	report := func(missing []bailey.Missing, findings ...bailey.Finding) *bailey.Report {
		return &bailey.Report{Facts: 5, Controls: c, Findings: findings, Meta: bailey.Meta{At: at},
			Verdicts: []bailey.Verdict{{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Coverage: bailey.Coverage{Seen: 5, Needed: 5 + len(missing), Missing: missing}}}}
	}
	inFile := gap("gone")
	inFile.Source.File = "deploy/x.yaml"
	half := report(nil)
	half.Verdicts = append(half.Verdicts, bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: deployment("x", "gone")},
		Rung: bailey.RungUnknown, Coverage: bailey.Coverage{Seen: 1, Needed: 2}})
	skips := report(nil)
	skips.Meta.Targets = []bailey.Target{{Name: "deploy", Skipped: []bailey.Skip{{What: "deploy/x.yaml, document 1", Why: "broken"}}}}
	otherRules := report(nil)
	otherRules.Controls = []*bailey.Control{{ID: "a/b", Rules: []*bailey.Rule{{Name: "other"}}}}
	nothing := report(nil)
	nothing.Facts = 0
	unjudged := report(nil)
	unjudged.Verdicts = nil
	old := report(nil, gap("same"), gap("gone"))
	for _, tc := range []struct {
		name                          string
		old, new                      *bailey.Report
		added, fixed, same, seenAgain int
	}{
		{"nothing changed", old, report(nil, gap("same"), gap("gone")), 0, 0, 2, 0},
		{"one added, one fixed", old, report(nil, gap("same"), gap("new")), 1, 1, 1, 0},
		{"the kind was not seen", old, report([]bailey.Missing{{Kind: bailey.KindDeployment}}, gap("same")), 0, 0, 1, 1},
		{"its namespace was not seen", old, report([]bailey.Missing{{Kind: bailey.KindDeployment, Namespace: "x"}}, gap("same")), 0, 0, 1, 1},
		{"another namespace was not seen", old, report([]bailey.Missing{{Kind: bailey.KindDeployment, Namespace: "y"}}, gap("same")), 0, 1, 1, 0},
		{"the object was not seen", old, report([]bailey.Missing{{Kind: bailey.KindDeployment, Namespace: "x", Name: "gone"}}), 0, 1, 0, 1},
		{"another kind was not seen", old, report([]bailey.Missing{{Kind: bailey.KindRole}}), 0, 2, 0, 0},
		{"what it needs was not seen", report(nil, gap("gone")), half, 0, 0, 0, 1},
		{"its file was not read", report(nil, inFile), skips, 0, 0, 0, 1},
		{"its file was read", report(nil, inFile), report(nil), 0, 1, 0, 0},
		{"the rule is no more", old, otherRules, 0, 0, 0, 2},
		{"the control was not judged", old, unjudged, 0, 0, 0, 2},
		{"nothing was scanned", old, nothing, 0, 0, 0, 2},
	} {
		got := Compare(tc.old, tc.new)
		d := got.Diff
		if d.Added != tc.added || len(d.Fixed) != tc.fixed || d.Unchanged != tc.same || len(d.Unseen) != tc.seenAgain || len(got.Findings) != tc.added {
			t.Errorf("%s: %s, %d findings", tc.name, diffCounts(d), len(got.Findings))
		}
		if tc.new.Diff != nil || len(tc.old.Findings)+len(tc.new.Findings) == 0 {
			t.Errorf("%s: the reports were changed", tc.name)
		}
	}
}

// TestCompareSaved: a report that was saved and read is as good as one at hand.
func TestCompareSaved(t *testing.T) {
	now := diffReport()
	saved, err := ReadJSON(strings.NewReader(render(t, "json", clusterReport(), Options{})))
	if err != nil {
		t.Fatal(err)
	}
	fresh := clusterReport()
	if d := Compare(saved, fresh).Diff; d.Added != 0 || len(d.Fixed) != 0 || d.Unchanged != len(fresh.Findings) {
		t.Errorf("a report compared with itself: %s", diffCounts(d))
	}
	again, err := ReadJSON(strings.NewReader(render(t, "json", now, Options{})))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := render(t, "text", now, Options{}), render(t, "text", again, Options{}); a != b {
		t.Errorf("a saved comparison reads differently:\n%s\n%s", a, b)
	}
}

func TestOtherCluster(t *testing.T) {
	old, now := clusterReport(), clusterReport()
	old.Meta.ClusterUID = "another"
	for _, format := range []string{"text", "markdown", "html"} {
		if text := strings.Join(strings.Fields(render(t, format, Compare(old, now), Options{})), " "); !strings.Contains(text, "not of the same cluster") {
			t.Errorf("%s does not say that the clusters differ", format)
		}
	}
}
