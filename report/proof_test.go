package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// tried is evidence of a number of tries on each of some paths.
func tried(control, experiment, ns string, before time.Duration, held, broken int, paths ...string) bailey.Evidence {
	sum := sha256.Sum256([]byte(control + experiment + ns + before.String()))
	e := bailey.Evidence{ID: hex.EncodeToString(sum[:]), Run: "run-" + ns, Control: control, Experiment: experiment, Danger: bailey.DangerDryRun,
		Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: namespace(ns)}, At: at.Add(-before), Conditions: "c0ffee", Signer: "ed25519:5f3a"}
	if ns == "" {
		e.Scope = bailey.Scope{Kind: bailey.ScopeCluster}
	}
	for _, p := range paths {
		t := bailey.Tally{Path: p, Tried: held + broken, Held: held, Broken: broken}
		if broken > 0 {
			t.Why = []string{"host namespaces: created"}
		}
		e.Paths = append(e.Paths, t)
	}
	return e
}

// provenReport is a cluster where one control is proven, another one was tried
// too little in one namespace and was broken in another.
func provenReport() *bailey.Report {
	r := emptyReport()
	podSecurity, policy := *r.Controls[0], *r.Controls[2]
	podSecurity.Experiments = []*bailey.Experiment{{Name: "refused", Title: "Pods that violate the level are refused", Hypothesis: "They are.", Danger: bailey.DangerDryRun, Technique: "T1610", Window: 7 * 24 * time.Hour}}
	policy.Experiments = []*bailey.Experiment{{Name: "unreachable", Title: "What no policy allows is not reached", Hypothesis: "It is not.", Danger: bailey.DangerIsolated, Window: 24 * time.Hour}}
	r.Controls[0], r.Controls[2] = &podSecurity, &policy
	r.Evidence = []bailey.Evidence{
		tried(podSecurity.ID, "refused", "ci", 3*time.Hour, 16, 0, "create", "ephemeral containers"),
		tried(podSecurity.ID, "refused", "db", 4*time.Hour, 18, 0, "create", "ephemeral containers"),
		tried(podSecurity.ID, "refused", "shop", 5*time.Hour, 16, 0, "create", "ephemeral containers"),
		tried(policy.ID, "unreachable", "ci", 20*time.Minute, 4, 1, "TCP", "UDP"),
		tried(policy.ID, "unreachable", "shop", 20*time.Minute, 3, 0, "TCP"),
	}
	r.Evidence[4].Interrupted = true
	r.Evidence[4].Paths = append(r.Evidence[4].Paths, bailey.Tally{Path: "UDP", Tried: 1, Inconclusive: 1, Why: []string{"the twin timed out"}})
	proof := map[string]map[string]*bailey.Proof{
		podSecurity.ID: {
			"ci":   {Held: 32, Tried: 32, Least: 16, At: at.Add(-3 * time.Hour), Experiments: 1, Needed: 1},
			"db":   {Held: 36, Tried: 36, Least: 18, At: at.Add(-4 * time.Hour), Experiments: 1, Needed: 1},
			"shop": {Held: 32, Tried: 32, Least: 16, At: at.Add(-5 * time.Hour), Experiments: 1, Needed: 1},
		},
		policy.ID: {
			"ci":   {At: at.Add(-20 * time.Minute), Needed: 1, Broken: []string{"unreachable: TCP: host namespaces: created", "unreachable: UDP: host namespaces: created"}},
			"shop": {Held: 3, Tried: 3, At: at.Add(-20 * time.Minute), Needed: 1},
		},
	}
	var verdicts []bailey.Verdict
	for _, v := range r.Verdicts {
		ns := v.Scope.Object.Namespace
		if v.Scope.Kind == bailey.ScopeNamespace {
			ns = v.Scope.Object.Name
		}
		v.Proof = proof[v.Control][ns]
		switch {
		case v.Control == podSecurity.ID:
			v.Rung, v.Next = bailey.RungProven, "its proof must be renewed before its window ends"
		case v.Control == policy.ID && (ns == "ci" || ns == ""):
			v.Rung, v.Next = bailey.RungGap, "an experiment was broken"
		}
		verdicts = append(verdicts, v)
		if v.Control == podSecurity.ID && v.Scope.Kind == bailey.ScopeCluster {
			for _, name := range []string{"ci", "db", "shop"} {
				verdicts = append(verdicts, bailey.Verdict{Control: v.Control, Rung: bailey.RungProven, Proof: proof[v.Control][name],
					Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: namespace(name)}, Coverage: bailey.Coverage{Seen: 2, Needed: 2}, Next: v.Next})
			}
		}
	}
	r.Verdicts = verdicts
	return r
}

// TestProofIsShown: every format says what was tried and what was broken, and
// none of them calls a report with a broken experiment clean.
func TestProofIsShown(t *testing.T) {
	r := provenReport()
	const held = "100/100 tries held, least path 16 (a failure rate above 17 % would have been seen, 95 %), 3 h ago"
	const broken = "unreachable: TCP: host namespaces: created"
	for format, texts := range map[string][]string{
		"text":     {held, "namespace ci: " + broken, "1 broken experiment; 0 findings", "Fails: 1 broken experiment."},
		"markdown": {strings.NewReplacer("(", `\(`, ")", `\)`).Replace(held), "namespace ci: " + broken, "### ❌", "1 broken experiment; 0 findings"},
		"html":     {held, "namespace ci: " + broken, "1 broken experiment, 0 findings", "Fails: 1 broken experiment."},
		"junit":    {"32/32 tries held, least path 16", `<failure type="broken" message="broken: ` + broken, "not every path yet, 0 of 1 experiment often enough"},
		"sarif":    {"proven: " + held, "namespace ci: " + broken},
		"github":   {"::error title=broken%3A network/policy::namespace ci: " + broken},
	} {
		text := render(t, format, r, Options{Width: 300, FailOn: bailey.SeverityHigh})
		for _, want := range texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", format, want, text)
			}
		}
	}
	if n := Broken(r); n != 1 {
		t.Errorf("%d broken experiments, want the one of both paths", n)
	}
}

