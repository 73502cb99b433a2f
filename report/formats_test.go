package report

import (
	"encoding/json"
	"encoding/xml"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	gosarif "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"golang.org/x/net/html"

	"github.com/baileyhq/bailey"
)

// TestHostile: what a stranger writes into names, messages and paths stays
// text in every format.
func TestHostile(t *testing.T) {
	for _, f := range Formats() {
		for _, o := range []Options{{}, {Verbose: true, Version: hostile, Command: hostile, Hint: hostile, Dir: "/" + hostile}} {
			text := render(t, f.Name, hostileReport(), o)
			if !utf8.ValidString(text) {
				t.Errorf("%s: broken UTF-8", f.Name)
			}
			for _, r := range text {
				if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
					t.Errorf("%s: holds %U", f.Name, r)
					break
				}
			}
		}
	}
}

type sarifLog struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID         string
					Properties map[string]any
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct {
				Level      string
				Message    struct{ Text string }
				Descriptor struct{ ID string }
			}
		}
		Results []struct {
			RuleID    string
			RuleIndex int
			Level     string
			Locations []struct {
				PhysicalLocation *struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           struct{ StartLine, StartColumn int }
				}
				LogicalLocations []struct{ FullyQualifiedName string }
			}
			PartialFingerprints map[string]string
			Suppressions        []struct{ Kind, Status, Justification string }
			BaselineState       string
		}
	}
}

func readSARIF(t *testing.T, text string) *sarifLog {
	t.Helper()
	var log sarifLog
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	return &log
}

// TestSARIFValidates holds the output to the OASIS schema that go-sarif carries.
func TestSARIFValidates(t *testing.T) {
	schema := compileSchema(t, oasisSchema(t))
	for name, r := range fixtures() {
		validate(t, schema, name, render(t, "sarif", r, Options{Version: "v1.2.3", Dir: "/src/repo"}))
	}
	bad := strings.Replace(render(t, "sarif", clusterReport(), Options{}), `"level":"error"`, `"level":"fatal"`, 1)
	doc := any(nil)
	if err := json.Unmarshal([]byte(bad), &doc); err != nil || schema.Validate(doc) == nil {
		t.Error("the schema takes a level that there is not")
	}
}

// oasisSchema reads the constant that go-sarif does not export: its own
// Validate sees only the fields that its types have.
func oasisSchema(t *testing.T) []byte {
	t.Helper()
	pkg := reflect.TypeFor[gosarif.Report]().PkgPath()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && len(lit.Value) > len(text) {
			text = lit.Value
		}
		return true
	})
	schema, err := strconv.Unquote(text)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(schema)
}

func TestSARIF(t *testing.T) {
	r := clusterReport()
	log := readSARIF(t, render(t, "sarif", r, Options{}))
	run := log.Runs[0]
	if len(run.Results) != len(r.Findings) {
		t.Fatalf("%d results for %d findings", len(run.Results), len(r.Findings))
	}
	suppressed := 0
	for i, result := range run.Results {
		f := r.Findings[i]
		if rule := run.Tool.Driver.Rules[result.RuleIndex]; rule.ID != result.RuleID || result.RuleID != f.Rule {
			t.Errorf("result %d is of rule %s, its index says %s", i, result.RuleID, rule.ID)
		}
		if result.PartialFingerprints["baileyFindingId/v1"] != f.ID {
			t.Errorf("result %d has the fingerprints %v", i, result.PartialFingerprints)
		}
		if result.Suppressions == nil {
			t.Errorf("result %d has no list of suppressions, others have", i)
		}
		suppressed += len(result.Suppressions)
		if (len(result.Suppressions) > 0) == isOpen(&f) {
			t.Errorf("result %d: suppressions %v", i, result.Suppressions)
		}
		if result.Locations[0].PhysicalLocation != nil {
			t.Errorf("result %d of a cluster has a file", i)
		}
	}
	if suppressed != 2 {
		t.Errorf("%d suppressions, want the waiver and the baseline", suppressed)
	}
	if name := run.Results[0].Locations[0].LogicalLocations[0].FullyQualifiedName; name != "ci/Deployment.apps/runner" {
		t.Errorf("logical location %s", name)
	}
	for _, rule := range run.Tool.Driver.Rules {
		score, err := strconv.ParseFloat(rule.Properties["security-severity"].(string), 64)
		if err != nil || score <= 0 || score > 10 {
			t.Errorf("%s: security-severity %v", rule.ID, rule.Properties["security-severity"])
		}
	}
	notes := map[string]string{}
	for _, n := range run.Invocations[0].ToolExecutionNotifications {
		notes[n.Descriptor.ID] += n.Message.Text
	}
	if !run.Invocations[0].ExecutionSuccessful || notes["coverage"] != factsSeen(r.Coverage) ||
		!strings.Contains(notes["not-seen/forbidden"], "RoleBinding") || !strings.Contains(notes["unchecked-controls"], "2 controls") {
		t.Errorf("the invocation says %v", notes)
	}
	if nothing := readSARIF(t, render(t, "sarif", &bailey.Report{}, Options{})); nothing.Runs[0].Invocations[0].ExecutionSuccessful {
		t.Error("a run that scanned nothing was successful")
	}
	for _, result := range readSARIF(t, render(t, "sarif", diffReport(), Options{})).Runs[0].Results {
		if result.BaselineState != "new" {
			t.Errorf("a result of a comparison is %q", result.BaselineState)
		}
	}
}

