package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/baileyhq/bailey"
)

func TestOSCALValidates(t *testing.T) {
	schema := oscalSchema(t)
	for name, r := range oscalReports(t) {
		for way, b := range bundles(t, r, Options{Version: "0.2.0"}) {
			if len(b) != 4 {
				t.Errorf("%s, %s: %d documents, want results, plan, component definition and the stand-in for a system security plan", name, way, len(b))
			}
			for file, doc := range b {
				if err := schema.Validate(doc); err != nil {
					t.Errorf("%s, %s: %s: %v", name, way, file, err)
				}
			}
		}
	}
}

// TestOSCALSchemaRefuses: each document lacks or breaks one thing that the
// standard asks for.
func TestOSCALSchemaRefuses(t *testing.T) {
	schema := oscalSchema(t)
	good := render(t, "oscal", provenReport(), Options{})
	for _, c := range []struct{ old, new string }{
		{`"import-ap": {`, `"import-plan": {`},
		{`"oscal-version": "1.1.3"`, `"oscal-version": "1.1"`},
		{`"state": "satisfied"`, `"state": "unknown"`},
		{`"type": "objective-id"`, `"type": "control"`},
		{`"TEST"`, `"TESTED"`},
		{`"collected": "2026-11-23T06:00:00Z"`, `"collected": "2026-11-23T06:00:00"`},
		{`"control-id": "compute_pod-security"`, `"control-id": "compute/pod-security"`},
		{`"name": "danger"`, `"name": "dan ger"`},
		{`"value": "dry-run"`, `"value": "dry-run "`},
		{`"status": "open"`, `"state": "open"`},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("the results have no %s", c.old)
			continue
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s in the place of %s is taken", c.new, c.old)
		}
	}
}

// TestOSCALReferences: identifiers are unique within a document, and whatever
// is referred to is there: in the document itself, or in one that it imports.
func TestOSCALReferences(t *testing.T) {
	for name, r := range oscalReports(t) {
		for way, b := range bundles(t, r, Options{}) {
			defined := map[string]map[string]bool{}
			objectives := map[string]bool{}
			for file, doc := range b {
				ids := map[string]bool{}
				walk(doc, func(key string, v any) {
					if id, ok := v.(string); ok && key == "uuid" {
						if ids[id] {
							t.Errorf("%s, %s: %s has two things with the identifier %s", name, way, file, id)
						}
						ids[id] = true
					}
					if m, ok := v.(map[string]any); ok && m["name"] == "objective" && key == "parts" {
						objectives[m["id"].(string)] = true
					}
				})
				defined[file] = ids
			}
			imports := map[string][]string{
				oscalResultsFile: {oscalResultsFile, oscalPlanFile}, oscalPlanFile: {oscalPlanFile, oscalSSPFile},
				oscalComponentsFile: {oscalComponentsFile}, oscalSSPFile: {oscalSSPFile},
			}
			for file, doc := range b {
				there := func(id string, files []string) bool {
					return slices.ContainsFunc(files, func(f string) bool { return defined[f][id] })
				}
				walk(doc, func(key string, v any) {
					text, ok := v.(string)
					if !ok {
						return
					}
					resolved := true
					switch {
					case key == "href" && strings.HasPrefix(text, "#"):
						resolved = defined[file][text[1:]]
					case key == "href" && !strings.Contains(text, "://"):
						resolved = b[text] != nil
					case key == "resource-fragment":
						resolved = defined[oscalComponentsFile][text]
					case strings.HasSuffix(key, "-uuid"):
						resolved = there(text, imports[file])
					case key == "target-id", key == "objective-id":
						resolved = objectives[text]
					}
					if !resolved {
						t.Errorf("%s, %s: %s: %s %s leads nowhere", name, way, file, key, text)
					}
				})
			}
		}
	}
}

// TestOSCALStatus: satisfied is only what every rule passed on every fact, and
// every gap has a risk.
func TestOSCALStatus(t *testing.T) {
	reasons := map[string]string{"gap": "fail", "unknown": "other", "sound": "pass", "guarded": "pass", "proven": "pass"}
	seen := map[string]bool{}
	for name, r := range oscalReports(t) {
		result := readOSCAL(t, r, Options{}).Results.Results[0]
		if len(result.Findings) < len(r.Controls) {
			t.Errorf("%s: %d findings for %d controls", name, len(result.Findings), len(r.Controls))
		}
		for _, f := range result.Findings {
			rung := values(f.Props, "rung")[0]
			seen[rung] = true
			satisfied := rung == "sound" || rung == "guarded" || rung == "proven"
			if (f.Target.Status.State == "satisfied") != satisfied || f.Target.Status.Reason != reasons[rung] {
				t.Errorf("%s: %s stands at %s and is %+v", name, f.Title, rung, f.Target.Status)
			}
			if rung == "unknown" && !strings.Contains(f.Target.Status.Remarks, "neither a pass nor a failure") {
				t.Errorf("%s: %s: %s", name, f.Title, f.Target.Status.Remarks)
			}
			if (rung == "gap") != (len(f.Risks) > 0) {
				t.Errorf("%s: %s stands at %s with %d risks", name, f.Title, rung, len(f.Risks))
			}
		}
	}
	for rung := range reasons {
		if !seen[rung] && rung != "guarded" {
			t.Errorf("no report has a control that stands at %s", rung)
		}
	}
}

