package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/width"

	"github.com/baileyhq/bailey"
)

// TestTextWidth: no line is longer than the terminal, but for what cannot be
// broken: one word, or a command or position that is to be copied.
func TestTextWidth(t *testing.T) {
	whole := regexp.MustCompile(`(kubectl |bailey |:\d+:\d+$)`)
	reports := fixtures()
	reports["large"] = largeReport(2000)
	for name, r := range reports {
		for _, w := range []int{40, 60, 80, 120, 200} {
			for _, verbose := range []bool{false, true} {
				for i, line := range strings.Split(render(t, "text", r, Options{Width: w, Verbose: verbose, FailOn: bailey.SeverityLow, Hint: strings.Repeat("hint ", 60)}), "\n") {
					if strings.TrimRight(line, " ") != line {
						t.Errorf("%s at %d, line %d ends with spaces: %q", name, w, i+1, line)
					}
					if columns(line) <= w || len(strings.Fields(line)) == 1 || whole.MatchString(line) {
						continue
					}
					// One long word behind a label or a name is no fault either.
					words := strings.Fields(line)
					if longest := columns(words[len(words)-1]); longest > w-w*2/5-8 {
						continue
					}
					t.Errorf("%s at %d, line %d has %d columns: %q", name, w, i+1, columns(line), line)
				}
			}
		}
	}
}

// TestTextColor: colours are only there when asked for, always end on their
// line, and what is left without them is the same text.
func TestTextColor(t *testing.T) {
	escape := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for name, r := range fixtures() {
		plain := render(t, "text", r, Options{Verbose: true})
		if strings.Contains(plain, "\x1b") {
			t.Errorf("%s: an escape sequence without colours", name)
		}
		colored := render(t, "text", r, Options{Verbose: true, Color: true})
		if r.Facts > 0 && !strings.Contains(colored, "\x1b[1m") {
			t.Errorf("%s: no colours", name)
		}
		if escape.ReplaceAllString(colored, "") != plain {
			t.Errorf("%s: colours change the text", name)
		}
		for _, line := range strings.Split(colored, "\n") {
			if codes := escape.FindAllString(line, -1); len(codes)%2 != 0 {
				t.Errorf("%s: a colour runs over the end of the line: %q", name, line)
			}
		}
	}
}

// TestSymbols: every character that we bring ourselves is one column wide.
func TestSymbols(t *testing.T) {
	text := render(t, "text", clusterReport(), Options{}) + render(t, "text", filesReport(), Options{Verbose: true})
	for rung := bailey.RungGap; rung <= bailey.RungProven; rung++ {
		text += sign(rung)
	}
	for _, r := range text {
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			t.Errorf("%q is two columns wide", r)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ünïcödé 漢字": "plain text, ünïcödé 漢字",
		"a\nb\tc\r\nd":           "a b c  d",
		"\x1b[31mred\x07":        `\x1b[31mred\x07`,
		"\u202egnp.exe\u2066":    `\u202egnp.exe\u2066`,
		"\x9b31m":                `\x9b31m`, // not UTF-8
		"\u009b31m":              `\u009b31m`,
		"a\u2028b\u200bc":        `a\u2028b\u200bc`,
		"\U000e0041":             `\U000e0041`,
		"\xff\x00":               `\xff\x00`,
		"‹bailey:token›":         "‹bailey:token›",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
		if again := clean(clean(in)); again != clean(in) {
			t.Errorf("clean(%q) is not stable", in)
		}
	}
	for in, want := range map[string]int{"abc": 3, "ünï": 3, "漢字": 4, "e\u0301": 1, "✗ …": 3} {
		if got := columns(in); got != want {
			t.Errorf("columns(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for noun, want := range map[string]string{"pod": "pods", "entry": "entries", "day": "days", "NetworkPolicy": "NetworkPolicies", "Ingress": "Ingresses"} {
		if got := plural(noun); got != want {
			t.Errorf("plural(%q) = %q, want %q", noun, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 pods", 1: "1 pod", 999: "999 pods", 1000: "1,000 pods", 1234567: "1,234,567 pods"} {
		if got := count(n, "pod"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestBounds: what is left out is counted and named, and --all shows it.
func TestBounds(t *testing.T) {
	r := largeReport(4000)
	short := render(t, "text", r, Options{Command: "bailey scan prod"})
	if n := strings.Count(short, "\n"); n > 120 {
		t.Errorf("4,000 findings take %d lines", n)
	}
	if !strings.Contains(short, "… and 990 more in 10 namespaces (bailey scan prod --all)") {
		t.Errorf("it does not say what is left out:\n%s", short)
	}
	all := render(t, "text", r, Options{Verbose: true})
	for i := range 1000 {
		if name := fmt.Sprintf("Deployment team-%d/service-%d ", i/100, i); !strings.Contains(all, name) {
			t.Fatalf("%s is not in the whole report", name)
		}
	}
}

// TestNoCountWithoutFacts is the first law: no format gives a count of
// findings without the facts that were seen.
func TestNoCountWithoutFacts(t *testing.T) {
	for _, f := range Formats() {
		text := render(t, f.Name, emptyReport(), Options{})
		want := []string{"86 of 86 facts seen"}
		if f.Name == "json" {
			want = []string{`"open":0`, `"coverage":{"seen":86,"needed":86`}
		}
		r := emptyReport()
		for _, w := range want {
			w = strings.ReplaceAll(w, "86", number(r.Coverage.Seen))
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q", f.Name, w)
			}
		}
		nothing := render(t, f.Name, fixtures()["nothing"], Options{})
		said := strings.Contains(strings.ToLower(nothing), "nothing was scanned") ||
			f.Name == "json" && strings.Contains(nothing, `"facts":0`) ||
			f.Name == "junit" && strings.Contains(nothing, `tests="6" failures="0" errors="0" skipped="6"`)
		if !said {
			t.Errorf("%s passes where nothing was scanned", f.Name)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, f := range Formats() {
		if got, err := Lookup(f.Name); err != nil || got.Name != f.Name || got.Ext == "" || got.Title == "" {
			t.Errorf("Lookup(%q) = %+v, %v", f.Name, got, err)
		}
	}
	_, err := Lookup("yaml")
	if err == nil || !strings.Contains(err.Error(), "text, json, sarif, junit, markdown, github, html") {
		t.Errorf("the error does not list the formats: %v", err)
	}
}

func TestFailing(t *testing.T) {
	r := clusterReport()
	for severity, want := range map[bailey.Severity]int{bailey.SeverityNone: 0, bailey.SeverityCritical: 1, bailey.SeverityHigh: 12, bailey.SeverityMedium: 18, bailey.SeverityInfo: 19} {
		if got := Failing(r, severity); got != want {
			t.Errorf("%d findings fail at %s, want %d: waived and baseline ones do not count", got, severity, want)
		}
	}
}
