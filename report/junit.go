package report

import (
	"bufio"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// junitCase is one rule for one scope.
type junitCase struct {
	name string
	// failure and skipped are messages; a case with neither has passed.
	failure, skipped string
	severity         bailey.Severity
	body             []string
	// broken tells that an experiment was; note is what a passing case shows.
	broken bool
	note   string
}

// renderJUnit writes a suite for each control and in it a case for each rule
// and scope: a gap fails, what was not seen or is accepted is skipped.
func renderJUnit(w io.Writer, r *bailey.Report, o Options) error {
	b := bufio.NewWriterSize(w, 1<<16)
	var total, failed, skippedCases int
	suites := make([]*junitSuite, 0, len(r.Controls))
	byControl := map[string]*junitSuite{}
	for _, c := range r.Controls {
		s := &junitSuite{control: c, now: r.Meta.At}
		byControl[c.ID] = s
		suites = append(suites, s)
	}
	suite := func(id string) *junitSuite {
		s := byControl[id]
		if s == nil {
			s = &junitSuite{control: &bailey.Control{ID: id}, now: r.Meta.At}
			byControl[id] = s
			suites = append(suites, s)
		}
		return s
	}
	for i := range r.Verdicts {
		s := suite(r.Verdicts[i].Control)
		s.verdicts = append(s.verdicts, &r.Verdicts[i])
	}
	for i := range r.Findings {
		s := suite(r.Findings[i].Control)
		s.findings = append(s.findings, &r.Findings[i])
	}
	for _, s := range suites {
		s.count()
		total, failed, skippedCases = total+s.tests, failed+s.failures, skippedCases+s.skipped
	}
	b.WriteString(xml.Header)
	b.WriteString(`<testsuites name="bailey"` + xmlCounts(total, failed, skippedCases) + ` time="` + strconv.FormatFloat(r.Took.Seconds(), 'f', 3, 64) + "\">\n")
	for _, s := range suites {
		b.WriteString(`  <testsuite name="` + xmlText(s.control.ID) + `"` + xmlCounts(s.tests, s.failures, s.skipped))
		if !r.Meta.At.IsZero() {
			b.WriteString(` timestamp="` + r.Meta.At.UTC().Format("2006-01-02T15:04:05") + `"`)
		}
		b.WriteString(">\n")
		if s == suites[0] {
			b.WriteString("    <properties>\n")
			for _, p := range [][2]string{{"scanned", scanned(r)}, {"coverage", factsSeen(r.Coverage)}, {"findings", tallyOf(r, 0).String()}} {
				b.WriteString(`      <property name="` + p[0] + `" value="` + xmlText(p[1]) + "\"/>\n")
			}
			b.WriteString("    </properties>\n")
		}
		s.cases(func(c junitCase) { writeCase(b, s.control.ID, c) })
		b.WriteString("  </testsuite>\n")
	}
	b.WriteString("</testsuites>\n")
	return b.Flush()
}

type junitSuite struct {
	control  *bailey.Control
	verdicts []*bailey.Verdict
	findings []*bailey.Finding
	now      time.Time

	tests, failures, skipped int
}

func (s *junitSuite) count() {
	s.cases(func(c junitCase) {
		s.tests++
		switch {
		case c.failure != "":
			s.failures++
		case c.skipped != "":
			s.skipped++
		}
	})
}

// cases yields the suite's cases, the same ones each time. They are made
// twice, to be counted and to be written, rather than kept.
func (s *junitSuite) cases(yield func(junitCase)) {
	if len(s.control.Rules) == 0 && len(s.findings) == 0 {
		why := "this version does not check the control"
		if len(s.verdicts) > 0 {
			switch v := s.verdicts[0]; v.Rung {
			case bailey.RungUnknown:
				if v.Next != "" {
					why = v.Next
				}
			case bailey.RungGap:
				yield(junitCase{name: s.control.ID, failure: v.Next + " (gap)"})
				return
			default:
				yield(junitCase{name: s.control.ID})
				return
			}
		}
		yield(junitCase{name: s.control.ID, skipped: why})
		return
	}
	if len(s.verdicts) == 0 && len(s.findings) == 0 {
		yield(junitCase{name: s.control.ID, skipped: "the control was not judged"})
		return
	}
	judged := s.judged()
	type key struct {
		rule  string
		scope bailey.Scope
	}
	at := make(map[bailey.Scope]bool, len(judged))
	for _, v := range judged {
		at[v.Scope] = true
	}
	isRule := map[string]bool{}
	for _, rule := range s.control.Rules {
		isRule[s.control.RuleID(rule)] = true
	}
	found := map[key][]*bailey.Finding{}
	var loose []key // findings that are of no judged scope or of no rule, in order
	for _, f := range s.findings {
		k := key{f.Rule, scopeOf(s.control.Scope, f, at)}
		if found[k] == nil && !(isRule[k.rule] && at[k.scope]) {
			loose = append(loose, k)
		}
		found[k] = append(found[k], f)
	}
	perScope := map[bailey.Scope]int{}
	for k, of := range found {
		perScope[k.scope] += len(of)
	}
	for _, v := range judged {
		rest := notWhole(v)
		if rest == "" && v.Rung == bailey.RungGap && perScope[v.Scope] < v.Findings {
			// A comparison shows new findings only: the gap may be an older one's.
			rest = "gap: it has findings that this report does not show"
		}
		for _, rule := range s.control.Rules {
			id := s.control.RuleID(rule)
			if of := found[key{id, v.Scope}]; len(of) > 0 {
				yield(foundCase(caseName(id, v.Scope), of))
				continue
			}
			yield(junitCase{name: caseName(id, v.Scope), skipped: rest})
		}
		switch p := v.Proof; {
		case p != nil && len(p.Broken) > 0:
			yield(junitCase{name: caseName("experiments", v.Scope), failure: "broken: " + list(p.Broken, 1, false), body: p.Broken, broken: true})
		case v.Rung == bailey.RungGap && v.Findings == 0:
			yield(junitCase{name: caseName("experiments", v.Scope), failure: "gap: " + v.Next})
		case p != nil && v.Rung == bailey.RungProven:
			yield(junitCase{name: caseName("experiments", v.Scope), note: proofText(p, s.now)})
		case p != nil:
			yield(junitCase{name: caseName("experiments", v.Scope), skipped: v.Rung.String() + ": " + proofText(p, s.now)})
		}
	}
	for _, v := range s.verdicts {
		if why := notWhole(v); why != "" && !at[v.Scope] {
			yield(junitCase{name: caseName("facts seen", v.Scope), skipped: why})
		}
	}
	for _, k := range loose {
		yield(foundCase(caseName(k.rule, k.scope), found[k]))
	}
}

// judged gives the verdicts of the control's own kind of scope; where there is
// none, that of the widest scope.
func (s *junitSuite) judged() []*bailey.Verdict {
	var own []*bailey.Verdict
	for _, v := range s.verdicts {
		if v.Scope.Kind == s.control.Scope {
			own = append(own, v)
		}
	}
	if len(own) == 0 {
		return s.verdicts[:min(1, len(s.verdicts))]
	}
	return own
}

// notWhole says why a scope without findings has not passed; empty if it has.
func notWhole(v *bailey.Verdict) string {
	if v.Rung != bailey.RungUnknown && v.Coverage.Seen >= v.Coverage.Needed {
		return ""
	}
	text := "unknown: " + factsSeen(v.Coverage)
	if v.Rung == bailey.RungUnknown && v.Next != "" {
		text += "; " + v.Next
	}
	return text
}

func caseName(rule string, scope bailey.Scope) string {
	return rule[strings.LastIndexByte(rule, '/')+1:] + ": " + scope.String()
}

// scopeOf finds the scope that a finding belongs to among those given; if it
// is none of them, the scope is what causes the finding.
func scopeOf(kind bailey.ScopeKind, f *bailey.Finding, known map[bailey.Scope]bool) bailey.Scope {
	for _, s := range [...]bailey.Scope{
		{Kind: kind, Object: f.Object}, {Kind: kind, Object: f.Cause},
		{Kind: kind, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: f.Object.Namespace}},
		{Kind: bailey.ScopeCluster},
	} {
		if known[s] {
			return s
		}
	}
	return bailey.Scope{Kind: kind, Object: causeOf(f)}
}