func TestOSCALEvidence(t *testing.T) {
	r := provenReport()
	r.Evidence = append(r.Evidence, r.Evidence[0]) // what is given twice is there once
	doc := readOSCAL(t, r, Options{EvidenceFile: func(e *bailey.Evidence) string { return "evidence/" + e.ID + ".json" }})
	result := doc.Results.Results[0]
	resources := map[string]oscalResource{}
	for _, res := range doc.Results.BackMatter.Resources {
		resources["#"+res.UUID] = res
	}
	referred := map[string]bool{}
	for _, f := range result.Findings {
		for _, o := range f.Observations {
			referred[o.ObservationUUID] = true
		}
	}
	for _, e := range r.Evidence {
		n := 0
		for _, o := range result.Observations {
			if !slices.Contains(values(o.Props, "evidence-sha256"), e.ID) {
				continue
			}
			n++
			if !referred[o.UUID] || !slices.Equal(o.Methods, []string{"TEST"}) || o.Collected != oscalTime(e.At) || values(o.Props, "signer")[0] != e.Signer || values(o.Props, "run")[0] != e.Run {
				t.Errorf("observation %+v of evidence %+v", o, e)
			}
			res := resources[o.Evidence[0].Href]
			if len(res.DocumentIDs) != 1 || res.DocumentIDs[0].Identifier != e.ID || res.Rlinks[0].Href != "evidence/"+e.ID+".json" {
				t.Errorf("the evidence leads to %+v", res)
			}
			if want := oscalTime(e.At.Add(7 * 24 * time.Hour)); e.Experiment == "refused" && (o.Expires != want || values(o.Props, "failure-bound")[0] == "1.0000") {
				t.Errorf("it expires at %s, want %s; %v", o.Expires, want, o.Props)
			}
			if broken := e.Total().Broken > 0; broken != slices.Contains(o.Types, "finding") || broken != strings.Contains(o.Remarks, "host namespaces: created") {
				t.Errorf("types %v, remarks %s", o.Types, o.Remarks)
			}
			if want := map[bool]string{true: "other", false: "pass"}[e.Interrupted]; e.Total().Broken == 0 && values(o.Subjects[0].Props, "result")[0] != want {
				t.Errorf("%+v: result %v, want %s", e, o.Subjects[0].Props, want)
			}
		}
		if n != 1 {
			t.Errorf("%d observations of the evidence %s", n, e.ID)
		}
	}
	var titles []string
	for _, risk := range result.Risks {
		titles = append(titles, risk.Title)
	}
	if !slices.Equal(titles, []string{"Experiment unreachable was broken"}) {
		t.Errorf("risks %q", titles)
	}
	if result.Start != oscalTime(at.Add(-5*time.Hour)) || result.End != oscalTime(at.Add(r.Took)) {
		t.Errorf("from %s to %s", result.Start, result.End)
	}
	// A year later the evidence is history.
	r.Meta.At = at.AddDate(1, 0, 0)
	for _, o := range readOSCAL(t, r, Options{}).Results.Results[0].Observations {
		if o.Expires != "" && !slices.Contains(o.Types, "historic") {
			t.Errorf("types %v of what expired at %s", o.Types, o.Expires)
		}
	}
}

func TestOSCALWaivers(t *testing.T) {
	r := clusterReport()
	for _, ns := range []string{"ci", "shop"} {
		r.Findings = slices.DeleteFunc(r.Findings, func(f bailey.Finding) bool {
			return f.Object.Namespace == ns && f.Rule == "compute/pod-security/privileged"
		})
	}
	for _, risk := range readOSCAL(t, r, Options{}).Results.Results[0].Risks {
		waived := values(risk.Props, "assessment-rule-id")[0] == "compute/pod-security/privileged"
		if (risk.Status == "deviation-approved") != waived || (risk.Deadline != "") != waived || (len(risk.Mitigating) > 0) != waived {
			t.Errorf("%+v", risk)
		}
	}
}