func TestSARIFFiles(t *testing.T) {
	log := readSARIF(t, render(t, "sarif", filesReport(), Options{Dir: "/src/repo"}))
	var got []string
	for _, result := range log.Runs[0].Results {
		l := result.Locations[0].PhysicalLocation
		got = append(got, l.ArtifactLocation.URIBaseID+" "+l.ArtifactLocation.URI+" "+strconv.Itoa(l.Region.StartLine)+":"+strconv.Itoa(l.Region.StartColumn))
	}
	want := "%SRCROOT% deploy/web.yaml 3:0|%SRCROOT% deploy/shop%20api.yaml 20:9|%SRCROOT% deploy/shop%20cart.yaml 21:9|%SRCROOT% deploy/shop%20web.yaml 22:9"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestArtifactURI(t *testing.T) {
	for _, c := range []struct {
		file, dir, uri string
		relative       bool
	}{
		{"a/b.yaml", "", "a/b.yaml", true},
		{"./a/../b.yaml", "/w", "b.yaml", true},
		{"/w/a/b.yaml", "/w", "a/b.yaml", true},
		{"/wide/b.yaml", "/w", "file:///wide/b.yaml", false},
		{"/x/b.yaml", "", "file:///x/b.yaml", false},
		{"a b%#?:é.yaml", "", "a%20b%25%23%3F%3A%C3%A9.yaml", true},
		{"http://evil/x", "", "http%3A/evil/x", true},
		{"../up.yaml", "/w", "../up.yaml", true},
		{"-", "", "-", true},
	} {
		uri, relative := artifactURI(c.file, c.dir)
		if uri != c.uri || relative != c.relative {
			t.Errorf("%q in %q: %s, %v; want %s, %v", c.file, c.dir, uri, relative, c.uri, c.relative)
		}
		if _, err := url.Parse(uri); err != nil {
			t.Error(err)
		}
	}
}

func TestSARIFLimit(t *testing.T) {
	r := largeReport(25010)
	log := readSARIF(t, render(t, "sarif", r, Options{}))
	run := log.Runs[0]
	if len(run.Results) != 25000 {
		t.Errorf("%d results", len(run.Results))
	}
	if last := run.Results[len(run.Results)-1]; last.Level == "error" {
		t.Error("the worst are not kept: the last one is an error")
	}
	if n := run.Invocations[0].ToolExecutionNotifications[0]; !strings.Contains(n.Message.Text, "10 results left out") {
		t.Errorf("it does not say what is left out: %s", n.Message.Text)
	}
}

type junitDoc struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Skipped  int `xml:"skipped,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Skipped *struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestJUnit(t *testing.T) {
	for name, r := range fixtures() {
		var doc junitDoc
		d := xml.NewDecoder(strings.NewReader(render(t, "junit", r, Options{})))
		if err := d.Decode(&doc); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := d.Token(); err != nil && err != io.EOF {
			t.Errorf("%s: more than one document", name)
		}
		tests, failures, skipped := 0, 0, 0
		for _, s := range doc.Suites {
			n, bad, left := 0, 0, 0
			seen := map[string]bool{}
			for _, c := range s.Cases {
				if seen[c.Name] {
					t.Errorf("%s: %s has two cases %q", name, s.Name, c.Name)
				}
				seen[c.Name] = true
				n++
				if c.Failure != nil {
					bad++
				}
				if c.Skipped != nil {
					left++
				}
			}
			if n != s.Tests || bad != s.Failures || left != s.Skipped {
				t.Errorf("%s: %s counts %d, %d, %d; it has %d, %d, %d", name, s.Name, s.Tests, s.Failures, s.Skipped, n, bad, left)
			}
			tests, failures, skipped = tests+n, failures+bad, skipped+left
		}
		if tests != doc.Tests || failures != doc.Failures || skipped != doc.Skipped {
			t.Errorf("%s: the sums are wrong", name)
		}
		// Every open finding is in a failure, and none else.
		lines := 0
		for _, s := range doc.Suites {
			for _, c := range s.Cases {
				if c.Failure != nil && !strings.HasPrefix(c.Name, "experiments: ") {
					lines += len(strings.Split(c.Failure.Text, "\n"))
				}
			}
		}
		if open := tallyOf(r, 0).open; lines != open {
			t.Errorf("%s: %d failure lines for %d open findings", name, lines, open)
		}
	}
}

// TestJUnitNeverPassesWhatIsNot: no case of a scope that is a gap for another
// reason, or unknown, passes.
func TestJUnitNeverPassesWhatIsNot(t *testing.T) {
	c := &bailey.Control{ID: "a/b", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{{Name: "r"}}}
	v := func(rung bailey.Rung, findings, seen, needed int) bailey.Verdict {
		return bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: deployment("x", "y")}, Rung: rung, Findings: findings,
			Coverage: bailey.Coverage{Seen: seen, Needed: needed}, Next: "do it"}
	}
	for _, tc := range []struct {
		name                   string
		verdicts               []bailey.Verdict
		tests, failures, skips int
	}{
		{"sound", []bailey.Verdict{v(bailey.RungSound, 0, 1, 1)}, 1, 0, 0},
		{"unknown", []bailey.Verdict{v(bailey.RungUnknown, 0, 0, 1)}, 1, 0, 1},
		{"older gap in a comparison", []bailey.Verdict{v(bailey.RungGap, 1, 1, 1)}, 1, 0, 1},
		{"broken experiment", []bailey.Verdict{v(bailey.RungGap, 0, 1, 1)}, 2, 1, 0},
		{"no verdict", nil, 1, 0, 1},
	} {
		var doc junitDoc
		if err := xml.Unmarshal([]byte(render(t, "junit", &bailey.Report{Facts: 1, Controls: []*bailey.Control{c}, Verdicts: tc.verdicts}, Options{})), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Tests != tc.tests || doc.Failures != tc.failures || doc.Skipped != tc.skips {
			t.Errorf("%s: %d tests, %d failures, %d skipped", tc.name, doc.Tests, doc.Failures, doc.Skipped)
		}
	}
}

func TestMarkdownFits(t *testing.T) {
	r := largeReport(50000)
	// Many rules with long texts are what fills a comment.
	c := r.Controls[0]
	for i := range 300 {
		name := "r" + strconv.Itoa(i)
		c.Rules = append(c.Rules, &bailey.Rule{Name: name, Title: strings.Repeat("long title ", 20)})
		for k := range 30 {
			r.Findings = append(r.Findings, found(c.ID+"/"+name, bailey.SeverityHigh, deployment("ns", strings.Repeat("n", 200)+strconv.Itoa(k)), "", strings.Repeat("message ", 100)))
		}
	}
	text := render(t, "markdown", r, Options{Command: "bailey scan prod"})
	if len(text) > 65536 {
		t.Errorf("%d bytes", len(text))
	}
	if !strings.Contains(text, "more rules with findings: `bailey scan prod --all`") || !strings.Contains(text, "<summary>Ladder</summary>") {
		t.Error("it does not say what is left out, or has no ladder")
	}
	if strings.Count(text, "<details>") != strings.Count(text, "</details>") {
		t.Error("a folded part is cut")
	}
}

func TestMarkdownEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"a|b":                "a\\|b",
		"@everyone":          "@<!-- -->everyone",
		"see #12":            "see #<!-- -->12",
		"<img src=x>":        "\\<img src=x\\>",
		"[a](b) *c* _d_ `e`": "\\[a\\]\\(b\\) \\*c\\* \\_d\\_ \\`e\\`",
		"https://x www.y.z":  "https&#58;//x www&#46;y.z",
		"$x$ &lt; ~~y~~":     "\\$x\\$ \\&lt; \\~\\~y\\~\\~",
		"a\nb":               "a b",
	} {
		if got := mdText(in); got != want {
			t.Errorf("mdText(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"a": "`a`", "a`b": "``a`b``", "`": "`` ` ``", "a``b`c": "```a``b`c```", " ": ""} {
		if got := mdCode(in); got != want {
			t.Errorf("mdCode(%q) = %q, want %q", in, got, want)
		}
	}
	if got := mdProse("run `a | b` now*"); got != "run `a | b` now\\*" {
		t.Error(got)
	}
	if got := mdProse("one ` only"); got != "one \\` only" {
		t.Error(got)
	}
}

// TestGitHub reads the workflow commands as the runner does.
func TestGitHub(t *testing.T) {
	for name, r := range fixtures() {
		text := render(t, "github", r, Options{Dir: "/src/repo"})
		levels := map[string]int{}
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			rest, ok := strings.CutPrefix(line, "::")
			head, message, found := strings.Cut(rest, "::")
			level, properties, _ := strings.Cut(head, " ")
			if !ok || !found || message == "" || level != "error" && level != "warning" && level != "notice" {
				t.Errorf("%s: not a command that we write: %q", name, line)
			}
			levels[level]++
			for _, p := range strings.Split(properties, ",") {
				key, value, _ := strings.Cut(p, "=")
				if !strings.Contains(" file line col title ", " "+key+" ") || strings.ContainsAny(value, ":\n\r") {
					t.Errorf("%s: property %q of %q", name, p, line)
				}
			}
		}
		if levels["error"] > 10 || levels["warning"] > 10 || levels["notice"] > 10 {
			t.Errorf("%s: more annotations than GitHub shows: %v", name, levels)
		}
	}
	large := render(t, "github", largeReport(400), Options{})
	if n := strings.Count(large, "\n"); n != 21 || !strings.Contains(large, "380 more annotations left out") {
		t.Errorf("%d annotations of 400 findings:\n%s", n, large[max(0, len(large)-300):])
	}
	if all := render(t, "github", largeReport(400), Options{Verbose: true}); strings.Count(all, "\n") != 401 {
		t.Errorf("verbose writes %d lines", strings.Count(all, "\n"))
	}
}

// TestHTML parses the page as a browser does: nothing of a stranger's text
// became markup, nothing is loaded, nothing runs.
func TestHTML(t *testing.T) {
	known := map[string]bool{}
	for _, tag := range strings.Fields("html head meta title style body main header p h1 h2 h3 span section div b small progress ol ul li pre details summary code table thead tbody tr th td dl dt dd br footer a") {
		known[tag] = true
	}
	for name, r := range fixtures() {
		for _, o := range []Options{{}, {Verbose: true, Version: hostile, Command: hostile}} {
			doc, err := html.Parse(strings.NewReader(render(t, "html", r, o)))
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for n := range doc.Descendants() {
				if n.Type == html.TextNode && n.Parent.Data != "style" {
					text.WriteString(n.Data)
				}
				if n.Type != html.ElementNode {
					continue
				}
				if !known[n.Data] {
					t.Errorf("%s: element %s", name, n.Data)
				}
				for _, a := range n.Attr {
					switch {
					case strings.HasPrefix(a.Key, "on"), a.Key == "src":
						t.Errorf("%s: attribute %s", name, a.Key)
					case a.Key == "href" && !strings.HasPrefix(a.Val, "https://"):
						t.Errorf("%s: link to %q", name, a.Val)
					}
				}
			}
			if name == "hostile" && !strings.Contains(text.String(), clean(hostile)) {
				t.Error("the hostile text is not shown as it is")
			}
		}
	}
}
