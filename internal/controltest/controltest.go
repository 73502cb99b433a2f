// Package controltest is the harness that every rule goes through. A control's
// cases are text files, testdata/<control>/*.txtar: the comment says what is
// shown and may hold settings, *.yaml files are the facts, and the file "want"
// is what the rules must say of them (guards are not asked about those of there.yaml):
//
//	A privileged container is found in every list of containers.
//
//	version: 1.36
//	missing: Namespace, LimitRange shop
//	-- pod.yaml --
//	...
//	-- want --
//	finding privileged high Pod shop/p spec.containers[0].securityContext.privileged: container c ...
//	unknown requests Pod shop/p: LimitRange shop forbidden
//
// "assumed version" is one that was not seen. Facts of every kind count as seen but for those that "missing" names. Run the
// tests with -update to write "want" anew, and read the difference.
//
// The harness gives each rule for nothing: the cases; at least one case that
// passes, one that fails and, for a rule that reads more than its object, one
// that is unknown; every Bad object found; the same result with the facts in
// another order; no pass when a need is taken away; the fix silences it.
package controltest

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

var update = flag.Bool("update", false, "write the expected results of the cases anew")

// At is the moment at which the cases' facts were seen.
var At = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Run holds a control to the harness. The cases are in testdata/<name>, where
// name is the control's ID after the slash.
func Run(t *testing.T, c *bailey.Control) {
	t.Helper()
	_, name, _ := strings.Cut(c.ID, "/")
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	tally := map[string]map[string]int{}
	for _, file := range files {
		t.Run(name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, c, file, tally) })
	}
	for _, r := range c.Rules {
		t.Run(name+"/"+r.Name, func(t *testing.T) {
			needed := []string{"finding", "pass"}
			if len(r.Needs)+len(r.Derives) > 0 {
				needed = append(needed, "unknown")
			}
			for _, outcome := range needed {
				if tally[r.Name][outcome] == 0 {
					t.Errorf("no case in testdata/%s in which rule %s gives %q", name, r.Name, outcome)
				}
			}
			checkBad(t, r)
		})
	}
	t.Run(name, func(t *testing.T) { Guards(t, c) })
}

func runCase(t *testing.T, c *bailey.Control, file string, tally map[string]map[string]int) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var facts []*bailey.Fact
	want := -1
	for i, f := range archive.Files {
		switch {
		case f.Name == "want":
			want = i
		case strings.HasSuffix(f.Name, ".yaml"):
			facts = append(facts, Facts(t, f.Data)...)
		default:
			t.Fatalf("%s: what is the file %q? A case holds *.yaml files and want", file, f.Name)
		}
	}
	s := settings(t, archive.Comment)
	s.read(c.Rules...)
	got := evaluate(c.Rules, s.snapshot(facts, nil))
	for rule, outcomes := range got.tally {
		if tally[rule] == nil {
			tally[rule] = map[string]int{}
		}
		for outcome, n := range outcomes {
			tally[rule][outcome] += n
		}
	}
	if *update {
		if want < 0 {
			archive.Files = append(archive.Files, txtar.File{Name: "want"})
			want = len(archive.Files) - 1
		}
		archive.Files[want].Data = []byte(got.text())
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want < 0 {
		t.Fatalf("%s has no want; run with -update", file)
	} else if wanted := string(archive.Files[want].Data); wanted != got.text() {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got.text(), wanted)
	}

	shuffled := slices.Clone(facts)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if again := evaluate(c.Rules, s.snapshot(shuffled, nil)); again.text() != got.text() {
		t.Errorf("%s: the order of the facts changes the result to\n%s", file, again.text())
	}
	checkNeeds(t, c, s, facts, got)
	checkFixes(t, s, facts, got)
}

// checkNeeds takes each need away in turn: what was found must still be found
// or be unknown, and nothing may be found that was not.
func checkNeeds(t *testing.T, c *bailey.Control, s caseSettings, facts []*bailey.Fact, got results) {
	for _, r := range c.Rules {
		needs := slices.Clone(r.Needs)
		for _, d := range r.Derives {
			needs = append(needs, d.Needs...)
		}
		for _, need := range needs {
			if slices.Contains(r.On, need) {
				continue
			}
			less := evaluate([]*bailey.Rule{r}, s.snapshot(facts, &need))
			for key, outcome := range less.outcomes {
				before := got.outcomes[key]
				if outcome.kind == "pass" && before.kind != "pass" || outcome.kind == "finding" && before.kind == "pass" {
					t.Errorf("without %s, rule %s gives %q for %s; with it %q", need, r.Name, outcome.kind, key.object, before.kind)
				}
			}
		}
	}
}

// checkFixes applies each fix by itself and wants its finding gone.
func checkFixes(t *testing.T, s caseSettings, facts []*bailey.Fact, got results) {
	for _, f := range got.findings {
		if f.rule.Fix == nil {
			continue
		}
		snap := s.snapshot(facts, nil)
		view := bailey.NewView(snap)
		view.Allow(f.rule.On, f.rule.Needs, f.rule.Derives)
		changes := f.rule.Fix(view, snap.Get(f.object), f.Finding)
		if len(changes) == 0 {
			continue // the rule has no mechanical remedy for this case
		}
		fixed := slices.Clone(facts)
		for _, change := range changes {
			if refused(snap, change) {
				t.Errorf("the fix of %s on %s %s is one that the API server refuses: nobody changes the pod spec of a %s that is there", f.rule.Name, f.object, f.Field, change.Object.Kind.Short())
			}
			fixed = append(fixed, Apply(t, snap, change))
		}
		for _, still := range evaluate([]*bailey.Rule{f.rule}, s.snapshot(fixed, nil)).findings {
			if still.object == f.object && still.named() == f.named() {
				t.Errorf("the fix of %s on %s %s leaves the finding: %s", f.rule.Name, f.object, f.Field, f.Message)
			}
		}
	}
}