// TestOSCALNames: the same platform has the same identifiers in every run,
// another one has others; what is of one run changes with it.
func TestOSCALNames(t *testing.T) {
	r := provenReport()
	first := render(t, "oscal", r, Options{})
	if again := render(t, "oscal", provenReport(), Options{}); first != again {
		t.Error("two renderings of one report differ")
	}
	one := readOSCAL(t, r, Options{}).Results
	later := provenReport()
	later.Meta.At = at.Add(time.Hour)
	two := readOSCAL(t, later, Options{}).Results
	other := provenReport()
	other.Meta.ClusterUID = "another"
	three := readOSCAL(t, other, Options{}).Results
	if one.UUID != two.UUID || one.UUID == three.UUID {
		t.Error("the identifier of the results is not that of the platform")
	}
	if one.Results[0].UUID == two.Results[0].UUID {
		t.Error("two runs have one identifier")
	}
	for i, f := range one.Results[0].Findings {
		if f.UUID != two.Results[0].Findings[i].UUID || f.UUID == three.Results[0].Findings[i].UUID {
			t.Errorf("the finding of %s: %s, %s later, %s elsewhere", f.Title, f.UUID, two.Results[0].Findings[i].UUID, three.Results[0].Findings[i].UUID)
		}
	}
}

// TestOSCALControls: the real catalogue is selected by NIST's identifiers.
func TestOSCALControls(t *testing.T) {
	for id, want := range map[string]string{"AC-6": "ac-6", "AC-6(9)": "ac-6.9", "SC-28(1)": "sc-28.1", "6.1": "", "AC6": ""} {
		if got := nistID(id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	result := readOSCAL(t, platformReport(t, false), Options{}).Results.Results[0]
	var ids []string
	for _, c := range result.Reviewed.Selections[0].Include {
		ids = append(ids, c.ID)
	}
	for _, want := range []string{"ac-6", "sc-7.5", "cm-14"} {
		if !slices.Contains(ids, want) {
			t.Errorf("%s is not among the reviewed controls %v", want, ids)
		}
	}
	if slices.Contains(ids, "au-10") { // of observe/ledger alone, which is not checked
		t.Error("a control counts as reviewed that nothing checks")
	}
	for _, f := range result.Findings {
		if f.Title != "compute/pod-security" {
			continue
		}
		if !slices.Equal(values(f.Props, "nist-sp-800-53r5"), []string{"ac-6"}) || !slices.Equal(values(f.Props, "cncf-controls-catalog"), []string{"238", "340"}) {
			t.Errorf("references %v", f.Props)
		}
	}
}

func TestMarkup(t *testing.T) {
	for in, want := range map[string]string{
		"<img src=x>": `\<img src=x\>`, "[a](b) *c*": `\[a\](b) \*c\*`, "{{ insert: param, x }}": `\{\{ insert: param, x \}\}`,
		"run `a<b` now": "run `a<b` now", "one ` only": "one ' only", " a\nb ": "a b", "": "",
	} {
		if got := markup(in); got != want {
			t.Errorf("markup(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"a/b-c": "a_b-c", "9x": "_9x", "": "_", "é.1": "é.1"} {
		if got := oscalToken(in); got != want {
			t.Errorf("oscalToken(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzOSCAL: whatever report was read from outside, what is written of it is valid.
func FuzzOSCAL(f *testing.F) {
	schema := oscalSchema(f)
	empty := &bailey.Report{Findings: []bailey.Finding{{}}, Verdicts: []bailey.Verdict{{Proof: &bailey.Proof{Broken: []string{""}}}}, Evidence: []bailey.Evidence{{Paths: []bailey.Tally{{}}}}}
	waived := &bailey.Report{Controls: []*bailey.Control{{ID: "a/b"}}, Findings: []bailey.Finding{{ID: "x", Control: "a/b", Rule: "a/b/r", Waiver: &bailey.Waiver{Owner: " "}}}}
	broken := &bailey.Report{Controls: []*bailey.Control{{ID: "a/b"}}, Evidence: []bailey.Evidence{tried("a/b", "x", "n", 0, 3, 1, "p")},
		Verdicts: []bailey.Verdict{{Control: "a/b", Proof: &bailey.Proof{Held: 3, Tried: 4, Least: 1, At: at, Broken: []string{"x: p: why"}}}}}
	for _, r := range []*bailey.Report{{}, empty, waived, broken} {
		f.Add([]byte(render(f, "json", r, Options{})))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		for way, b := range bundles(t, r, Options{}) {
			for file, doc := range b {
				if err := schema.Validate(doc); err != nil {
					t.Fatalf("%s: %s: %v", way, file, err)
				}
			}
		}
	})
}
