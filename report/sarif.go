package report

import (
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// sarifLimit is how many results a code host takes in one run.
const sarifLimit = 25000

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

func renderSARIF(w io.Writer, r *bailey.Report, o Options) error {
	j := &jsonWriter{w: w, b: make([]byte, 0, jsonBlock+1<<12), o: o, r: r}
	s := &sarif{jsonWriter: j, index: map[string]int{}}
	j.raw("{")
	j.text("$schema", sarifSchema)
	j.text("version", "2.1.0")
	j.key("runs")
	j.raw("[{")
	s.tool()
	s.invocation()
	// Columns count characters, as editors do.
	j.text("columnKind", "unicodeCodePoints")
	shown := r.Findings[:min(len(r.Findings), sarifLimit)]
	j.array("results", len(shown), true, func(i int) { s.result(&shown[i]) })
	j.key("properties")
	j.raw("{")
	j.int("facts", r.Facts)
	j.int("factsSeen", r.Coverage.Seen)
	j.int("factsNeeded", r.Coverage.Needed)
	j.raw("}}]}\n")
	j.flush(0)
	return j.err
}

type sarif struct {
	*jsonWriter
	index map[string]int // rule ID -> place among the rules
}

// message writes a field that holds a text.
func (s *sarif) message(name, text string) {
	s.key(name)
	s.raw("{")
	s.text("text", text)
	s.raw("}")
}

func (s *sarif) tool() {
	type entry struct {
		id      string
		rule    *bailey.Rule
		control *bailey.Control
	}
	var rules []entry
	add := func(id string, c *bailey.Control, rule *bailey.Rule) {
		if _, known := s.index[id]; !known && len(rules) < sarifLimit {
			s.index[id] = len(rules)
			rules = append(rules, entry{id, rule, c})
		}
	}
	for _, c := range s.r.Controls {
		for _, rule := range c.Rules {
			add(c.RuleID(rule), c, rule)
		}
	}
	for i := range s.r.Findings { // what the catalogue does not hold: an expired waiver
		f := &s.r.Findings[i]
		add(f.Rule, &bailey.Control{ID: f.Control}, &bailey.Rule{Severity: f.Severity})
	}
	s.key("tool")
	s.raw(`{"driver":{"name":"Bailey"`)
	s.text("informationUri", "https://github.com/baileyhq/bailey")
	s.some("semanticVersion", semantic(s.o.Version))
	s.array("rules", len(rules), true, func(i int) {
		e := rules[i]
		title := ruleTitle(e.rule, e.id)
		doc := e.rule.Doc
		if doc == "" {
			doc = title + "."
		}
		s.raw("{")
		s.text("id", e.id)
		s.text("name", title)
		s.message("shortDescription", title)
		s.message("fullDescription", firstParagraph(doc))
		s.key("help")
		s.raw("{")
		s.text("text", doc)
		s.text("markdown", doc+helpReferences(e.control, e.rule))
		s.raw("}")
		for _, ref := range slices.Concat(e.rule.Refs, e.control.Refs) {
			if strings.HasPrefix(ref.URL, "https://") {
				s.text("helpUri", ref.URL)
				break
			}
		}
		s.key("defaultConfiguration")
		s.raw("{")
		s.text("level", sarifLevel(e.rule.Severity))
		s.raw("}")
		s.key("properties")
		s.raw("{")
		s.text("security-severity", securitySeverity(e.rule.Severity))
		s.text("precision", "high")
		tags := []string{"security", "kubernetes", e.control.ID}
		s.array("tags", len(tags), false, func(i int) { s.b = appendString(s.b, tags[i]) })
		s.raw("}}")
	})
	s.raw("}}")
}

// semantic is the version where it is a semantic one, as SARIF wants it.
func semantic(version string) string {
	version = strings.TrimPrefix(version, "v")
	if strings.Count(version, ".") < 2 || strings.ContainsAny(version, " ()/") {
		return ""
	}
	return version
}

func firstParagraph(doc string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(doc), "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

// helpReferences lists in Markdown where the rule comes from.
func helpReferences(c *bailey.Control, rule *bailey.Rule) string {
	var b strings.Builder
	for i, ref := range slices.Concat(rule.Refs, c.Refs) {
		if i == 0 {
			b.WriteString("\n\nReferences:\n")
		}
		text := strings.TrimSpace(ref.Source + " " + ref.ID)
		if ref.Title != "" {
			text += ": " + ref.Title
		}
		if ref.URL != "" {
			text = "[" + text + "](" + ref.URL + ")"
		}
		b.WriteString("\n- " + text)
	}
	return b.String()
}

func sarifLevel(s bailey.Severity) string {
	switch {
	case s >= bailey.SeverityHigh:
		return "error"
	case s == bailey.SeverityMedium:
		return "warning"
	}
	return "note"
}

// securitySeverity is the score by which GitHub ranks: over 9.0 is critical,
// from 7.0 high, from 4.0 medium, below it low.
func securitySeverity(s bailey.Severity) string {
	switch s {
	case bailey.SeverityCritical:
		return "9.5"
	case bailey.SeverityHigh:
		return "8.0"
	case bailey.SeverityMedium:
		return "5.5"
	case bailey.SeverityLow:
		return "3.0"
	}
	return "1.0"
}

// invocation says how the run went, and what it did not see.
func (s *sarif) invocation() {
	type note struct{ id, level, text string }
	var notes []note
	if s.r.Facts == 0 {
		notes = append(notes, note{"nothing-scanned", "error", "Nothing was scanned. This is not a clean result."})
	}
	if n := len(s.r.Findings) - sarifLimit; n > 0 {
		notes = append(notes, note{"results-left-out", "warning", count(n, "result") + " left out: a run holds at most " + number(sarifLimit) + ". The worst are here."})
	}
	broken, _ := brokenLines(s.r, 0)
	for _, b := range broken[:min(len(broken), 1000)] {
		notes = append(notes, note{"broken/" + b.Control, "error", "Broken: " + brokenTitle + ". " + b.Text})
	}
	standings, unchecked := ladder(s.r)
	for _, st := range standings {
		if st.proof != nil && len(st.proof.Broken) == 0 {
			notes = append(notes, note{"proof/" + clean(st.control.ID), "note", st.rung.String() + ": " + proofText(st.proof, s.r.Meta.At)})
		}
	}
	for _, u := range notSeen(s.r) {
		text := "Not seen (" + u.label() + "): " + list(u.what, 50, false) + "."
		if len(u.details) > 0 {
			text += " " + list(u.details, 5, false)
		}
		if u.hint != "" {
			text += " Hint: " + u.hint
		}
		notes = append(notes, note{"not-seen/" + string(u.reason), "warning", text})
	}
	parts, _ := skipped(s.r)
	for _, p := range parts[:min(len(parts), 1000)] {
		text := "Not read: " + clean(p.What) + ": " + clean(p.Why)
		if p.Hint != "" {
			text += " Hint: " + clean(p.Hint)
		}
		notes = append(notes, note{"not-read", "warning", text})
	}
	if len(unchecked) > 0 {
		notes = append(notes, note{"unchecked-controls", "note", count(len(unchecked), "control") + " unknown: this version does not check them."})
	}
	notes = append(notes, note{"coverage", "note", factsSeen(s.r.Coverage)})
	s.key("invocations")
	s.raw("[{")
	s.bool("executionSuccessful", s.r.Facts > 0)
	if !s.r.Meta.At.IsZero() {
		s.text("startTimeUtc", s.r.Meta.At.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	s.array("toolExecutionNotifications", len(notes), false, func(i int) {
		s.raw("{")
		s.text("level", notes[i].level)
		s.message("message", notes[i].text)
		s.key("descriptor")
		s.raw("{")
		s.text("id", notes[i].id)
		s.raw("}}")
	})
	s.raw("}]")
}

func (s *sarif) result(f *bailey.Finding) {
	s.raw("{")
	s.text("ruleId", f.Rule)
	if i, known := s.index[f.Rule]; known {
		s.int("ruleIndex", i)
	}
	s.text("level", sarifLevel(f.Severity))
	message := f.Object.String() + ": " + f.Message
	fix := describeFix(s.r.FixOf(f), f.Object)
	if fix != "" {
		message += "\n\nFix: " + fix
	}
	s.message("message", message)
	s.key("locations")
	s.raw("[{")
	if f.Source.File != "" {
		s.physical(f.Source)
	}
	s.logical(f.Object)
	s.raw("}]")
	related := f.Related[:min(len(f.Related), 100)]
	if len(related) > 0 {
		s.array("relatedLocations", len(related), false, func(i int) {
			s.raw("{")
			s.logical(related[i])
			s.raw("}")
		})
	}
	s.key("partialFingerprints")
	s.raw("{")
	s.text("baileyFindingId/v1", f.ID)
	s.raw("}")
	if s.r.Diff != nil {
		s.text("baselineState", "new")
	}
	// All results of a run have suppressions or none has: an empty list says
	// that nobody accepts the finding.
	var reasons []string
	if w := f.Waiver; w != nil {
		reasons = append(reasons, w.Reason+" (waived by "+w.Owner+" until "+day(w.Expires)+")")
	}
	if f.Baseline {
		reasons = append(reasons, "accepted by the baseline")
	}
	s.array("suppressions", len(reasons), false, func(i int) {
		s.raw("{")
		s.text("kind", "external")
		s.text("status", "accepted")
		s.text("justification", reasons[i])
		s.raw("}")
	})
	s.key("properties")
	s.raw("{")
	s.text("severity", f.Severity.String())
	s.text("security-severity", securitySeverity(f.Severity))
	s.some("weight", raisedText(f))
	s.some("field", f.Field)
	s.some("fix", fix)
	s.raw("}}")
}

func (s *sarif) physical(src bailey.Source) {
	uri, relative := artifactURI(src.File, s.o.Dir)
	s.key("physicalLocation")
	s.raw(`{"artifactLocation":{`)
	s.text("uri", uri)
	if relative {
		s.text("uriBaseId", "%SRCROOT%")
	}
	s.raw("}")
	if src.Line > 0 {
		s.key("region")
		s.raw("{")
		s.int("startLine", src.Line)
		if src.Column > 0 {
			s.int("startColumn", src.Column)
		}
		s.raw("}")
	}
	s.raw("}")
}

func (s *sarif) logical(ref bailey.Ref) {
	parts := []string{string(ref.Kind), ref.Name}
	if ref.Namespace != "" {
		parts = []string{ref.Namespace, string(ref.Kind), ref.Name}
	}
	s.key("logicalLocations")
	s.raw("[{")
	s.text("name", ref.Name)
	s.text("fullyQualifiedName", strings.Join(parts, "/"))
	s.text("kind", "resource")
	s.raw("}]")
}

// artifactURI is a file's path as a URI reference: relative to the working
// directory where it is below it, with forward slashes, percent-encoded.
func artifactURI(file, dir string) (uri string, relative bool) {
	file = relativeTo(file, dir)
	absolute := path.IsAbs(file)
	var b strings.Builder
	if absolute {
		b.WriteString("file://")
	}
	for i := 0; i < len(file); i++ {
		c := file[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/!$&'()*+,;=@", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String(), !absolute
}

// relativeTo gives a path with forward slashes, relative to the directory
// where it lies below it.
func relativeTo(file, dir string) string {
	if dir != "" && filepath.IsAbs(file) {
		if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
	}
	return path.Clean(filepath.ToSlash(file))
}
