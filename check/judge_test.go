package check_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// comparable leaves out what cannot be compared: functions and the catalogue.
var comparable = cmp.Options{
	cmpopts.IgnoreFields(bailey.Report{}, "Remedy", "Controls", "Took"),
	cmpopts.IgnoreFields(bailey.Source{}, "Locate"),
	cmpopts.EquateEmpty(),
}

// randomWorld makes n pods in a few namespaces, some owned by Deployments.
func randomWorld(n int, seed uint64) []*bailey.Fact {
	r := rand.New(rand.NewPCG(seed, 1))
	var facts []*bailey.Fact
	for i := range 5 {
		facts = append(facts, namespaceFact(fmt.Sprintf("ns%d", i), r.IntN(2) == 0))
	}
	for i := range n {
		ns := fmt.Sprintf("ns%d", r.IntN(6)) // ns5 has no object
		f := podFact(ns, fmt.Sprintf("pod%d", i), r.IntN(3) == 0)
		if r.IntN(2) == 0 {
			owner := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindDeployment, Namespace: ns, Name: fmt.Sprintf("d%d", r.IntN(4))}, Object: &pod{r.IntN(2) == 0}}
			f.Owner = owner.Ref
			facts = append(facts, owner)
		}
		facts = append(facts, f)
	}
	return facts
}

func TestResultIsTheSameWhateverTheOrder(t *testing.T) {
	facts := randomWorld(600, 7)
	unique := map[bailey.Ref]*bailey.Fact{}
	for _, f := range facts {
		unique[f.Ref] = f
	}
	facts = facts[:0]
	for _, f := range unique {
		facts = append(facts, f)
	}
	first := judge(t, snapshot(nil, facts...), world, check.Options{Workers: 1})
	if len(first.Findings) == 0 {
		t.Fatal("the world has no findings")
	}
	for seed := range uint64(5) {
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		again := judge(t, snapshot(nil, facts...), world, check.Options{Workers: 1 + int(seed)*2})
		if d := cmp.Diff(first, again, comparable); d != "" {
			t.Fatal(d)
		}
	}
}

// TestSession changes a world at random and wants the session's report to be
// what judging the whole world again gives.
// TestVariants judges what another file gives for the same object: what it has beyond the
// one that counts is found, once, where it is written, and nothing offers to change it.
func TestVariants(t *testing.T) {
	good, bad, worse := podFact("ns", "web", false), podFact("ns", "web", true), podFact("ns", "web", true)
	good.Source.File, bad.Source.File, worse.Source.File = "good.yaml", "bad.yaml", "worse.yaml"
	namespace := namespaceFact("ns", true)
	if r := judge(t, snapshot(nil, good, namespace), world, check.Options{}); len(r.Findings) != 0 {
		t.Fatalf("the good pod has findings: %v", r.Findings)
	}
	good.Variants = []*bailey.Fact{bad, worse}
	r := judge(t, snapshot(nil, good, namespace), world, check.Options{})
	alone := judge(t, snapshot(nil, bad, namespace), world, check.Options{})
	if len(r.Findings) == 0 || len(r.Findings) != len(alone.Findings) {
		t.Fatalf("found %v, and in the variant by itself %v", r.Findings, alone.Findings)
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Source.File != "bad.yaml" || r.Remedy(f) != nil {
			t.Errorf("%s is of %s, with the fix %v", f.Rule, f.Source.File, r.Remedy(f))
		}
	}
}

func TestSession(t *testing.T) {
	s := snapshot(nil, randomWorld(60, 3)...)
	n, err := check.NewSession(t.Context(), s, world, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(9, 9))
	for step := range 200 {
		ns := fmt.Sprintf("ns%d", r.IntN(6))
		switch r.IntN(4) {
		case 0:
			n.Update([]*bailey.Fact{namespaceFact(ns, r.IntN(2) == 0)}, nil)
		case 1:
			pods := n.Snapshot().List(bailey.KindPod, "")
			n.Update(nil, []bailey.Ref{pods[r.IntN(len(pods))].Ref})
		default:
			n.Update([]*bailey.Fact{podFact(ns, fmt.Sprintf("pod%d", r.IntN(90)), r.IntN(2) == 0)}, nil)
		}
		if d := cmp.Diff(judge(t, n.Snapshot(), world, check.Options{}), n.Report(), comparable); d != "" {
			t.Fatalf("after step %d: %s", step, d)
		}
	}
}