// TestUnclaimedInJSON: what nobody claims comes back as it was.
func TestUnclaimedInJSON(t *testing.T) {
	r := provenReport()
	r.Evidence[1].Unclaimed = []string{"privileged (create pods)"}
	read, err := ReadJSON(strings.NewReader(render(t, "json", r, Options{})))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read.Evidence[1].Unclaimed, r.Evidence[1].Unclaimed) || read.Evidence[0].Unclaimed != nil {
		t.Errorf("%q and %q", read.Evidence[1].Unclaimed, read.Evidence[0].Unclaimed)
	}
	if text := render(t, "oscal", r, Options{}); !strings.Contains(text, "privileged (create pods): not claimed") {
		t.Error("OSCAL does not say what was not claimed")
	}
}

func TestProofInJSON(t *testing.T) {
	var doc struct {
		Verdicts []struct {
			Control string
			Scope   struct{ Kind, Name string }
			Proof   *struct {
				Held, Tried, Least int
				FailureBound       float64
				Broken             []string
			}
		}
		Evidence []struct {
			ID, Run, Experiment, Danger, Signer string
			Interrupted                         bool
			Paths                               []struct {
				Path                              string
				Tried, Held, Broken, Inconclusive int
				Why                               []string
			}
		}
	}
	if err := json.Unmarshal([]byte(render(t, "json", provenReport(), Options{})), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Evidence) != 5 || doc.Evidence[0].Signer != "ed25519:5f3a" || !doc.Evidence[4].Interrupted || doc.Evidence[3].Paths[1].Broken != 1 {
		t.Errorf("evidence %+v", doc.Evidence)
	}
	bounds := map[string]float64{}
	for _, v := range doc.Verdicts {
		if v.Proof != nil && v.Scope.Kind == "namespace" {
			bounds[v.Control+" "+v.Scope.Name] = v.Proof.FailureBound
			if v.Proof.Broken == nil {
				t.Errorf("%s %s: no list of what was broken", v.Control, v.Scope.Name)
			}
		}
	}
	for scope, want := range map[string]float64{"compute/pod-security ci": 0.1707, "compute/pod-security db": 0.1533, "network/policy ci": 1, "network/policy shop": 1} {
		if bounds[scope] != want {
			t.Errorf("%s: failure bound %v, want %v", scope, bounds[scope], want)
		}
	}
	if text := render(t, "json", clusterReport(), Options{}); strings.Contains(text, `"proof"`) || strings.Contains(text, `"evidence"`) {
		t.Error("a report without evidence speaks of it")
	}
}

// TestProofSums: evidence for the cluster counts once, although the proof of
// every namespace holds it.
func TestProofSums(t *testing.T) {
	try := &bailey.Experiment{Name: "try", Danger: bailey.DangerDryRun, Window: 24 * time.Hour}
	rule := &bailey.Rule{Name: "r", On: []bailey.Kind{bailey.KindPod}, Check: func(*bailey.View, *bailey.Fact) []bailey.Finding { return nil }}
	control := &bailey.Control{ID: "test/tried", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{rule}, Experiments: []*bailey.Experiment{try}}
	b := bailey.NewBuilder(bailey.Meta{At: at, Medium: "cluster"})
	b.Saw(bailey.KindPod, "")
	for _, ns := range []string{"a", "b", "c"} {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: ns, Name: "web"}, APIVersion: "v1"})
	}
	evidence := []bailey.Evidence{
		tried(control.ID, "try", "", 2*time.Hour, 20, 0, "x"),
		tried(control.ID, "try", "a", time.Hour, 16, 0, "x", "y"),
		tried(control.ID, "try", "b", 2*time.Hour, 16, 0, "x"),
	}
	s := b.Snapshot()
	r, err := check.Judge(t.Context(), s, []*bailey.Control{control}, check.Options{Evidence: evidence})
	if err != nil {
		t.Fatal(err)
	}
	text := render(t, "text", r, Options{Width: 200})
	if want := "68/68 tries held, least path 16 (a failure rate above 17 % would have been seen, 95 %), 1 h ago"; !strings.Contains(text, "✦ proven") || !strings.Contains(text, want) {
		t.Errorf("want %q:\n%s", want, text)
	}
	// Broken for the cluster, it is named once and not for every namespace again.
	evidence = append(evidence, tried(control.ID, "try", "", time.Hour, 0, 1, "x"))
	if r, err = check.Judge(t.Context(), s, []*bailey.Control{control}, check.Options{Evidence: evidence}); err != nil {
		t.Fatal(err)
	}
	if text = render(t, "text", r, Options{Width: 200}); strings.Count(text, "✗ test/tried") != 1 || !strings.Contains(text, "✗ test/tried try: x: host namespaces: created\n") {
		t.Errorf("what was broken for the cluster:\n%s", text)
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 30 * time.Second: "just now", 5 * time.Minute: "5 min ago",
		3*time.Hour + 59*time.Minute: "3 h ago", 47 * time.Hour: "47 h ago", 50 * time.Hour: "2 days ago",
	} {
		if got := ago(at, at.Add(-d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{1: "95 %", 5: "45 %", 16: "17 %", 59: "5 %", 600: "0.5 %"} {
		if got := percent(bailey.FailureBound(n)); got != want {
			t.Errorf("%d tries: %q, want %q", n, got, want)
		}
	}
}