func foundCase(name string, findings []*bailey.Finding) junitCase {
	c := junitCase{name: name}
	open := 0
	for _, f := range findings {
		line := f.Severity.String() + ": " + f.Object.String() + ": " + f.Message
		if f.Source.File != "" {
			line += " (" + place(f.Source) + ")"
		}
		if note := accepted(f); note != "" {
			line += " " + note
		} else {
			open++
			if c.failure == "" {
				c.failure, c.severity = f.Message, f.Severity
			}
		}
		if len(c.body) < 50 {
			c.body = append(c.body, line)
		} else if len(c.body) == 50 {
			c.body = append(c.body, "… and more")
		}
	}
	if open > 1 {
		c.failure += " (and " + number(open-1) + " more)"
	}
	if open == 0 {
		c.skipped = "accepted: " + strings.Trim(accepted(findings[0]), "[]")
	}
	return c
}

func writeCase(b *bufio.Writer, control string, c junitCase) {
	b.WriteString(`    <testcase classname="` + xmlText(control) + `" name="` + xmlText(c.name) + `"`)
	switch {
	case c.failure != "":
		kind := c.severity.String()
		if c.broken {
			kind = "broken"
		}
		b.WriteString(">\n      <failure type=\"" + kind + `" message="` + xmlText(c.failure) + `">`)
		for i, line := range c.body {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(xmlText(line))
		}
		b.WriteString("</failure>\n    </testcase>\n")
	case c.skipped != "":
		b.WriteString(">\n      <skipped message=\"" + xmlText(c.skipped) + "\"/>\n    </testcase>\n")
	case c.note != "":
		b.WriteString(">\n      <system-out>" + xmlText(c.note) + "</system-out>\n    </testcase>\n")
	default:
		b.WriteString("/>\n")
	}
}

func xmlCounts(tests, failures, skipped int) string {
	return ` tests="` + strconv.Itoa(tests) + `" failures="` + strconv.Itoa(failures) + `" errors="0" skipped="` + strconv.Itoa(skipped) + `"`
}

// xmlText escapes text for an attribute or an element.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(s))) // a strings.Builder does not fail
	return b.String()
}