func TestSessionChecksOnlyWhatReadTheChange(t *testing.T) {
	facts := []*bailey.Fact{namespaceFact("a", true), namespaceFact("b", true), podFact("a", "p", false), podFact("a", "q", false), podFact("b", "r", false)}
	withoutCrowd := []*bailey.Control{podControl, {ID: "test/namespaces", Scope: bailey.ScopeNamespace, Rules: []*bailey.Rule{unlabelled}}}
	n, err := check.NewSession(t.Context(), snapshot(nil, facts...), withoutCrowd, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := func(refs []bailey.Ref) string {
		var all []string
		for _, ref := range refs {
			all = append(all, ref.String())
		}
		return strings.Join(all, ", ")
	}
	if got := names(n.Update([]*bailey.Fact{podFact("a", "p", true)}, nil)); got != "Pod a/p" {
		t.Errorf("a changed pod re-checks %s", got)
	}
	if got := names(n.Update([]*bailey.Fact{namespaceFact("a", false)}, nil)); got != "Namespace a, Pod a/p, Pod a/q" {
		t.Errorf("a changed namespace re-checks %s", got)
	}
	if got := n.Findings(bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: "p"}); len(got) != 2 {
		t.Errorf("the pod's findings are %v", got)
	}
}

func TestOneCauseOneFinding(t *testing.T) {
	deployment := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindDeployment, Namespace: "a", Name: "web"}, UID: "1", Object: &pod{true}}
	replicas := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindReplicaSet, Namespace: "a", Name: "web-1"}, UID: "2", Owner: deployment.Ref, OwnerUID: "1", Object: &pod{true}}
	facts := []*bailey.Fact{deployment, replicas}
	for i := range 40 {
		p := podFact("a", fmt.Sprintf("web-1-%02d", i), true)
		p.Owner, p.OwnerUID = replicas.Ref, "2"
		facts = append(facts, p)
	}
	old := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindReplicaSet, Namespace: "a", Name: "web-0"}, UID: "3", Owner: deployment.Ref, OwnerUID: "1", Object: &pod{true}, Dormant: true}
	r := judge(t, snapshot(nil, append(facts, old)...), []*bailey.Control{podControl}, check.Options{})
	if len(r.Findings) != 1 {
		t.Fatalf("%d findings for one Deployment", len(r.Findings))
	}
	if f := r.Findings[0]; f.Object != deployment.Ref || f.Cause != deployment.Ref || len(f.Related) != 41 {
		t.Errorf("%s caused by %s, related %d", f.Object, f.Cause, len(f.Related))
	}
	if v := verdict(t, r, "test/pods", workloadScope(deployment.Ref)); v.Rung != bailey.RungGap || v.Findings != 1 {
		t.Errorf("%+v", v)
	}
	if fix := r.FixOf(&r.Findings[0]); len(fix) != 1 || fix[0].Object != deployment.Ref {
		t.Errorf("the fix is %v", fix)
	}

	// An owner of the same name that is another object does not count as seen.
	deployment.UID = "other"
	r = judge(t, snapshot(nil, facts...), []*bailey.Control{podControl}, check.Options{})
	if v := verdict(t, r, "test/pods", workloadScope(replicas.Ref)); v.Rung != bailey.RungGap {
		t.Errorf("%+v", v)
	}
}

func TestWaivers(t *testing.T) {
	s := snapshot(nil, podFact("a", "web", true), podFact("b", "web", true))
	w := bailey.Waiver{Rule: "test/pods/bad-pod", Namespace: "a*", Reason: "migrating", Owner: "team-a", Expires: now.Add(time.Hour)}
	r := judge(t, s, world, check.Options{Waivers: []bailey.Waiver{w}})
	if v := verdict(t, r, "test/pods", inNamespace("a")); v.Rung != bailey.RungGap || !v.WaivedUntil.Equal(w.Expires) || !strings.Contains(v.Next, "waived until") {
		t.Errorf("waived: %+v", v)
	}
	if v := verdict(t, r, "test/pods", inNamespace("b")); !v.WaivedUntil.IsZero() {
		t.Errorf("not waived: %+v", v)
	}
	if v := verdict(t, r, "test/pods", cluster); v.Rung != bailey.RungGap || !v.WaivedUntil.IsZero() {
		t.Errorf("partly waived: %+v", v)
	}

	w.Expires = now.Add(-time.Hour)
	r = judge(t, s, world, check.Options{Waivers: []bailey.Waiver{w}})
	i := slices.IndexFunc(r.Findings, func(f bailey.Finding) bool { return f.Rule == "test/pods/waiver-expired" })
	if i < 0 {
		t.Fatalf("an expired waiver is no finding: %v", r.Findings)
	}
	for _, f := range r.Findings {
		if f.Waiver != nil {
			t.Errorf("an expired waiver still waives %s", f.Object)
		}
	}
}

