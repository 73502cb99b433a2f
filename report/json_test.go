package report

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/baileyhq/bailey"
)

func compileSchema(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// strict forbids, in every object of the schema, what it does not name. The
// published schema allows it, so that later versions may add fields.
func strict(schema []byte) []byte {
	var doc any
	if err := json.Unmarshal(schema, &doc); err != nil {
		panic(err)
	}
	var walk func(v any, name string)
	walk = func(v any, name string) {
		m, _ := v.(map[string]any)
		for key, child := range m {
			if list, ok := child.([]any); ok {
				for _, item := range list {
					if key != "allOf" { // what is joined is closed where it is joined
						walk(item, key)
					}
				}
			}
			walk(child, key)
		}
		// reference and meta are joined into others, so only those that use them are closed.
		if m["properties"] != nil && name != "properties" && name != "reference" && (name != "meta" || m["allOf"] != nil) {
			m["unevaluatedProperties"] = false
		}
	}
	walk(doc, "")
	out, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return out
}

func validate(t *testing.T, s *jsonschema.Schema, name, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("%s: not JSON: %v", name, err)
		return
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestJSONValidates(t *testing.T) {
	published, closed := compileSchema(t, Schema()), compileSchema(t, strict(Schema()))
	for name, r := range fixtures() {
		text := render(t, "json", r, Options{Version: "0.1.0"})
		validate(t, published, name, text)
		validate(t, closed, name+" (strict)", text)
	}
}

// TestSchemaRefuses shows that the schema says something: each document lacks
// or breaks one thing.
func TestSchemaRefuses(t *testing.T) {
	published, closed := compileSchema(t, Schema()), compileSchema(t, strict(Schema()))
	good := render(t, "json", clusterReport(), Options{})
	for _, c := range []struct {
		old, new string
		schema   *jsonschema.Schema
	}{
		{`"schemaVersion":1`, `"schemaVersion":2`, published},
		{`"rung":"gap"`, `"rung":"fine"`, published},
		{`"severity":"high"`, `"severity":"HIGH"`, published},
		{`"seen":`, `"saw":`, published},
		{`"message":`, `"massage":`, published},
		{`"tool":"bailey"`, `"tool":"other"`, published},
		{`"objectKind":`, `"objectkind":`, closed},
		{`"field":`, `"fields":`, closed},
		{`"clusterUID":`, `"clusterUid":`, closed},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("the report has no %s", c.old)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if c.schema.Validate(doc) == nil {
			t.Errorf("%s in the place of %s is taken", c.new, c.old)
		}
	}
}

// TestReadJSON reads back what was written: the report is the same but for
// the documents of rules, and writing it again gives the same bytes.
func TestReadJSON(t *testing.T) {
	for name, r := range fixtures() {
		text := render(t, "json", r, Options{})
		got, err := ReadJSON(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := render(t, "json", got, Options{}); again != text {
			t.Errorf("%s: written again it differs:\n%s", name, cmp.Diff(text, again))
		}
		if name == "hostile" { // broken UTF-8 is replaced
			continue
		}
		want := *r
		want.Findings = nil
		for _, f := range r.Findings {
			f.Fix = r.FixOf(&f)
			want.Findings = append(want.Findings, f)
		}
		want.Remedy = nil
		if r.Diff != nil {
			diff := *r.Diff
			diff.Old.Targets = nil // what the older one read is not repeated
			want.Diff = &diff
		}
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(bailey.Source{}, "Locate"),
			cmpopts.IgnoreFields(bailey.Rule{}, "Doc", "Refs"), cmpopts.IgnoreFields(bailey.Control{}, "Refs", "Experiments")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	good := render(t, "json", clusterReport(), Options{})
	if _, err := ReadJSON(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"not JSON", "hello", "invalid character"},
		{"a list", "[]", "where {"},
		{"another document", `{"kind":"List","items":[{}]}`, "no schemaVersion"},
		{"a later version", strings.Replace(good, `"schemaVersion":1`, `"schemaVersion":9`, 1), "version 9"},
		{"cut off", good[:len(good)/2], "unexpected"},
		{"more behind it", good + "{}", "more after the report"},
		{"unknown severity", strings.Replace(good, `"severity":"high"`, `"severity":"huge"`, 1), `no severity "huge"`},
		{"unknown rung", strings.Replace(good, `"rung":"gap"`, `"rung":"top"`, 1), `no rung "top"`},
		{"negative count", strings.Replace(good, `"seen":3`, `"seen":-3`, 1), "no count"},
		{"no list", strings.Replace(good, `"findings":[`, `"findings":3,"x":[`, 1), "findings: found 3"},
		{"far future", strings.Replace(good, `"at":"2026-11-23T09:00:00Z"`, `"at":"9999-12-31T23:59:59-23:00"`, 1), "year 10000"},
	} {
		if c.text == good {
			t.Errorf("%s: nothing was changed", c.name)
		}
		_, err := ReadJSON(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%s: error %v, want one with %q and a hint", c.name, err, c.want)
		}
	}
}

// TestReadJSONTakesLaterFields: within one version, fields may be added.
func TestReadJSONTakesLaterFields(t *testing.T) {
	text := render(t, "json", clusterReport(), Options{})
	later := strings.Replace(text, `"schemaVersion":1`, `"schemaVersion":1,"later":{"findings":[1,2]}`, 1)
	later = strings.ReplaceAll(later, `"message":`, `"since":3,"message":`)
	got, err := ReadJSON(strings.NewReader(later))
	if err != nil {
		t.Fatal(err)
	}
	if again := render(t, "json", got, Options{}); again != text {
		t.Error("the fields of a later version changed the report")
	}
}

func FuzzReadJSON(f *testing.F) {
	// Small seeds: the fuzzer tries thousands of changes a second of these, and
	// a handful of a whole report.
	c := &bailey.Control{ID: "a/b", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{{Name: "r", Title: "T", Severity: bailey.SeverityHigh}}}
	one := found("a/b/r", bailey.SeverityHigh, deployment("x", "y"), "spec.f", "m")
	one.Related = []bailey.Ref{{Kind: bailey.KindPod, Namespace: "x", Name: "p"}}
	one.Fix = []bailey.Change{{Object: one.Object, Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/f/0/a~1b", Value: map[string]any{"k": []any{1, nil, "v"}}}}, Note: "n"}, {Content: map[string]any{"kind": "K"}}}
	one.Source = bailey.Source{File: "f.yaml", Line: 3, Column: 5}
	two := found("a/b/gone", bailey.SeverityLow, namespace("n"), "", "m")
	two.Waiver = &bailey.Waiver{Rule: "a/b", Reason: "why", Owner: "who", Expires: at}
	missing := []bailey.Missing{{Kind: bailey.KindRole, Namespace: "x", Reason: bailey.ReasonForbidden, Detail: "d", Hint: "h"}}
	verdicts := []bailey.Verdict{{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, WaivedUntil: at, Coverage: bailey.Coverage{Seen: 1, Needed: 2, Missing: missing}},
		{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: one.Object}, Rung: bailey.RungProven, Next: "n"}}
	meta := bailey.Meta{At: at, Medium: "cluster", Version: bailey.LatestVersion, Targets: []bailey.Target{{Name: "t", Medium: "folder", Skipped: []bailey.Skip{{What: "w", Why: "y"}}}}}
	for _, r := range []*bailey.Report{
		{},
		{Meta: meta, Facts: 1, Controls: []*bailey.Control{c}},
		{Controls: []*bailey.Control{c}, Verdicts: verdicts, Coverage: verdicts[0].Coverage},
		{Controls: []*bailey.Control{c}, Findings: []bailey.Finding{one, two}},
		{Verdicts: []bailey.Verdict{{Control: "a/b", Proof: &bailey.Proof{Held: 3, Tried: 4, Least: 1, At: at, Broken: []string{"x: p: why"}}}}, Evidence: []bailey.Evidence{tried("a/b", "x", "n", 0, 3, 1, "p")}},
		{Meta: meta, Findings: []bailey.Finding{one}, Diff: &bailey.Diff{Old: meta, Added: 1, Fixed: []bailey.Finding{two}, Unseen: []bailey.Finding{two}}},
	} {
		f.Add([]byte(render(f, "json", r, Options{})))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		once := render(t, "json", r, Options{})
		again, err := ReadJSON(strings.NewReader(once))
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if twice := render(t, "json", again, Options{}); once != twice {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
		for _, format := range Formats() { // whatever was read can be shown
			if err := format.Render(io.Discard, r, Options{Width: 80, Color: true}); err != nil {
				t.Fatalf("%s: %v", format.Name, err)
			}
		}
	})
}

// blocks is a writer that notes how it is written to.
type blocks struct{ writes, largest int }

func (b *blocks) Write(p []byte) (int, error) {
	b.writes++
	b.largest = max(b.largest, len(p))
	return len(p), nil
}

// TestStreams: a report leaves in small blocks, so that it is never in memory
// a second time.
func TestStreams(t *testing.T) {
	r := largeReport(20000)
	for _, name := range []string{"json", "sarif", "junit"} {
		format, _ := Lookup(name)
		var b blocks
		if err := format.Render(&b, r, Options{}); err != nil {
			t.Fatal(err)
		}
		if b.writes < 50 || b.largest > 1<<17 {
			t.Errorf("%s: %d writes, the largest of %d bytes", name, b.writes, b.largest)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	r := largeReport(100000)
	for _, f := range Formats() {
		b.Run(f.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Render(io.Discard, r, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadJSON(b *testing.B) {
	var text bytes.Buffer
	if err := renderJSON(&text, largeReport(100000), Options{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadJSON(bytes.NewReader(text.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSchemaIsTheFile(t *testing.T) {
	file, err := os.ReadFile("schema/report-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, Schema()) {
		t.Error("Schema differs from the published file")
	}
	Schema()[0] = 'x'
	if Schema()[0] == 'x' {
		t.Error("a caller can change the schema")
	}
}