// refused reports whether a change patches a pod spec that cannot be changed. A pod's images can.
func refused(s *bailey.Snapshot, change bailey.Change) bool {
	f := s.Get(change.Object)
	if f == nil {
		return false
	}
	w, ok := workload.Of(f)
	return ok && w.Immutable() && slices.ContainsFunc(change.Patch, func(op bailey.PatchOp) bool {
		return strings.HasPrefix(op.Path, w.Pointer+"/") && (f.Kind != bailey.KindPod || !strings.HasSuffix(op.Path, "/image"))
	})
}

func checkBad(t *testing.T, r *bailey.Rule) {
	if len(r.Bad) == 0 {
		t.Errorf("rule %s names no Bad object", r.Name)
	}
	for i, text := range r.Bad {
		facts := Facts(t, []byte(text))
		if len(facts) == 0 {
			t.Errorf("rule %s: Bad %d holds no object", r.Name, i)
			continue
		}
		s := caseSettings{version: bailey.LatestVersion}
		s.read(r)
		got := evaluate([]*bailey.Rule{r}, s.snapshot(facts, nil))
		if !slices.ContainsFunc(got.findings, func(f ruleFinding) bool { return f.object == facts[0].Ref }) {
			t.Errorf("rule %s does not find its Bad object %d (%s); it gives\n%s", r.Name, i, facts[0].Ref, got.text())
		}
	}
}

// caseSettings are the settings in a case's comment.
type caseSettings struct {
	version bailey.Version
	assumed bool // the version was not seen
	missing []bailey.Missing
	custom  []bailey.Kind // custom resources that rules read
}

// read takes in the custom resources that the rules read: they were looked for.
func (s *caseSettings) read(rules ...*bailey.Rule) {
	for _, r := range rules {
		s.custom = append(append(s.custom, r.On...), r.Needs...)
	}
}

func settings(t *testing.T, comment []byte) caseSettings {
	s := caseSettings{version: bailey.LatestVersion}
	for line := range strings.Lines(string(comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "assumed version":
			s.assumed = true
			fallthrough
		case "version":
			v, err := bailey.ParseVersion(value)
			if err != nil {
				t.Fatal(err)
			}
			s.version = v
		case "missing":
			for item := range strings.SplitSeq(value, ",") {
				kind, namespace, _ := strings.Cut(strings.TrimSpace(item), " ")
				s.missing = append(s.missing, bailey.Missing{Kind: bailey.Kind(kind), Namespace: namespace, Reason: bailey.ReasonForbidden})
			}
		}
	}
	return s
}

// snapshot puts the facts together. Every kind counts as seen but for those
// that are missing, and for without with all its objects.
func (s caseSettings) snapshot(facts []*bailey.Fact, without *bailey.Kind) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{At: At, Medium: "cluster", Version: s.version, AssumedVersion: s.assumed})
	for _, k := range append(bailey.KnownKinds(), s.custom...) {
		b.Saw(k, "")
	}
	for _, f := range facts {
		if without == nil || f.Kind != *without {
			b.Saw(f.Kind, "")
			b.Add(f)
		}
	}
	for _, m := range s.missing {
		b.Miss(m)
	}
	if without != nil {
		b.Miss(bailey.Missing{Kind: *without, Reason: bailey.ReasonForbidden})
	}
	return b.Snapshot()
}

type outcomeKey struct {
	rule   string
	object bailey.Ref
}

type outcome struct{ kind string }

type ruleFinding struct {
	bailey.Finding
	rule   *bailey.Rule
	object bailey.Ref
}

func (f ruleFinding) named() string {
	if f.Named != "" {
		return f.Named
	}
	return f.Field
}

type results struct {
	lines    []string
	findings []ruleFinding
	outcomes map[outcomeKey]outcome
	tally    map[string]map[string]int
}

func (r results) text() string {
	var b bytes.Buffer
	for _, line := range r.lines {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// evaluate runs the rules on every object, each through a view of its own.
func evaluate(rules []*bailey.Rule, s *bailey.Snapshot) results {
	got := results{outcomes: map[outcomeKey]outcome{}, tally: map[string]map[string]int{}}
	view := bailey.NewView(s)
	for _, r := range rules {
		got.tally[r.Name] = map[string]int{}
		for _, k := range s.Kinds() {
			if !slices.Contains(r.On, k) {
				continue
			}
			for _, f := range s.List(k, "") {
				if f.Dormant {
					continue
				}
				view.Allow(r.On, r.Needs, r.Derives)
				findings := r.Check(view, f)
				key, kind := outcomeKey{r.Name, f.Ref}, "pass"
				switch {
				case len(view.Missing()) > 0:
					kind = "unknown"
					for _, m := range view.Missing() {
						place := strings.TrimSpace(string(m.Kind) + " " + strings.Trim(m.Namespace+"/"+m.Name, "/"))
						got.lines = append(got.lines, fmt.Sprintf("unknown %s %s: %s %s", r.Name, f.Ref, place, m.Reason))
					}
				case len(findings) > 0:
					kind = "finding"
					for _, x := range findings {
						severity := x.Severity
						if severity == bailey.SeverityNone {
							severity = r.Severity
						}
						got.findings = append(got.findings, ruleFinding{x, r, f.Ref})
						got.lines = append(got.lines, fmt.Sprintf("finding %s %s %s %s: %s", r.Name, severity, f.Ref, x.Field, x.Message))
					}
				}
				got.outcomes[key] = outcome{kind}
				got.tally[r.Name][kind]++
			}
		}
	}
	return got
}