func TestValidateWaiver(t *testing.T) {
	good := bailey.Waiver{Rule: "test/pods", Reason: "r", Owner: "o", Expires: now}
	if err := check.ValidateWaiver(good, world); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*bailey.Waiver){
		"names no rule":      func(w *bailey.Waiver) { w.Rule = "" },
		"gives no reason":    func(w *bailey.Waiver) { w.Reason = "" },
		"has no owner":       func(w *bailey.Waiver) { w.Owner = "" },
		"never expires":      func(w *bailey.Waiver) { w.Expires = time.Time{} },
		"neither a rule nor": func(w *bailey.Waiver) { w.Rule = "test/pods/nonsense" },
	} {
		w := good
		change(&w)
		if err := check.ValidateWaiver(w, world); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("want an error with %q and a hint, got %v", want, err)
		}
	}
}

func TestBaseline(t *testing.T) {
	old := judge(t, snapshot(nil, podFact("a", "web", true)), world, check.Options{})
	var file bytes.Buffer
	if err := check.WriteBaseline(&file, old); err != nil {
		t.Fatal(err)
	}
	b, err := check.ReadBaseline(&file)
	if err != nil {
		t.Fatal(err)
	}
	r := judge(t, snapshot(nil, podFact("a", "web", true), podFact("a", "new", true)), world, check.Options{Baseline: b})
	for _, f := range r.Findings {
		if f.Rule == "test/pods/bad-pod" && f.Baseline != (f.Object.Name == "web") {
			t.Errorf("%s: baseline %t", f.Object, f.Baseline)
		}
	}
	if v := verdict(t, r, "test/pods", cluster); v.Rung != bailey.RungGap {
		t.Errorf("what a baseline accepts stands at %s", v.Rung)
	}
	for _, bad := range []string{"", "{", `{"schemaVersion":"other"}`} {
		if _, err := check.ReadBaseline(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSessionAccepts: what is accepted in the report is accepted in a session.
func TestSessionAccepts(t *testing.T) {
	bad := podFact("a", "web", true)
	waiver := bailey.Waiver{Rule: "test/pods", Reason: "r", Owner: "o", Expires: now.Add(time.Hour)}
	expired := bailey.Waiver{Rule: "test/pods", Name: "other", Reason: "r", Owner: "o", Expires: now.Add(-time.Hour)}
	n, err := check.NewSession(t.Context(), snapshot(nil, bad), []*bailey.Control{podControl}, check.Options{Waivers: []bailey.Waiver{waiver, expired}})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Findings(bad.Ref); len(got) != 1 || got[0].Waiver == nil {
		t.Errorf("%+v", got)
	}
}

// TestBaselineTakesExpiredWaivers: a baseline accepts every finding of its day.
func TestBaselineTakesExpiredWaivers(t *testing.T) {
	expired := check.Options{Waivers: []bailey.Waiver{{Rule: "test/pods", Reason: "r", Owner: "o", Expires: now.Add(-time.Hour)}}}
	s := snapshot(nil, podFact("a", "web", true))
	var file bytes.Buffer
	if err := check.WriteBaseline(&file, judge(t, s, world, expired)); err != nil {
		t.Fatal(err)
	}
	var err error
	if expired.Baseline, err = check.ReadBaseline(&file); err != nil {
		t.Fatal(err)
	}
	for _, f := range judge(t, s, world, expired).Findings {
		if !f.Baseline {
			t.Errorf("%s of %s is not in the baseline", f.Rule, f.Object)
		}
	}
}

func TestJudgeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := check.Judge(ctx, snapshot(nil, podFact("a", "p", true)), world, check.Options{}); err == nil {
		t.Error("a cancelled context gave a report")
	}
}
